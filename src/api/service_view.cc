#include "api/service_view.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace kith {
namespace {

constexpr int64_t kMinUpdateMs = 2000;

bool replicated(const ServiceDoc& service) {
  return service.spec.mode == ServiceMode::kReplicated ||
         service.spec.mode == ServiceMode::kReplicatedJob;
}

bool ended(TaskState state) {
  return state == TaskState::kComplete || state == TaskState::kShutdown ||
         state == TaskState::kFailed || state == TaskState::kRejected ||
         state == TaskState::kRemove || state == TaskState::kOrphaned;
}

// What an update came to, from the tasks at the service's generation.
struct Rollout {
  std::map<SlotKey, WallTime> stable;  ///< slots that ran through the monitor time, and since when
  std::set<SlotKey> failed;
  std::set<SlotKey> wanted;
  std::string first_failure;  ///< task id
  std::string first_error;
};

Rollout survey(const ServiceDoc& service, std::span<const TaskRecord> tasks, WallTime now) {
  const UpdateConfig& config = service.rolled_back ? service.spec.rollback : service.spec.update;
  const int64_t monitor_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(config.monitor).count();
  Rollout out;
  if (replicated(service))
    for (uint32_t i = 1; i <= service.spec.replicas; ++i)
      out.wanted.insert(SlotKey{service.name, i, {}});
  for (const TaskRecord& task : tasks) {
    if (task.service_id != service.id || desired_state(task, &service) == TaskState::kRemove)
      continue;
    if (!replicated(service) && task.desired != TaskState::kShutdown && !ended(task.state))
      out.wanted.insert(task.slot);
    if (task.generation != service.generation) continue;
    if (task.state == TaskState::kRunning && task.desired == TaskState::kRunning &&
        (task.stable || now.ms - task.since.ms >= monitor_ms)) {
      auto& since = out.stable[task.slot];
      since = std::max(since, task.since);
    }
    const bool failed =
        task.state == TaskState::kFailed || task.state == TaskState::kRejected || task.backing_off;
    if (failed && task.since >= service.updated) {
      if (out.failed.empty()) out.first_failure = task.id, out.first_error = task.error;
      out.failed.insert(task.slot);
      out.wanted.insert(task.slot);
    }
  }
  return out;
}

}  // namespace

TaskState desired_state(const TaskRecord& task, const ServiceDoc* service) {
  if (service == nullptr) return TaskState::kRemove;
  if (service->spec.mode == ServiceMode::kReplicated && task.slot.index > service->spec.replicas)
    return TaskState::kRemove;
  return task.desired;
}

void mark_surplus(std::vector<TaskRecord>& tasks, bool moves) {
  const auto serves = [](const TaskRecord& task) {
    return task.desired == TaskState::kRunning && task.state == TaskState::kRunning &&
           (task.health == Health::kNone || task.health == Health::kHealthy);
  };
  std::set<std::tuple<std::string, SlotKey, Generation>> served;
  for (const TaskRecord& task : tasks)
    if (serves(task)) served.emplace(task.service_id, task.slot, task.generation);
  for (TaskRecord& task : tasks) {
    if (task.desired != TaskState::kRunning || serves(task) || (task.moving && !moves)) continue;
    if (served.contains({task.service_id, task.slot, task.generation}))
      task.desired = TaskState::kShutdown;
  }
}

ServiceCounts count_tasks(const ServiceDoc& service, std::span<const TaskRecord> tasks) {
  ServiceCounts out;
  std::set<SlotKey> places;
  std::set<SlotKey> running;
  for (const TaskRecord& task : tasks) {
    if (task.service_id != service.id) continue;
    const TaskState desired = desired_state(task, &service);
    const bool wanted = desired == TaskState::kRunning || desired == TaskState::kComplete;
    // A slot that moves runs twice for a moment, and is one all the same.
    if (task.state == TaskState::kRunning && wanted) running.insert(task.slot);
    if (wanted && !ended(task.state)) places.insert(task.slot);
    if (task.state == TaskState::kComplete) ++out.completed;
  }
  out.running = running.size();
  out.desired = replicated(service) ? service.spec.replicas : places.size();
  return out;
}

std::optional<UpdateReport> update_report(const ServiceDoc& service,
                                          std::span<const TaskRecord> tasks, WallTime now) {
  if (service.previous_json.empty()) return {};
  if (!service.rolled_back && service.previous_generation == service.generation) return {};
  const Rollout rollout = survey(service, tasks, now);
  const bool back = service.rolled_back;
  UpdateReport out;
  out.started = service.updated;
  const bool all = std::all_of(rollout.wanted.begin(), rollout.wanted.end(),
                               [&](const auto& slot) { return rollout.stable.contains(slot); });
  if (all && now.ms - service.updated.ms >= kMinUpdateMs) {
    out.state = back ? "rollback_completed" : "completed";
    out.message = back ? "rollback completed" : "update completed";
    out.completed = service.updated;
    for (const auto& [slot, since] : rollout.stable) out.completed = std::max(out.completed, since);
    return out;
  }
  const UpdateConfig& config = back ? service.spec.rollback : service.spec.update;
  const bool too_many =
      !rollout.failed.empty() &&
      rollout.failed.size() * 1'000'000 > config.max_failure_ppm * rollout.wanted.size();
  if (too_many && config.on_failure != FailureAction::kContinue) {
    out.state = back ? "rollback_paused" : "paused";
    out.message = std::string(back ? "rollback" : "update") +
                  " paused due to failure or early termination of task " + rollout.first_failure;
    if (!rollout.first_error.empty()) out.message += ": " + rollout.first_error;
    return out;
  }
  out.state = back ? "rollback_started" : "updating";
  out.message = back ? "manually requested rollback" : "update in progress";
  return out;
}

}  // namespace kith
