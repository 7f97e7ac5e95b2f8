#include "cli/main.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <vector>

namespace kith {
namespace {

struct Said {
  int status = 0;
  std::string error;
};

/// Runs the command line and catches what it says on stderr.
Said kith(std::vector<std::string> words) {
  words.insert(words.begin(), "kith");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  const CliHooks hooks{[](const std::string&, bool) { return 0; },
                       [](const std::string&) { return 0; }};
  std::FILE* caught = std::tmpfile();
  REQUIRE(caught != nullptr);
  std::fflush(stderr);
  const int before = dup(STDERR_FILENO);
  REQUIRE(dup2(fileno(caught), STDERR_FILENO) >= 0);
  Said said;
  said.status = run_cli(static_cast<int>(argv.size()), argv.data(), hooks);
  std::fflush(stderr);
  REQUIRE(dup2(before, STDERR_FILENO) >= 0);
  close(before);
  std::rewind(caught);
  std::array<char, 1024> text{};
  said.error.assign(text.data(), std::fread(text.data(), 1, text.size(), caught));
  std::fclose(caught);
  return said;
}

bool has(const Said& said, const std::string& text) {
  return said.error.find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("command line: a mistyped subcommand is told which one may be meant, and where to look") {
  for (const char* group : {"key", "node", "service"}) {
    const std::string path = std::string("kith ") + group;
    const Said said = kith({group, "lss"});
    INFO(said.error);
    CHECK(said.status == 2);
    CHECK(has(said, "'lss' is not understood here"));
    CHECK(has(said, "did you mean `" + path + " ls`?"));
    CHECK(has(said, "`" + path + " --help` says more"));
  }
  CHECK(has(kith({"staus"}), "did you mean `kith status`? `kith --help` says more"));
}

TEST_CASE("command line: what is near nothing is only told where to look") {
  const Said nothing = kith({"key", "frobnicate"});
  CHECK(nothing.status == 2);
  CHECK_FALSE(has(nothing, "did you mean"));
  CHECK(has(nothing, "`kith key --help` says more"));
  CHECK(has(kith({"key"}), "`kith key --help` says more"));
  CHECK(has(kith({"key", "use"}), "`kith key use --help` says more"));
  CHECK(has(kith({"node", "ls", "--bogus"}), "'--bogus' is not understood here; `kith node ls "));
}

}  // namespace kith
