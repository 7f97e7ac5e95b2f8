#include "placement/assign.h"

#include <algorithm>
#include <cassert>

#include "placement/assigner.h"

namespace kith {

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
