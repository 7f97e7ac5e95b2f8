#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/task_index.h"
#include "gossip/message.h"
#include "state/doc_store.h"
#include "state/observed_store.h"
#include "state/records.h"

namespace kith {

/// Whose entry in the roster a document's key names, if it is the key of one.
[[nodiscard]] std::optional<NodeId> node_of_roster_key(std::string_view key);

/// The stores' records, decoded once a change. What does not decode is left out: another version of
/// kith may have written it, and it stays in the store as it is.
class Catalog {
 public:
  struct Info {
    NodeInfo said;
    uint64_t hash = 0;  ///< of its record
  };
  using Task = TaskIndex::Entry;
  using Tasks = std::map<std::string, Task>;  ///< by task id
  using Refusals = std::map<SlotKey, RefusedRecord>;

  /// Entries of the roster for which `counts` is false are left out.
  void filter_roster(std::function<bool(const RosterDoc&)> counts) { counts_ = std::move(counts); }
  void document_changed(const DocStore& docs, const std::string& key);
  void observed_changed(const ObservedStore& observed, const NodeId& node, const std::string& key);
  /// Of this node nothing is shown from now on, whatever the stores hold.
  void hide(const NodeId& node);

  [[nodiscard]] const std::map<std::string, std::shared_ptr<const ServiceDoc>>& services() const {
    return services_;
  }
  [[nodiscard]] const std::map<NodeId, RosterDoc>& roster() const { return roster_; }
  [[nodiscard]] const std::map<NodeId, Info>& infos() const { return infos_; }
  [[nodiscard]] const std::map<NodeId, Tasks>& tasks() const { return tasks_; }
  /// The same tasks by slot; goes on changing with the catalog.
  [[nodiscard]] std::shared_ptr<const TaskIndex> tasks_by_slot() const { return by_slot_; }
  [[nodiscard]] const std::map<NodeId, Refusals>& refusals() const { return refusals_; }

  /// Of what a placement looks at in what nodes say of themselves. Most news of a task leaves it as
  /// it is.
  [[nodiscard]] uint64_t placement_digest() const { return digest_; }

  /// The task record under a key of the observed store; null if it is none, or not there.
  [[nodiscard]] std::shared_ptr<const TaskRecord> task(const NodeId& node,
                                                       const std::string& key) const;
  [[nodiscard]] const NodeInfo* info(const NodeId& node) const;
  /// Name of a node as it says itself, else as the roster remembers it, else its id.
  [[nodiscard]] std::string name_of(const NodeId& node) const;

 private:
  void info_changed(const NodeId& node, const Observed* record);
  void task_changed(const NodeId& node, const std::string& id, const Observed* record);
  void refusal_changed(const NodeId& node, const std::string& key, const Observed* record);

  std::map<std::string, std::shared_ptr<const ServiceDoc>> services_;
  std::map<NodeId, RosterDoc> roster_;
  std::map<NodeId, Info> infos_;
  std::map<NodeId, Tasks> tasks_;
  std::shared_ptr<TaskIndex> by_slot_ = std::make_shared<TaskIndex>();
  std::map<NodeId, Refusals> refusals_;
  std::set<NodeId> hidden_;
  uint64_t digest_ = 0;  ///< the sum of a hash of each
  std::function<bool(const RosterDoc&)> counts_ = [](const RosterDoc&) { return true; };
};

}  // namespace kith
