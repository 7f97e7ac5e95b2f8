#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "world.h"

using namespace kith;
using namespace kith::test;

namespace {

uint64_t seeds_or(uint64_t usual) {
  const char* text = std::getenv("KITH_SEEDS");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : usual;
}

std::string all(const World& world) {
  std::string text;
  for (const std::string& wrong : world.wrongs) text += "\n  " + wrong;
  return text;
}

}  // namespace

TEST_CASE("world: after any faults each slot runs exactly once, and no healthy copy was wronged") {
  const uint64_t seeds = seeds_or(1000);
  const char* one = std::getenv("KITH_SEED");
  Duration worst{};
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    if (one != nullptr && std::strtoull(one, nullptr, 10) != seed) continue;
    CAPTURE(seed);
    Knobs knobs;
    knobs.hosts = 2 + seed % 4;
    World world(seed, knobs);
    if (seed % 3 == 0) world.hopeless.insert({"a", world.hosts[seed % knobs.hosts].id});
    world.put(world.hosts[0], "a", World::service("a", 3));
    world.put(world.hosts[0], "b", World::service("b", 2));
    world.run(world.now + seconds(20), true);
    for (Host& host : world.hosts) world.drain(world.hosts[0], host.id, false);
    const auto settled = world.settle(seconds(120));
    std::string why;
    CHECK(world.converged(&why) == settled.has_value());
    CHECK_MESSAGE(settled.has_value(), "not settled: " << why);
    CHECK_MESSAGE(world.wrongs.empty(), all(world));
    if (settled) worst = std::max(worst, *settled);
  }
  MESSAGE("settled within " << worst / milliseconds(1) << " ms");
}

TEST_CASE("world: a drain and the moves back never leave a slot with fewer than it wants") {
  for (uint64_t seed = 1; seed <= seeds_or(1000) / 5; ++seed) {
    CAPTURE(seed);
    Knobs knobs;
    knobs.hosts = 3 + seed % 3;
    knobs.faulty = false;
    World world(seed, knobs);
    world.put(world.hosts[0], "a", World::service("a", 6));
    world.put(world.hosts[0], "b", World::service("b", 3));
    REQUIRE(world.settle(seconds(60)).has_value());
    const uint64_t before = world.starts;
    Host& drained = world.hosts[seed % knobs.hosts];
    for (const bool off : {true, false}) {
      world.drain(world.hosts[0], drained.id, off);
      const Instant end = world.now + seconds(25);
      while (world.now < end) {
        world.run(world.now + milliseconds(10), false);
        for (uint32_t i = 1; i <= 6; ++i) REQUIRE(world.healthy_copies({"a", i, {}}) >= 1);
        for (uint32_t i = 1; i <= 3; ++i) REQUIRE(world.healthy_copies({"b", i, {}}) >= 1);
      }
      CHECK(world.converged());
      size_t here = 0;
      for (const auto& [id, c] : drained.containers) here += c.starting ? 0 : 1;
      CHECK((here == 0) == off);
    }
    CHECK(world.starts > before);
    CHECK_MESSAGE(world.wrongs.empty(), all(world));
  }
}

TEST_CASE("world: restarting agents one after the other restarts no container") {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    Knobs knobs;
    knobs.faulty = false;
    World world(seed, knobs);
    world.put(world.hosts[0], "a", World::service("a", 6));
    REQUIRE(world.settle(seconds(60)).has_value());
    const uint64_t starts = world.starts;
    const uint64_t stops = world.stops;
    for (Host& host : world.hosts) {
      if (&host != &world.hosts[0]) host.docs.clear();
      world.restart_agent(host);
      world.run(world.now + seconds(4), false);
    }
    CHECK(world.starts == starts);
    CHECK(world.stops == stops);
    CHECK(world.converged());
    CHECK_MESSAGE(world.wrongs.empty(), all(world));
  }
}
