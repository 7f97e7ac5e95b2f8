#include "agent/homes.h"

#include <algorithm>
#include <utility>

#include "engine/plan.h"
#include "placement/assign.h"

namespace kith {
namespace {

bool lacks_homes(const ServiceDoc& doc) {
  return doc.spec.failover == Failover::kPinned && doc.spec.mode == ServiceMode::kReplicated &&
         doc.homes.size() < doc.spec.replicas;
}

/// What a slot's data lies under is made by its first start, not by its first placement.
bool runs_on(const NodeId& node, const ServiceDoc& doc, std::span<const TaskIndex::Entry> tasks) {
  return std::any_of(tasks.begin(), tasks.end(), [&](const TaskIndex::Entry& task) {
    return task.record->node == node && task.record->service_id == doc.id &&
           task.record->state == TaskState::kRunning && present(*task.record);
  });
}

/// Not what a first exchange has not brought yet: that ends with the horizon.
bool removed(const NodeId& node, const DocStore& docs) {
  const Document* entry = docs.find_any(roster_key(node));
  return entry == nullptr ? docs.horizon() > Stamp{} : entry->deleted;
}

}  // namespace

void settle_homes(ServiceDoc& doc, const Work& work) {
  if (doc.spec.failover != Failover::kPinned || doc.spec.mode != ServiceMode::kReplicated) return;
  std::erase_if(doc.homes, [&](const auto& home) { return home.first > doc.spec.replicas; });
  if (doc.homes.size() >= doc.spec.replicas) return;
  PlacementView view = work.view();
  std::erase_if(view.services, [&](const ServiceDoc& other) { return other.name == doc.name; });
  ServiceDoc free = doc;
  free.spec.failover = Failover::kEager;
  view.services.push_back(std::move(free));
  put_in_order(view);
  const Assignment assignment = assign(view);
  for (uint32_t index = 1; index <= doc.spec.replicas; ++index) {
    if (doc.homes.contains(index)) continue;
    const SlotTarget* slot = assignment.find(SlotKey{doc.name, index, {}});
    if (slot != nullptr && !slot->target.none()) doc.homes[index] = slot->target;
  }
}

void drop_lost_homes(ServiceDoc& doc, const DocStore& docs) {
  std::erase_if(doc.homes, [&](const auto& home) { return removed(home.second, docs); });
}

std::map<uint32_t, NodeId> unwritten_homes(const ServiceDoc& doc, const Catalog& catalog,
                                           const Work& work) {
  std::map<uint32_t, NodeId> out;
  const auto service = work.assignment().services.find(doc.name);
  if (!lacks_homes(doc) || service == work.assignment().services.end()) return out;
  for (const SlotTarget& slot : service->second.slots) {
    if (!slot.seated || doc.homes.contains(slot.slot.index)) continue;
    if (runs_on(slot.target, doc, catalog.tasks_by_slot()->of(slot.slot)))
      out[slot.slot.index] = slot.target;
  }
  return out;
}

std::string homes_to_write(const Catalog& catalog, const Work& work, const NodeId& self) {
  for (const SlotTarget* slot : work.targets_of(self)) {
    const auto at = catalog.services().find(slot->slot.service);
    if (at == catalog.services().end() || !lacks_homes(*at->second)) continue;
    const auto homes = unwritten_homes(*at->second, catalog, work);
    if (!homes.empty() && homes.begin()->second == self) return at->first;
  }
  return {};
}

}  // namespace kith
