#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/catalog.h"
#include "engine/reconcile.h"
#include "membership/member_table.h"
#include "placement/assign.h"
#include "placement/rebalance.h"
#include "placement/ring.h"
#include "placement/view.h"

namespace kith {

/// One node of the roster with what it says of itself; `info` may be null.
[[nodiscard]] NodeView node_view(const RosterDoc& doc, const NodeInfo* info, Liveness liveness);

/// Who should run what, worked out from the records and one's own view of who is alive: what is
/// between the stores and the Reconciler. Rebuilt whole by `update`.
class Work {
 public:
  /// `calm`: membership has not changed for a while, so that healthy replicas may be moved.
  void update(const Catalog& catalog, const std::map<NodeId, Member>& members, const NodeId& self,
              bool calm);

  [[nodiscard]] const PlacementView& view() const { return view_; }
  [[nodiscard]] const Assignment& assignment() const { return assignment_; }
  [[nodiscard]] const Ring& ring() const { return *ring_; }
  /// All but `synced`. `epoch`: of this start of the agent; own records before it are hidden.
  [[nodiscard]] Situation situation(const Catalog& catalog, Epoch epoch) const;
  /// Moves that wait for calm, or are under way.
  [[nodiscard]] bool unbalanced() const { return !moves_.empty(); }

  /// The records of a node that is dead, has left, or is not in the roster.
  [[nodiscard]] bool hidden(const NodeId& node) const;

 private:
  void build_view(const Catalog& catalog, const std::map<NodeId, Member>& members,
                  const NodeId& self);

  NodeId self_;
  PlacementView view_;
  std::optional<Ring> ring_;
  std::vector<std::pair<NodeId, uint32_t>> ring_weights_;  ///< what `ring_` was made from
  Assignment assignment_;
  std::vector<Move> moves_;
  std::map<NodeId, Liveness> liveness_;
};

}  // namespace kith
