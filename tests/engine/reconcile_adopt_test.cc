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
