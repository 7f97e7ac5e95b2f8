#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "placement/view.h"

namespace kith {

/// Points on the ring of a node of mean weight. More points make shares more even (the deviation of
/// a share is about 1 / sqrt(points)) and the ring dearer to build.
constexpr uint32_t kVirtualNodes = 128;

/// Consistent hashing (Karger et al. 1997). Every node of the roster has points, the dead ones too,
/// so that a death changes no other node's points: the walk passes over who cannot be used.
/// Nodes are named by their index in `PlacementView::nodes`.
class Ring {
 public:
  struct Point {
    uint64_t hash = 0;
    uint32_t node = 0;
  };

  /// A node gets kVirtualNodes x its weight / the mean weight points, at least one.
  explicit Ring(const PlacementView& view);

  /// The same ring with only the points of nodes for which `keep[node]` is nonzero: a walk on it
  /// meets these in the same order as a walk on the whole.
  [[nodiscard]] Ring only(const std::vector<uint8_t>& keep) const;

  [[nodiscard]] const std::vector<Point>& points() const { return points_; }
  /// Where the first point at or after `hash` stands in `points`; their number if there is none.
  [[nodiscard]] size_t first_from(uint64_t hash) const;
  /// How many nodes the view had, whether or not they have points here.
  [[nodiscard]] uint32_t nodes() const { return nodes_; }
  /// How many nodes have points here.
  [[nodiscard]] uint32_t distinct() const { return distinct_; }

 private:
  Ring() = default;
  void make_starts();

  static constexpr unsigned kMaxStartBits = 20;
  std::vector<Point> points_;
  // By the upper bits of a hash: how many points lie before all with those bits. A search then
  // looks at a few points instead of at log2 of all.
  std::vector<uint32_t> starts_;
  unsigned start_shift_ = 63;
  uint32_t nodes_ = 0;
  uint32_t distinct_ = 0;
};

/// Yields each node of a ring once, clockwise from a hash. Reusable: `start` costs one look
/// at an index; the marks of earlier walks are kept by number, not cleared.
class Walk {
 public:
  /// `ring` outlives the walk or the next `start`.
  void start(const Ring& ring, uint64_t hash);
  [[nodiscard]] std::optional<uint32_t> next();

 private:
  const Ring* ring_ = nullptr;
  size_t at_ = 0;
  size_t left_ = 0;      // points not looked at yet
  uint32_t unseen_ = 0;  // nodes not yielded yet
  uint32_t round_ = 0;
  std::vector<uint32_t> seen_in_;
};

}  // namespace kith
