#include "placement/view.h"

#include <algorithm>
#include <tuple>

namespace kith {
namespace {

bool older(const ServiceDoc& a, const ServiceDoc& b) {
  return std::tie(a.created, a.id) < std::tie(b.created, b.id);
}
bool by_id(const NodeView& a, const NodeView& b) {
  return a.id < b.id;
}
bool by_slot(const Seat& a, const Seat& b) {
  return std::tie(a.slot, a.node) < std::tie(b.slot, b.node);
}
bool by_slot_refused(const Refusal& a, const Refusal& b) {
  return std::tie(a.slot, a.node) < std::tie(b.slot, b.node);
}

}  // namespace

void put_in_order(PlacementView& view) {
  std::sort(view.nodes.begin(), view.nodes.end(), by_id);
  std::sort(view.services.begin(), view.services.end(), older);
  std::sort(view.seats.begin(), view.seats.end(), by_slot);
  std::sort(view.refusals.begin(), view.refusals.end(), by_slot_refused);
}

bool in_order(const PlacementView& view) {
  return std::is_sorted(view.nodes.begin(), view.nodes.end(), by_id) &&
         std::is_sorted(view.services.begin(), view.services.end(), older) &&
         std::is_sorted(view.seats.begin(), view.seats.end(), by_slot) &&
         std::is_sorted(view.refusals.begin(), view.refusals.end(), by_slot_refused);
}

std::optional<uint32_t> find_node(const PlacementView& view, const NodeId& id) {
  const auto at =
      std::lower_bound(view.nodes.begin(), view.nodes.end(), id,
                       [](const NodeView& node, const NodeId& wanted) { return node.id < wanted; });
  if (at == view.nodes.end() || at->id != id) return std::nullopt;
  return static_cast<uint32_t>(at - view.nodes.begin());
}

}  // namespace kith
