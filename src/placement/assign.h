#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "placement/ring.h"
#include "placement/view.h"

namespace kith {

/// Why a slot has no target.
enum class Waiting : uint8_t {
  kNo,              ///< it has one
  kNoSuitableNode,  ///< every node was passed over: `explain` says why
  kHomeAway,        ///< pinned, and its home is dead, gone, drained or not fit; see `waits_for`
  kManual,          ///< failover is manual, and its last node is away; see `waits_for`
};

/// Where one slot should run.
struct SlotTarget {
  SlotKey slot;
  NodeId target;        ///< none while it waits
  bool seated = false;  ///< a copy is on `target` now
  bool move = false;    ///< not seated on `target`, but present elsewhere: drained, or no longer
                        ///< allowed there. The source goes on until the target's copy is healthy
  bool all_refused = false;  ///< every eligible node refused: each is free again after its back-off
  Waiting waiting = Waiting::kNo;
  NodeId waits_for;  ///< kHomeAway, kManual
};

/// The slots of one service, ordered by slot.
struct ServiceTargets {
  std::string service_id;
  std::vector<SlotTarget> slots;
};

struct HostPort {
  std::string protocol;
  uint16_t port = 0;
  auto operator<=>(const HostPort&) const = default;
};

/// What the targets, and the copies that exist besides, take of one node.
struct NodeUse {
  uint64_t slots = 0;  ///< targets only: a copy that is to go takes resources but is no load
  int64_t nano_cpus = 0;
  int64_t memory_bytes = 0;
  std::map<HostPort, SlotKey> ports;  ///< host mode, with the slot that holds each
};

struct Assignment {
  std::map<std::string, ServiceTargets, std::less<>> services;  ///< by name
  std::vector<NodeUse> use;                                     ///< by index in the view's nodes

  /// Nothing if the slot is not asked for (scaled away, removed, node not eligible for a global).
  [[nodiscard]] const SlotTarget* find(const SlotKey& slot) const;
};

/// Where everything should run. Pure: equal views give equal answers, bit for bit, on every node.
/// `view` is in order (asserted). A seated slot stays where it is as long as its node is in the
/// roster, not dead, not left, not drained and meets the constraints; what has no seat walks the
/// ring, oldest service first. Jobs get no slots.
[[nodiscard]] Assignment assign(const PlacementView& view);
/// The same with a ring made earlier from the same nodes and weights.
[[nodiscard]] Assignment assign(const PlacementView& view, const Ring& ring);

/// How long `node` holds back before it starts `slot`, in units of the takeover delay: 0 for the
/// target, then 1, 2, ... for the other nodes that could run it, in the order of the walk. Nothing
/// if `node` cannot run it or the slot has no target; only the target has a place if the slot is
/// global or its service is pinned or manual. O(nodes).
[[nodiscard]] std::optional<uint32_t> place(const PlacementView& view, const Ring& ring,
                                            const Assignment& assignment, const SlotKey& slot,
                                            const NodeId& node);

}  // namespace kith
