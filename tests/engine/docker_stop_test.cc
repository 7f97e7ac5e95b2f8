// A stop through an engine that is slow or unwell, and the engine's words.

#include "engine/docker_task.h"
#include "scripted_host.h"

namespace kith::test {
namespace {

TEST_CASE("docker stops: a task is gone when its process has ended, whatever the removal does") {
  for (const std::string how : {"stop", "stop unanswered", "ended before"}) {
    CAPTURE(how);
    Scripted s(Fault::kNever);
    s.host.run(start_of("t1", service({"sleep"})));
    const std::string id = s.host.running("t1").container_id;
    s.engine.rules.push_back(
        {.where = "DELETE", .times = 1000, .status = 500, .words = "device or resource busy"});
    if (how == "stop unanswered")
      s.engine.rules.push_back(
          {.where = "/stop", .fault = Fault::kNever, .times = 1, .done = true});
    if (how == "ended before") {
      s.engine.die(id, 3);
      REQUIRE(s.host.sees<TaskExited>("t1"));
      s.host.run(RemoveTask{"t1"});
    } else {
      s.host.run(StopTask{"t1", milliseconds(10)});
    }
    REQUIRE(s.host.sees<TaskGone>("t1"));
    CHECK(s.engine.containers.size() == 1);
    CHECK(s.engine.running() == 0);
    CHECK(s.host.removing());

    // Nothing of it is to be seen any more, and the removal goes on.
    CHECK(s.host.inventory().containers.empty());
    s.host.since = 0;
    const size_t tries = s.engine.count("DELETE");
    CHECK(s.host.until([&] { return s.engine.count("DELETE") > tries + 2; }));
    s.engine.down();
    REQUIRE(s.host.sees<EngineDown>());
    s.engine.up();
    s.engine.rules.clear();
    CHECK(s.host.until([&] { return !s.host.removing(); }));
    CHECK(s.engine.containers.empty());
    CHECK(s.host.count<TaskGone>("t1") == 1);
    CHECK(s.host.count<TaskExited>("t1") == (how == "ended before" ? 1 : 0));
  }
}

TEST_CASE("docker stops: what still runs is not gone, nor is what may yet start") {
  Scripted s(Fault::kNever);
  s.engine.rules.push_back({.where = "DELETE", .times = 5});
  SUBCASE("a stop that does nothing") {
    s.engine.rules.push_back({.where = "/stop", .times = 2});
    s.host.run(start_of("t1", service({"sleep"})));
    REQUIRE(s.host.runs("t1"));
    s.host.run(StopTask{"t1", milliseconds(10)});
    REQUIRE(s.host.until([&] { return s.engine.count("DELETE") == 2; }));
    CHECK(s.host.count<TaskGone>("t1") == 0);
    REQUIRE(s.host.sees<TaskGone>("t1"));
    CHECK(s.engine.running() == 0);
  }
  SUBCASE("a start that was cut off") {
    s.engine.rules.push_back({.where = "/start", .fault = Fault::kNever});
    s.host.run(start_of("t1", service({"sleep"})));
    REQUIRE(s.host.until([&] { return s.engine.count("/start") == 1; }));
    s.host.run(StopTask{"t1", milliseconds(10)});
    REQUIRE(s.host.sees<TaskGone>("t1"));
    CHECK(s.engine.containers.empty());
  }
  CHECK(s.host.until([&] { return s.engine.containers.empty(); }));
  CHECK(s.host.count<TaskGone>("t1") == 1);
}

TEST_CASE("docker stops: a list that began before a stop does not show what is gone") {
  Scripted s;
  s.host.run(start_of("t1", service({"sleep"})));
  REQUIRE(s.host.runs("t1"));
  const std::string slow = s.engine.put("t2", 2, "running");
  s.engine.rules.push_back({.where = slow + "/json", .fault = Fault::kNever});
  s.engine.rules.push_back({.where = "DELETE", .times = 1000});
  const size_t before = s.engine.count("a/json");
  s.host.run(ListTasks{});
  REQUIRE(s.host.until([&] { return s.engine.count("a/json") == before + 2; }));
  s.host.run(StopTask{"t1", seconds(1)});
  REQUIRE(s.host.sees<TaskGone>("t1"));
  s.engine.answer_held();
  REQUIRE(s.host.sees<Inventory>());
  REQUIRE(s.host.find<Inventory>()->containers.size() == 1);
  CHECK(s.host.find<Inventory>()->containers[0].task_id == "t2");
}

}  // namespace
}  // namespace kith::test
