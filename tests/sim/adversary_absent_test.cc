// Nodes that were away for longer than deletes are remembered, and clocks that are far off.

#include "scenario.h"

namespace kith::sim {
namespace {

constexpr int64_t kDay = 24LL * 3600 * 1000;

/// The same number of days passes for everybody.
void days_pass(World& world, int64_t days) {
  for (size_t i = 0; i < world.size(); ++i) world.host(i).clocks().wall_offset_ms += days * kDay;
}

}  // namespace

TEST_CASE("sim: back after 40 days: what was deleted stays so, what is new is there") {
  for (uint64_t seed = 790; seed < 794; ++seed) {
    auto world = settled(seed, 5);
    REQUIRE(world->create(0, "stays", 5).result);
    REQUIRE(world->create(1, "goes", 5).result);
    within(*world, 10s, "both run",
           [&] { return world->runs_exactly("stays", 5) && world->runs_exactly("goes", 5); });
    world->run_for(5s);
    world->host(4).kill_agent();  // its containers run on
    within(*world, 20s, "known dead", [&] {
      return !world->host(0).node().membership().find(world->host(4).id())->present();
    });
    REQUIRE(world->remove(2, "goes").result);
    world->run_for(5s);
    REQUIRE(world->create(3, "new", 4).result);
    days_pass(*world, 40);
    // Tombstones go at the next housekeeping.
    within(*world, 90s, "the delete is forgotten", [&] {
      for (size_t i = 0; i < 4; ++i)
        if (world->host(i).node().documents().find_any(service_key("goes")) != nullptr)
          return false;
      return true;
    });
    CHECK(world->host(0).node().documents().horizon() > Stamp{});
    world->start(4);
    within(*world, 30s, "it is in step", [&] { return world->converged(); });
    within(*world, 60s, "all runs as asked", [&] {
      return world->running_count("goes") == 0 && world->runs_exactly("stays", 5) &&
             world->runs_exactly("new", 4);
    });
    for (size_t i = 0; i < 5; ++i) {
      CHECK(world->host(i).node().documents().find(service_key("goes")) == nullptr);
      CHECK(world->host(i).node().documents().horizon() ==
            world->host(0).node().documents().horizon());
    }
    sound(*world);
  }
}

TEST_CASE("sim: what was made alone during the 40 days is in no doubt lost, but shown") {
  auto world = settled(795, 4);
  REQUIRE(world->create(0, "goes", 2).result);
  world->run_for(5s);
  world->net().isolate(3, 4);
  world->run_for(5s);
  REQUIRE(world->create(3, "alone", 1).result);
  REQUIRE(world->remove(0, "goes").result);
  world->run_for(2s);
  days_pass(*world, 40);
  world->run_for(70s);
  REQUIRE(world->create(3, "late", 1).result);  // after the horizon: it counts
  world->run_for(2s);
  world->net().heal_all();
  within(*world, 60s, "in step", [&] { return world->converged(); });
  world->run_for(10s);
  for (size_t i = 0; i < 4; ++i) {
    const Node& node = world->host(i).node();
    CHECK(node.documents().find(service_key("goes")) == nullptr);
    CHECK(node.documents().find(service_key("late")) != nullptr);
    if (node.documents().find(service_key("alone")) == nullptr) continue;
    CHECK(node.documents().horizon() < node.documents().find(service_key("alone"))->version.stamp);
  }
  // Either all have it, or it stands among the conflicts where it was made.
  const bool kept = world->host(0).node().documents().find(service_key("alone")) != nullptr;
  if (!kept) CHECK_FALSE(world->host(3).node().conflicts().empty());
  sound(*world);
}

TEST_CASE(
    "sim: an edit at a host whose clock is a day ahead counts, also once its clock is right") {
  auto world = settled(796, 4);
  REQUIRE(world->create(0, "web", 4).result);
  within(*world, 10s, "web runs", [&] { return world->runs_exactly("web", 4); });
  world->host(3).kill_agent();
  world->host(3).clocks().wall_offset_ms += kDay;
  world->run_for(1s);
  world->start(3);
  world->run_for(10s);
  REQUIRE(world->scale(3, "web", 6).result);
  within(*world, 10s, "as asked there", [&] { return world->runs_exactly("web", 6); });
  world->host(3).kill_agent();
  world->host(3).clocks().wall_offset_ms -= kDay;
  world->start(3);
  within(*world, 60s, "in step", [&] { return world->converged(); });
  REQUIRE(world->scale(1, "web", 3).result);
  within(*world, 20s, "as last asked", [&] { return world->runs_exactly("web", 3); });
  sound(*world);
}

}  // namespace kith::sim
