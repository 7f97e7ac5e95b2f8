#include "api/service_view.h"

#include <doctest/doctest.h>

#include "fake_cluster.h"

namespace kith {
namespace {

using test::make_node;
using test::make_service;
using test::make_task;

constexpr WallTime kUpdated{1'700'000'000'000};
WallTime after(int64_t ms) {
  return {kUpdated.ms + ms};
}

// Two slots, updated once to generation 2 at kUpdated.
struct Updated {
  ServiceEntry service =
      make_service("web", R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx"}},)"
                          R"("Mode":{"Replicated":{"Replicas":2}}})");
  std::vector<TaskRecord> tasks;

  Updated() {
    service.doc.spec.replicas = 2;
    service.doc.previous_json = "{}";
    service.doc.previous_generation = 1;
    service.doc.generation = 2;
    service.doc.updated = kUpdated;
    for (const uint32_t slot : {1U, 2U})
      tasks.push_back(make_task(service.doc, slot, make_node(1, "ant").view.id));
    for (TaskRecord& task : tasks) task.since = after(100);
  }
  std::string state(WallTime now) const {
    const auto report = update_report(service.doc, tasks, now);
    return report ? report->state : "none";
  }
};

TEST_CASE("update status: absent before the first update, and after a mere scale") {
  Updated u;
  CHECK(u.state(after(0)) == "updating");
  u.service.doc.previous_generation = 2;
  CHECK(u.state(after(0)) == "none");
  u.service.doc.previous_generation = 1;
  u.service.doc.previous_json.clear();
  CHECK(u.state(after(0)) == "none");
}

TEST_CASE("update status: updating from the same write, whatever runs still") {
  Updated u;
  for (TaskRecord& task : u.tasks) {
    task.generation = 1;
    task.stable = true;
  }
  CHECK(u.state(after(0)) == "updating");
  CHECK(u.state(after(3'600'000)) == "updating");
}

TEST_CASE("update status: completed once every slot ran through the monitor time") {
  Updated u;
  CHECK(u.state(after(4'000)) == "updating");
  CHECK(u.state(after(5'100)) == "completed");
  CHECK(update_report(u.service.doc, u.tasks, after(6'000))->completed == after(100));
  u.tasks[1].state = TaskState::kStarting;
  CHECK(u.state(after(60'000)) == "updating");
}

TEST_CASE("update status: a stable task counts at once, but never in the first two seconds") {
  Updated u;
  for (TaskRecord& task : u.tasks) task.stable = true;
  CHECK(u.state(after(1'999)) == "updating");
  CHECK(u.state(after(2'000)) == "completed");
}

TEST_CASE("update status: paused by a failed task, unless told to continue or to tolerate it") {
  Updated u;
  u.tasks[1].state = TaskState::kFailed;
  u.tasks[1].error = "task: non-zero exit (1)";
  const auto report = update_report(u.service.doc, u.tasks, after(3'000));
  REQUIRE(report);
  CHECK(report->state == "paused");
  CHECK(report->message == "update paused due to failure or early termination of task " +
                               u.tasks[1].id + ": task: non-zero exit (1)");
  u.service.doc.spec.update.max_failure_ppm = 500'000;
  CHECK(u.state(after(3'000)) == "updating");
  u.service.doc.spec.update.max_failure_ppm = 0;
  u.service.doc.spec.update.on_failure = FailureAction::kContinue;
  CHECK(u.state(after(3'000)) == "updating");
}

TEST_CASE("update status: a failure from before the update does not pause it") {
  Updated u;
  u.tasks[1].state = TaskState::kFailed;
  u.tasks[1].since = after(-1);
  CHECK(u.state(after(3'000)) == "updating");
}

TEST_CASE("update status: a rollback has words of its own") {
  Updated u;
  u.service.doc.rolled_back = true;
  CHECK(u.state(after(1'000)) == "rollback_started");
  CHECK(u.state(after(9'000)) == "rollback_completed");
  u.tasks[0].state = TaskState::kRejected;
  CHECK(u.state(after(9'000)) == "rollback_paused");
}

TEST_CASE("service status: a slot that runs twice for a moment counts once") {
  Updated u;
  u.tasks.push_back(make_task(u.service.doc, 2, make_node(2, "bee").view.id));
  const ServiceCounts counts = count_tasks(u.service.doc, u.tasks);
  CHECK(counts.running == 2);
  CHECK(counts.desired == 2);
}

TEST_CASE("service status: what is scaled away is not counted, and is to be removed") {
  Updated u;
  u.service.doc.spec.replicas = 1;
  CHECK(count_tasks(u.service.doc, u.tasks).running == 1);
  CHECK(desired_state(u.tasks[1], &u.service.doc) == TaskState::kRemove);
  CHECK(desired_state(u.tasks[0], &u.service.doc) == TaskState::kRunning);
  CHECK(desired_state(u.tasks[0], nullptr) == TaskState::kRemove);
}

TEST_CASE("service status: a global service wants what its nodes were given") {
  Updated u;
  u.service.doc.spec.mode = ServiceMode::kGlobal;
  u.tasks.clear();
  for (const uint8_t n : {uint8_t{1}, uint8_t{2}, uint8_t{3}})
    u.tasks.push_back(make_task(u.service.doc, 0, make_node(n, "n").view.id));
  u.tasks[2].state = TaskState::kStarting;
  const ServiceCounts counts = count_tasks(u.service.doc, u.tasks);
  CHECK(counts.running == 2);
  CHECK(counts.desired == 3);
}

TEST_CASE("surplus: a copy on its way beside a healthy one is shown as shutting down") {
  Updated u;
  TaskRecord second = u.tasks[0];
  second.id = "second";
  second.node = make_node(2, "bee").view.id;
  second.state = TaskState::kStarting;
  u.tasks.push_back(second);
  const auto desired = [](std::vector<TaskRecord> tasks, bool moves = false) {
    mark_surplus(tasks, moves);
    return tasks.back().desired;
  };
  CHECK(desired(u.tasks) == TaskState::kShutdown);
  SUBCASE("when its node moves the slot, only for a client that waits") {
    u.tasks.back().moving = true;
    CHECK(desired(u.tasks) == TaskState::kRunning);
    CHECK(desired(u.tasks, true) == TaskState::kShutdown);
  }
  SUBCASE("not while none serves") {
    u.tasks[0].health = Health::kStarting;
    CHECK(desired(u.tasks) == TaskState::kRunning);
  }
  SUBCASE("not beside one that is being replaced") {
    u.tasks[0].generation = 1;
    CHECK(desired(u.tasks) == TaskState::kRunning);
  }
  SUBCASE("not beside another slot's or another service's") {
    u.tasks.erase(u.tasks.begin());
    CHECK(desired(u.tasks) == TaskState::kRunning);
    u.tasks[0].slot = u.tasks.back().slot;
    u.tasks[0].service_id = "other";
    CHECK(desired(u.tasks) == TaskState::kRunning);
  }
  SUBCASE("not once it runs: then the two settle who stays") {
    u.tasks.back().state = TaskState::kRunning;
    CHECK(desired(u.tasks) == TaskState::kRunning);
  }
}

}  // namespace
}  // namespace kith
