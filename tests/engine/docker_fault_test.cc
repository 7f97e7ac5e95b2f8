// An engine that lies, stalls, breaks off and loses its memory: each fault ends in a clear failure
// or is got over, and never in a second copy, a hang, or a container that nobody remembers.

#include <algorithm>

#include "scripted_host.h"

namespace kith::test {
namespace {

TEST_CASE("docker faults: a start through an engine that fails at each step") {
  const char* const steps[] = {"/containers/create", "/start", "a/json", "DELETE"};
  for (const char* step : steps) {
    for (const Fault fault : kFaults) {
      for (const bool done : {false, true}) {
        for (const int times : {1, 3}) {
          CAPTURE(step);
          CAPTURE(static_cast<int>(fault));
          CAPTURE(done);
          CAPTURE(times);
          Scripted s(fault);
          s.engine.rules.push_back({.where = step, .fault = fault, .times = times, .done = done});
          s.host.run(start_of("t1", service({"sleep"})));
          s.check_start_and_stop("t1");
        }
      }
    }
  }
}

TEST_CASE("docker faults: a stop through an engine that fails at each step") {
  for (const char* step : {"/stop", "DELETE"}) {
    for (const Fault fault : kFaults) {
      for (const bool done : {false, true}) {
        CAPTURE(step);
        CAPTURE(static_cast<int>(fault));
        CAPTURE(done);
        Scripted s(fault);
        s.host.run(start_of("t1", service({"sleep"})));
        REQUIRE(s.host.runs("t1"));
        s.engine.rules.push_back({.where = step, .fault = fault, .times = 2, .done = done});
        s.host.run(StopTask{"t1", seconds(1)});
        CHECK(s.host.sees<TaskGone>("t1"));
        CHECK(s.host.until([&] { return s.engine.containers.empty(); }));
        CHECK(s.host.count<TaskGone>("t1") == 1);
        CHECK(s.host.count<TaskExited>("t1") == 0);
      }
    }
  }
}

TEST_CASE("docker faults: a start that is stopped while the engine is at it leaves nothing") {
  for (const char* step : {"/containers/create", "/start", "a/json"}) {
    for (const Fault fault : kFaults) {
      for (const bool done : {false, true}) {
        CAPTURE(step);
        CAPTURE(static_cast<int>(fault));
        CAPTURE(done);
        Scripted s(fault);
        s.engine.rules.push_back({.where = step, .fault = fault, .times = 1, .done = done});
        s.host.run(start_of("t1", service({"sleep"})));
        REQUIRE(s.host.until([&] { return s.engine.count(step) > 0; }));
        s.host.run(StopTask{"t1", Duration::zero()});
        CHECK(s.host.until([&] { return s.ended("t1"); }));
        CHECK(s.host.until([&] { return s.engine.containers.empty(); }));
        CHECK(s.host.count<TaskGone>("t1") + s.host.count<TaskFailed>("t1") >= 1);
        CHECK(s.host.count<TaskGone>("t1") <= 1);
      }
    }
  }
}

TEST_CASE("docker faults: a container that was left under the name goes first") {
  Scripted s;
  s.engine.put("t1", 1, "created");
  s.host.run(start_of("t1", service({"sleep"})));
  CHECK(s.host.runs("t1"));
  CHECK(s.engine.containers.size() == 1);
  CHECK(s.engine.count("DELETE") == 1);
}

TEST_CASE("docker faults: a name that stays taken fails in the engine's words") {
  Scripted s;
  s.engine.rules.push_back(
      {.where = "/containers/create", .times = 9, .status = 409, .words = "Conflict"});
  s.host.run(start_of("t1", service({"sleep"})));
  CHECK(s.host.failure("t1").error == "Conflict");
  CHECK(s.engine.count("/containers/create") == 2);
}

TEST_CASE("docker faults: what is in the way of a start is said in the engine's words") {
  struct Row {
    const char* where;
    int status;
    const char* words;
    TaskState phase;
  };
  for (const Row& row :
       {Row{"/start", 500,
            "driver failed programming external connectivity: address already in use",
            TaskState::kStarting},
        Row{"/start", 404, "No such container: gone meanwhile", TaskState::kStarting},
        Row{"/start", 409, "container is marked for removal and cannot be started",
            TaskState::kStarting},
        Row{"/containers/create", 500, "no space left on device", TaskState::kPreparing},
        Row{"/containers/create", 400, "invalid mount config", TaskState::kPreparing}}) {
    CAPTURE(row.words);
    Scripted s;
    s.engine.rules.push_back(
        {.where = row.where, .times = 1, .status = row.status, .words = row.words});
    s.host.run(start_of("t1", service({"sleep"})));
    CHECK(s.host.failure("t1").error == row.words);
    CHECK(s.host.failure("t1").phase == row.phase);
    CHECK(s.engine.containers.empty());
    CHECK(s.host.count<TaskGone>("t1") == 0);
  }
}

TEST_CASE("docker faults: a removal that is under way already is waited for") {
  Scripted s;
  s.host.run(start_of("t1", service({"sleep"})));
  REQUIRE(s.host.runs("t1"));
  s.engine.rules.push_back({.where = "DELETE",
                            .times = 2,
                            .status = 409,
                            .words = "removal of container is already in progress"});
  s.host.run(StopTask{"t1", seconds(1)});
  CHECK(s.host.until([&] { return s.engine.containers.empty(); }));
  CHECK(s.engine.count("DELETE") == 3);
  CHECK(s.host.count<TaskGone>("t1") == 1);
}

TEST_CASE("docker faults: a container that comes to be after its create was given up is found") {
  Scripted s(Fault::kNever);
  s.engine.rules.push_back(
      {.where = "/containers/create", .fault = Fault::kNever, .late = milliseconds(600)});
  s.host.run(start_of("t1", service({"sleep"})));
  CHECK(s.host.failure("t1").error.find("no answer within 400 ms") != std::string::npos);
  REQUIRE(s.host.until([&] { return !s.engine.containers.empty(); }));
  REQUIRE(s.host.sees<Inventory>("", [](const Inventory& i) { return i.containers.size() == 1; }));
  s.host.run(RemoveTask{"t1"});
  CHECK(s.host.until([&] { return s.engine.containers.empty(); }));
}

// --- The list ----------------------------------------------------------------------------------

TEST_CASE("docker faults: a container that cannot be inspected is known all the same") {
  for (const Fault fault : kFaults) {
    CAPTURE(static_cast<int>(fault));
    Scripted s(fault);
    const std::string bad = s.engine.put("bad", 1, "running");
    const std::string ended = s.engine.put("ended", 2, "exited", 3);
    for (uint32_t i = 3; i <= 20; ++i) s.engine.put("good" + std::to_string(i), i, "running");
    s.engine.rules.push_back({.where = bad + "/json", .fault = fault, .times = 1000});
    s.engine.rules.push_back({.where = ended + "/json", .fault = fault, .times = 1000});
    const Inventory inventory = s.host.inventory();
    REQUIRE(inventory.containers.size() == 20);
    for (const ContainerInfo& c : inventory.containers) {
      CHECK(c.slot.service == "web");
      CHECK(c.service_id == "service1");
      CHECK(c.term == 5);
      CHECK(c.generation == 3);
      CHECK(c.image == "box");
      CHECK(c.created.ms > 0);
      if (c.task_id == "ended") {
        CHECK(c.status == ContainerStatus::kExited);
        CHECK(c.exit_code == 3);
        continue;
      }
      CHECK(c.status == ContainerStatus::kRunning);
      CHECK((c.pid == 0) == (c.task_id == "bad"));
      if (c.task_id != "bad") continue;
      CHECK(c.health == Health::kUnhealthy);
      REQUIRE(c.ports.size() == 1);
      CHECK(c.ports[0].target == 80);
      CHECK(c.ports[0].published == 8080);
    }
    CHECK(s.host.count<EngineDown>() == 0);

    // It is looked at again until the engine knows more of it.
    s.engine.rules.clear();
    CHECK(s.host.sees<Inventory>("", [](const Inventory& i) {
      return std::all_of(i.containers.begin(), i.containers.end(), [](const ContainerInfo& c) {
        return c.pid != 0 || c.status == ContainerStatus::kExited;
      });
    }));
    const size_t looks = s.engine.count("/containers/json");
    CHECK_FALSE(s.loop.run_until([&] { return s.engine.count("/containers/json") > looks; },
                                 milliseconds(200)));
    // It ends, stops and is removed like any other.
    s.engine.die(bad, 9);
    CHECK(s.host.sees<TaskExited>("bad"));
    s.host.run(RemoveTask{"bad"});
    s.host.run(RemoveTask{"ended"});
    CHECK(s.host.sees<TaskGone>("bad"));
    CHECK(s.host.sees<TaskGone>("ended"));
    CHECK(s.host.until([&] { return s.engine.containers.size() == 18; }));
  }
}

TEST_CASE("docker faults: what was known of a container outlives an inspection that fails") {
  Scripted s;
  s.host.run(start_of("t1", service({"sleep"})));
  const uint32_t pid = s.host.running("t1").pid;
  REQUIRE(pid != 0);
  s.engine.rules.push_back({.where = "a/json", .times = 1000});
  const Inventory inventory = s.host.inventory();
  REQUIRE(inventory.containers.size() == 1);
  CHECK(inventory.containers[0].pid == pid);
}

TEST_CASE("docker faults: a list that cannot be had is an engine that is down, until it can") {
  for (const Fault fault : kFaults) {
    if (fault == Fault::kNone) continue;
    CAPTURE(static_cast<int>(fault));
    Scripted s(fault);
    s.engine.put("t1", 1, "running");
    s.engine.rules.push_back({.where = "/containers/json", .fault = fault, .times = 1});
    s.host.run(ListTasks{});
    REQUIRE(s.host.sees<EngineDown>());
    CHECK_FALSE(s.host.find<EngineDown>()->reason.empty());
    s.host.since = s.host.told.size();
    REQUIRE(s.host.sees<EngineUp>());
    CHECK(s.host.inventory().containers.size() == 1);
  }
}

TEST_CASE("docker faults: one that ends while it is being listed is not told to run") {
  Scripted s;
  const std::string id = s.engine.put("t1", 1, "running");
  const std::string other = s.engine.put("t2", 2, "running");
  const std::string slow = s.engine.put("t3", 3, "running");
  const std::string well = s.engine.put("t4", 4, "running");
  s.engine.rules.push_back({.where = slow + "/json", .fault = Fault::kNever});
  s.host.run(ListTasks{});
  REQUIRE(s.host.until([&] { return s.engine.count("a/json") == 4; }));
  // By then the others were told to run, most likely.
  (void)s.loop.run_until([] { return false; }, milliseconds(30));
  s.engine.die(id, 7);
  s.engine.say(other, "destroy");
  s.engine.containers.erase(other);
  s.engine.say(well, "health_status: healthy");
  s.engine.answer_held();
  REQUIRE(s.host.sees<Inventory>());
  const Inventory& inventory = *s.host.find<Inventory>();
  REQUIRE(inventory.containers.size() == 3);
  for (const ContainerInfo& c : inventory.containers) {
    CHECK(c.task_id != "t2");
    if (c.task_id == "t4") CHECK(c.health == Health::kHealthy);
    if (c.task_id != "t1") continue;
    CHECK(c.status == ContainerStatus::kExited);
    CHECK(c.exit_code == 7);
  }
}

// --- Events ------------------------------------------------------------------------------------

TEST_CASE("docker faults: events that break off are taken up again, and what was missed is seen") {
  Scripted s;
  s.host.run(start_of("t1", service({"sleep"})));
  const std::string id = s.host.running("t1").container_id;
  for (int i = 0; i < 5; ++i) {
    s.host.since = s.host.told.size();
    s.engine.cut_events();
    REQUIRE(s.host.sees<EngineUp>());
    CHECK(s.host.count<EngineDown>() == 0);
  }
  s.engine.cut_events();
  s.engine.die(id, 4, false);
  s.host.since = s.host.told.size();
  REQUIRE(s.host.sees<EngineUp>());
  const Inventory& inventory = s.host.inventory();
  REQUIRE(inventory.containers.size() == 1);
  CHECK(inventory.containers[0].status == ContainerStatus::kExited);
  CHECK(inventory.containers[0].exit_code == 4);
}

TEST_CASE("docker faults: events that cannot be had, and an engine that cannot be reached") {
  for (const char* where : {"/events", "/_ping", "/info"}) {
    for (const Fault fault : kFaults) {
      if (fault == Fault::kNoJson && std::string(where) != "/info") continue;
      if (fault == Fault::kHalf && std::string(where) == "/events") continue;  // events, then cut
      CAPTURE(where);
      CAPTURE(static_cast<int>(fault));
      Scripted s(fault);
      s.engine.rules.push_back({.where = where, .fault = fault});
      s.host.since = s.host.told.size();
      s.engine.cut_events();
      REQUIRE(s.host.sees<EngineDown>());
      s.host.since = s.host.told.size();
      REQUIRE(s.host.sees<EngineUp>());
      CHECK(s.host.inventory().containers.empty());
    }
  }
}

TEST_CASE("docker faults: events of no sense change nothing") {
  Scripted s;
  s.host.run(start_of("t1", service({"sleep"})));
  const std::string id = s.host.running("t1").container_id;
  const size_t told = s.host.told.size();
  s.engine.say_raw("{]\n[]\n\n{\"Action\":7,\"Actor\":[]}\n{\"Actor\":{\"Attributes\":7}}\n");
  s.engine.say_raw(
      "{\"Action\":\"die\",\"Actor\":{\"ID\":\"other\",\"Attributes\":{\"io.kith.task\":"
      "\"t1\",\"exitCode\":\"1\"}}}\n");
  s.engine.say_raw(std::string(3u << 20, 'x') + "\n");
  s.engine.die(id, 5);
  REQUIRE(s.host.sees<TaskExited>("t1"));
  CHECK(s.host.told.size() == told + 1);
}

// --- Pulls -------------------------------------------------------------------------------------

Json pulling(const std::string& image) {
  return service({"sleep"}, {{"Image", image}});
}

std::string layer(const char* id, const char* status, int current = 0, int total = 0) {
  Json line = {{"id", id}, {"status", status}};
  if (total > 0) line["progressDetail"] = {{"current", current}, {"total", total}};
  return line.dump();
}

TEST_CASE("docker faults: a local image asks no registry, an absent one is pulled once") {
  Scripted s;
  s.host.run(start_of("t1", service({"sleep"})));
  REQUIRE(s.host.runs("t1"));
  CHECK(s.engine.count("/images/create") == 0);
  s.engine.pull_lines = {layer("latest", "Pulling from far"), layer("a", "Pulling fs layer"),
                         layer("b", "Already exists"),        layer("a", "Downloading", 1, 2),
                         layer("a", "Download complete"),     layer("a", "Pull complete")};
  s.host.run(start_of("t2", pulling("reg:5000/far:1"), 2));
  REQUIRE(s.host.runs("t2"));
  CHECK(s.engine.count("/images/create?fromImage=reg:5000/far&tag=1") == 1);
  for (const char* words :
       {"pulling reg:5000/far:1", "pulling reg:5000/far:1, 2 of 2 layers, 100%"})
    CHECK(s.host.find<TaskProgress>(
              "t2", [&](const TaskProgress& p) { return p.message == words; }) != nullptr);
}

TEST_CASE("docker faults: the registry's credentials reach the pull, and no container") {
  Scripted s;
  Json spec = pulling("reg:5000/far:1");
  spec["KithRegistryAuth"] = "eyJ1IjoicCJ9";
  s.host.run(start_of("t1", spec));
  REQUIRE(s.host.runs("t1"));
  CHECK(s.engine.headers == std::vector<std::string>{"eyJ1IjoicCJ9"});
  for (const auto& [id, c] : s.engine.containers)
    CHECK(c.posted.find("eyJ1IjoicCJ9") == std::string::npos);
  s.engine.images.clear();
  s.host.run(start_of("t2", pulling("reg:5000/far:1"), 2));
  REQUIRE(s.host.runs("t2"));
  CHECK(s.engine.headers.back().empty());
}

TEST_CASE("docker faults: an error in the middle of a pull is the registry's own words") {
  Scripted s;
  s.engine.pull_lines = {layer("a", "Pulling fs layer"),
                         R"({"errorDetail":{"message":"x"},"error":"manifest unknown\n"})"};
  s.host.run(start_of("t1", pulling("far:1")));
  CHECK(s.host.failure("t1").error == "manifest unknown");
  CHECK(s.host.failure("t1").phase == TaskState::kPreparing);
}

TEST_CASE("docker faults: a pull that stands still is given up, one that goes on is not") {
  Scripted s(Fault::kNever);
  s.engine.pull_lines = {layer("a", "Pulling fs layer"), layer("a", "Downloading", 1, 100)};
  s.engine.pull_ends = false;
  s.host.run(start_of("t1", pulling("far:1")));
  const TaskFailed& failed = s.host.failure("t1");
  CHECK(failed.error.find("pull of far:1: ") == 0);
  CHECK(failed.error.find("nothing more came for 1000 ms") != std::string::npos);
  // Others are in nobody's way meanwhile, and a byte now and then is progress enough.
  s.host.run(start_of("t2", pulling("far:1"), 2));
  s.host.run(start_of("t3", service({"sleep"}), 3));
  REQUIRE(s.host.runs("t3"));
  for (int i = 0; i < 13; ++i) {
    REQUIRE_FALSE(s.loop.run_until([&] { return s.ended("t2"); }, milliseconds(100)));
    s.engine.say_to_pulls(layer("a", "Downloading", i, 100) + "\n");
  }
  s.engine.end_pulls("far:1");
  CHECK(s.host.runs("t2"));
}

TEST_CASE("docker faults: pulls that break off, answer wrongly, or bring nothing") {
  for (const Fault fault : kFaults) {
    if (fault == Fault::kNoJson) continue;
    CAPTURE(static_cast<int>(fault));
    Scripted s(fault);
    s.engine.rules.push_back({.where = "/images/create", .fault = fault});
    s.host.run(start_of("t1", pulling("far:1")));
    CHECK_FALSE(s.host.failure("t1").error.empty());
    CHECK(s.engine.containers.empty());
  }
  Scripted s;
  s.engine.rules.push_back({.where = "/images/create", .fault = Fault::kNoJson});
  s.host.run(start_of("t1", pulling("far:1")));
  CHECK(s.host.failure("t1").error == "No such image: far:1");
}

TEST_CASE("docker faults: a stop ends a pull") {
  Scripted s;
  s.engine.pull_ends = false;
  s.host.run(start_of("t1", pulling("far:1")));
  REQUIRE(s.host.until([&] { return s.engine.count("/images/create") == 1; }));
  s.host.run(StopTask{"t1", seconds(10)});
  CHECK(s.host.sees<TaskGone>("t1"));
  CHECK(s.host.count<TaskFailed>("t1") == 0);
}

// --- The whole engine --------------------------------------------------------------------------

TEST_CASE("docker faults: an engine that goes down at any moment of a start leaves nothing") {
  for (const char* step : {"/containers/create", "/start", "a/json"}) {
    CAPTURE(step);
    Scripted s(Fault::kNever);
    s.engine.rules.push_back({.where = step, .fault = Fault::kNever, .done = true});
    s.host.run(start_of("t1", service({"sleep"})));
    REQUIRE(s.host.until([&] { return s.engine.count(step) > 0; }));
    s.engine.down();
    REQUIRE(s.host.sees<EngineDown>());
    REQUIRE(s.host.sees<TaskFailed>("t1"));
    s.engine.up();
    CHECK(s.host.until([&] { return s.engine.containers.empty(); }));
  }
}

}  // namespace
}  // namespace kith::test
