#include "agent/config.h"

#include <fstream>
#include <set>
#include <sstream>

#include <doctest/doctest.h>

#include "agent/host_address.h"

using namespace kith;

namespace {

constexpr const char* kKey = "key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

std::string with(const std::string& more) {
  return "cluster: home\n" + std::string(kKey) + more;
}

std::string fault_of(const std::string& text) {
  const auto config = parse_config(text, "kith.yaml");
  return config ? std::string() : config.error().message;
}

/// `  group.key: value` lines of the reference, comments and blank lines left out, with the keys
/// that are only named in a comment as `# key: value`.
std::map<std::string, std::string> keys_of_reference() {
  std::ifstream in(KITH_REFERENCE_CONFIG);
  REQUIRE(in);
  std::map<std::string, std::string> keys;
  std::string line;
  std::string group;
  while (std::getline(in, line)) {
    if (line.starts_with("# key_file:")) line = "key_file: ";
    const size_t indent = line.find_first_not_of(' ');
    if (indent == std::string::npos || line[indent] == '#') continue;
    const size_t colon = line.find(':');
    REQUIRE(colon != std::string::npos);
    const std::string key = line.substr(indent, colon - indent);
    const std::string value = colon + 2 <= line.size() ? line.substr(colon + 2) : "";
    if (indent == 0) group = value.empty() ? key + "." : "";
    if (indent == 0 && value.empty() && key != "key_file") continue;
    keys[indent == 0 ? key : group + key] = value;
  }
  return keys;
}

}  // namespace

TEST_CASE("config: the reference file names every key of the code, with its default") {
  const auto reference = keys_of_reference();
  std::set<std::string> known;
  for (const ConfigKey& key : config_keys()) {
    CAPTURE(key.path);
    known.insert(key.path);
    const auto at = reference.find(key.path);
    REQUIRE(at != reference.end());
    if (!key.fallback.empty()) CHECK(at->second == key.fallback);
  }
  for (const auto& [key, value] : reference) {
    CAPTURE(key);
    CHECK(known.contains(key));
  }
}

TEST_CASE("config: the reference file reads as the defaults") {
  std::ifstream in(KITH_REFERENCE_CONFIG);
  std::stringstream text;
  text << in.rdbuf();
  const auto config = parse_config(text.str(), "kith.yaml");
  REQUIRE(config);
  const Config fallback;
  CHECK(config->data_dir == fallback.data_dir);
  CHECK(config->gossip.port == fallback.gossip.port);
  CHECK(config->api.listen == fallback.api.listen);
  CHECK(config->engine.docker_socket == fallback.engine.docker_socket);
  CHECK(config->node.weight == fallback.node.weight);
}

TEST_CASE("config: a fault names file, line, key, value and mend") {
  struct Row {
    const char* text;
    const char* says;
  };
  for (const Row& row : {
           Row{"gossip: {prot: 1}\n",
               "kith.yaml:3: gossip.prot: no such key; did you mean `gossip.port`?"},
           Row{"gosip: {port: 1}\n", "kith.yaml:3: gosip: no such key; did you mean `gossip`?"},
           Row{"gossip: {port: 70000}\n", "70000 is not a whole number from 1 to 65535"},
           Row{"gossip: {profile: fast}\n", "fast is none of: lan, wan, edge"},
           Row{"gossip: 7117\n", "kith.yaml:3: gossip: 7117 where a group of keys belongs"},
           Row{"node: {weight: 0}\n", "0 is not a whole number from 1 to 1000, or `auto`"},
           Row{"node: {name: 'a b'}\n", "`a b` is no name"},
           Row{"node: {address: nonsense}\n", "nonsense is neither `auto`"},
           Row{"join: 10.0.0.1\n", "10.0.0.1 where a list of hosts belongs"},
           Row{"join: ['10.0.0.1:0']\n", "`10.0.0.1:0` is no host"},
           Row{"data_dir: var\n", "`var` is no absolute path"},
           Row{"engine: {docker: tcp://x}\n", "tcp://x is neither `none`"},
           Row{"api: {listen: '80'}\n", "80 is neither `off`"},
           Row{"cluster: twice\n", "kith.yaml:3: cluster: stands twice"},
           Row{"key_file: /nowhere/key\n", "/nowhere/key cannot be read"},
           Row{"log: {level: [}\n", "not YAML"},
       }) {
    CAPTURE(row.text);
    const std::string fault = fault_of(with(row.text));
    CAPTURE(fault);
    CHECK(fault.find(row.says) != std::string::npos);
  }
}

TEST_CASE("config: a key of the wrong length says what it holds, and never shows it") {
  const std::string fault = fault_of("cluster: home\nkey: c2VjcmV0\n");
  CHECK(fault == "kith.yaml:2: key: holds 6 bytes where 32 belong; `kith init` makes a key");
}

TEST_CASE("config: cluster and key must be there") {
  const std::string fault = fault_of("data_dir: /tmp\n");
  CHECK(fault.find("cluster: missing") != std::string::npos);
  CHECK(fault.find("key: missing") != std::string::npos);
}

TEST_CASE("config: every fault is named, not the first alone") {
  const std::string fault = fault_of(with("a: 1\nb: 2\n"));
  CHECK(fault.find("kith.yaml:3: a:") != std::string::npos);
  CHECK(fault.find("kith.yaml:4: b:") != std::string::npos);
}

TEST_CASE("config: what `kith init` prints is sound") {
  std::array<uint8_t, 32> key{};
  key[0] = 7;
  const auto config = parse_config(initial_config("attic", key), "kith.yaml");
  REQUIRE(config);
  CHECK(config->cluster == "attic");
  CHECK(config->key == key);
}

TEST_CASE("config: hosts with and without a port, IPv6 in brackets") {
  CHECK(parse_host_port("nas.lan", 7117) == Endpoint{"nas.lan", 7117});
  CHECK(parse_host_port("10.0.0.1:9", 7117) == Endpoint{"10.0.0.1", 9});
  CHECK(parse_host_port("[fd00::1]:9", 7117) == Endpoint{"fd00::1", 9});
  CHECK(parse_host_port("fd00::1", 7117) == Endpoint{"fd00::1", 7117});
  for (const char* bad : {"", ":9", "a:", "a:b", "a:70000", "[fd00::1", "a b"})
    CHECK_FALSE(parse_host_port(bad, 7117));
}

TEST_CASE("address: a network contains what shares its prefix") {
  const auto network = parse_network("10.1.2.0/23");
  REQUIRE(network);
  CHECK(network->contains("10.1.3.9"));
  CHECK_FALSE(network->contains("10.1.4.1"));
  CHECK_FALSE(network->contains("fd00::1"));
  CHECK_FALSE(parse_network("10.1.2.0"));
  CHECK_FALSE(parse_network("10.1.2.0/33"));
}

TEST_CASE("address: one that is not on this host is refused with those that are") {
  const auto chosen = choose_address("192.0.2.77");
  REQUIRE_FALSE(chosen);
  CHECK(chosen.error().message.find("192.0.2.77 is not on this host; it has") != std::string::npos);
  CHECK(choose_address("127.0.0.1") == std::string("127.0.0.1"));
}
