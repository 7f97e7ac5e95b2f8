#include "engine/task_index.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace kith {
namespace {

auto place_of(auto& entries, const TaskRecord& record) {
  return std::lower_bound(entries.begin(), entries.end(), record,
                          [](const TaskIndex::Entry& entry, const TaskRecord& wanted) {
                            return std::tie(entry.record->node, entry.record->id) <
                                   std::tie(wanted.node, wanted.id);
                          });
}

bool is_of(const TaskIndex::Entry& entry, const TaskRecord& record) {
  return entry.record->node == record.node && entry.record->id == record.id;
}

}  // namespace

void TaskIndex::set(std::shared_ptr<const TaskRecord> record, uint64_t epoch) {
  std::vector<Entry>& entries = slots_[record->slot];
  const auto at = place_of(entries, *record);
  if (at != entries.end() && is_of(*at, *record))
    *at = {std::move(record), epoch};
  else
    entries.insert(at, {std::move(record), epoch});
}

void TaskIndex::erase(const TaskRecord& record) {
  const auto slot = slots_.find(record.slot);
  if (slot == slots_.end()) return;
  const auto at = place_of(slot->second, record);
  if (at == slot->second.end() || !is_of(*at, record)) return;
  slot->second.erase(at);
  if (slot->second.empty()) slots_.erase(slot);
}

std::span<const TaskIndex::Entry> TaskIndex::of(const SlotKey& slot) const {
  const auto at = slots_.find(slot);
  if (at == slots_.end()) return {};
  return at->second;
}

}  // namespace kith
