// The life of a task: what the host says of it, and what becomes of it.

#include <algorithm>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/defects.h"
#include "engine/reconcile.h"

namespace kith {
namespace {

constexpr Duration kDefaultGrace = std::chrono::seconds(10);
constexpr int32_t kExitKilled = 137;
constexpr std::string_view kUnhealthyWords = "task: unhealthy container";

bool started(const Task& task) {
  return task.phase != TaskPhase::kWaiting && task.phase != TaskPhase::kBackingOff;
}

}  // namespace

Reconciler::Found Reconciler::find(const std::string& task_id) {
  const auto at = index_.find(task_id);
  if (at == index_.end()) return {};
  const auto local = slots_.find(at->second);
  if (local == slots_.end()) return {};
  for (Task& task : local->second.tasks)
    if (task.record.id == task_id) return {.local = &local->second, .task = &task};
  return {};
}

void Reconciler::say(const TaskRecord& task, std::string_view action, std::string text,
                     ReconcileEffects& out) const {
  out.events.push_back({.slot = task.slot,
                        .task_id = task.id,
                        .action = std::string(action),
                        .text = std::move(text)});
}

Task& Reconciler::create(const SlotKey& slot, LocalSlot& local, const TaskRecord* before, Now now) {
  Term highest = 0;
  for (const TaskIndex::Entry& entry : situation_.tasks->of(slot))
    if (counts(entry)) highest = std::max(highest, entry.record->term);
  for (const Task& task : local.tasks) highest = std::max(highest, task.record.term);
  for (const TaskRecord& task : local.history) highest = std::max(highest, task.term);
  if (before != nullptr) highest = std::max(highest, before->term);

  std::string seed = self_.hex() + std::to_string(rng_.next()) + "." + std::to_string(rng_.next());
  Task task;
  TaskRecord& record = task.record;
  record.id = docker_id_from(as_bytes(seed));
  record.slot = slot;
  constexpr Term kMost = std::numeric_limits<Term>::max();  // whoever says it must not start over
  record.term = std::min(highest, kMost - 1) + 1;
  if (highest > 0 && defective(Defect::kTermNotAdvanced)) record.term = highest;
  record.node = self_;
  record.state = TaskState::kAssigned;
  record.message = "assigned";
  record.created = record.since = now.wall;
  if (before != nullptr) {
    record.service_id = before->service_id;
    record.generation = before->generation;
    record.image = before->image;
  }
  if (const ServiceDoc* service = service_of(slot);
      service && (before == nullptr || service->id == before->service_id)) {
    const bool open = is_open(*service, slot, local, now.mono);
    record.service_id = service->id;
    record.generation = open ? service->generation : service->previous_generation;
    record.image = image_of(*service, record.generation);
    task.grace = service->spec.stop_grace;
    task.monitor = rollout_config(*service).monitor;
  }
  record.failures = local.restarts.failures;
  index_[record.id] = slot;
  return local.tasks.emplace_back(std::move(task));
}

// The one that takes the place of a failed one; it shows the failure until it starts.
void Reconciler::succeed(const TaskRecord& before, LocalSlot& local, Duration wait, bool overlaps,
                         Now now) {
  for (const Task& task : local.tasks)  // a newer one of mine is there already
    if (present(task.record) && outranks(task.record, before)) return;
  Task& next = create(before.slot, local, &before, now);
  next.overlaps = overlaps;
  next.record.error = before.error;
  const ServiceDoc* service = service_of(before.slot);
  const bool known = service && service->id == before.service_id;
  if (!known) next.after_success = before.state == TaskState::kComplete;
  ++local.restarts.attempts;
  if (known && wait == Duration{}) return;
  next.phase = TaskPhase::kBackingOff;
  next.due = now.mono + wait;
  next.record.backing_off = true;
  next.record.state = TaskState::kReady;
  next.record.message = waiting_words(wait, local.restarts.failures);
}

void Reconciler::stop(LocalSlot& local, const std::string& task_id, bool lead, std::string_view why,
                      Now now, ReconcileEffects& out) {
  const Found found = find(task_id);
  if (found.task == nullptr || found.task->record.desired != TaskState::kRunning) return;
  Task& task = *found.task;
  if (!started(task)) return end(local, task_id, TaskState::kShutdown, now, out);
  TaskRecord& record = task.record;
  record.desired = TaskState::kShutdown;
  record.message = "stopping: " + std::string(why);
  record.confirmations.clear();
  record.moving = false;
  task.dirty = true;
  if (const ServiceDoc* service = service_of(record.slot);
      service && service->id == record.service_id)
    task.grace = service->spec.stop_grace;
  say(record, "stop", std::string(why), out);
  if (task.phase == TaskPhase::kRunning && lead && config_.stop_lead > Duration{}) {
    task.phase = TaskPhase::kLeading;
    task.due = now.mono + config_.stop_lead;
    return;
  }
  send_stop(task, out);
}

void Reconciler::send_stop(Task& task, ReconcileEffects& out) {
  task.phase = TaskPhase::kStopping;
  task.due = kNever;
  // With the engine away the Inventory shows it again, and the stop is sent then.
  if (engine_up_) out.commands.push_back(StopTask{.task_id = task.record.id, .grace = task.grace});
}

void Reconciler::end(LocalSlot& local, const std::string& task_id, TaskState state, Now now,
                     ReconcileEffects& out) {
  const auto at = std::find_if(local.tasks.begin(), local.tasks.end(),
                               [&](const Task& task) { return task.record.id == task_id; });
  if (at == local.tasks.end()) return;
  Task task = std::move(*at);
  local.tasks.erase(at);
  index_.erase(task_id);
  if (!started(task)) {
    out.retract.push_back(task_id);
    std::erase_if(out.publish, [&](const TaskRecord& record) { return record.id == task_id; });
    return;
  }
  TaskRecord& record = task.record;
  record.state = state;
  record.desired = TaskState::kShutdown;
  record.since = now.wall;
  record.backing_off = record.moving = false;
  record.ask = 0;
  record.pid = 0;
  record.confirmations.clear();
  if (state == TaskState::kShutdown) record.message = "shutdown";
  out.publish.push_back(record);
  say(record, std::string(to_string(state)), record.error, out);
  local.history.push_front(std::move(record));
  while (local.history.size() > kMaxHistory) {
    out.retract.push_back(local.history.back().id);
    local.history.pop_back();
  }
}

bool Reconciler::exited(LocalSlot& local, Task& task, int32_t exit_code, std::string error, Now now,
                        ReconcileEffects& out) {
  task.record.exit_code = exit_code;
  task.record.error = std::move(error);
  const std::string id = task.record.id;
  if (task.record.desired != TaskState::kRunning) {
    end(local, id, TaskState::kShutdown, now, out);
    return true;
  }
  const bool success = task.record.error.empty();
  const ServiceDoc* service = service_of(task.record.slot);
  if (service && service->id != task.record.service_id) service = nullptr;
  const Duration ran = task.running_since == kNever ? Duration{} : now.mono - task.running_since;
  const RestartPolicy policy = service ? service->spec.restart : RestartPolicy{};
  const Duration wait = local.restarts.failed(policy, ran, rng_);
  const bool overlaps = task.overlaps;
  task.record.failures = local.restarts.failures;
  task.record.message = success ? "finished" : "failed";
  TaskRecord before = task.record;
  before.state = success ? TaskState::kComplete : TaskState::kFailed;
  end(local, id, before.state, now, out);
  const bool job = service && (service->spec.mode == ServiceMode::kReplicatedJob ||
                               service->spec.mode == ServiceMode::kGlobalJob);
  if (service && (!local.restarts.allowed(policy, success) || (job && success))) {
    local.kept.push_back({.id = id, .service_id = before.service_id, .term = before.term});
    return false;
  }
  local.not_before = now.mono + wait;
  if (leaving_ || (service == nullptr && !paused())) return true;
  succeed(before, local, wait, overlaps, now);
  return true;
}

void Reconciler::start_failed(LocalSlot& local, Task& task, const TaskFailed& event, Now now,
                              ReconcileEffects& out) {
  const std::string id = task.record.id;
  task.record.error = event.error;
  if (task.record.desired != TaskState::kRunning)
    return end(local, id, TaskState::kShutdown, now, out);
  const bool rejected = event.phase <= TaskState::kReady;
  const ServiceDoc* service = service_of(task.record.slot);
  const Duration wait =
      local.restarts.failed(service ? service->spec.restart : RestartPolicy{}, Duration{}, rng_);
  ++local.restarts.start_failures;
  const bool overlaps = task.overlaps;
  task.record.failures = local.restarts.failures;
  task.record.message = rejected ? "preparing" : "starting";
  const TaskRecord before = task.record;
  end(local, id, rejected ? TaskState::kRejected : TaskState::kFailed, now, out);
  local.not_before = now.mono + wait;
  if (local.refused || local.restarts.start_failures >= kMaxStartFailures)
    return refuse(before, local, now.mono, out);
  if (leaving_ || service == nullptr) return;
  succeed(before, local, wait, overlaps, now);
}

// Healthy from now on.
void Reconciler::runs(LocalSlot& local, Task& task, Now now, ReconcileEffects& out) {
  if (task.running_since != kNever || !healthy(task.record)) return;
  task.running_since = now.mono;
  task.record.error.clear();
  local.restarts.start_failures = 0;
  clear_refusal(task.record.slot, local, out);
  say(task.record, "running", "term " + std::to_string(task.record.term), out);
}

void Reconciler::replace_unhealthy(LocalSlot& local, Now now, ReconcileEffects& out) {
  if (paused() || !engine_up_ || !listed_ || leaving_) return;
  std::vector<std::string> sick;
  for (const Task& task : local.tasks)
    if (task.phase == TaskPhase::kRunning && task.record.desired == TaskState::kRunning &&
        task.record.health == Health::kUnhealthy)
      sick.push_back(task.record.id);
  for (const std::string& id : sick) unhealthy(local, id, now, out);
}

// As Swarm does: stopped, and another takes its place.
void Reconciler::unhealthy(LocalSlot& local, const std::string& task_id, Now now,
                           ReconcileEffects& out) {
  const Found found = find(task_id);
  if (found.task == nullptr) return;
  Task& task = *found.task;
  const ServiceDoc* service = service_of(task.record.slot);
  const Duration ran = task.running_since == kNever ? Duration{} : now.mono - task.running_since;
  const RestartPolicy policy = service ? service->spec.restart : RestartPolicy{};
  const Duration wait = local.restarts.failed(policy, ran, rng_);
  task.record.error = kUnhealthyWords;
  task.record.failures = local.restarts.failures;
  const TaskRecord before = task.record;
  stop(local, task_id, false, "unhealthy", now, out);
  local.not_before = now.mono + wait;
  if (service == nullptr || !local.restarts.allowed(policy, false)) return;
  succeed(before, local, wait, false, now);
}

void Reconciler::on(const TaskProgress& event, Now now, ReconcileEffects& out) {
  const Found found = find(event.task_id);
  if (found.task == nullptr) {
    out.commands.push_back(StopTask{.task_id = event.task_id, .grace = kDefaultGrace});
    return;
  }
  Task& task = *found.task;
  const SlotKey slot = task.record.slot;
  if (!started(task) || task.phase == TaskPhase::kStopping) return;
  TaskRecord& record = task.record;
  if (record.state != event.state) record.since = now.wall;
  record.state = event.state;
  record.message = event.message;
  if (!event.container_id.empty()) record.container_id = event.container_id;
  if (event.pid != 0) record.pid = event.pid;
  record.health = event.health;
  if (!event.ports.empty()) record.ports = event.ports;
  task.dirty = true;
  if (record.state == TaskState::kRunning && task.phase == TaskPhase::kStarting)
    task.phase = TaskPhase::kRunning;
  runs(*found.local, task, now, out);
  look(slot, now, out);
}

void Reconciler::on(const TaskFailed& event, Now now, ReconcileEffects& out) {
  const Found found = find(event.task_id);
  if (found.task == nullptr || !started(*found.task)) return;
  const SlotKey slot = found.task->record.slot;
  start_failed(*found.local, *found.task, event, now, out);
  look(slot, now, out);
}

void Reconciler::on(const TaskExited& event, Now now, ReconcileEffects& out) {
  const Found found = find(event.task_id);
  if (found.task == nullptr || !started(*found.task)) {
    out.commands.push_back(RemoveTask{.task_id = event.task_id});
    return;
  }
  const SlotKey slot = found.task->record.slot;
  if (found.task->phase == TaskPhase::kStopping) return;  // TaskGone follows
  const bool remove =
      exited(*found.local, *found.task, event.exit_code,
             exit_words(event.exit_code, event.out_of_memory, event.error), now, out);
  look(slot, now, out);
  // After the start of its successor, which does not wait for it.
  if (remove) out.commands.push_back(RemoveTask{.task_id = event.task_id});
}

void Reconciler::on(const TaskHealth& event, Now now, ReconcileEffects& out) {
  const Found found = find(event.task_id);
  if (found.task == nullptr || found.task->record.health == event.health) return;
  const SlotKey slot = found.task->record.slot;
  found.task->record.health = event.health;
  found.task->dirty = true;
  runs(*found.local, *found.task, now, out);
  look(slot, now, out);
}

void Reconciler::on(const TaskGone& event, Now now, ReconcileEffects& out) {
  const Found found = find(event.task_id);
  if (found.task == nullptr || !started(*found.task)) return;
  Task& task = *found.task;
  const SlotKey slot = task.record.slot;
  if (task.record.desired != TaskState::kRunning) {
    task.record.exit_code = event.exit_code;
    const bool failed = !task.record.error.empty();
    end(*found.local, event.task_id, failed ? TaskState::kFailed : TaskState::kShutdown, now, out);
  } else {
    const int32_t code = event.exit_code != 0 ? event.exit_code : kExitKilled;
    exited(*found.local, task, code, exit_words(code, false, {}), now, out);
  }
  look(slot, now, out);
}

}  // namespace kith
