#include "scenario.h"

namespace kith::sim {

TEST_CASE("sim: ten replicas over five hosts, two on each") {
  auto world = settled(10, 5);
  REQUIRE(world->create(0, "web", 10).result);
  const Duration took =
      within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 10); });
  MESSAGE("10 replicas run after " << in_seconds(took) << " s");
  world->run_for(20s);
  CHECK(world->runs_exactly("web", 10));
  for (size_t i = 0; i < 5; ++i) CHECK(world->host(i).engine().running().size() == 2);
  sound(*world);
}

TEST_CASE("sim: a new service starts each slot once, not more") {
  for (uint64_t seed = 20; seed < 30; ++seed) {
    auto world = settled(seed, 5);
    REQUIRE(world->create(seed % 5, "web", 10).result);
    world->run_for(20s);
    uint64_t starts = 0;
    for (size_t i = 0; i < 5; ++i) starts += world->host(i).engine().starts();
    CHECK(starts == 10);
    sound(*world);
  }
}

TEST_CASE("sim: up to thirty and down to none") {
  auto world = settled(11, 5);
  REQUIRE(world->create(1, "web", 3).result);
  within(*world, 5s, "3 run", [&] { return world->runs_exactly("web", 3); });
  REQUIRE(world->scale(2, "web", 30).result);
  within(*world, 10s, "30 run", [&] { return world->runs_exactly("web", 30); });
  REQUIRE(world->scale(3, "web", 0).result);
  within(*world, 10s, "none runs", [&] { return world->running_count("web") == 0; });
  world->run_for(10s);
  CHECK(world->running_count("web") == 0);
  sound(*world);
}

TEST_CASE("sim: a new image rolls through, one slot after the other") {
  auto world = settled(12, 5);
  REQUIRE(world->create(0, "web", 5, "nginx:1").result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 5); });
  world->run_for(10s);
  REQUIRE(world->set_image(4, "web", "nginx:2").result);
  const auto all_new = [&] {
    for (size_t i = 0; i < world->size(); ++i)
      for (const ContainerInfo* container : world->host(i).engine().running())
        if (container->image != "nginx:2") return false;
    return world->runs_exactly("web", 5);
  };
  size_t fewest = 5;
  within(*world, 60s, "all of the new image", [&] {
    fewest = std::min(fewest, world->running_count("web"));
    return all_new();
  });
  CHECK(fewest >= 4);
  sound(*world);
}

TEST_CASE("sim: an update of many slots takes its time, batch by batch, and is no stall") {
  auto world = settled(17, 4);
  REQUIRE(world->create(0, "web", 16, "nginx:1").result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 16); });
  world->calm();
  REQUIRE(world->set_image(3, "web", "nginx:2").result);
  const auto old = [&] {
    size_t count = 0;
    for (size_t i = 0; i < world->size(); ++i)
      for (const ContainerInfo* container : world->host(i).engine().running())
        count += container->image != "nginx:2" ? 1 : 0;
    return count;
  };
  world->run_for(80s);  // longer than the hosts have to agree
  CHECK(old() > 0);
  within(*world, 60s, "all of the new image",
         [&] { return old() == 0 && world->runs_exactly("web", 16); });
  sound(*world);
}

TEST_CASE("sim: an image that cannot be had fails its own service only") {
  auto world = settled(13, 3);
  REQUIRE(world->create(0, "bad", 2, "missing:1").result);
  REQUIRE(world->create(0, "web", 3).result);
  within(*world, 10s, "web runs", [&] { return world->runs_exactly("web", 3); });
  world->run_for(30s);
  CHECK(world->runs_exactly("web", 3));
  CHECK(world->running_count("bad") == 0);
  REQUIRE(world->set_image(1, "bad", "good:1").result);
  within(*world, 60s, "bad runs once its image is there",
         [&] { return world->runs_exactly("bad", 2); });
  sound(*world);
}

TEST_CASE("sim: a container that ends is replaced at once, a loop backs off") {
  auto world = settled(14, 3);
  REQUIRE(world->create(0, "web", 3).result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 3); });
  world->run_for(5s);
  auto& engine = world->host(0).engine();
  REQUIRE(engine.running().size() == 1);
  engine.exit(engine.running()[0]->task_id, 1);
  const Duration took =
      within(*world, 3s, "replaced", [&] { return world->runs_exactly("web", 3); });
  CHECK(took <= 600ms);
  const uint64_t before = engine.starts();
  for (int i = 0; i < 600; ++i) {
    world->run_for(100ms);
    for (const ContainerInfo* container : engine.running()) {
      engine.exit(container->task_id, 1);
      break;
    }
  }
  CHECK(engine.starts() - before <= 10);
  sound(*world);
}

TEST_CASE("sim: a container that ended for good leaves no task that is still to come") {
  auto world = settled(19, 3);
  const std::string spec =
      R"({"Name":"once","TaskTemplate":{"ContainerSpec":{"Image":"i"},"RestartPolicy":)"
      R"({"Condition":"none"}},"Mode":{"Replicated":{"Replicas":1}}})";
  REQUIRE(world->ask(0, CreateService{spec}).result);
  within(*world, 5s, "it runs", [&] { return world->runs_exactly("once", 1); });
  for (size_t i = 0; i < 3; ++i) {
    auto& engine = world->host(i).engine();
    if (!engine.running().empty()) engine.exit(engine.running()[0]->task_id, 1);
  }
  world->run_for(5s);
  CHECK(world->running_count("once") == 0);
  for (size_t i = 0; i < 3; ++i) {
    const std::vector<TaskRecord> tasks = world->host(i).node().tasks();
    REQUIRE(tasks.size() == 1);
    CHECK(tasks[0].state == TaskState::kFailed);
  }
  sound(*world);
}

TEST_CASE("sim: a node that leaves says so, and its work goes elsewhere") {
  auto world = settled(15, 4);
  REQUIRE(world->create(0, "web", 8).result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 8); });
  world->run_for(5s);
  world->host(2).leave(false);
  within(*world, 20s, "the agent ends", [&] { return !world->host(2).agent_up(); });
  within(*world, 10s, "web runs", [&] { return world->runs_exactly("web", 8); });
  CHECK(world->count("dead") == 0);
  CHECK(world->host(2).engine().running().empty());
  sound(*world);
}

TEST_CASE("sim: a full disk refuses edits with its reason, and all else goes on") {
  auto world = settled(16, 3);
  REQUIRE(world->create(0, "web", 3).result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 3); });
  world->host(0).disk().set_full(true);
  const Answer refused = world->create(0, "more", 1);
  REQUIRE(refused.error);
  CHECK(refused.error->message.find("disk is full") != std::string::npos);
  CHECK_FALSE(world->host(1).node().catalog().services().contains("more"));
  REQUIRE(world->create(1, "more", 3).result);
  within(*world, 5s, "more runs", [&] { return world->runs_exactly("more", 3); });
  CHECK(world->count("suspect") == 0);
  world->host(0).disk().set_full(false);
  world->run_for(10s);
  REQUIRE(world->create(0, "third", 1).result);
  sound(*world);
}

TEST_CASE("sim: Docker gone for good on one host: it stays a member, its work moves") {
  auto world = settled(17, 4);
  REQUIRE(world->create(0, "web", 8).result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 8); });
  world->run_for(5s);
  world->host(1).engine().stop_engine();
  within(*world, 20s, "web runs elsewhere", [&] { return world->runs_exactly("web", 8); });
  CHECK(world->count("dead") == 0);
  world->host(1).engine().start_engine();
  world->run_for(60s);
  CHECK(world->runs_exactly("web", 8));
  CHECK(world->host(1).engine().running().size() == 2);
  sound(*world);
}

}  // namespace kith::sim
