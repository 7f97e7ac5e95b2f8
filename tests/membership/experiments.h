#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "membership/config.h"

namespace kith::test {

/// `paper` (all there is, with the paper's timing), `lifeguard` (the same as published: without
/// what kith adds to it), `plain` (SWIM with that timing), or a
/// profile's name, with `-plain` behind it for SWIM with that timing.
[[nodiscard]] SwimConfig config_named(std::string_view name, size_t members);

/// What an anomalous member is: its messages held while its timers go on (the paper's), or its
/// whole process stopped.
enum class Anomaly { kHeld, kStopped };

/// One cell of Lifeguard's interval experiment (arXiv 1707.00788, section V): after 15 s of rest,
/// `anomalous` of `members` are blocked for `blocked` and run for `between`, in step, for `time`.
struct IntervalCell {
  size_t members = 128;
  size_t anomalous = 1;
  Duration blocked{};
  Duration between{};
  Anomaly kind = Anomaly::kHeld;
  Duration time = std::chrono::seconds(120);
};
struct IntervalResult {
  /// Events that called a healthy member dead, in all views; by where they happened:
  size_t at_healthy = 0;
  size_t at_anomalous_own = 0;    ///< declared by that anomalous member itself
  size_t at_anomalous_heard = 0;  ///< believed of another
  size_t datagrams = 0;
  size_t bytes = 0;
  size_t stream_pings = 0;
};
[[nodiscard]] IntervalResult run_interval(const IntervalCell& cell, std::string_view config,
                                          uint64_t seed);

/// The threshold experiment: one anomaly of `blocked` in `anomalous` members at once. Seconds from
/// its begin until the first healthy member held each dead, and until all did; those that were
/// never found are not among them.
struct Latencies {
  std::vector<double> first;
  std::vector<double> all;
  size_t missed = 0;
};
[[nodiscard]] Latencies run_threshold(size_t members, size_t anomalous, Duration blocked,
                                      std::string_view config, uint64_t seed);

/// What the healthy go through while one thing is wrong for a while.
struct FaultResult {
  size_t suspected = 0;  ///< events, of members that were well
  size_t dead = 0;       ///< the same, at members that were well
  size_t dead_at_faulty = 0;
  double known = -1;   ///< s until all the others held the faulty one dead; -1: never
  double healed = -1;  ///< s from the fault's end until all views agreed
};
/// Loss in bursts of 100 ms (Gilbert-Elliott, a state for each host), `percent` on average.
[[nodiscard]] FaultResult run_bursts(size_t members, unsigned percent, Duration time,
                                     std::string_view config, uint64_t seed);
/// One member hears nothing (deaf), or nobody hears it (mute).
[[nodiscard]] FaultResult run_one_way(size_t members, bool deaf, Duration time,
                                      std::string_view config, uint64_t seed);
/// A host's power goes, or its agent alone does. Seconds until all others held it dead.
[[nodiscard]] std::vector<double> run_deaths(size_t members, bool agent_alone, size_t trials,
                                             std::string_view config, uint64_t seed);

}  // namespace kith::test
