#include "engine/plan.h"

#include <algorithm>
#include <limits>

#include "base/defects.h"

namespace kith {
namespace {

bool listed(const std::vector<Confirmation>& list, const NodeId& asker, uint64_t nonce) {
  return std::any_of(list.begin(), list.end(), [&](const Confirmation& c) {
    return c.asker == asker && (c.nonce == nonce || defective(Defect::kConfirmAnyNonce));
  });
}

bool equal(const std::vector<Confirmation>& a, const std::vector<Confirmation>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Confirmation& x, const Confirmation& y) {
                      return x.asker == y.asker && x.nonce == y.nonce;
                    });
}

class Planner {
 public:
  explicit Planner(const SlotView& view) : view_(view), service_(view.service) {}

  std::vector<Action> run() {
    if (view_.leaving) {
      for (const OwnCopy& own : view_.own) stop(own, 0);
      return std::move(actions_);
    }
    if (view_.paused) {  // row 0
      if (defective(Defect::kStopUnsynced)) stop_unwanted();
      return finish();
    }
    stop_unwanted();
    if (!wanted_here()) return finish();
    for (const PeerCopy& peer : view_.peers)
      if (!peer.hidden && peer.record->service_id == service_->id && present(*peer.record))
        peers_.push_back(peer);
    choose_mine();
    if (mine_ == nullptr)
      consider_start();
    else
      tend();
    return finish();
  }

 private:
  std::vector<Action> finish() { return std::move(actions_); }

  void add(ActionKind kind, int row, const std::string& task_id = {}) {
    actions_.push_back({.kind = kind, .row = row, .task_id = task_id});
  }

  void stop(const OwnCopy& own, int row) {
    if (own.record->desired == TaskState::kRunning) add(ActionKind::kStop, row, own.record->id);
  }

  // A global slot of another node: this host's own, from before it lost its identity.
  bool wanted_here() const {
    const bool of_another = !view_.slot.node.none() && view_.slot.node != view_.self;
    return service_ && wants(*service_, view_.slot) && !view_.facts.evicted && !of_another;
  }

  // Row 7. A copy of another service that had the same name is nobody's as well.
  void stop_unwanted() {
    if (!view_.synced && !defective(Defect::kStopUnsynced)) return;
    const bool wanted = wanted_here();
    for (const OwnCopy& own : view_.own)
      if (!wanted || own.record->service_id != service_->id) stop(own, 7);
  }

  // The highest of mine is the one that counts; the others go once they are not needed.
  void choose_mine() {
    for (const OwnCopy& own : view_.own) {
      const TaskRecord& task = *own.record;
      if (task.service_id != service_->id || task.desired != TaskState::kRunning) continue;
      if (mine_ == nullptr || outranks(task, *mine_->record)) mine_ = &own;
    }
    if (mine_ == nullptr) return;
    for (const OwnCopy& own : view_.own) {
      const TaskRecord& task = *own.record;
      if (&own == mine_ || task.service_id != service_->id || task.desired != TaskState::kRunning)
        continue;
      if (!healthy(task))
        add(ActionKind::kDrop, 0, task.id);
      else if (healthy(*mine_->record))
        add(ActionKind::kStop, 0, task.id);
    }
  }

  // A dead node's copy of a manual service waits for its node, or for its removal.
  bool held_by_the_dead() const {
    if (service_->spec.failover != Failover::kManual) return false;
    return std::any_of(view_.peers.begin(), view_.peers.end(), [&](const PeerCopy& peer) {
      return peer.hidden && peer.record->service_id == service_->id && present(*peer.record);
    });
  }

  void consider_start() {
    if (!view_.can_start || !may_start(*service_)) return;
    const bool target = view_.facts.target == view_.self;
    if (!peers_.empty()) {
      const bool reachable = std::any_of(peers_.begin(), peers_.end(),
                                         [](const PeerCopy& peer) { return !peer.suspect; });
      if (view_.facts.move_to == view_.self && reachable)
        actions_.push_back({.kind = ActionKind::kStart, .row = 4, .moving = true});
      return;
    }
    if (held_by_the_dead()) return;
    if (target) return add(ActionKind::kStart, 1);
    if (!view_.facts.place || view_.facts.pinned) return;
    const Duration wait = kTakeoverStep * std::max<uint32_t>(*view_.facts.place, 1);
    if (view_.absent_for >= wait && !defective(Defect::kTakeoverNever)) add(ActionKind::kStart, 2);
  }

  void tend() {
    const TaskRecord& mine = *mine_->record;
    if (mine.moving && peers_.empty()) add(ActionKind::kSettle, 4, mine.id);
    if (!healthy(mine)) return tend_unhealthy(mine);
    if (ask_and_yield(mine)) return;
    if (update(mine)) return;
    confirm(mine);
  }

  // Row 3, and its like between two that back off: only the higher one goes on trying.
  void tend_unhealthy(const TaskRecord& mine) {
    for (const PeerCopy& peer : peers_) {
      if (peer.suspect) continue;
      const TaskRecord& other = *peer.record;
      const bool better = healthy(other) && (other.generation == mine.generation ||
                                             other.generation == service_->generation);
      if ((better && !mine.moving) || (mine.backing_off && outranks(other, mine)))
        return add(ActionKind::kDrop, 3, mine.id);
    }
    if (mine.ask != 0) add(ActionKind::kUnask, 5, mine.id);
    if (!mine.confirmations.empty()) add(ActionKind::kConfirm, 6, mine.id);
    if (update(mine)) return;
    if (mine_->due && view_.can_start) add(ActionKind::kRestart, 0, mine.id);
  }

  // Row 5: true while somebody higher may stay in my stead.
  bool ask_and_yield(const TaskRecord& mine) {
    std::vector<std::string> higher;
    bool confirmed = false;
    for (const PeerCopy& peer : peers_) {
      const TaskRecord& other = *peer.record;
      if (peer.suspect || !healthy(other) || !outranks(other, mine)) continue;
      higher.push_back(other.id);
      if (mine.ask != 0 && listed(other.confirmations, view_.self, mine.ask)) confirmed = true;
    }
    std::sort(higher.begin(), higher.end());
    if (higher.empty()) {
      if (mine.ask != 0) add(ActionKind::kUnask, 5, mine.id);
      return false;
    }
    if (mine.ask == 0 || mine_->asked == nullptr || *mine_->asked != higher)
      actions_.push_back(
          {.kind = ActionKind::kAsk, .row = 5, .task_id = mine.id, .asked = std::move(higher)});
    else if (confirmed || defective(Defect::kStopUnconfirmed))
      add(ActionKind::kYield, 5, mine.id);
    return true;
  }

  // True if mine is being replaced by the open generation.
  bool update(const TaskRecord& mine) {
    if (mine.generation == service_->generation || !view_.open || !view_.can_start) return false;
    // A healthy copy of the open generation is there: one of the two yields to the other first.
    for (const PeerCopy& peer : peers_)
      if (!peer.suspect && healthy(*peer.record) && peer.record->generation == service_->generation)
        return false;
    if (rollout_config(*service_).start_first && healthy(mine))
      add(ActionKind::kStart, 0);
    else
      add(ActionKind::kReplace, 0, mine.id);
    return true;
  }

  // Row 6. Confirmations that nobody asks for any more are taken back.
  void confirm(const TaskRecord& mine) {
    std::vector<Confirmation> wanted;
    for (const PeerCopy& peer : peers_) {
      const TaskRecord& other = *peer.record;
      if (other.ask == 0 || !outranks(mine, other) || wanted.size() >= kMaxConfirmations) continue;
      wanted.push_back({.asker = other.node, .nonce = other.ask});
    }
    std::sort(wanted.begin(), wanted.end(), [](const Confirmation& a, const Confirmation& b) {
      return a.asker != b.asker ? a.asker < b.asker : a.nonce < b.nonce;
    });
    if (equal(wanted, mine.confirmations)) return;
    actions_.push_back({.kind = ActionKind::kConfirm,
                        .row = 6,
                        .task_id = mine.id,
                        .confirmations = std::move(wanted)});
  }

  const SlotView& view_;
  const ServiceDoc* service_;
  std::vector<PeerCopy> peers_;  // present, of this service
  const OwnCopy* mine_ = nullptr;
  std::vector<Action> actions_;
};

}  // namespace

std::vector<Action> plan(const SlotView& view) {
  return Planner(view).run();
}

bool outranks(const TaskRecord& a, const TaskRecord& b) {
  return a.term != b.term ? a.term > b.term : a.node > b.node;
}

bool present(const TaskRecord& task) {
  return task.desired == TaskState::kRunning &&
         (task.state <= TaskState::kRunning || task.backing_off);
}

bool healthy(const TaskRecord& task) {
  return task.desired == TaskState::kRunning && task.state == TaskState::kRunning &&
         (task.health == Health::kNone || task.health == Health::kHealthy);
}

bool wants(const ServiceDoc& service, const SlotKey& slot) {
  const ServiceMode mode = service.spec.mode;
  if (mode == ServiceMode::kGlobal || mode == ServiceMode::kGlobalJob)
    return slot.index == 0 && !slot.node.none();
  return slot.node.none() && slot.index >= 1 && slot.index <= service.spec.replicas;
}

Term next_term(const SlotView& view, std::span<const TaskRecord> history) {
  Term highest = 0;
  for (const PeerCopy& peer : view.peers) highest = std::max(highest, peer.record->term);
  for (const OwnCopy& own : view.own) highest = std::max(highest, own.record->term);
  for (const TaskRecord& task : history) highest = std::max(highest, task.term);
  return std::min(highest, std::numeric_limits<Term>::max() - 1) + 1;
}

bool finished(const ServiceDoc& service, const SlotKey& slot,
              std::span<const TaskRecord* const> records) {
  const TaskRecord* last = nullptr;
  for (const TaskRecord* task : records) {
    if (task->slot != slot || task->service_id != service.id) continue;
    if (task->generation != service.generation) continue;
    if (last == nullptr || outranks(*task, *last)) last = task;
  }
  if (last == nullptr || present(*last)) return false;
  const RestartPolicy& policy = service.spec.restart;
  const bool job = service.spec.mode == ServiceMode::kReplicatedJob ||
                   service.spec.mode == ServiceMode::kGlobalJob;
  if (last->state != TaskState::kComplete && last->state != TaskState::kFailed) return false;
  if (policy.condition == RestartCondition::kNone) return true;
  if (policy.max_attempts > 0 && last->failures > policy.max_attempts) return true;
  return last->state == TaskState::kComplete &&
         (job || policy.condition == RestartCondition::kOnFailure);
}

bool may_start(const ServiceDoc& service) {
  return service.spec.failover != Failover::kMajority;
}

}  // namespace kith
