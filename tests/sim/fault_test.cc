#include <set>

#include "scenario.h"

namespace kith::sim {
namespace {

/// What each knows of each copy, where something is asked.
std::string who_said(const World& world) {
  std::string out;
  for (const size_t i : world.live()) {
    for (const TaskRecord& task : world.host(i).node().tasks())
      if (task.ask != 0 || !task.confirmations.empty())
        out += world.host(i).name() + " knows " + task.slot.text() + " term " +
               std::to_string(task.term) + " on " + world.host(*world.index_of(task.node)).name() +
               " ask " + std::to_string(task.ask) + " confirmations " +
               std::to_string(task.confirmations.size()) + "\n";
  }
  return out;
}

/// Ten replicas over five hosts that have run for a while.
std::unique_ptr<World> web_on_five(uint64_t seed) {
  auto world = settled(seed, 5);
  REQUIRE(world->create(0, "web", 10).result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 10); });
  world->run_for(10s);
  return world;
}

void even(World& world) {
  for (size_t i = 0; i < world.size(); ++i) {
    INFO(world.host(i).name());
    CHECK(world.host(i).engine().running().size() == 10 / world.size());
  }
}

}  // namespace

TEST_CASE("sim: a host that loses its power: its work runs elsewhere within seconds") {
  std::vector<double> took;
  for (uint64_t seed = 100; seed < 120; ++seed) {
    auto world = web_on_five(seed);
    world->host(seed % 5).crash();
    took.push_back(in_seconds(
        within(*world, 10s, "all elsewhere", [&] { return world->runs_exactly("web", 10); })));
    sound(*world);
  }
  MESSAGE("failover: median " << median(took) << " s, worst "
                              << *std::max_element(took.begin(), took.end()) << " s");
  CHECK(median(took) <= 3.0);
}

TEST_CASE("sim: a host that is cut off and returns gets work back, make before break") {
  std::vector<double> surplus;
  std::vector<double> balanced;
  for (uint64_t seed = 120; seed < 130; ++seed) {
    auto world = web_on_five(seed);
    world->net().isolate(3, 5);
    world->run_for(20s);
    CHECK(world->running_count("web") >= 18);  // the cut off host took over all by itself
    world->net().heal_all();
    std::set<std::string> split;  // what ran at the heal; what moves start later is another matter
    for (size_t i = 0; i < 5; ++i)
      for (const ContainerInfo* container : world->host(i).engine().running())
        split.insert(container->task_id);
    size_t fewest = 100;
    surplus.push_back(in_seconds(within(*world, 20s, "surplus gone", [&] {
      fewest = std::min(fewest, world->running().size());
      size_t left = 0;
      for (size_t i = 0; i < 5; ++i)
        for (const ContainerInfo* container : world->host(i).engine().running())
          left += split.contains(container->task_id) ? 1 : 0;
      return left <= 10;
    })));
    INFO(who_said(*world));
    balanced.push_back(in_seconds(within(*world, 60s, "even again", [&] {
      fewest = std::min(fewest, world->running().size());
      for (size_t i = 0; i < 5; ++i)
        if (world->host(i).engine().running().size() != 2) return false;
      return world->runs_exactly("web", 10);
    })));
    CHECK(fewest == 10);
    even(*world);
    sound(*world);
  }
  MESSAGE("surplus gone: median " << median(surplus) << " s, worst "
                                  << *std::max_element(surplus.begin(), surplus.end())
                                  << " s; even again: median " << median(balanced) << " s, worst "
                                  << *std::max_element(balanced.begin(), balanced.end()) << " s");
  CHECK(median(surplus) <= 5.0);
  CHECK(*std::max_element(surplus.begin(), surplus.end()) <= 8.0);
}

TEST_CASE("sim: an agent killed and started again restarts nothing and moves nothing") {
  for (uint64_t seed = 130; seed < 136; ++seed) {
    auto world = web_on_five(seed);
    std::vector<uint64_t> starts;
    for (size_t i = 0; i < 5; ++i) starts.push_back(world->host(i).engine().starts());
    world->host(2).kill_agent();
    world->run_for(400ms);
    world->start(2);
    world->run_for(30s);
    INFO(world->story());
    for (size_t i = 0; i < 5; ++i) CHECK(world->host(i).engine().starts() == starts[i]);
    CHECK(world->runs_exactly("web", 10));
    sound(*world);
  }
}

TEST_CASE("sim: all agents killed at once and started again restart nothing") {
  auto world = web_on_five(137);
  std::vector<uint64_t> starts;
  for (size_t i = 0; i < 5; ++i) starts.push_back(world->host(i).engine().starts());
  for (size_t i = 0; i < 5; ++i) world->host(i).kill_agent();
  world->run_for(5s);
  for (size_t i = 0; i < 5; ++i) {
    world->start(i);
    world->run_for(300ms);
  }
  world->run_for(30s);
  INFO(world->story());
  for (size_t i = 0; i < 5; ++i) CHECK(world->host(i).engine().starts() == starts[i]);
  CHECK(world->runs_exactly("web", 10));
  sound(*world);
}

TEST_CASE("sim: frozen for 0.8 s, fifty times: nobody is called dead, and it accuses nobody") {
  auto world = web_on_five(140);
  for (int i = 0; i < 50; ++i) {
    const size_t host = world->rng().below(5);
    world->freeze_for(host, 800ms);
    world->run_for(std::chrono::milliseconds(1000 + world->rng().below(2000)));
  }
  CHECK(world->count("dead") == 0);
  for (const World::Said& said : world->said())
    if (said.event.action == "suspect") INFO(said.event.text);
  CHECK(world->runs_exactly("web", 10));
  sound(*world);
}

TEST_CASE("sim: frozen for 3 s: every view agrees 10 s after waking, each slot runs once") {
  for (uint64_t seed = 141; seed < 147; ++seed) {
    auto world = web_on_five(seed);
    world->freeze_for(seed % 5, 3s);
    world->run_for(3s);
    within(*world, 10s, "each slot once",
           [&] { return world->views_agree() && world->runs_exactly("web", 10); });
    world->run_for(60s);
    CHECK(world->runs_exactly("web", 10));
    even(*world);
    sound(*world);
  }
}

TEST_CASE("sim: frozen for a minute: it loses its work, and ends its surplus on waking") {
  auto world = web_on_five(150);
  world->freeze_for(1, 60s);
  world->run_for(60s);
  CHECK(world->running_count("web") == 12);
  within(*world, 10s, "each slot once",
         [&] { return world->views_agree() && world->runs_exactly("web", 10); });
  world->run_for(60s);
  even(*world);
  sound(*world);
}

TEST_CASE("sim: a lossy network accuses nobody for long, and work goes on") {
  for (const uint32_t loss : {10, 25}) {
    auto world = web_on_five(150 + loss);
    world->net().set_loss(loss);
    world->run_for(60s);
    CHECK(world->count("dead") == 0);
    REQUIRE(world->create(4, "more", 5).result);
    within(*world, 10s, "more runs", [&] { return world->runs_exactly("more", 5); });
    CHECK(world->runs_exactly("web", 10));
    sound(*world);
  }
}

TEST_CASE("sim: a one-way cut calls nobody dead that others can reach") {
  auto world = web_on_five(180);
  world->net().cut_one_way(0, 3);
  world->run_for(30s);
  INFO(world->story());
  CHECK(world->count("dead") == 0);
  CHECK(world->runs_exactly("web", 10));
  sound(*world);
}

}  // namespace kith::sim
