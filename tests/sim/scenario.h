#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "world.h"

namespace kith::sim {

using namespace std::chrono_literals;

[[nodiscard]] inline double in_seconds(Duration time) {
  return std::chrono::duration<double>(time).count();
}

/// Hosts that have found each other and rest. Says its seed first.
[[nodiscard]] inline std::unique_ptr<World> settled(uint64_t seed, size_t hosts) {
  std::printf("seed %llu, %zu hosts\n", static_cast<unsigned long long>(seed), hosts);
  auto world = std::make_unique<World>(seed, hosts);
  world->start_all();
  const auto took = world->run_until([&] { return world->converged(); }, 30s);
  INFO(world->story());
  REQUIRE(took);
  world->run_for(5s);
  return world;
}

/// The checkers found nothing.
inline void sound(const World& world) {
  for (const World::Violation& violation : world.violations())
    FAIL_CHECK(violation.checker << ": " << violation.what);
  if (!world.violations().empty())
    MESSAGE(world.story(std::getenv("KITH_SIM_STORY") == nullptr ? 60 : 4000));
}

/// Runs until `condition`, and fails with the story if it does not come about.
template <class Condition>
Duration within(World& world, Duration limit, const std::string& what, Condition condition) {
  const auto took = world.run_until(condition, limit);
  if (!took) {
    MESSAGE(world.story(1000));
    FAIL_CHECK("seed " << world.seed() << ": not within " << in_seconds(limit) << " s: " << what);
    return limit;
  }
  return *took;
}

[[nodiscard]] inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

}  // namespace kith::sim
