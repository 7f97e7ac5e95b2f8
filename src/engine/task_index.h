#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "state/records.h"

namespace kith {

/// The task records of every node, ended ones included, by slot. Kept up with one record at a time,
/// so that who looks at a slot reads its own few and not all.
class TaskIndex {
 public:
  struct Entry {
    std::shared_ptr<const TaskRecord> record;
    uint64_t epoch = 0;  ///< of its node, when it said so
  };

  /// In the place of what was known of the record's slot, node and id.
  void set(std::shared_ptr<const TaskRecord> record, uint64_t epoch);
  void erase(const TaskRecord& record);

  /// Ordered by node, then id. Good until the next change.
  [[nodiscard]] std::span<const Entry> of(const SlotKey& slot) const;
  /// Ordered by slot.
  template <class Visit>
  void each_of(const std::string& service, Visit visit) const {
    for (auto at = slots_.lower_bound(SlotKey{service, 0, {}});
         at != slots_.end() && at->first.service == service; ++at)
      for (const Entry& entry : at->second) visit(entry);
  }
  template <class Visit>
  void each(Visit visit) const {
    for (const auto& [slot, entries] : slots_)
      for (const Entry& entry : entries) visit(entry);
  }

 private:
  std::map<SlotKey, std::vector<Entry>> slots_;
};

}  // namespace kith
