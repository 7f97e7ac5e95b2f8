#include "engine/reconcile.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/defects.h"

namespace kith {
namespace {

bool ending(const Task& task) {
  return task.phase == TaskPhase::kLeading || task.phase == TaskPhase::kStopping;
}

std::string_view why_of(const Action& action) {
  if (action.kind == ActionKind::kYield) return "a newer copy runs elsewhere";
  if (action.kind == ActionKind::kDrop) return "a healthy copy runs elsewhere";
  if (action.kind == ActionKind::kReplace) return "updated";
  return action.row == 7 ? "not wanted any more" : "replaced";
}

}  // namespace

Reconciler::Reconciler(NodeId self, std::string node_name, const ReconcileConfig& config, Rng rng)
    : self_(self), node_name_(std::move(node_name)), config_(config), rng_(rng) {}

void Reconciler::update(Situation situation, Now now, ReconcileEffects& out) {
  touch();
  situation_ = std::move(situation);
  if (situation_.synced) stalled_ = false;
  look_at_all(now, out);
}

void Reconciler::handle(const HostEvent& event, Now now, ReconcileEffects& out) {
  touch();
  seen_ = std::max(seen_, now.mono);
  std::visit([&](const auto& what) { on(what, now, out); }, event);
}

void Reconciler::advance(Now now, ReconcileEffects& out) {
  if (!acts(now.mono)) {
    seen_ = std::max(seen_, now.mono);
    return;
  }
  seen_ = std::max(seen_, now.mono);
  next_.reset();
  ++changes_;
  const auto said = [&] {
    return out.publish.size() + out.retract.size() + out.refuse.size() + out.unrefuse.size() +
           out.commands.size();
  };
  const size_t before = said();
  for (const SlotKey& slot : concerns()) look(slot, now, out);
  touched_ = said() != before;  // what was done for one slot may open the way for another
}

bool Reconciler::acts(Instant now) const {
  return touched_ || now >= next_deadline();
}

void Reconciler::touch() {
  ++changes_;
  touched_ = true;
  next_.reset();
}

Instant Reconciler::next_deadline() const {
  if (next_) return *next_;
  Instant next = kNever;
  // What lies at or before `seen_` was acted upon, or waits for an event and not for time.
  const auto consider = [&](Instant at) {
    if (at > seen_) next = std::min(next, at);
  };
  for (const auto& [slot, local] : slots_) {
    for (const Task& task : local.tasks) {
      consider(task.due);
      if (!task.record.stable && task.running_since != kNever)
        consider(task.running_since + task.monitor);
    }
    consider(local.not_before);
    consider(local.retry_at);
    const SlotFacts facts = facts_of(slot);
    if (local.absent_since && facts.place)
      consider(*local.absent_since + kTakeoverStep * std::max<uint32_t>(*facts.place, 1));
    const ServiceDoc* service = service_of(slot);
    if (service && local.open_since) consider(*local.open_since + rollout_config(*service).delay);
  }
  next_ = next;
  return next;
}

void Reconciler::stalled() {
  touch();
  stalled_ = true;
}

void Reconciler::leave(Now now, ReconcileEffects& out) {
  touch();
  leaving_ = true;
  look_at_all(now, out);
}

std::vector<TaskRecord> Reconciler::tasks() const {
  std::vector<TaskRecord> all;
  for (const auto& [slot, local] : slots_)
    for (const Task& task : local.tasks) all.push_back(task.record);
  return all;
}

std::vector<SlotKey> Reconciler::concerns() const {
  std::vector<SlotKey> keys;
  keys.reserve(slots_.size());
  for (const auto& [slot, local] : slots_) keys.push_back(slot);
  return keys;
}

std::vector<TaskRecord> Reconciler::history() const {
  std::vector<TaskRecord> all;
  for (const auto& [slot, local] : slots_)
    all.insert(all.end(), local.history.begin(), local.history.end());
  return all;
}

const ServiceDoc* Reconciler::service_of(const SlotKey& slot) const {
  const auto at = situation_.services.find(slot.service);
  return at == situation_.services.end() ? nullptr : at->second.get();
}

SlotFacts Reconciler::facts_of(const SlotKey& slot) const {
  const auto at = situation_.slots.find(slot);
  return at == situation_.slots.end() ? SlotFacts{} : at->second;
}

bool Reconciler::counts(const TaskIndex::Entry& entry) const {
  return entry.record->node != self_ || entry.epoch < situation_.epoch;
}

PeerCopy Reconciler::peer_of(const TaskIndex::Entry& entry) const {
  const NodeId& node = entry.record->node;
  const auto at = situation_.nodes->find(node);
  const Liveness liveness = at == situation_.nodes->end() ? Liveness::kDead : at->second;
  const bool gone = liveness == Liveness::kDead || liveness == Liveness::kLeft;
  return {.record = entry.record.get(),
          .hidden = gone || node == self_,
          .suspect = liveness == Liveness::kSuspect};
}

void Reconciler::look_at_all(Now now, ReconcileEffects& out) {
  seen_ = std::max(seen_, now.mono);
  std::vector<SlotKey> keys = concerns();
  for (const auto& [slot, facts] : situation_.slots)
    if (!slots_.contains(slot)) keys.push_back(slot);
  std::sort(keys.begin(), keys.end());
  for (const SlotKey& slot : keys) look(slot, now, out);
}

void Reconciler::look(const SlotKey& slot, Now now, ReconcileEffects& out) {
  auto at = slots_.find(slot);
  if (at == slots_.end()) {
    const SlotFacts facts = facts_of(slot);
    const bool concerns = facts.target == self_ || facts.move_to == self_ || facts.place;
    if (!concerns || service_of(slot) == nullptr) return;
    at = slots_.try_emplace(slot).first;
  }
  LocalSlot& local = at->second;
  drop_stale_refusal(slot, local, now, out);
  fire(local, now, out);
  replace_unhealthy(local, now, out);
  constexpr int kRounds = 4;  // an action may call for the next; none calls for itself
  for (int round = 0; round < kRounds; ++round) {
    const SlotView view = view_of(slot, local, now.mono);
    const std::vector<Action> actions = plan(view);
    if (actions.empty()) break;
    for (const Action& action : actions) apply(action, view, local, now, out);
  }
  start_waiting(local, now, out);
  publish_dirty(local, out);
  remove_outlived(slot, local, out);
  forget_if_done(slot, local, out);
}

SlotView Reconciler::view_of(const SlotKey& slot, LocalSlot& local, Instant now) {
  SlotView view;
  view.slot = slot;
  view.self = self_;
  view.service = service_of(slot);
  view.facts = facts_of(slot);
  view.paused = (paused() || !announced_) && !defective(Defect::kNoBootPause);
  view.synced = situation_.synced && !stalled_;
  view.leaving = leaving_;
  for (const TaskIndex::Entry& entry : situation_.tasks->of(slot))
    if (counts(entry)) view.peers.push_back(peer_of(entry));

  bool any = false;
  bool outdated = false;
  for (const Task& task : local.tasks) {
    const bool due = task.phase == TaskPhase::kBackingOff && task.due <= now;
    view.own.push_back({.record = &task.record, .due = due, .asked = &task.asked});
    if (!present(task.record) || !view.service) continue;
    any = any || task.record.service_id == view.service->id;
    outdated = outdated || task.record.generation != view.service->generation;
  }
  for (const PeerCopy& peer : view.peers)
    any = any || (!peer.hidden && view.service && peer.record->service_id == view.service->id &&
                  present(*peer.record));
  if (any || view.paused || !view.service)
    local.absent_since.reset();
  else if (!local.absent_since)
    local.absent_since = now;
  if (local.absent_since) view.absent_for = now - *local.absent_since;
  view.open = view.service && (!outdated || is_open(*view.service, slot, local, now));
  view.can_start = can_start(view, local, now);
  return view;
}

bool Reconciler::can_start(const SlotView& view, LocalSlot& local, Instant now) {
  if (!engine_up_ || !listed_ || leaving_ || view.service == nullptr) return false;
  if (now < local.not_before || index_.size() >= kMaxLocalTasks) return false;
  if (local.refused) return false;
  return !is_finished(view, local);
}

bool Reconciler::is_finished(const SlotView& view, const LocalSlot& local) const {
  if (!view.own.empty()) return false;
  std::vector<const TaskRecord*> records;
  for (const PeerCopy& peer : view.peers) records.push_back(peer.record);
  for (const TaskRecord& task : local.history) records.push_back(&task);
  return finished(*view.service, view.slot, records);
}

bool Reconciler::is_open(const ServiceDoc& service, const SlotKey& slot, LocalSlot& local,
                         Instant now) {
  if (service.previous_json.empty()) return true;
  if (local.open_generation != service.generation) {
    local.open_generation = service.generation;
    local.open_since.reset();
  }
  if (!local.open_since) {
    std::vector<const TaskRecord*> records;
    situation_.tasks->each_of(slot.service, [&](const TaskIndex::Entry& entry) {
      if (counts(entry)) records.push_back(entry.record.get());
    });
    // Keys sort by service first, so those of one service are neighbours.
    for (auto at = slots_.lower_bound({slot.service, 0, {}});
         at != slots_.end() && at->first.service == slot.service; ++at) {
      for (const Task& task : at->second.tasks) records.push_back(&task.record);
      for (const TaskRecord& task : at->second.history) records.push_back(&task);
    }
    if (!generation_open(service, slot, records)) return false;
    local.open_since = now;
  }
  const UpdateConfig& config = rollout_config(service);
  const bool first =
      config.parallelism == 0 || (slot.node.none() && slot.index <= config.parallelism);
  return first || now >= *local.open_since + config.delay;
}

void Reconciler::apply(const Action& action, const SlotView& view, LocalSlot& local, Now now,
                       ReconcileEffects& out) {
  if (action.kind == ActionKind::kStart) {
    Task& task = create(view.slot, local, nullptr, now);
    task.record.moving = action.moving;
    task.overlaps = action.row == 0;
    return say(task.record, "assigned", "starts here (row " + std::to_string(action.row) + ")",
               out);
  }
  const Found found = find(action.task_id);
  if (found.task == nullptr) return;
  Task& task = *found.task;
  task.dirty = true;
  switch (action.kind) {
    case ActionKind::kRestart:
      return restart(task, local, now, out);
    case ActionKind::kReplace: {
      const TaskRecord before = task.record;
      stop(local, action.task_id, true, why_of(action), now, out);
      local.restarts = {};
      create(view.slot, local, &before, now);
      return;
    }
    case ActionKind::kStop:
    case ActionKind::kYield:
      return stop(local, action.task_id, true, why_of(action), now, out);
    case ActionKind::kDrop:
      return stop(local, action.task_id, false, why_of(action), now, out);
    case ActionKind::kAsk:
      do task.record.ask = rng_.next();
      while (task.record.ask == 0);
      task.record.confirmations.clear();
      task.asked = action.asked;
      return say(task.record, "ask", "asks the newer copy whether it stays", out);
    case ActionKind::kUnask:
      task.record.ask = 0;
      task.asked.clear();
      return;
    case ActionKind::kConfirm:
      task.record.confirmations = action.confirmations;
      return;
    case ActionKind::kSettle:
      task.record.moving = false;
      return;
    case ActionKind::kStart:
      return;
  }
}

void Reconciler::restart(Task& task, LocalSlot& local, Now now, ReconcileEffects& out) {
  const ServiceDoc* service = service_of(task.record.slot);
  if (task.after_success && service &&
      !local.restarts.allowed(service->spec.restart, *task.after_success)) {
    const std::string id = task.record.id;
    return end(local, id, TaskState::kShutdown, now, out);
  }
  task.phase = TaskPhase::kWaiting;
  task.due = kNever;
  task.record.backing_off = false;
  task.record.state = TaskState::kAssigned;
  task.record.since = now.wall;
  task.record.message = "restarting";
}

void Reconciler::clear_refusal(const SlotKey& slot, LocalSlot& local, ReconcileEffects& out) {
  if (local.refused) out.unrefuse.push_back(slot);
  local.refused.reset();
  local.refusals = 0;
  local.retry_at = kNever;
}

void Reconciler::drop_stale_refusal(const SlotKey& slot, LocalSlot& local, Now now,
                                    ReconcileEffects& out) {
  if (!local.refused || !situation_.synced) return;
  const ServiceDoc* service = service_of(slot);
  const bool same = service && service->id == local.refused->service_id && wants(*service, slot) &&
                    (service->generation == local.refused->generation ||
                     !is_open(*service, slot, local, now.mono));
  if (same) {
    // Where all refused, each comes into question again after its wait: what ailed one of them may
    // have passed, while the first in the walk may never get well.
    if (!facts_of(slot).all_refused || now.mono < local.retry_at) return;
    out.unrefuse.push_back(slot);
    local.refused.reset();
    local.retry_at = kNever;
    return;
  }
  clear_refusal(slot, local, out);
  local.restarts = {};
  local.not_before = Instant::min();
}

void Reconciler::refuse(const TaskRecord& task, LocalSlot& local, Instant now,
                        ReconcileEffects& out) {
  Duration wait = config_.refused_retry;
  for (uint32_t i = 0; i < local.refusals && wait < kMaxBackOff; ++i) wait *= 2;
  ++local.refusals;
  local.retry_at = now + std::min(wait, kMaxBackOff);
  local.refused = RefusedRecord{.node = self_,
                                .slot = task.slot,
                                .service_id = task.service_id,
                                .generation = task.generation,
                                .reason = task.error};
  out.refuse.push_back(*local.refused);
  say(task, "refused", task.error, out);
}

// A lead that is over becomes a stop; a run that lasted becomes stable.
void Reconciler::fire(LocalSlot& local, Now now, ReconcileEffects& out) {
  for (Task& task : local.tasks) {
    if (task.phase == TaskPhase::kLeading && task.due <= now.mono) send_stop(task, out);
    if (task.phase != TaskPhase::kRunning || task.record.stable || !healthy(task.record)) continue;
    if (task.running_since == kNever || now.mono < task.running_since + task.monitor) continue;
    task.record.stable = true;
    task.dirty = true;
  }
}

void Reconciler::start_waiting(LocalSlot& local, Now now, ReconcileEffects& out) {
  const bool waits = paused() && !defective(Defect::kNoBootPause);
  if (waits || !engine_up_ || !listed_ || leaving_) return;
  const bool blocked = std::any_of(local.tasks.begin(), local.tasks.end(), ending);
  for (Task& task : local.tasks) {
    if (task.phase != TaskPhase::kWaiting || (blocked && !task.overlaps)) continue;
    const ServiceDoc* service = service_of(task.record.slot);
    if (service == nullptr || service->id != task.record.service_id) continue;
    const bool current = task.record.generation == service->generation;
    if (!current && task.record.generation != service->previous_generation) {  // edited meanwhile
      task.record.generation = service->previous_generation;
      task.record.image = image_of(*service, task.record.generation);
    }
    task.spec_json = current ? service->spec_json : service->previous_json;
    task.grace = service->spec.stop_grace;
    task.monitor = rollout_config(*service).monitor;
    task.phase = TaskPhase::kStarting;
    task.record.state = TaskState::kPreparing;
    task.record.message = "preparing";
    task.record.since = now.wall;
    task.dirty = true;
    out.commands.push_back(StartTask{.task_id = task.record.id,
                                     .slot = task.record.slot,
                                     .service_id = task.record.service_id,
                                     .generation = task.record.generation,
                                     .term = task.record.term,
                                     .spec_json = task.spec_json,
                                     .node_name = node_name_,
                                     .node = self_});
    say(task.record, "start", "term " + std::to_string(task.record.term), out);
  }
}

void Reconciler::publish_dirty(LocalSlot& local, ReconcileEffects& out) {
  for (Task& task : local.tasks) {
    if (task.dirty) out.publish.push_back(task.record);
    task.dirty = false;
  }
}

// Nothing is kept of a slot that is no more.
void Reconciler::forget_if_done(const SlotKey& slot, LocalSlot& local, ReconcileEffects& out) {
  if (!local.tasks.empty() || paused()) return;
  const ServiceDoc* service = service_of(slot);
  if (!service || !wants(*service, slot)) {
    for (const TaskRecord& task : local.history) out.retract.push_back(task.id);
    // With the engine away the next Inventory shows them, and nobody wants them then.
    if (engine_up_)
      for (const KeptTask& kept : local.kept)
        out.commands.push_back(RemoveTask{.task_id = kept.id});
    clear_refusal(slot, local, out);
    slots_.erase(slot);
    return;
  }
  if (local.history.empty() && !local.refused && !local.absent_since && local.not_before <= seen_)
    slots_.erase(slot);
}

}  // namespace kith
