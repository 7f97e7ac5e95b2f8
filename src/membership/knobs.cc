#include "membership/knobs.h"

namespace kith {
namespace {

SwimKnob duration(std::string name, Duration SwimConfig::*field, uint64_t least, uint64_t most) {
  return {
      std::move(name), least, most,
      [field](const SwimConfig& config) {
        return static_cast<uint64_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(config.*field).count());
      },
      [field](SwimConfig& config, uint64_t ms) { config.*field = std::chrono::milliseconds(ms); }};
}

SwimKnob count(std::string name, unsigned SwimConfig::*field, uint64_t least, uint64_t most) {
  return {std::move(name), least, most,
          [field](const SwimConfig& config) { return uint64_t{config.*field}; },
          [field](SwimConfig& config, uint64_t value) {
            config.*field = static_cast<unsigned>(value);
          }};
}

}  // namespace

const std::vector<SwimKnob>& swim_knobs() {
  using C = SwimConfig;
  static const std::vector<SwimKnob> all = {
      duration("probe_interval_ms", &C::probe_interval, 20, 60'000),
      duration("probe_interval_large_ms", &C::probe_interval_large, 20, 60'000),
      duration("direct_timeout_min_ms", &C::direct_timeout_min, 10, 30'000),
      duration("direct_timeout_max_ms", &C::direct_timeout_max, 10, 30'000),
      count("rtt_multiple", &C::rtt_multiple, 1, 100),
      count("direct_pings", &C::direct_pings, 1, 10),
      duration("indirect_timeout_ms", &C::indirect_timeout, 10, 60'000),
      count("indirect_peers", &C::indirect_peers, 0, 16),
      count("indirect_rounds", &C::indirect_rounds, 1, 10),
      duration("suspicion_min_ms", &C::suspicion_min, 50, 600'000),
      count("suspicion_max_factor", &C::suspicion_max_factor, 1, 32),
      count("confirmations", &C::confirmations, 0, 5),
      count("confirmers", &C::confirmers, 0, 16),
      count("last_pings", &C::last_pings, 1, 32),
      duration("last_ping_window_ms", &C::last_ping_window, 10, 60'000),
      count("max_health_multiplier", &C::max_health_multiplier, 1, 16),
      duration("stall_threshold_ms", &C::stall_threshold, 20, 60'000),
      duration("dead_ping_max_ms", &C::dead_ping_max, 1'000, 600'000),
      duration("gossip_interval_ms", &C::gossip_interval, 10, 10'000),
      count("gossip_fan_out", &C::gossip_fan_out, 1, 16),
      count("retransmit_factor", &C::retransmit_factor, 1, 32),
      count("urgent_fan_out", &C::urgent_fan_out, 1, 16),
  };
  return all;
}

}  // namespace kith
