#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agent/catalog.h"
#include "agent/placement_memory.h"
#include "engine/reconcile.h"
#include "membership/member_table.h"

namespace kith {

/// One node of the roster with what it says of itself; `info` may be null.
[[nodiscard]] NodeView node_view(const RosterDoc& doc, const NodeInfo* info, Liveness liveness);

/// Who should run what, worked out from the records and one's own view of who is alive: what is
/// between the stores and the Reconciler.
class Work {
 public:
  /// Null: works all out at each update.
  explicit Work(std::shared_ptr<PlacementMemory> memory);

  /// `documents`: a digest of those that `catalog` was read from. `calm`: membership has not
  /// changed for a while, so that healthy replicas may be moved. Works out again only what follows
  /// from other records or another view of who is alive than at the last time.
  void update(const Catalog& catalog, uint64_t documents, const std::map<NodeId, Member>& members,
              const NodeId& self, bool calm);

  [[nodiscard]] const PlacementView& view() const { return placement_->view; }
  [[nodiscard]] const Assignment& assignment() const { return placement_->assignment; }
  /// Slots of `assignment` that are to run on this node, in no order that means anything.
  [[nodiscard]] std::span<const SlotTarget* const> targets_of(const NodeId& node) const;
  [[nodiscard]] const Ring& ring() const;
  /// Names the present answers: equal ones are the same.
  [[nodiscard]] uint64_t key() const { return key_; }
  /// All but `synced`. `epoch`: of this start of the agent; own records before it are hidden.
  /// `concerns`: slots to speak of although others run them.
  [[nodiscard]] Situation situation(const Catalog& catalog, Epoch epoch,
                                    const std::vector<SlotKey>& concerns) const;
  /// Moves that wait for calm, or are under way.
  [[nodiscard]] bool unbalanced() const { return !placement_->moves.empty(); }

  /// The records of a node that is dead, has left, or is not in the roster.
  [[nodiscard]] bool hidden(const NodeId& node) const;

 private:
  /// A hash of them all, in the roster's order.
  uint64_t settle_liveness(const Catalog& catalog, const std::map<NodeId, Member>& members);
  [[nodiscard]] PlacementView make_view(const Catalog& catalog) const;
  [[nodiscard]] SlotFacts facts_of(const SlotTarget& slot, const ServiceSpec& spec) const;

  std::shared_ptr<PlacementMemory> memory_;
  NodeId self_;
  uint64_t key_ = 0;
  std::shared_ptr<const Placement> placement_;
  mutable std::shared_ptr<const Ring> unused_ring_;  ///< asked for although no service needs one
  using Living = std::map<NodeId, Liveness>;
  std::shared_ptr<const Living> liveness_ = std::make_shared<const Living>();
};

}  // namespace kith
