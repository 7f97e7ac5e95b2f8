#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "placement/assign.h"
#include "placement/bounds.h"
#include "placement/eligibility.h"
#include "placement/node_index.h"
#include "placement/preference.h"

namespace kith {

/// How a service is being placed; the bounds of one service only rise, its candidates only fall.
struct Placing {
  Placing(const ServiceDoc& service, const Candidates& left)
      : doc(service), demand(service.spec), candidates(left) {}

  const ServiceDoc& doc;
  Demand demand;
  const Candidates& candidates;
  std::vector<uint32_t> counts;  // copies of the service by node
  uint64_t spread = 0;
  uint64_t level = LoadBound::kLevel;
  bool exhausted = false;  // no node has room for any further slot
  std::optional<PreferenceTree> tree;
};

/// A copy that exists takes room on a node.
struct Held {
  uint32_t node = 0;
  uint32_t position = 0;  ///< of its slot among the service's
  bool seated = false;    ///< it is also the slot's target, so it counts as load
};

/// The two passes of `assign`, in pieces, so that Placer can do again only what has changed.
class Assigner {
 public:
  /// Both outlive this.
  Assigner(const PlacementView& view, const Ring& ring);

  /// The definition: pass 1 for every service, then pass 2 for every service, oldest first.
  [[nodiscard]] Assignment run();

  // Pass 1: what has a seat stays.

  /// Adds the service's slots to `out`, and to `held` the copies that take room; charges nothing.
  /// False if it has no slots to place: a job, or an older document has its name. `seats`: of this
  /// name, in order.
  bool seat(const ServiceDoc& doc, std::span<const Seat> seats, std::vector<Held>& held);
  /// Where slot `target.slot`, at this place among its service's, stays, if anywhere. `seats`: its
  /// own.
  void seat_slot(const ServiceDoc& doc, std::span<const Seat> seats, SlotTarget& target,
                 uint32_t position, std::vector<Held>& held);

  // Pass 2: the rest walks.

  /// Before the first `place_rest`: the bounds follow from the number of slots.
  void set_bounds(uint64_t slots);
  /// Gives a target to each slot of the service that pass 1 left without, charges it, and notes
  /// the node in `taken`.
  void place_rest(const ServiceDoc& doc);

  Eligibility eligibility;
  NodeIndex index;
  Assignment out;
  std::vector<uint32_t> taken;

 private:
  static constexpr uint32_t kNobody = std::numeric_limits<uint32_t>::max();

  void keep_home(const ServiceDoc& doc, std::span<const Seat> seats, const Seat* known,
                 const Candidates& candidates, SlotTarget& target);
  void place_slot(Placing& placing, SlotTarget& target);
  void place_at(Placing& placing, SlotTarget& target, const NodeId& where);
  uint32_t choose(Placing& placing, const SlotKey& slot);
  uint32_t choose_relaxed(Placing& placing, const SlotKey& slot, bool refusals);
  uint32_t first_refused(Placing& placing, const SlotKey& slot);
  bool has_room(const Placing& placing, uint32_t node, const SlotKey& slot) const;
  void take(Placing& placing, SlotTarget& target, uint32_t node);

  const PlacementView& view_;
  LoadBound load_;
  std::vector<uint64_t> bounds_;  // by node, at the first level
  std::vector<uint8_t> marked_;   // by node: scratch of choose_relaxed
  Walk walk_;
};

/// Those of one slot, among some that are in order.
[[nodiscard]] std::span<const Seat> seats_at(std::span<const Seat> seats, const SlotKey& slot);

}  // namespace kith
