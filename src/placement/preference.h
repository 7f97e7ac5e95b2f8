#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "placement/view.h"

namespace kith {

/// Levels of preferences beyond this are passed over.
constexpr size_t kMaxPreferenceLevels = 8;

/// A service's spread preferences as a tree: nodes with equal label values are a group, groups
/// nest in the order of the preferences, and copies are counted in every group. Without
/// preferences there are no levels, and one leaf.
class PreferenceTree {
 public:
  /// `member[node]` nonzero: the node is in the tree. Others must not be asked about.
  PreferenceTree(const PlacementView& view, const std::vector<std::string>& descriptors,
                 const std::vector<uint8_t>& member);

  [[nodiscard]] size_t levels() const { return groups_.size(); }
  /// The innermost group of a node, counted from 0.
  [[nodiscard]] uint32_t leaf(uint32_t node) const { return leaf_[node]; }
  [[nodiscard]] uint32_t leaves() const { return leaves_; }
  /// Copies in the group that `leaf` belongs to at `level` (0 is outermost).
  [[nodiscard]] uint64_t count(size_t level, uint32_t leaf) const {
    return groups_[level][path_[leaf][level]].count;
  }
  void add(uint32_t leaf, int change);

  /// Copies above the ceiling or below the floor of an even share among sibling groups, summed over
  /// all groups: 0 means that no copy's move would make it more even.
  [[nodiscard]] uint64_t violated() const;
  /// How much `violated` falls if a copy moves between two leaves; negative if it rises.
  [[nodiscard]] int64_t gain(uint32_t from, uint32_t to);

 private:
  static constexpr uint32_t kRoot = UINT32_MAX;
  struct Group {
    uint32_t parent = kRoot;  // in the level above
    uint64_t count = 0;
    std::vector<uint32_t> children;  // in the level below
  };
  [[nodiscard]] uint64_t violated_below(const std::vector<uint32_t>& siblings, size_t level,
                                        uint64_t total) const;
  [[nodiscard]] uint64_t violated_around(uint32_t leaf, size_t from_level) const;

  std::vector<std::vector<Group>> groups_;   // by level
  std::vector<uint32_t> outermost_;          // the groups of level 0
  std::vector<std::vector<uint32_t>> path_;  // by leaf, by level
  std::vector<uint32_t> leaf_;               // by node
  uint32_t leaves_ = 1;
  uint64_t total_ = 0;
};

}  // namespace kith
