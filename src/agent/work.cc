#include "agent/work.h"

#include <utility>

#include "base/defects.h"
#include "base/hash.h"

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
  const auto at = liveness_->find(node);
  return at == liveness_->end() || at->second == Liveness::kDead || at->second == Liveness::kLeft;
}

Work::Work(std::shared_ptr<PlacementMemory> memory)
    : memory_(std::move(memory)), placement_(std::make_shared<const Placement>()) {}

uint64_t Work::settle_liveness(const Catalog& catalog, const std::map<NodeId, Member>& members) {
  Bytes all;
  all.reserve(catalog.roster().size());
  bool same = liveness_->size() == catalog.roster().size();
  auto member = members.begin();
  auto kept = liveness_->begin();
  for (const auto& [id, doc] : catalog.roster()) {  // all three are in the order of ids
    while (member != members.end() && member->first < id) ++member;
    const bool known = member != members.end() && member->first == id;
    const Liveness liveness = liveness_of(known ? &member->second : nullptr, self_);
    all.push_back(static_cast<uint8_t>(liveness));
    same = same && kept->first == id && kept->second == liveness;
    if (same) ++kept;
  }
  if (!same) {
    auto fresh = std::make_shared<Living>();
    auto said = all.begin();
    for (const auto& [id, doc] : catalog.roster())
      fresh->emplace_hint(fresh->end(), id, static_cast<Liveness>(*said++));
    liveness_ = std::move(fresh);
  }
  return stable_hash(all);
}

PlacementView Work::make_view(const Catalog& catalog) const {
  PlacementView view;
  view.nodes.reserve(catalog.roster().size());
  auto info = catalog.infos().begin();
  auto liveness = liveness_->begin();  // of the same nodes as the roster
  for (const auto& [id, doc] : catalog.roster()) {
    while (info != catalog.infos().end() && info->first < id) ++info;
    const bool known = info != catalog.infos().end() && info->first == id;
    view.nodes.push_back(
        node_view(doc, known ? &info->second.said : nullptr, (liveness++)->second));
  }
  for (const auto& [name, doc] : catalog.services()) view.services.push_back(*doc);
  for (const auto& [node, tasks] : catalog.tasks()) {
    if (hidden(node)) continue;
    for (const auto& [id, task] : tasks) {
      if (!present(*task.record)) continue;
      view.seats.push_back({task.record->slot, node, task.record->service_id,
                            task.record->generation, task.record->term, healthy(*task.record),
                            task.record->moving});
    }
  }
  for (const auto& [node, refusals] : catalog.refusals())
    for (const auto& [slot, refused] : refusals)
      view.refusals.push_back({slot, node, refused.generation, refused.reason});
  if (defective(Defect::kPlacementOfSelf))
    for (NodeView& node : view.nodes) node.weight *= node.id == self_ ? 2 : 1;
  put_in_order(view);
  return view;
}

void Work::update(const Catalog& catalog, uint64_t documents,
                  const std::map<NodeId, Member>& members, const NodeId& self, bool calm) {
  self_ = self;
  const uint64_t liveness = settle_liveness(catalog, members);
  uint64_t key = hash_combine(documents, catalog.placement_digest());
  key = hash_combine(hash_combine(key, liveness), calm ? 1 : 0);
  if (defective(Defect::kPlacementOfSelf)) key = hash_combine(key, self.short_id());
  if (memory_ && key == key_) return;
  key_ = key;
  unused_ring_.reset();
  const auto view = [&] { return make_view(catalog); };
  placement_ =
      memory_ ? memory_->placement(key, calm, view) : PlacementMemory().placement(key, calm, view);
}

std::span<const SlotTarget* const> Work::targets_of(const NodeId& node) const {
  const auto at = placement_->by_target.find(node);
  if (at == placement_->by_target.end()) return {};
  return at->second;
}

const Ring& Work::ring() const {
  if (placement_->ring) return *placement_->ring;
  if (!unused_ring_) unused_ring_ = std::make_shared<const Ring>(placement_->view);
  return *unused_ring_;
}

SlotFacts Work::facts_of(const SlotTarget& slot, const ServiceSpec& spec) const {
  SlotFacts facts;
  facts.target = slot.target;
  // Who comes next matters only while no copy is present: the search is dear.
  if (slot.target == self_)
    facts.place = 0;
  else if (!slot.seated && !slot.move)
    facts.place = place(view(), ring(), assignment(), slot.slot, self_);
  facts.pinned = spec.failover == Failover::kPinned || spec.failover == Failover::kManual;
  facts.all_refused = slot.all_refused;
  if (slot.move) facts.move_to = slot.target;
  return facts;
}

Situation Work::situation(const Catalog& catalog, Epoch epoch,
                          const std::vector<SlotKey>& concerns) const {
  Situation out;
  out.services = catalog.services();
  out.nodes = liveness_;
  out.tasks = catalog.tasks_by_slot();
  out.epoch = epoch;
  const auto speak_of = [&](const SlotTarget* slot) {
    if (slot == nullptr || (!slot->slot.node.none() && slot->slot.node != self_)) return;
    const auto doc = catalog.services().find(slot->slot.service);
    if (doc == catalog.services().end()) return;
    const auto [at, fresh] = out.slots.try_emplace(slot->slot);
    if (fresh) at->second = facts_of(*slot, doc->second->spec);
  };
  if (const auto mine = placement_->by_target.find(self_); mine != placement_->by_target.end())
    for (const SlotTarget* slot : mine->second) speak_of(slot);
  for (const SlotTarget* slot : placement_->unseated) speak_of(slot);
  for (const SlotKey& slot : concerns) speak_of(assignment().find(slot));
  for (const Move& move : placement_->moves) {
    speak_of(assignment().find(move.slot));
    if (const auto at = out.slots.find(move.slot); at != out.slots.end())
      at->second.move_to = move.to;
  }
  // A node that is not enrolled, or not any more, enrols first and is judged then.
  const bool enrolled = liveness_->contains(self_);
  for (const auto& [name, doc] : out.services) {
    if (doc->spec.mode != ServiceMode::kGlobal) continue;
    const SlotKey slot{name, 0, self_};
    speak_of(assignment().find(slot));
    // Not asked for any more: this node is drained, or does not fit.
    if (enrolled && !out.slots.contains(slot)) out.slots[slot].evicted = true;
  }
  return out;
}

}  // namespace kith
