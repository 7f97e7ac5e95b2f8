#include "scenario.h"

namespace kith::sim {
namespace {

constexpr int64_t kDayMs = 24LL * 3600 * 1000;

/// Five hosts, one with this clock from before its agent ever started.
std::unique_ptr<World> with_clock(uint64_t seed, int64_t ahead_ms) {
  auto world = std::make_unique<World>(seed, 5);
  world->host(4).clocks().wall_offset_ms = ahead_ms;
  world->start_all();
  within(*world, 30s, "all in one cluster", [&] { return world->converged(); });
  world->run_for(5s);
  return world;
}

}  // namespace

TEST_CASE("sim: edits at a host whose clock is a day ahead, or stands at 1970, reach everybody") {
  for (const int64_t ahead : {kDayMs, -kDayMs, -kDayMs * 365 * 57, kDayMs * 365 * 200}) {
    auto world = with_clock(301, ahead);
    REQUIRE(world->create(4, "there", 3).result);
    REQUIRE(world->create(0, "here", 3).result);
    within(*world, 10s, "both run",
           [&] { return world->runs_exactly("there", 3) && world->runs_exactly("here", 3); });
    REQUIRE(world->scale(0, "there", 4).result);
    REQUIRE(world->scale(4, "here", 2).result);
    within(*world, 10s, "both as the last edit says",
           [&] { return world->runs_exactly("there", 4) && world->runs_exactly("here", 2); });
    world->calm();
    world->run_for(90s);
    CHECK(world->converged());
    for (const size_t i : world->live()) CHECK(world->host(i).node().conflicts().empty());
    sound(*world);
  }
}

TEST_CASE("sim: a clock that was a day ahead and is put right disturbs nothing") {
  auto world = with_clock(302, kDayMs);
  REQUIRE(world->create(4, "web", 6).result);
  within(*world, 10s, "web runs", [&] { return world->runs_exactly("web", 6); });
  world->host(4).clocks().wall_offset_ms = 0;
  REQUIRE(world->scale(4, "web", 8).result);
  within(*world, 10s, "eight", [&] { return world->runs_exactly("web", 8); });
  world->host(4).kill_agent();
  world->run_for(5s);
  world->start(4);
  REQUIRE(world->scale(1, "web", 4).result);
  within(*world, 10s, "four", [&] { return world->runs_exactly("web", 4); });
  REQUIRE(world->remove(2, "web").result);
  within(*world, 10s, "none", [&] { return world->running_count("web") == 0; });
  world->calm();
  world->run_for(90s);
  CHECK(world->converged());
  sound(*world);
}

TEST_CASE("sim: a host that boots in 1970 stops nothing and takes part") {
  auto world = with_clock(303, 0);
  REQUIRE(world->create(0, "web", 10).result);
  within(*world, 10s, "web runs", [&] { return world->runs_exactly("web", 10); });
  world->run_for(10s);
  world->host(4).kill_agent();
  world->host(4).clocks().wall_offset_ms = -kDayMs * 365 * 57;
  world->start(4);
  size_t fewest = 10;
  (void)world->run_until(
      [&] {
        fewest = std::min(fewest, world->running().size());
        return false;
      },
      20s);
  CHECK(fewest == 10);
  REQUIRE(world->scale(4, "web", 5).result);
  within(*world, 10s, "five", [&] { return world->runs_exactly("web", 5); });
  world->calm();
  world->run_for(90s);
  CHECK(world->converged());
  sound(*world);
}

}  // namespace kith::sim
