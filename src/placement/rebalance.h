#pragma once

#include <cstdint>
#include <vector>

#include "placement/assign.h"
#include "placement/view.h"

namespace kith {

/// Start a copy on `to`; `from` goes on until that one is healthy.
struct Move {
  SlotKey slot;
  NodeId from;
  NodeId to;
  auto operator<=>(const Move&) const = default;
};

/// How many moves may be under way at once, those already begun included. Higher is sooner even,
/// and more disturbance at a time.
struct RebalanceLimits {
  uint32_t per_service = 1;
  uint32_t per_cluster = 2;
};

/// What rebalancing lowers, compared in this order. A service's copies that move count at their
/// destination.
struct Potential {
  uint64_t violated = 0;  ///< copies over or under their preference group's even share
  uint64_t spread = 0;    ///< sum over services and nodes of copies squared
  /// Sum over nodes of load squared / weight, scaled by 2^32 and rounded down for each node: for
  /// tests and figures; the moves themselves are chosen by exact comparison.
  uint64_t load = 0;
  auto operator<=>(const Potential&) const = default;
};

/// The next moves, best gain first; empty once even. Pure, and of the same records as `assign`:
/// `assignment` is `assign(view)`. Moves only healthy, lone copies of eager replicated services
/// that are whole (every slot has a healthy copy of the current generation), and only to nodes
/// that are alive, ready, active and have room. Each move lowers the potential strictly, so a
/// series of them ends. The caller waits until membership has been calm for a while.
[[nodiscard]] std::vector<Move> rebalance(const PlacementView& view, const Assignment& assignment,
                                          const RebalanceLimits& limits = {});

[[nodiscard]] Potential potential(const PlacementView& view, const Assignment& assignment);

}  // namespace kith
