#include "agent/work.h"

namespace kith {
namespace {

Liveness liveness_of(const Member* member, const NodeId& self) {
  if (member == nullptr) return Liveness::kDead;
  if (member->id == self) return Liveness::kAlive;
  switch (member->state) {
    case MemberState::kAlive:
      return Liveness::kAlive;
    case MemberState::kSuspect:
      return Liveness::kSuspect;
    case MemberState::kDead:
      return Liveness::kDead;
    case MemberState::kLeft:
      return Liveness::kLeft;
  }
  return Liveness::kDead;
}

}  // namespace

NodeView node_view(const RosterDoc& doc, const NodeInfo* info, Liveness liveness) {
  NodeView node;
  node.id = doc.node;
  node.name = info != nullptr ? info->name : doc.name;
  node.liveness = liveness;
  node.address = info != nullptr ? info->host_address : std::string();
  node.availability = doc.availability;
  if (info == nullptr) {
    node.ready = false;
    node.runs_tasks = false;
    node.labels = doc.labels;
    return node;
  }
  node.ready = info->ready;
  node.runs_tasks = info->engine.present && info->engine.up;
  node.labels = info->labels;
  for (const auto& [key, value] : doc.labels) node.labels[key] = value;
  node.engine = info->engine;
  node.nano_cpus = info->nano_cpus;
  node.memory_bytes = info->memory_bytes;
  node.weight = info->weight;
  return node;
}

bool Work::hidden(const NodeId& node) const {
  const auto at = liveness_.find(node);
  return at == liveness_.end() || at->second == Liveness::kDead || at->second == Liveness::kLeft;
}

void Work::build_view(const Catalog& catalog, const std::map<NodeId, Member>& members,
                      const NodeId& self) {
  view_ = {};
  liveness_.clear();
  self_ = self;
  for (const auto& [id, doc] : catalog.roster()) {
    const auto at = members.find(id);
    const Liveness liveness = liveness_of(at == members.end() ? nullptr : &at->second, self);
    liveness_[id] = liveness;
    view_.nodes.push_back(node_view(doc, catalog.info(id), liveness));
  }
  for (const auto& [name, doc] : catalog.services()) view_.services.push_back(*doc);
  for (const auto& [node, tasks] : catalog.tasks()) {
    if (hidden(node)) continue;
    for (const auto& [id, task] : tasks) {
      if (!present(*task.record)) continue;
      view_.seats.push_back({task.record->slot, node, task.record->service_id,
                             task.record->generation, task.record->term, healthy(*task.record),
                             task.record->moving});
    }
  }
  for (const auto& [node, refusals] : catalog.refusals())
    for (const auto& [slot, refused] : refusals)
      view_.refusals.push_back({slot, node, refused.generation, refused.reason});
  put_in_order(view_);
}

void Work::update(const Catalog& catalog, const std::map<NodeId, Member>& members,
                  const NodeId& self, bool calm) {
  build_view(catalog, members, self);
  std::vector<std::pair<NodeId, uint32_t>> weights;
  for (const NodeView& node : view_.nodes) weights.emplace_back(node.id, node.weight);
  if (!ring_ || weights != ring_weights_) {  // it is dear, and seldom changes
    ring_.emplace(view_);
    ring_weights_ = std::move(weights);
  }
  assignment_ = assign(view_, *ring_);
  moves_.clear();
  if (calm) moves_ = rebalance(view_, assignment_);
}

Situation Work::situation(const Catalog& catalog, Epoch epoch) const {
  Situation out;
  out.services = catalog.services();
  out.nodes = liveness_;
  for (const auto& [node, tasks] : catalog.tasks()) {
    for (const auto& [id, task] : tasks) {
      const bool mine = node == self_;
      if (!mine || task.epoch < epoch) out.tasks.push_back({task.record, mine || hidden(node)});
    }
  }
  for (const auto& [name, targets] : assignment_.services) {
    const auto doc = catalog.services().find(name);
    if (doc == catalog.services().end()) continue;
    const Failover failover = doc->second->spec.failover;
    for (const SlotTarget& slot : targets.slots) {
      if (!slot.slot.node.none() && slot.slot.node != self_) continue;
      SlotFacts facts;
      facts.target = slot.target;
      facts.place = place(view_, *ring_, assignment_, slot.slot, self_);
      facts.pinned = failover == Failover::kPinned || failover == Failover::kManual;
      facts.all_refused = slot.all_refused;
      if (slot.move) facts.move_to = slot.target;
      out.slots[slot.slot] = facts;
    }
  }
  for (const Move& move : moves_)
    if (const auto at = out.slots.find(move.slot); at != out.slots.end())
      at->second.move_to = move.to;
  // A global slot of this node that is not asked for any more: drained, or it does not fit. A node
  // that is not enrolled, or not any more, enrols first and is judged then.
  if (!liveness_.contains(self_)) return out;
  for (const auto& [name, doc] : out.services) {
    if (doc->spec.mode != ServiceMode::kGlobal) continue;
    const SlotKey slot{name, 0, self_};
    if (!out.slots.contains(slot)) out.slots[slot].evicted = true;
  }
  return out;
}

}  // namespace kith
