#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "placement/assign.h"
#include "placement/rebalance.h"
#include "placement/ring.h"
#include "placement/view.h"

namespace kith {

/// What was worked out from one state of the records and one view of who is alive.
struct Placement {
  Placement() = default;
  Placement(const Placement&) = delete;  // the indices point into it
  Placement& operator=(const Placement&) = delete;

  PlacementView view;
  std::shared_ptr<const Ring> ring;  ///< null while no service needs it: it is dear
  Assignment assignment;
  std::vector<Move> moves;
  std::map<NodeId, std::vector<const SlotTarget*>> by_target;
  std::vector<const SlotTarget*> unseated;  ///< no copy is present anywhere
};

/// Placements by a hash of all that they follow from, and rings by their nodes and weights, as long
/// as somebody holds them. An agent has one for itself; the simulator's nodes share one, since most
/// of them hold equal records most of the time.
class PlacementMemory {
 public:
  /// `calm`: healthy replicas may be moved. `key` stands for the content of `view` and for `calm`.
  template <class MakeView>
  [[nodiscard]] std::shared_ptr<const Placement> placement(uint64_t key, bool calm,
                                                           MakeView make_view) {
    if (auto known = placements_[key].lock()) return known;
    auto made = work_out(make_view(), calm);
    placements_[key] = made;
    sweep(placements_, sweep_placements_at_);
    return made;
  }
  [[nodiscard]] std::shared_ptr<const Ring> ring(const PlacementView& view);

 private:
  [[nodiscard]] std::shared_ptr<const Placement> work_out(PlacementView view, bool calm);
  template <class Map>
  static void sweep(Map& map, size_t& at_size) {
    if (map.size() < at_size) return;
    std::erase_if(map, [](const auto& item) { return item.second.expired(); });
    at_size = 2 * map.size() + kSweep;
  }

  static constexpr size_t kSweep = 16;
  std::unordered_map<uint64_t, std::weak_ptr<const Placement>> placements_;
  std::unordered_map<uint64_t, std::weak_ptr<const Ring>> rings_;
  size_t sweep_placements_at_ = kSweep;
  size_t sweep_rings_at_ = kSweep;
};

}  // namespace kith
