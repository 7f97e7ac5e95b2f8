#include "placement/assign.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <tuple>

#include "placement/bounds.h"
#include "placement/eligibility.h"
#include "placement/preference.h"

namespace kith {
namespace {

constexpr uint32_t kNobody = std::numeric_limits<uint32_t>::max();

/// How a service is being placed; the bounds of one service only rise, its candidates only fall.
struct Placing {
  Placing(const ServiceDoc& service, const Candidates& left)
      : doc(service), demand(service.spec), candidates(left) {}

  const ServiceDoc& doc;
  Demand demand;
  const Candidates& candidates;
  std::vector<uint32_t> counts;  // copies of the service by node
  uint64_t spread = 0;
  uint64_t level = LoadBound::kLevel;
  bool exhausted = false;  // no node has room for any further slot
  std::optional<PreferenceTree> tree;
};

class Assigner {
 public:
  Assigner(const PlacementView& view, const Ring& ring)
      : view_(view), eligibility_(view, &ring), marked_(view.nodes.size(), 0) {
    out_.use.resize(view.nodes.size());
    for (uint32_t i = 0; i < view.nodes.size(); ++i)
      if (eligibility_.bar(i) == Bar::kNone) load_.weight += weight_of(view.nodes[i]);
  }

  Assignment run() {
    for (const ServiceDoc& doc : view_.services) seat(doc);
    for (const NodeView& node : view_.nodes) bounds_.push_back(load_.at(weight_of(node)));
    for (const ServiceDoc& doc : view_.services) place_rest(doc);
    return std::move(out_);
  }

 private:
  // Pass 1: what has a seat stays.
  void seat(const ServiceDoc& doc);
  void seat_slot(const ServiceDoc& doc, const Demand& demand, const Candidates& candidates,
                 const std::vector<const Seat*>& seats, SlotTarget& target);
  void keep_home(const ServiceDoc& doc, const std::vector<const Seat*>& seats, const Seat* known,
                 const Candidates& candidates, SlotTarget& target);

  // Pass 2: the rest walks.
  void place_rest(const ServiceDoc& doc);
  void place_slot(Placing& placing, SlotTarget& target);
  void place_at(Placing& placing, SlotTarget& target, const NodeId& where);
  uint32_t choose(Placing& placing, const SlotKey& slot);
  uint32_t choose_relaxed(Placing& placing, const SlotKey& slot, bool refusals);
  uint32_t first_refused(Placing& placing, const SlotKey& slot);
  bool has_room(const Placing& placing, uint32_t node, const SlotKey& slot) const;
  void take(Placing& placing, SlotTarget& target, uint32_t node);

  const PlacementView& view_;
  Eligibility eligibility_;
  LoadBound load_;
  std::vector<uint64_t> bounds_;  // by node, at the first level
  std::vector<uint8_t> marked_;   // by node: scratch of choose_relaxed
  Walk walk_;
  Assignment out_;
};

void Assigner::seat(const ServiceDoc& doc) {
  if (!is_replicated(doc) && !is_global(doc)) return;
  const Candidates& candidates = eligibility_.of(doc.spec);
  const Demand demand(doc.spec);
  const auto [at, fresh] = out_.services.try_emplace(doc.name);
  if (!fresh) return;  // two documents of one name: the older counts
  ServiceTargets& service = at->second;
  service.service_id = doc.id;

  auto next = std::lower_bound(
      view_.seats.begin(), view_.seats.end(), doc.name,
      [](const Seat& seat, const std::string& name) { return seat.slot.service < name; });
  std::vector<const Seat*> seats;
  const auto add = [&](SlotKey slot, bool only_if_seated) {
    seats.clear();
    while (next != view_.seats.end() && next->slot < slot) ++next;
    for (; next != view_.seats.end() && next->slot == slot; ++next)
      if (next->service_id == doc.id) seats.push_back(&*next);
    SlotTarget target;
    target.slot = std::move(slot);
    seat_slot(doc, demand, candidates, seats, target);
    if (only_if_seated && !target.seated) return;
    ++load_.slots;
    service.slots.push_back(std::move(target));
  };
  if (is_global(doc)) {
    for (uint32_t i = 0; i < view_.nodes.size(); ++i)
      if (candidates.holds[i] != 0)
        add({doc.name, 0, view_.nodes[i].id}, candidates.bar[i] != Bar::kNone);
  } else {
    const uint32_t replicas = std::min(doc.spec.replicas, kMaxReplicas);
    service.slots.reserve(replicas);
    for (uint32_t index = 1; index <= replicas; ++index) add({doc.name, index, {}}, false);
  }
}

void Assigner::seat_slot(const ServiceDoc& doc, const Demand& demand, const Candidates& candidates,
                         const std::vector<const Seat*>& seats, SlotTarget& target) {
  const Seat* best = nullptr;   // where it may stay
  const Seat* known = nullptr;  // wherever, the dead included
  const std::optional<NodeId> only =
      is_global(doc) ? std::optional(target.slot.node) : std::nullopt;
  for (const Seat* seat : seats) {
    if (only && seat->node != *only) continue;
    if (known == nullptr || outranks(*seat, *known)) known = seat;
    const auto node = find_node(view_, seat->node);
    if (!node) continue;
    const Liveness liveness = view_.nodes[*node].liveness;
    if (liveness == Liveness::kDead || liveness == Liveness::kLeft) continue;
    charge(out_.use[*node], demand, target.slot);
    target.move = true;
    if (candidates.holds[*node] != 0 && (best == nullptr || outranks(*seat, *best))) best = seat;
  }
  if (is_replicated(doc) && doc.spec.failover == Failover::kPinned) {
    keep_home(doc, seats, known, candidates, target);
  } else if (best != nullptr) {
    target.target = best->node;
  } else if (is_replicated(doc) && doc.spec.failover == Failover::kManual && known != nullptr &&
             !target.move && find_node(view_, known->node)) {
    target.waiting = Waiting::kManual;
    target.waits_for = known->node;
  }
  if (target.target.none()) return;
  target.seated = true;
  target.move = false;
  out_.use[*find_node(view_, target.target)].slots += 1;
}

/// Leaves the home in `waits_for` if the slot has one and no seat there.
void Assigner::keep_home(const ServiceDoc& doc, const std::vector<const Seat*>& seats,
                         const Seat* known, const Candidates& candidates, SlotTarget& target) {
  const auto written = doc.homes.find(target.slot.index);
  NodeId home;
  if (written != doc.homes.end()) {
    home = written->second;
  } else if (known != nullptr) {
    home = known->node;
  }
  const auto node = find_node(view_, home);
  const bool there =
      std::any_of(seats.begin(), seats.end(), [&](const Seat* seat) { return seat->node == home; });
  if (there && node && candidates.holds[*node] != 0) {
    target.target = home;
  } else {
    target.waits_for = home;
  }
}

void Assigner::place_rest(const ServiceDoc& doc) {
  const auto at = out_.services.find(doc.name);
  if (at == out_.services.end() || at->second.service_id != doc.id) return;
  auto& slots = at->second.slots;
  const auto waits = [](const SlotTarget& slot) {
    return slot.target.none() && slot.waiting == Waiting::kNo;
  };
  if (std::none_of(slots.begin(), slots.end(), waits)) return;

  Placing placing(doc, eligibility_.of(doc.spec));
  placing.counts.assign(view_.nodes.size(), 0);
  placing.spread = spread_bound(slots.size(), placing.candidates.count);
  if (is_replicated(doc) && !doc.spec.spread_preferences.empty()) {
    std::vector<uint8_t> member;
    for (const Bar bar : placing.candidates.bar) member.push_back(bar == Bar::kNone);
    placing.tree.emplace(view_, doc.spec.spread_preferences, member);
  }
  for (const SlotTarget& slot : slots) {
    if (slot.target.none()) continue;
    const uint32_t node = *find_node(view_, slot.target);
    ++placing.counts[node];
    if (placing.tree && placing.candidates.bar[node] == Bar::kNone)
      placing.tree->add(placing.tree->leaf(node), 1);
  }
  for (SlotTarget& slot : slots)
    if (waits(slot)) place_slot(placing, slot);
}

void Assigner::place_slot(Placing& placing, SlotTarget& target) {
  if (is_global(placing.doc)) return place_at(placing, target, target.slot.node);
  if (!target.waits_for.none()) return place_at(placing, target, target.waits_for);
  uint32_t node = choose(placing, target.slot);
  if (node == kNobody) {
    node = first_refused(placing, target.slot);
    target.all_refused = node != kNobody;
  }
  if (node == kNobody) {
    target.waiting = Waiting::kNoSuitableNode;
  } else {
    take(placing, target, node);
  }
}

/// For a slot that can run on one node only. Bounds do not apply to it.
void Assigner::place_at(Placing& placing, SlotTarget& target, const NodeId& where) {
  const auto node = find_node(view_, where);
  if (!node || placing.candidates.bar[*node] != Bar::kNone ||
      !has_room(placing, *node, target.slot)) {
    target.waiting = is_global(placing.doc) ? Waiting::kNoSuitableNode : Waiting::kHomeAway;
    return;
  }
  target.waits_for = {};
  target.all_refused = refusal(view_, placing.doc, target.slot, where) != nullptr;
  take(placing, target, *node);
}

bool Assigner::has_room(const Placing& placing, uint32_t node, const SlotKey& slot) const {
  const uint32_t most = placing.doc.spec.max_replicas_per_node;
  if (is_replicated(placing.doc) && most != 0 && placing.counts[node] >= most) return false;
  return lacks(view_.nodes[node], out_.use[node], placing.demand, slot) == Lack::kNothing;
}

void Assigner::take(Placing& placing, SlotTarget& target, uint32_t node) {
  target.target = view_.nodes[node].id;
  ++placing.counts[node];
  if (placing.tree) placing.tree->add(placing.tree->leaf(node), 1);
  out_.use[node].slots += 1;
  charge(out_.use[node], placing.demand, target.slot);
}

uint32_t Assigner::choose(Placing& placing, const SlotKey& slot) {
  if (placing.exhausted || placing.candidates.count == 0) return kNobody;
  const bool refusals = any_refusal(view_, placing.doc, slot);
  if (placing.tree) return choose_relaxed(placing, slot, refusals);
  walk_.start(eligibility_.ring(placing.candidates), slot.hash());
  while (const auto met = walk_.next()) {
    const uint32_t node = *met;
    if (placing.candidates.bar[node] != Bar::kNone) continue;
    if (placing.counts[node] >= placing.spread) continue;
    const uint64_t bound = placing.level == LoadBound::kLevel
                               ? bounds_[node]
                               : load_.at(weight_of(view_.nodes[node]), placing.level);
    if (out_.use[node].slots >= bound || !has_room(placing, node, slot)) continue;
    if (refusals && refusal(view_, placing.doc, slot, view_.nodes[node].id) != nullptr) continue;
    return node;
  }
  return choose_relaxed(placing, slot, refusals);
}

/// The first in the walk among the nodes that need the least relaxing: preference groups first,
/// then the load bound, then the spread bound, which gives way before the load bound does.
uint32_t Assigner::choose_relaxed(Placing& placing, const SlotKey& slot, bool refusals) {
  struct Need {
    std::vector<uint64_t> groups;
    uint64_t level = 0;
    uint64_t count = 0;
    auto operator<=>(const Need&) const = default;
  };
  Need least;
  Need need;
  std::vector<uint32_t> best;
  bool room = false;
  for (uint32_t node = 0; node < view_.nodes.size(); ++node) {
    if (placing.candidates.bar[node] != Bar::kNone || !has_room(placing, node, slot)) continue;
    room = true;
    if (refusals && refusal(view_, placing.doc, slot, view_.nodes[node].id) != nullptr) continue;
    need.groups.clear();
    for (size_t level = 0; placing.tree && level < placing.tree->levels(); ++level)
      need.groups.push_back(placing.tree->count(level, placing.tree->leaf(node)));
    need.level = std::max(load_.level_for(weight_of(view_.nodes[node]), out_.use[node].slots),
                          placing.level);
    need.count = placing.counts[node];
    if (best.empty() || need < least) {
      least = need;
      best.clear();
    }
    if (need == least) best.push_back(node);
  }
  placing.exhausted = !room;
  if (best.empty()) return kNobody;
  if (!placing.tree) {
    placing.level = least.level;
    placing.spread = std::max(placing.spread, least.count + 1);
  }
  for (const uint32_t node : best) marked_[node] = 1;
  walk_.start(eligibility_.ring(placing.candidates), slot.hash());
  auto first = walk_.next();
  while (first && marked_[*first] == 0) first = walk_.next();
  for (const uint32_t node : best) marked_[node] = 0;
  return first.value_or(kNobody);
}

/// Where every node that could run the slot has refused it: the first in the walk of those.
uint32_t Assigner::first_refused(Placing& placing, const SlotKey& slot) {
  if (placing.exhausted || !any_refusal(view_, placing.doc, slot)) return kNobody;
  walk_.start(eligibility_.ring(placing.candidates), slot.hash());
  while (const auto node = walk_.next())
    if (placing.candidates.bar[*node] == Bar::kNone && has_room(placing, *node, slot)) return *node;
  return kNobody;
}

}  // namespace

const SlotTarget* Assignment::find(const SlotKey& slot) const {
  const auto service = services.find(slot.service);
  if (service == services.end()) return nullptr;
  const auto& slots = service->second.slots;
  const auto at = std::lower_bound(
      slots.begin(), slots.end(), slot,
      [](const SlotTarget& target, const SlotKey& wanted) { return target.slot < wanted; });
  return at == slots.end() || at->slot != slot ? nullptr : &*at;
}

Assignment assign(const PlacementView& view) {
  return assign(view, Ring(view));
}

Assignment assign(const PlacementView& view, const Ring& ring) {
  assert(in_order(view));
  assert(ring.nodes() == view.nodes.size());
  return Assigner(view, ring).run();
}

std::optional<uint32_t> place(const PlacementView& view, const Ring& ring,
                              const Assignment& assignment, const SlotKey& slot,
                              const NodeId& node) {
  const SlotTarget* const target = assignment.find(slot);
  if (target == nullptr || target->target.none()) return std::nullopt;
  if (target->target == node) return 0;
  const auto& service = assignment.services.find(slot.service)->second;
  const auto doc = std::find_if(view.services.begin(), view.services.end(),
                                [&](const ServiceDoc& d) { return d.id == service.service_id; });
  if (doc == view.services.end() || !is_replicated(*doc) ||
      doc->spec.failover == Failover::kPinned || doc->spec.failover == Failover::kManual)
    return std::nullopt;

  Eligibility eligibility(view, &ring);
  const Candidates& candidates = eligibility.of(doc->spec);
  const Demand demand(doc->spec);
  std::map<NodeId, uint32_t> counts;
  for (const SlotTarget& other : service.slots) ++counts[other.target];
  const uint32_t most = doc->spec.max_replicas_per_node;
  Walk walk;
  walk.start(eligibility.ring(candidates), slot.hash());
  for (uint32_t before = 1; const auto met = walk.next();) {
    const NodeView& other = view.nodes[*met];
    if (candidates.bar[*met] != Bar::kNone || other.id == target->target) continue;
    if (most != 0 && counts[other.id] >= most) continue;
    if (lacks(other, assignment.use[*met], demand, slot) != Lack::kNothing) continue;
    if (refusal(view, *doc, slot, other.id) != nullptr) continue;
    if (other.id == node) return before;
    ++before;
  }
  return std::nullopt;
}

}  // namespace kith
