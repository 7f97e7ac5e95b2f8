// The YAML file, and what else a person writes: the first byte picks.

#include "agent/config.h"
#include "agent/host_address.h"
#include "fuzz.h"

using namespace kith;
using fuzz::must;

namespace {

void read_config(ByteView bytes) {
  const std::string text(as_text(bytes));
  if (text.find("key_file") != std::string::npos) return;  // would read whatever file it names
  const auto config = parse_config(text, "kith.yaml");
  if (config) {
    must(!config->cluster.empty() && config->cluster.size() <= 63);
    must(config->gossip.port != 0);
    must(config->api.socket.starts_with('/'));
    for (const std::string& seed : config->join) must(parse_host_port(seed, 1).has_value());
  } else {
    must(config.error().message.starts_with("kith.yaml"));
  }
}

void read_host(ByteView bytes) {
  const auto at = parse_host_port(as_text(bytes), 7117);
  if (!at) return;
  must(at->port != 0 && !at->host.empty());
  (void)is_address(at->host);
}

void read_network(ByteView bytes) {
  (void)parse_network(std::string(as_text(bytes)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView rest = ByteView(data, size).subspan(1);
  if (data[0] == '@')
    read_host(rest);
  else if (data[0] == '/')
    read_network(rest);
  else
    read_config(ByteView(data, size));
  return 0;
}
