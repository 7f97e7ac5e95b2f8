#include "agent/placement_memory.h"

#include <utility>

#include "base/hash.h"

namespace kith {

std::shared_ptr<const Placement> PlacementMemory::work_out(PlacementView view, bool calm) {
  auto made = std::make_shared<Placement>();
  made->view = std::move(view);
  if (made->view.services.empty()) {
    made->assignment.use.resize(made->view.nodes.size());
    return made;
  }
  made->ring = ring(made->view);
  made->assignment = assign(made->view, *made->ring);
  if (calm) made->moves = rebalance(made->view, made->assignment);
  for (const auto& [name, targets] : made->assignment.services) {
    for (const SlotTarget& slot : targets.slots) {
      if (!slot.target.none()) made->by_target[slot.target].push_back(&slot);
      if (!slot.seated && !slot.move) made->unseated.push_back(&slot);
    }
  }
  return made;
}

std::shared_ptr<const Ring> PlacementMemory::ring(const PlacementView& view) {
  uint64_t key = 0;
  for (const NodeView& node : view.nodes)
    key = hash_combine(stable_hash(node.id.key, key), node.weight);
  std::weak_ptr<const Ring>& kept = rings_[key];
  if (auto known = kept.lock()) return known;
  auto made = std::make_shared<const Ring>(view);
  kept = made;
  sweep(rings_, sweep_rings_at_);
  return made;
}

}  // namespace kith
