#include "membership/config.h"

namespace kith {

using std::chrono::milliseconds;
using std::chrono::seconds;

SwimConfig SwimConfig::wan() {
  SwimConfig c;
  c.probe_interval = seconds(1);
  c.probe_interval_large = seconds(1);
  c.direct_timeout_min = milliseconds(300);
  c.direct_timeout_max = milliseconds(1500);
  c.rtt_multiple = 3;
  c.indirect_timeout = milliseconds(800);
  c.suspicion_min = seconds(3);
  c.last_pings = 3;
  c.last_ping_window = seconds(1);
  c.max_health_multiplier = 4;
  c.stall_threshold = milliseconds(500);
  c.dead_ping_max = seconds(10);
  c.isolation_window = seconds(20);
  c.gossip_interval = milliseconds(200);
  return c;
}

SwimConfig SwimConfig::edge() {
  SwimConfig c;
  c.probe_interval = seconds(1);
  c.probe_interval_large = seconds(1);
  c.direct_timeout_min = milliseconds(500);
  c.direct_timeout_max = seconds(1);
  c.direct_pings = 3;
  c.indirect_timeout = seconds(1);
  c.suspicion_min = seconds(5);
  c.confirmations = 3;
  c.last_pings = 6;
  c.last_ping_window = seconds(3);
  c.max_health_multiplier = 8;
  c.stall_threshold = milliseconds(500);
  c.dead_ping_max = seconds(15);
  c.isolation_window = seconds(30);
  c.gossip_interval = milliseconds(200);
  c.retransmit_factor = 8;
  return c;
}

std::optional<SwimConfig> SwimConfig::profile(std::string_view name) {
  if (name == "lan") return lan();
  if (name == "wan") return wan();
  if (name == "edge") return edge();
  return std::nullopt;
}

}  // namespace kith
