#include "membership/config.h"

#include <algorithm>
#include <cmath>

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

SwimConfig SwimConfig::paper(size_t members) {
  constexpr double kAlpha = 5;
  constexpr unsigned kBeta = 6;
  SwimConfig c;
  c.probe_interval = seconds(1);
  c.probe_interval_large = seconds(1);
  c.direct_timeout_min = milliseconds(500);
  c.direct_timeout_max = milliseconds(500);
  c.indirect_timeout = milliseconds(500);
  c.indirect_multiple = 1;
  const double scale = std::max(1.0, std::log10(static_cast<double>(members)));
  c.suspicion_min = milliseconds(std::llround(1000 * kAlpha * scale));
  c.suspicion_max_factor = kBeta;
  c.confirmations = 3;
  c.max_health_multiplier = 8;
  c.gossip_interval = milliseconds(200);
  c.retransmit_factor = 4;
  return c;
}

SwimConfig SwimConfig::plain() const {
  SwimConfig c = *this;
  c.direct_pings = 1;
  c.indirect_rounds = 1;
  c.stream_ping = false;
  c.nacks = false;
  c.suspicion_max_factor = 1;
  c.confirmations = 0;
  c.confirmers = 0;
  c.last_pings = 0;
  c.last_ping_window = Duration(0);
  c.doubt_deaths = false;
  c.tell_accused = false;
  c.max_health_multiplier = 1;
  c.stall_threshold = Duration::max();
  c.urgent_fan_out = 0;
  return c;
}

std::optional<SwimConfig> SwimConfig::profile(std::string_view name) {
  if (name == "lan") return lan();
  if (name == "wan") return wan();
  if (name == "edge") return edge();
  return std::nullopt;
}

}  // namespace kith
