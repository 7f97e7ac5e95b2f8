// The engine comes and goes; what it runs is adopted.

#include <algorithm>
#include <utility>

#include "engine/reconcile.h"

namespace kith {
namespace {

constexpr int32_t kExitKilled = 137;

bool started(const Task& task) {
  return task.phase != TaskPhase::kWaiting && task.phase != TaskPhase::kBackingOff;
}

bool finished_for_good(const TaskRecord& task) {
  return task.state == TaskState::kComplete || task.state == TaskState::kFailed;
}

}  // namespace

void Reconciler::on(const EngineUp&, Now, ReconcileEffects& out) {
  engine_up_ = true;
  listed_ = false;
  out.commands.emplace_back(std::in_place_type<ListTasks>);
}

void Reconciler::on(const EngineDown& event, Now now, ReconcileEffects& out) {
  engine_up_ = false;
  listed_ = false;
  std::vector<std::string> lost;
  for (const auto& [id, slot] : index_)
    if (std::find(event.running.begin(), event.running.end(), id) == event.running.end())
      lost.push_back(id);
  for (const std::string& id : lost) {
    const Found found = find(id);
    if (found.task == nullptr) continue;
    if (found.task->record.desired == TaskState::kRunning)
      found.task->record.error = "engine unreachable: " + event.reason;
    const bool stopping = found.task->record.desired != TaskState::kRunning;
    end(*found.local, id, stopping ? TaskState::kShutdown : TaskState::kOrphaned, now, out);
  }
  look_at_all(now, out);
}

void Reconciler::on(const Inventory& event, Now now, ReconcileEffects& out) {
  std::vector<const ContainerInfo*> order;
  for (const ContainerInfo& container : event.containers) order.push_back(&container);
  // What runs comes first, and the newest first, so that what is left over is known as such.
  const auto runs_now = [](const ContainerInfo* c) {
    return c->status == ContainerStatus::kRunning || c->status == ContainerStatus::kPaused;
  };
  std::sort(order.begin(), order.end(), [&](const auto* a, const auto* b) {
    if (runs_now(a) != runs_now(b)) return runs_now(a);
    return a->term != b->term ? a->term > b->term : a->task_id < b->task_id;
  });
  for (const ContainerInfo* container : order) adopt(*container, now, out);

  std::vector<std::string> vanished;
  for (const auto& [id, slot] : index_) {
    const bool seen = std::any_of(order.begin(), order.end(),
                                  [&](const ContainerInfo* c) { return c->task_id == id; });
    if (!seen) vanished.push_back(id);
  }
  for (const std::string& id : vanished) {
    const Found found = find(id);
    if (found.task == nullptr || !started(*found.task)) continue;
    if (found.task->phase == TaskPhase::kStarting) continue;  // its container is still to come
    exited(*found.local, *found.task, kExitKilled, "task: the container is gone", now, out);
  }
  listed_ = announced_ = true;
  look_at_all(now, out);
}

void Reconciler::adopt(const ContainerInfo& container, Now now, ReconcileEffects& out) {
  const Found found = find(container.task_id);
  if (found.task != nullptr)
    meet_again(container, now, out);
  else
    adopt_unknown(container, now, out);
}

void Reconciler::meet_again(const ContainerInfo& container, Now now, ReconcileEffects& out) {
  const Found found = find(container.task_id);
  Task& task = *found.task;
  task.grace = container.grace.value_or(task.grace);
  if (task.phase == TaskPhase::kStopping) return send_stop(task, out);
  if (task.phase == TaskPhase::kStarting && container.status == ContainerStatus::kCreated) return;
  task.record.container_id = container.container_id;
  task.record.pid = container.pid;
  task.dirty = true;
  if (container.status == ContainerStatus::kExited) {
    const std::string words = exit_words(container.exit_code, false, {});
    if (exited(*found.local, task, container.exit_code, words, now, out))
      out.commands.push_back(RemoveTask{.task_id = container.task_id});
    return;
  }
  if (task.phase == TaskPhase::kStarting) {
    task.phase = TaskPhase::kRunning;
    task.record.state = TaskState::kRunning;
  }
  task.record.health = container.health;
  runs(*found.local, task, now, out);
}

void Reconciler::adopt_unknown(const ContainerInfo& container, Now now, ReconcileEffects& out) {
  const bool exit = container.status == ContainerStatus::kExited;
  LocalSlot& local = slots_[container.slot];
  const auto known =
      std::find_if(local.history.begin(), local.history.end(),
                   [&](const TaskRecord& task) { return task.id == container.task_id; });
  if (known != local.history.end()) {
    if (exit && finished_for_good(*known)) {
      const bool kept = std::any_of(local.kept.begin(), local.kept.end(), [&](const KeptTask& one) {
        return one.id == container.task_id;
      });
      if (!kept) out.commands.push_back(RemoveTask{.task_id = container.task_id});
      return;
    }
    // Lost from sight for a while, and runs on. One that never ran stays: its term is taken.
    if (!exit && container.status != ContainerStatus::kCreated) local.history.erase(known);
  }
  const bool newer = std::any_of(local.history.begin(), local.history.end(),
                                 [&](const TaskRecord& t) { return t.term >= container.term; });
  if (container.status == ContainerStatus::kCreated ||
      (exit && (newer || !local.tasks.empty() || index_.size() >= kMaxLocalTasks))) {
    out.commands.push_back(RemoveTask{.task_id = container.task_id});
    return;
  }
  Task task;
  TaskRecord& record = task.record;
  record.id = container.task_id;
  record.slot = container.slot;
  record.service_id = container.service_id;
  record.generation = container.generation;
  record.term = container.term;
  record.node = self_;
  record.state = TaskState::kRunning;
  record.image = container.image;
  record.message = "started";
  record.container_id = container.container_id;
  record.pid = container.pid;
  record.health = container.health;
  record.created = container.created;
  record.since = container.started;
  record.ports = container.ports;
  task.phase = TaskPhase::kRunning;
  if (const ServiceDoc* service = service_of(container.slot)) {
    task.monitor = rollout_config(*service).monitor;
    if (service->id == container.service_id) task.grace = service->spec.stop_grace;
  }
  task.grace = container.grace.value_or(task.grace);
  // Somebody started it again by hand.
  std::erase_if(local.kept, [&](const KeptTask& kept) { return kept.id == record.id; });
  index_[record.id] = record.slot;
  Task& adopted = local.tasks.emplace_back(std::move(task));
  say(adopted.record, "adopted", "term " + std::to_string(container.term), out);
  if (exit) {
    const std::string words = exit_words(container.exit_code, false, {});
    if (exited(local, adopted, container.exit_code, words, now, out))
      out.commands.push_back(RemoveTask{.task_id = container.task_id});
    return;
  }
  runs(local, adopted, now, out);
}

// Of what has ended for good only the newest proves anything, and nothing does for another service
// of the name, or once something newer has come to run here.
void Reconciler::remove_outlived(const SlotKey& slot, LocalSlot& local, ReconcileEffects& out) {
  if (local.kept.empty() || !engine_up_ || !listed_) return;
  const ServiceDoc* service = service_of(slot);
  Term newest = 0;
  for (const KeptTask& kept : local.kept) newest = std::max(newest, kept.term);
  for (const Task& task : local.tasks)
    if (started(task) && task.phase != TaskPhase::kStarting)
      newest = std::max(newest, task.record.term);
  std::erase_if(local.kept, [&](const KeptTask& kept) {
    const bool of_another = service && service->id != kept.service_id && !paused();
    if (kept.term >= newest && !of_another && !leaving_) return false;
    out.commands.push_back(RemoveTask{.task_id = kept.id});
    return true;
  });
}

}  // namespace kith
