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
  make_starts();
}

void Ring::make_starts() {
  unsigned bits = 1;
  while (bits < kMaxStartBits && (size_t{1} << bits) < points_.size()) ++bits;
  start_shift_ = 64 - bits;
  starts_.assign((size_t{1} << bits) + 1, 0);
  for (const Point& point : points_) ++starts_[(point.hash >> start_shift_) + 1];
  for (size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
}

size_t Ring::first_from(uint64_t hash) const {
  const size_t bucket = hash >> start_shift_;
  size_t at = starts_[bucket];
  while (at < starts_[bucket + 1] && points_[at].hash < hash) ++at;
  return at;
}

Ring Ring::only(const std::vector<uint8_t>& keep) const {
  Ring part;
  part.nodes_ = nodes_;
  for (uint32_t i = 0; i < nodes_; ++i) part.distinct_ += keep[i] != 0;
  for (const Point& point : points_)
    if (keep[point.node] != 0) part.points_.push_back(point);
  part.make_starts();
  return part;
}

void Walk::start(const Ring& ring, uint64_t hash) {
  ring_ = &ring;
  const auto& points = ring.points();
  at_ = ring.first_from(hash);
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
