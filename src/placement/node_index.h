#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/hash.h"
#include "placement/view.h"

namespace kith {

/// `find_node` by hash, for where it is asked a million times. Good until a node is added to the
/// view or leaves it.
class NodeIndex {
 public:
  explicit NodeIndex(const PlacementView& view) : view_(view) {
    size_t size = 4;
    while (size < view.nodes.size() * 2) size *= 2;
    table_.assign(size, kNothing);
    for (uint32_t i = 0; i < view.nodes.size(); ++i) {
      size_t at = bucket(view.nodes[i].id);
      while (table_[at] != kNothing) at = (at + 1) & (size - 1);
      table_[at] = i;
    }
  }

  [[nodiscard]] std::optional<uint32_t> find(const NodeId& id) const {
    for (size_t at = bucket(id); table_[at] != kNothing; at = (at + 1) & (table_.size() - 1))
      if (view_.nodes[table_[at]].id == id) return table_[at];
    return std::nullopt;
  }

 private:
  static constexpr uint32_t kNothing = UINT32_MAX;
  [[nodiscard]] size_t bucket(const NodeId& id) const {
    return stable_hash(id.key) & (table_.size() - 1);
  }

  const PlacementView& view_;
  std::vector<uint32_t> table_;  // at most half full
};

}  // namespace kith
