#include "placement/ring.h"

#include <algorithm>
#include <tuple>

#include "base/hash.h"

namespace kith {

Ring::Ring(const PlacementView& view) : nodes_(static_cast<uint32_t>(view.nodes.size())) {
  uint64_t total = 0;
  for (const NodeView& node : view.nodes) total += std::max<uint32_t>(node.weight, 1);
  for (uint32_t i = 0; i < nodes_; ++i) {
    const NodeView& node = view.nodes[i];
    const uint64_t weight = std::max<uint32_t>(node.weight, 1);
    const uint64_t count = std::max<uint64_t>(kVirtualNodes * weight * nodes_ / total, 1);
    const uint64_t seed = stable_hash(node.id.key);
    for (uint64_t k = 0; k < count; ++k) points_.push_back({hash_combine(seed, k), i});
  }
  std::sort(points_.begin(), points_.end(), [](const Point& a, const Point& b) {
    return std::tie(a.hash, a.node) < std::tie(b.hash, b.node);
  });
  distinct_ = nodes_;
}

Ring Ring::only(const std::vector<uint8_t>& keep) const {
  Ring part;
  part.nodes_ = nodes_;
  for (uint32_t i = 0; i < nodes_; ++i) part.distinct_ += keep[i] != 0;
  for (const Point& point : points_)
    if (keep[point.node] != 0) part.points_.push_back(point);
  return part;
}

void Walk::start(const Ring& ring, uint64_t hash) {
  ring_ = &ring;
  const auto& points = ring.points();
  const auto at = std::lower_bound(
      points.begin(), points.end(), hash,
      [](const Ring::Point& point, uint64_t wanted) { return point.hash < wanted; });
  at_ = static_cast<size_t>(at - points.begin());
  left_ = points.size();
  unseen_ = ring.distinct();
  if (seen_in_.size() != ring.nodes() || round_ == UINT32_MAX) {
    seen_in_.assign(ring.nodes(), 0);
    round_ = 0;
  }
  ++round_;
}

std::optional<uint32_t> Walk::next() {
  const auto& points = ring_->points();
  while (unseen_ > 0 && left_ > 0) {
    if (at_ == points.size()) at_ = 0;
    const uint32_t node = points[at_].node;
    ++at_;
    --left_;
    if (seen_in_[node] == round_) continue;
    seen_in_[node] = round_;
    --unseen_;
    return node;
  }
  return std::nullopt;
}

}  // namespace kith
