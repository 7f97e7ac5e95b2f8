// What is found at the start of an agent or an engine, and what is kept of what has ended.

#include "reconcile_bench.h"

using namespace kith;
using kith::test::Bench;
using std::chrono::seconds;

TEST_CASE("reconciler: one that turned unhealthy while nobody listened is replaced") {
  Bench bench;
  bench.facts.target = Bench::me();
  SUBCASE("while there was no agent: once what the others know is known") {
    bench.synced = false;
    bench.update();
    ContainerInfo sick = Bench::container("old", 4, ContainerStatus::kRunning);
    sick.health = Health::kUnhealthy;
    bench.up({sick});
    bench.update();
    CHECK(bench.effects.commands.empty());
    bench.synced = true;
    bench.update();
  }
  SUBCASE("while the engine was away") {
    const std::string id = bench.run();
    bench.tell(EngineDown{.reason = "refused", .running = {id}});
    ContainerInfo sick = Bench::container(id, 1, ContainerStatus::kRunning);
    sick.health = Health::kUnhealthy;
    bench.up({sick});
  }
  SUBCASE("while what the others know was not known") {
    const std::string id = bench.run();
    bench.reconciler.stalled();
    bench.tell(TaskHealth{.task_id = id, .health = Health::kUnhealthy});
    CHECK(bench.effects.commands.empty());
    bench.update();
  }
  REQUIRE(bench.sent<StopTask>().size() == 1);
  const std::string id = bench.sent<StopTask>()[0].task_id;
  REQUIRE(bench.reconciler.tasks().size() == 2);
  CHECK(bench.reconciler.tasks()[1].failures == 1);
  bench.tell(TaskHealth{.task_id = id, .health = Health::kUnhealthy});
  bench.update();
  CHECK(bench.effects.commands.empty());
  CHECK(bench.reconciler.tasks().size() == 2);
  bench.tell(TaskGone{.task_id = id});
  CHECK(bench.sent<StartTask>().size() == 1);
  CHECK(bench.reconciler.history()[0].state == TaskState::kFailed);
}

TEST_CASE("reconciler: an adopted container has the grace that it was created with") {
  Bench bench;
  ContainerInfo found = Bench::container("old", 4, ContainerStatus::kRunning);
  Duration expected = seconds(90);
  SUBCASE("its own") {
    found.grace = seconds(90);
  }
  SUBCASE("its own, known later") {
    bench.up({found});
    found.grace = seconds(90);
  }
  SUBCASE("its service's") {
    bench.doc.spec.stop_grace = seconds(30);
    bench.update();
    expected = seconds(30);
  }
  SUBCASE("not another service's of the same name") {
    bench.doc.spec.stop_grace = seconds(30);
    bench.doc.id = "web-2";
    bench.synced = false;
    bench.update();
    expected = seconds(10);
  }
  SUBCASE("nobody's") {
    expected = seconds(10);
  }
  bench.up({found});
  bench.synced = true;
  bench.removed = true;
  bench.update();
  bench.pass(seconds(1));
  REQUIRE(bench.sent<StopTask>().size() == 1);
  CHECK(bench.sent<StopTask>()[0].grace == expected);
}

namespace {

/// Has run web.1 to its end, and the restart policy says that is that: its id.
std::string finish(Bench& bench) {
  bench.doc.spec.restart.condition = RestartCondition::kOnFailure;
  const std::string id = bench.run();
  bench.tell(TaskExited{.task_id = id, .exit_code = 0, .out_of_memory = false, .error = {}});
  bench.update();
  REQUIRE(bench.effects.commands.empty());
  return id;
}

std::vector<std::string> removed(const Bench& bench) {
  std::vector<std::string> ids;
  for (const RemoveTask& remove : bench.sent<RemoveTask>()) ids.push_back(remove.task_id);
  return ids;
}

}  // namespace

TEST_CASE("reconciler: what has ended for good goes with its slot") {
  Bench bench;
  const std::string id = finish(bench);
  const std::vector<std::string> just_it{id};
  SUBCASE("of a service that is removed") {
    bench.removed = true;
    bench.update();
    CHECK(removed(bench) == just_it);
    CHECK(bench.effects.retract == just_it);
  }
  SUBCASE("of a slot that is scaled away") {
    bench.doc.spec.replicas = 0;
    bench.update();
    CHECK(removed(bench) == just_it);
  }
  SUBCASE("of another service of the same name") {
    bench.doc.id = "web-2";
    bench.facts.target = NodeId{};
    bench.update();
    CHECK(removed(bench) == just_it);
  }
  SUBCASE("of a node that leaves") {
    bench.begin();
    bench.reconciler.leave(bench.clock(), bench.effects);
    CHECK(removed(bench) == just_it);
  }
  SUBCASE("but not before it is known that the service is no more") {
    bench.synced = false;
    bench.removed = true;
    bench.update();
    CHECK(removed(bench).empty());
    bench.synced = true;
    bench.update();
    CHECK(removed(bench) == just_it);
  }
  SUBCASE("with the engine away: when it is back") {
    bench.tell(EngineDown{.reason = "refused", .running = {}});
    bench.removed = true;
    bench.update();
    CHECK(removed(bench).empty());
    ContainerInfo ended = Bench::container(id, 1, ContainerStatus::kExited);
    ended.exit_code = 0;
    bench.up({ended});
    CHECK(removed(bench) == just_it);
  }
  bench.update();
  CHECK(removed(bench).empty());
}

TEST_CASE("reconciler: of what has ended for good, the newest of a slot is kept") {
  Bench bench;
  const std::string first = finish(bench);
  bench.doc.generation = 2;
  bench.update();
  REQUIRE(bench.sent<StartTask>().size() == 1);
  CHECK(removed(bench).empty());  // it may not come about
  const std::string second = bench.sent<StartTask>()[0].task_id;
  bench.running(second);
  CHECK(removed(bench) == std::vector<std::string>{first});
  bench.tell(TaskExited{.task_id = second, .exit_code = 0, .out_of_memory = false, .error = {}});
  CHECK(removed(bench).empty());
  bench.update();
  bench.pass(seconds(100));
  CHECK(bench.effects.commands.empty());

  // The agent of the next start finds it, and knows by it that there is nothing more to do.
  Bench next;
  next.doc = bench.doc;
  next.facts = bench.facts;
  next.update();
  ContainerInfo ended = Bench::container(second, 2, ContainerStatus::kExited);
  ended.generation = 2;
  ended.exit_code = 0;
  next.up({ended});
  CHECK(next.effects.commands.empty());
  next.up({ended});
  CHECK(next.effects.commands.empty());
  next.removed = true;
  next.update();
  CHECK(removed(next) == std::vector<std::string>{second});
}
