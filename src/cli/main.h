#pragma once

#include <functional>
#include <string>

namespace kith {

/// What the command line starts but does not know. Each returns the exit status.
struct CliHooks {
  /// `kith agent --config FILE [--check]`. Runs until told to stop; with `check` it only reads the
  /// configuration and says what is wrong with it.
  std::function<int(const std::string& config, bool check)> agent;
  /// `kith init [--cluster NAME]`: prints a fresh configuration.
  std::function<int(const std::string& cluster)> init;
};

/// The whole command line. 0: done; 1: it failed, one line on stderr; 2: it was not understood.
/// Throws nothing. `kith version` and `kith agent` need no running agent.
[[nodiscard]] int run_cli(int argc, char** argv, const CliHooks& hooks);

}  // namespace kith
