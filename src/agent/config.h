#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace kith {

/// The YAML file, checked. config/kith.yaml is its reference: each key with default and unit.
struct Config {
  std::string file;  ///< as named on the command line, for messages

  std::string cluster;
  std::array<uint8_t, 32> key{};
  std::vector<std::string> join;  ///< host or host:port, as written
  std::string data_dir = "/var/lib/kith";

  struct Node {
    std::string name = "auto";
    std::string address = "auto";  ///< auto, an address, or a network in CIDR form
    std::map<std::string, std::string> labels;
    uint32_t weight = 0;  ///< 0: auto
  } node;

  struct Gossip {
    uint16_t port = 7117;
    std::string profile = "lan";
    std::map<std::string, uint64_t> knobs;  ///< those set in the file, by name
  } gossip;

  struct Engine {
    std::string docker_socket = "/var/run/docker.sock";  ///< empty: `none`, a witness
  } engine;

  struct Api {
    std::string socket = "/run/kith/docker.sock";
    std::string listen = "127.0.0.1:7118";  ///< empty: off
  } api;

  struct Log {
    std::string level = "info";
    std::string format = "text";
  } log;

  /// Not faults, but worth a line at the start: a key file that everybody can read.
  std::vector<std::string> warnings;
};

/// What can be set in the file: the dotted path, and its default as one would write it there.
struct ConfigKey {
  std::string path;
  std::string fallback;
};
[[nodiscard]] std::vector<ConfigKey> config_keys();

/// Reads and checks the whole file. The message of a fault has one line a fault:
/// `FILE:LINE: KEY: VALUE is wrong because; mend`.
[[nodiscard]] Result<Config> load_config(const std::string& path);
[[nodiscard]] Result<Config> parse_config(const std::string& text, const std::string& file);

/// `host`, `host:port`, `[v6]:port`; the port is `fallback_port` where it is not said.
[[nodiscard]] Result<Endpoint> parse_host_port(std::string_view text, uint16_t fallback_port);

/// A fresh file for `kith init`: a new key, the rest at its defaults.
[[nodiscard]] std::string initial_config(const std::string& cluster,
                                         const std::array<uint8_t, 32>& key);

}  // namespace kith
