#include <algorithm>

#include <doctest/doctest.h>

#include "membership/net.h"

using namespace kith;
using namespace kith::test;

namespace {

struct Spread {
  double median = 0;
  double p99 = 0;
  size_t unknown = 0;
  size_t false_deaths = 0;
};

/// Crash -> held dead by every other, in seconds, over `trials` seeds.
Spread crash_times(size_t n, const SwimConfig& config, unsigned loss, int trials) {
  std::vector<double> seconds;
  Spread out;
  for (int t = 0; t < trials; ++t) {
    Net net(n, config, 1000 + static_cast<uint64_t>(t));
    net.loss_percent = loss;
    net.run(3s + Duration(net.rng().below(1'000'000'000)));
    const size_t victim = net.rng().below(n);
    const Instant began = net.now();
    net.crash(victim);
    if (net.run_until([&] { return net.all_see(victim, MemberState::kDead); }, 60s)) {
      seconds.push_back(std::chrono::duration<double>(net.now() - began).count());
    } else {
      ++out.unknown;
    }
    for (const auto& entry : net.log) {
      out.false_deaths +=
          entry.event.kind == MemberEventKind::kDead && entry.event.node != net.id(victim);
    }
  }
  std::sort(seconds.begin(), seconds.end());
  if (seconds.empty()) return out;
  out.median = seconds[seconds.size() / 2];
  out.p99 = seconds[seconds.size() * 99 / 100];
  return out;
}

}  // namespace

TEST_CASE("swim: a crash is known to all within the bound, whatever the size and the loss") {
  struct Row {
    size_t n;
    SwimConfig config;
    unsigned loss;
    double median;
    double p99;
  };
  const Row rows[] = {
      {2, SwimConfig::lan(), 0, 1.8, 3.0},  {3, SwimConfig::lan(), 0, 2.4, 3.0},
      {5, SwimConfig::lan(), 0, 1.5, 2.4},  {20, SwimConfig::lan(), 0, 1.7, 3.2},
      {5, SwimConfig::lan(), 10, 1.8, 3.4}, {5, SwimConfig::edge(), 25, 8.5, 12.5},
  };
  for (const Row& row : rows) {
    const Spread seen = crash_times(row.n, row.config, row.loss, 60);
    MESSAGE("n=", row.n, " loss=", row.loss, "%: median ", seen.median, " s, p99 ", seen.p99, " s");
    CHECK(seen.unknown == 0);
    CHECK(seen.median <= row.median);
    CHECK(seen.p99 <= row.p99);
    CHECK(seen.false_deaths == 0);
  }
}
