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

TEST_CASE("docker faults: the engine's words have a limit, wherever they come from") {
  std::string endless;
  while (endless.size() < 20'000) endless += "no \xE2\x82\xAC ";  // of three bytes
  for (size_t shift = 0; shift < 3; ++shift) {
    CAPTURE(shift);
    const std::string words = std::string(shift, 'x') + endless;
    const auto capped = [&](const std::string& said) {
      CHECK(said.size() <= kMaxWords);
      CHECK(said.size() >= kMaxWords - 20);
      CHECK(said.ends_with(" ..."));
      CHECK(said.starts_with(words.substr(0, 100)));
      CHECK_NOTHROW((void)Json(said).dump());  // throws on half a character
    };
    Scripted s;
    s.engine.rules.push_back({.where = "/containers/create", .words = words});
    s.host.run(start_of("t1", service({"sleep"})));
    capped(s.host.failure("t1").error);
    s.engine.pull_lines = {Json{{"error", words}}.dump()};
    s.host.run(start_of("t2", service({"sleep"}, {{"Image", "far:1"}}), 2));
    capped(s.host.failure("t2").error);

    // Ours come before the engine's.
    s.engine.rules.push_back({.where = "/info", .words = words});
    s.engine.cut_events();
    REQUIRE(s.host.sees<EngineDown>());
    CHECK(s.host.find<EngineDown>()->reason.size() <= kMaxWords);
    s.host.run(start_of("t3", service({"sleep"}, {{"Image", endless}}), 3));
    REQUIRE(s.host.sees<TaskFailed>("t3"));
    for (const HostEvent& event : s.host.told) {
      if (const auto* failed = std::get_if<TaskFailed>(&event))
        CHECK(failed->error.size() <= kMaxWords);
      if (const auto* progress = std::get_if<TaskProgress>(&event))
        CHECK(progress->message.size() <= kMaxWords);
    }
  }
}

TEST_CASE("docker stops: what comes to be after a create that was stopped is found") {
  Scripted s(Fault::kNever);
  s.engine.rules.push_back(
      {.where = "/containers/create", .fault = Fault::kNever, .late = milliseconds(600)});
  s.host.run(start_of("t1", service({"sleep"})));
  REQUIRE(s.host.until([&] { return s.engine.count("/containers/create") == 1; }));
  s.host.run(StopTask{"t1", seconds(1)});
  REQUIRE(s.host.sees<TaskGone>("t1"));
  REQUIRE(s.host.until([&] { return !s.engine.containers.empty(); }));
  REQUIRE(s.host.sees<Inventory>("", [](const Inventory& i) { return i.containers.size() == 1; }));
  s.host.run(RemoveTask{"t1"});
  CHECK(s.host.until([&] { return s.engine.containers.empty(); }));
}

}  // namespace
}  // namespace kith::test
