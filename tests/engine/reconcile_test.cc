#include "reconcile_bench.h"

using namespace kith;
using kith::test::Bench;
using std::chrono::seconds;

TEST_CASE("reconciler: nothing starts before the inventory, nor before it is synced") {
  Bench bench;
  bench.facts.target = Bench::me();
  bench.update();
  CHECK(bench.effects.commands.empty());
  CHECK_FALSE(bench.reconciler.inventory_listed());
  bench.up();
  CHECK(bench.sent<StartTask>().size() == 1);

  Bench later;
  later.facts.target = Bench::me();
  later.synced = false;
  later.up();
  later.update();
  CHECK(later.effects.commands.empty());
  later.synced = true;
  later.update();
  CHECK(later.sent<StartTask>().size() == 1);
  later.reconciler.stalled();
  later.removed = true;
  later.pass(seconds(10));
  CHECK(later.effects.commands.empty());
}

TEST_CASE("reconciler: what runs is adopted as it is, and published before the inventory counts") {
  Bench bench;
  bench.synced = false;
  bench.removed = true;
  bench.tell(EngineUp{});
  bench.tell(Inventory{{Bench::container("old", 4, ContainerStatus::kRunning),
                        Bench::container("half", 5, ContainerStatus::kCreated)}});
  CHECK(bench.reconciler.inventory_listed());
  REQUIRE(bench.effects.publish.size() == 1);
  CHECK(bench.effects.publish[0].id == "old");
  CHECK(bench.effects.publish[0].term == 4);
  REQUIRE(bench.sent<RemoveTask>().size() == 1);
  CHECK(bench.sent<RemoveTask>()[0].task_id == "half");
  CHECK(bench.sent<StopTask>().empty());
  bench.update();  // the service is not known, and that means nothing yet
  bench.pass(seconds(60));
  CHECK(bench.effects.commands.empty());
  bench.synced = true;
  bench.update();
  bench.pass(seconds(1));
  REQUIRE(bench.sent<StopTask>().size() == 1);
  bench.tell(TaskGone{.task_id = "old"});
  CHECK(bench.reconciler.tasks().empty());
  CHECK(bench.reconciler.history().empty());
}

TEST_CASE("reconciler: of two adopted copies the newer stays") {
  Bench bench;
  bench.up({Bench::container("low", 1, ContainerStatus::kRunning),
            Bench::container("high", 2, ContainerStatus::kRunning)});
  bench.update();
  bench.pass(seconds(1));
  REQUIRE(bench.sent<StopTask>().size() == 1);
  CHECK(bench.sent<StopTask>()[0].task_id == "low");
}

TEST_CASE("reconciler: a container that dies is replaced at once, then with a growing wait") {
  Bench bench;
  const std::string first = bench.run();
  bench.tell(TaskExited{.task_id = first, .exit_code = 1, .out_of_memory = false, .error = {}});
  REQUIRE(bench.sent<StartTask>().size() == 1);
  const StartTask again = bench.sent<StartTask>()[0];
  CHECK(again.task_id != first);
  CHECK(again.term == 2);
  CHECK(bench.sent<RemoveTask>().size() == 1);
  REQUIRE(bench.reconciler.history().size() == 1);
  CHECK(bench.reconciler.history()[0].error == "task: non-zero exit (1)");
  CHECK(bench.reconciler.history()[0].exit_code == 1);
  CHECK(bench.reconciler.history()[0].desired == TaskState::kShutdown);

  bench.running(again.task_id);
  bench.tell(
      TaskExited{.task_id = again.task_id, .exit_code = 1, .out_of_memory = false, .error = {}});
  CHECK(bench.sent<StartTask>().empty());
  REQUIRE(bench.reconciler.tasks().size() == 1);
  CHECK(bench.reconciler.tasks()[0].backing_off);
  CHECK(bench.reconciler.tasks()[0].error == "task: non-zero exit (1)");
  CHECK(bench.reconciler.tasks()[0].message == "restarting in 2 s (failure 2)");
  const Instant due = bench.reconciler.next_deadline();
  CHECK(due >= bench.now + seconds(1));
  bench.pass(due - bench.now);
  CHECK(bench.sent<StartTask>().size() == 1);
}

TEST_CASE("reconciler: a loop of failures keeps five ended tasks, and no more") {
  Bench bench;
  std::string id = bench.run();
  for (int i = 0; i < 12; ++i) {
    bench.tell(TaskExited{.task_id = id, .exit_code = 3, .out_of_memory = false, .error = {}});
    while (bench.sent<StartTask>().empty()) {
      REQUIRE(bench.reconciler.next_deadline() != kNever);
      bench.pass(bench.reconciler.next_deadline() - bench.now);
    }
    id = bench.sent<StartTask>()[0].task_id;
    bench.running(id);
  }
  CHECK(bench.reconciler.history().size() == kMaxHistory);
  CHECK(bench.reconciler.tasks().size() == 1);
}

TEST_CASE("reconciler: on-failure lets a success be") {
  Bench bench;
  bench.doc.spec.restart.condition = RestartCondition::kOnFailure;
  const std::string id = bench.run();
  bench.tell(TaskExited{.task_id = id, .exit_code = 0, .out_of_memory = false, .error = {}});
  bench.update();
  bench.pass(seconds(100));
  CHECK(bench.effects.commands.empty());
  REQUIRE(bench.reconciler.history().size() == 1);
  CHECK(bench.reconciler.history()[0].state == TaskState::kComplete);
}

TEST_CASE("row 8: three starts that fail refuse the slot, until the generation changes") {
  Bench bench;
  bench.up();
  bench.facts.target = Bench::me();
  bench.update();
  for (int i = 0; i < 3; ++i) {
    while (bench.sent<StartTask>().empty())
      bench.pass(bench.reconciler.next_deadline() - bench.now);
    bench.tell(TaskFailed{.task_id = bench.sent<StartTask>()[0].task_id,
                          .phase = TaskState::kPreparing,
                          .error = "No such image: web:9"});
    CHECK(bench.effects.refuse.size() == (i == 2 ? 1 : 0));
  }
  CHECK(bench.effects.refuse[0].reason == "No such image: web:9");
  CHECK(bench.reconciler.tasks().empty());
  bench.update();
  bench.pass(seconds(300));
  CHECK(bench.effects.commands.empty());
  SUBCASE("a new generation") {
    bench.doc.generation = 2;
    bench.update();
    CHECK(bench.effects.unrefuse.size() == 1);
    CHECK(bench.sent<StartTask>().size() == 1);
  }
  SUBCASE("all refused, and another is the target: free again, and started once it is mine") {
    bench.facts.all_refused = true;
    bench.facts.target = NodeId{};
    bench.update();
    CHECK(bench.effects.unrefuse.size() == 1);
    CHECK(bench.sent<StartTask>().empty());
    bench.facts.all_refused = false;
    bench.facts.target = Bench::me();
    bench.update();
    CHECK(bench.sent<StartTask>().size() == 1);
  }
  SUBCASE("all refused: tried again after a wait, and refused after one failure") {
    bench.facts.all_refused = true;
    bench.update();
    REQUIRE(bench.sent<StartTask>().size() == 1);
    const std::string id = bench.sent<StartTask>()[0].task_id;
    bench.tell(TaskFailed{.task_id = id, .phase = TaskState::kPreparing, .error = "still none"});
    CHECK(bench.effects.refuse.size() == 1);
    CHECK(bench.sent<StartTask>().empty());
    bench.pass(seconds(19));
    CHECK(bench.sent<StartTask>().empty());
    bench.pass(seconds(1));
    CHECK(bench.sent<StartTask>().size() == 1);
  }
}

TEST_CASE("reconciler: a stop lets the news spread first") {
  Bench bench;
  const std::string id = bench.run();
  bench.removed = true;
  bench.doc.spec.stop_grace = seconds(3);
  bench.update();
  CHECK(bench.sent<StopTask>().empty());
  REQUIRE(bench.effects.publish.size() == 1);
  CHECK(bench.effects.publish[0].desired == TaskState::kShutdown);
  CHECK(bench.reconciler.next_deadline() == bench.now + seconds(1));
  bench.pass(seconds(1));
  CHECK(bench.sent<StopTask>().size() == 1);
  bench.tell(TaskGone{.task_id = id});
  CHECK(bench.effects.retract == std::vector<std::string>{id});
  CHECK(bench.reconciler.next_deadline() == kNever);
}

TEST_CASE("reconciler: with the engine away what runs stays, what does not is free") {
  Bench bench;
  const std::string id = bench.run();
  bench.tell(EngineDown{.reason = "refused", .running = {id}});
  CHECK(bench.effects.publish.empty());
  CHECK(bench.reconciler.tasks().size() == 1);
  SUBCASE("back with it running: nothing happens") {
    bench.up({Bench::container(id, 1, ContainerStatus::kRunning)});
    CHECK(bench.effects.commands.empty());
    CHECK(bench.reconciler.tasks()[0].id == id);
  }
  SUBCASE("back without it: replaced, once") {
    bench.up();
    CHECK(bench.sent<StartTask>().size() == 1);
  }
  SUBCASE("its process ended meanwhile") {
    bench.tell(EngineDown{.reason = "refused", .running = {}});
    REQUIRE(bench.effects.publish.size() == 1);
    CHECK(bench.effects.publish[0].state == TaskState::kOrphaned);
    CHECK(bench.effects.commands.empty());
    bench.up({Bench::container(id, 1, ContainerStatus::kExited)});
    CHECK(bench.sent<StartTask>().size() == 1);
    CHECK(bench.sent<RemoveTask>().size() == 1);
  }
}

TEST_CASE("reconciler: a task given up, whose container is found as made only, keeps its term") {
  Bench bench;
  bench.up();
  bench.facts.target = Bench::me();
  bench.update();
  REQUIRE(bench.sent<StartTask>().size() == 1);
  const std::string id = bench.sent<StartTask>()[0].task_id;
  bench.tell(EngineDown{"gone", {}});
  bench.tell(EngineUp{});
  bench.tell(Inventory{{Bench::container(id, 1, ContainerStatus::kCreated)}});
  REQUIRE(bench.sent<StartTask>().size() == 1);
  CHECK(bench.sent<StartTask>()[0].term == 2);
  CHECK(bench.sent<RemoveTask>().size() == 1);
}

TEST_CASE("reconciler: an unhealthy container is stopped and replaced") {
  Bench bench;
  const std::string id = bench.run();
  bench.tell(TaskHealth{.task_id = id, .health = Health::kUnhealthy});
  REQUIRE(bench.sent<StopTask>().size() == 1);
  CHECK(bench.sent<StartTask>().empty());
  bench.tell(TaskGone{.task_id = id});
  CHECK(bench.sent<StartTask>().size() == 1);
  CHECK(bench.reconciler.history()[0].state == TaskState::kFailed);
}

TEST_CASE("reconciler: leaving stops everything and starts nothing more") {
  Bench bench;
  const std::string id = bench.run();
  bench.begin();
  bench.reconciler.leave(bench.clock(), bench.effects);
  bench.pass(seconds(1));
  CHECK(bench.sent<StopTask>().size() == 1);
  bench.tell(TaskGone{.task_id = id});
  CHECK(bench.effects.commands.empty());
  CHECK(bench.reconciler.tasks().empty());
}

TEST_CASE("reconciler: a stop-first update starts the new when the old is gone") {
  Bench bench;
  const std::string id = bench.run();
  bench.doc.generation = 2;
  bench.doc.previous_generation = 1;
  bench.doc.previous_json = "{}";
  bench.update();
  CHECK(bench.reconciler.tasks().size() == 2);
  bench.pass(seconds(1));
  REQUIRE(bench.sent<StopTask>().size() == 1);
  bench.tell(TaskGone{.task_id = id});
  REQUIRE(bench.sent<StartTask>().size() == 1);
  CHECK(bench.sent<StartTask>()[0].generation == 2);
  bench.running(bench.sent<StartTask>()[0].task_id);
  CHECK_FALSE(bench.reconciler.tasks()[0].stable);
  bench.pass(seconds(5));
  CHECK(bench.reconciler.tasks()[0].stable);
}

TEST_CASE("reconciler: a copy of the spec before says so, its image too") {
  Bench bench;
  bench.slot.index = 2;
  bench.doc.spec.replicas = 2;
  bench.doc.spec.image = "nginx:3";
  bench.doc.generation = 3;
  bench.doc.previous_generation = 2;
  bench.doc.previous_json =
      R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx:2"}}})";
  TaskRecord first;
  first.id = "first";
  first.slot = {"web", 1, {}};
  first.service_id = bench.doc.id;
  first.node.key[0] = 2;
  first.state = TaskState::kRunning;
  first.generation = 2;
  bench.peers.push_back(std::make_shared<const TaskRecord>(first));
  const std::string id = bench.run();  // its batch is not open
  CHECK(bench.reconciler.tasks()[0].generation == 2);
  CHECK(bench.reconciler.tasks()[0].image == "nginx:2");

  // Its successor waits for its end; two updates come meanwhile, and the batch shuts again.
  bench.tell(TaskHealth{.task_id = id, .health = Health::kUnhealthy});
  CHECK(bench.sent<StartTask>().empty());
  bench.doc.generation = 5;
  bench.doc.previous_generation = 4;
  bench.doc.previous_json =
      R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx:4"}}})";
  bench.update();
  bench.tell(TaskGone{.task_id = id});
  bench.pass(seconds(1));
  REQUIRE(bench.reconciler.tasks().size() == 1);
  CHECK(bench.reconciler.tasks()[0].state == TaskState::kPreparing);
  CHECK(bench.reconciler.tasks()[0].generation == 4);
  CHECK(bench.reconciler.tasks()[0].image == "nginx:4");
}

TEST_CASE("reconciler: a slot of a rollback is watched for as long as the rollback asks") {
  Bench bench;
  bench.doc.generation = 3;
  bench.doc.rolled_back = true;
  bench.doc.spec.rollback.monitor = seconds(20);
  (void)bench.run();
  bench.pass(seconds(19));
  CHECK_FALSE(bench.reconciler.tasks()[0].stable);
  bench.pass(seconds(1));
  CHECK(bench.reconciler.tasks()[0].stable);
}

TEST_CASE("reconciler: a rollback's own delay wakes it, though nothing else happens") {
  Bench bench;
  bench.slot.index = 2;
  bench.doc.spec.replicas = 2;
  (void)bench.run();
  bench.doc.generation = 2;
  bench.doc.previous_generation = 1;
  bench.doc.previous_json = "{}";
  bench.doc.rolled_back = true;
  bench.doc.spec.rollback.parallelism = 1;
  bench.doc.spec.rollback.delay = seconds(30);
  TaskRecord first;
  first.id = "first";
  first.slot = {"web", 1, {}};
  first.service_id = bench.doc.id;
  first.node.key[0] = 2;
  first.state = TaskState::kRunning;
  first.generation = 2;
  first.stable = true;
  bench.peers.push_back(std::make_shared<const TaskRecord>(first));
  bench.update();
  const Instant opened = bench.now;
  for (int wakeups = 0; wakeups < 10 && bench.reconciler.tasks().size() < 2; ++wakeups) {
    const Instant next = bench.reconciler.next_deadline();
    REQUIRE(next != kNever);
    bench.pass(next - bench.now);
  }
  CHECK(bench.now == opened + seconds(30));
  CHECK(bench.reconciler.tasks().size() == 2);  // the old one ends, the next waits for that
}
