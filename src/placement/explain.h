#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "placement/assign.h"
#include "placement/view.h"

namespace kith {

/// One node as the slot's walk met it.
struct NodeVerdict {
  NodeId node;
  std::string name;
  bool target = false;
  bool seated = false;
  std::string
      reason;  ///< why it was passed over: `dead`, `needs 512 MiB, 100 MiB free`; else empty
};

struct SlotExplanation {
  SlotTarget slot;
  std::vector<Seat> seats;        ///< every known copy, highest rank first
  std::vector<NodeVerdict> walk;  ///< every node of the roster, in the order of the walk
  std::string verdict;            ///< one line: where it runs or should run, and why
  std::string error;              ///< empty if nothing keeps it waiting; else for the ERROR column:
                                  ///< `no suitable node (2 nodes: constraint ...; 1 node: ...)`
};

/// Reasons are judged against the whole assignment, less what the slot itself takes.
/// kNotFound if the slot is not asked for. O(nodes).
[[nodiscard]] Result<SlotExplanation> explain(const PlacementView& view, const Ring& ring,
                                              const Assignment& assignment, const SlotKey& slot);

}  // namespace kith
