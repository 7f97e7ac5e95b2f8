#include "placement/assigner.h"

#include <algorithm>
#include <tuple>

namespace kith {

std::span<const Seat> seats_at(std::span<const Seat> seats, const SlotKey& slot) {
  const auto first =
      std::lower_bound(seats.begin(), seats.end(), slot,
                       [](const Seat& seat, const SlotKey& wanted) { return seat.slot < wanted; });
  auto last = first;
  while (last != seats.end() && last->slot == slot) ++last;
  return {first, last};
}

Assigner::Assigner(const PlacementView& view, const Ring& ring)
    : eligibility(view, &ring), index(view), view_(view), marked_(view.nodes.size(), 0) {
  out.use.resize(view.nodes.size());
}

Assignment Assigner::run() {
  uint64_t slots = 0;
  std::vector<Held> held;
  for (const ServiceDoc& doc : view_.services) {
    const auto first = std::lower_bound(
        view_.seats.begin(), view_.seats.end(), doc.name,
        [](const Seat& seat, const std::string& name) { return seat.slot.service < name; });
    auto last = first;
    while (last != view_.seats.end() && last->slot.service == doc.name) ++last;
    held.clear();
    if (!seat(doc, {first, last}, held)) continue;
    const Demand demand(doc.spec);
    const auto& targets = out.services.find(doc.name)->second.slots;
    slots += targets.size();
    for (const Held& copy : held) {
      charge(out.use[copy.node], demand, targets[copy.position].slot);
      out.use[copy.node].slots += copy.seated;
    }
  }
  set_bounds(slots);
  for (const ServiceDoc& doc : view_.services) place_rest(doc);
  return std::move(out);
}

bool Assigner::seat(const ServiceDoc& doc, std::span<const Seat> seats, std::vector<Held>& held) {
  if (!is_replicated(doc) && !is_global(doc)) return false;
  const auto [at, fresh] = out.services.try_emplace(doc.name);
  if (!fresh) return false;  // two documents of one name: the older counts
  ServiceTargets& service = at->second;
  service.service_id = doc.id;

  auto next = seats.begin();
  const auto add = [&](SlotKey slot, bool only_if_seated) {
    while (next != seats.end() && next->slot < slot) ++next;
    auto last = next;
    while (last != seats.end() && last->slot == slot) ++last;
    SlotTarget target;
    target.slot = std::move(slot);
    const auto position = static_cast<uint32_t>(service.slots.size());
    seat_slot(doc, {next, last}, target, position, held);
    next = last;
    if (!only_if_seated || target.seated) service.slots.push_back(std::move(target));
  };
  if (is_global(doc)) {
    const Candidates& candidates = eligibility.of(doc.spec);
    for (uint32_t i = 0; i < view_.nodes.size(); ++i)
      if (candidates.holds[i] != 0)
        add({doc.name, 0, view_.nodes[i].id}, candidates.bar[i] != Bar::kNone);
  } else {
    const uint32_t replicas = std::min(doc.spec.replicas, kMaxReplicas);
    service.slots.reserve(replicas);
    for (uint32_t i = 1; i <= replicas; ++i) add({doc.name, i, {}}, false);
  }
  return true;
}

void Assigner::seat_slot(const ServiceDoc& doc, std::span<const Seat> seats, SlotTarget& target,
                         uint32_t position, std::vector<Held>& held) {
  if (seats.empty() && doc.homes.empty()) return;
  const Candidates& candidates = eligibility.of(doc.spec);
  const Seat* best = nullptr;   // where it may stay
  const Seat* known = nullptr;  // wherever, the dead included
  const size_t first = held.size();
  for (const Seat& seat : seats) {
    if (seat.service_id != doc.id || (is_global(doc) && seat.node != target.slot.node)) continue;
    if (known == nullptr || outranks(seat, *known)) known = &seat;
    const auto node = index.find(seat.node);
    if (!node) continue;
    const Liveness liveness = view_.nodes[*node].liveness;
    if (liveness == Liveness::kDead || liveness == Liveness::kLeft) continue;
    held.push_back({*node, position, false});
    target.move = true;
    if (candidates.holds[*node] != 0 && (best == nullptr || outranks(seat, *best))) best = &seat;
  }
  if (is_replicated(doc) && doc.spec.failover == Failover::kPinned) {
    keep_home(doc, seats, known, candidates, target);
  } else if (best != nullptr) {
    target.target = best->node;
  } else if (is_replicated(doc) && doc.spec.failover == Failover::kManual && known != nullptr &&
             !target.move && index.find(known->node)) {
    target.waiting = Waiting::kManual;
    target.waits_for = known->node;
  }
  if (target.target.none()) return;
  target.seated = true;
  target.move = false;
  for (size_t i = first; i < held.size(); ++i)
    held[i].seated = view_.nodes[held[i].node].id == target.target;
}

/// Leaves the home in `waits_for` if the slot has one and no seat there.
void Assigner::keep_home(const ServiceDoc& doc, std::span<const Seat> seats, const Seat* known,
                         const Candidates& candidates, SlotTarget& target) {
  const auto written = doc.homes.find(target.slot.index);
  NodeId home;
  if (written != doc.homes.end()) {
    home = written->second;
  } else if (known != nullptr) {
    home = known->node;
  }
  const auto node = index.find(home);
  const bool there = std::any_of(seats.begin(), seats.end(), [&](const Seat& seat) {
    return seat.service_id == doc.id && seat.node == home;
  });
  if (there && node && candidates.holds[*node] != 0) {
    target.target = home;
  } else {
    target.waits_for = home;
  }
}

void Assigner::set_bounds(uint64_t slots) {
  load_ = {slots, 0};
  for (uint32_t i = 0; i < view_.nodes.size(); ++i)
    if (eligibility.bar(i) == Bar::kNone) load_.weight += weight_of(view_.nodes[i]);
  bounds_.clear();
  for (const NodeView& node : view_.nodes) bounds_.push_back(load_.at(weight_of(node)));
}

void Assigner::place_rest(const ServiceDoc& doc) {
  const auto at = out.services.find(doc.name);
  if (at == out.services.end() || at->second.service_id != doc.id) return;
  auto& slots = at->second.slots;
  const auto waits = [](const SlotTarget& slot) {
    return slot.target.none() && slot.waiting == Waiting::kNo;
  };
  if (std::none_of(slots.begin(), slots.end(), waits)) return;

  Placing placing(doc, eligibility.of(doc.spec));
  placing.counts.assign(view_.nodes.size(), 0);
  placing.spread = spread_bound(slots.size(), placing.candidates.count);
  if (is_replicated(doc) && !doc.spec.spread_preferences.empty()) {
    std::vector<uint8_t> member;
    for (const Bar bar : placing.candidates.bar) member.push_back(bar == Bar::kNone);
    placing.tree.emplace(view_, doc.spec.spread_preferences, member);
  }
  for (const SlotTarget& slot : slots) {
    if (slot.target.none()) continue;
    const uint32_t node = *index.find(slot.target);
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
  const auto node = index.find(where);
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
  return lacks(view_.nodes[node], out.use[node], placing.demand, slot) == Lack::kNothing;
}

void Assigner::take(Placing& placing, SlotTarget& target, uint32_t node) {
  target.target = view_.nodes[node].id;
  ++placing.counts[node];
  if (placing.tree) placing.tree->add(placing.tree->leaf(node), 1);
  out.use[node].slots += 1;
  charge(out.use[node], placing.demand, target.slot);
  taken.push_back(node);
}

uint32_t Assigner::choose(Placing& placing, const SlotKey& slot) {
  if (placing.exhausted || placing.candidates.count == 0) return kNobody;
  const bool refusals = any_refusal(view_, placing.doc, slot);
  if (placing.tree) return choose_relaxed(placing, slot, refusals);
  walk_.start(eligibility.ring(placing.candidates), slot.hash());
  while (const auto met = walk_.next()) {
    const uint32_t node = *met;
    if (placing.candidates.bar[node] != Bar::kNone) continue;
    if (placing.counts[node] >= placing.spread) continue;
    const uint64_t bound = placing.level == LoadBound::kLevel
                               ? bounds_[node]
                               : load_.at(weight_of(view_.nodes[node]), placing.level);
    if (out.use[node].slots >= bound || !has_room(placing, node, slot)) continue;
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
    need.level =
        std::max(load_.level_for(weight_of(view_.nodes[node]), out.use[node].slots), placing.level);
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
  walk_.start(eligibility.ring(placing.candidates), slot.hash());
  auto first = walk_.next();
  while (first && marked_[*first] == 0) first = walk_.next();
  for (const uint32_t node : best) marked_[node] = 0;
  return first.value_or(kNobody);
}

/// Where every node that could run the slot has refused it: the first in the walk of those.
uint32_t Assigner::first_refused(Placing& placing, const SlotKey& slot) {
  if (placing.exhausted || !any_refusal(view_, placing.doc, slot)) return kNobody;
  walk_.start(eligibility.ring(placing.candidates), slot.hash());
  while (const auto node = walk_.next())
    if (placing.candidates.bar[*node] == Bar::kNone && has_room(placing, *node, slot)) return *node;
  return kNobody;
}

}  // namespace kith
