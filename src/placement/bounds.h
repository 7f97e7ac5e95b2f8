#pragma once

#include <algorithm>
#include <cstdint>

namespace kith {

__extension__ using Wide = unsigned __int128;
__extension__ using SignedWide = __int128;

/// Copies of one service that fall on a node if they spread evenly.
[[nodiscard]] inline uint64_t spread_bound(uint64_t replicas, uint64_t eligible) {
  return eligible == 0 ? 0 : (replicas + eligible - 1) / eligible;
}

/// Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2018): a node takes at
/// most ceil(level / 10 x its weighted share of all slots). A level that leaves no room rises.
struct LoadBound {
  static constexpr uint64_t kLevel = 11;  ///< tenths: 1.1 times the share

  uint64_t slots = 0;   ///< of all services
  uint64_t weight = 0;  ///< of all nodes that take slots

  [[nodiscard]] uint64_t at(uint64_t node_weight, uint64_t level = kLevel) const {
    if (weight == 0) return 0;
    const Wide whole = Wide{10} * weight;
    const Wide share = Wide{level} * slots * node_weight;
    return static_cast<uint64_t>((share + whole - 1) / whole);
  }
  /// The least level at which a node that has `load` slots may take one more.
  [[nodiscard]] uint64_t level_for(uint64_t node_weight, uint64_t load) const {
    if (slots == 0 || node_weight == 0) return kLevel;
    const Wide level = Wide{10} * weight * load / (Wide{slots} * node_weight) + 1;
    return std::max(static_cast<uint64_t>(std::min(level, Wide{UINT32_MAX})), kLevel);
  }
};

}  // namespace kith
