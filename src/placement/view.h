#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "state/records.h"

namespace kith {

enum class Liveness : uint8_t { kAlive, kSuspect, kDead, kLeft };

/// One rostered node as placement sees it.
struct NodeView {
  NodeId id;
  std::string name;
  std::string address;  ///< numeric, without port: what `node.ip` is compared with
  Liveness liveness = Liveness::kAlive;
  bool ready = true;
  bool runs_tasks = true;  ///< false: a witness, or its engine is down
  Availability availability = Availability::kActive;
  std::map<std::string, std::string> labels;  ///< the operator's over the node's own
  EngineInfo engine;
  int64_t nano_cpus = 0;
  int64_t memory_bytes = 0;
  uint32_t weight = 1;  ///< zero counts as one
};

/// A copy that exists, as its node's record says.
struct Seat {
  SlotKey slot;
  NodeId node;
  std::string service_id;
  Generation generation = 0;
  Term term = 0;
  bool healthy = false;  ///< running, and healthy or without a health check
  bool moving = false;
};

struct Refusal {
  SlotKey slot;
  NodeId node;
  Generation generation = 0;
  std::string reason;
};

/// All that placement may look at. `nodes` ordered by id, `services` by (created, id), `seats` by
/// (slot, node), `refusals` by (slot, node): equal records give equal views.
struct PlacementView {
  std::vector<NodeView> nodes;
  std::vector<ServiceDoc> services;
  std::vector<Seat> seats;
  std::vector<Refusal> refusals;
};

/// Sorts everything into the order stated above, so that a view may be gathered in any order.
/// No two nodes have one id; no two seats or refusals one slot and node.
void put_in_order(PlacementView& view);
[[nodiscard]] bool in_order(const PlacementView& view);

/// Index in `view.nodes`, or nothing if `id` is not in the roster. Needs the order.
[[nodiscard]] std::optional<uint32_t> find_node(const PlacementView& view, const NodeId& id);

}  // namespace kith
