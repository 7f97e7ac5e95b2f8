#pragma once

#include <string>
#include <vector>

#include "placement/assign.h"
#include "placement/rebalance.h"
#include "placement/view.h"

namespace kith::test {

inline NodeId node_id(uint32_t number) {
  NodeId id;
  id.key[0] = 1;
  for (int i = 0; i < 4; ++i) id.key[28 + i] = static_cast<uint8_t>(number >> (24 - 8 * i));
  return id;
}

inline NodeView node(uint32_t number) {
  NodeView out;
  out.id = node_id(number);
  out.name = "n" + std::to_string(number);
  out.address = "10.0.0." + std::to_string(number);
  out.engine.up = true;
  out.engine.os = "linux";
  out.engine.architecture = "x86_64";
  out.nano_cpus = 4'000'000'000;
  out.memory_bytes = int64_t{8} << 30;
  return out;
}

/// Services are as old as their names sort.
inline ServiceDoc service(const std::string& name, uint32_t replicas) {
  ServiceDoc out;
  out.id = "id-" + name;
  out.name = name;
  out.spec.name = name;
  out.spec.replicas = replicas;
  return out;
}

inline PlacementView cluster(uint32_t nodes) {
  PlacementView out;
  for (uint32_t i = 1; i <= nodes; ++i) out.nodes.push_back(node(i));
  return out;
}

inline Seat seat(const ServiceDoc& doc, uint32_t index, uint32_t on) {
  Seat out;
  out.slot = {doc.name, index, {}};
  out.node = node_id(on);
  out.service_id = doc.id;
  out.generation = doc.generation;
  out.term = 1;
  out.healthy = true;
  return out;
}

/// Every target becomes a healthy copy, and no other copy remains.
inline void settle(PlacementView& view, const Assignment& assignment) {
  view.seats.clear();
  for (const ServiceDoc& doc : view.services) {
    const auto at = assignment.services.find(doc.name);
    if (at == assignment.services.end()) continue;
    for (const SlotTarget& slot : at->second.slots) {
      if (slot.target.none()) continue;
      Seat copy = seat(doc, slot.slot.index, 0);
      copy.slot = slot.slot;
      copy.node = slot.target;
      view.seats.push_back(copy);
    }
  }
  put_in_order(view);
}

/// The move is done: the copy is on its new node only.
inline void carry_out(PlacementView& view, const Move& move) {
  for (Seat& copy : view.seats) {
    if (copy.slot != move.slot) continue;
    copy.node = move.to;
    copy.term += 1;
  }
  put_in_order(view);
}

inline NodeId target(const Assignment& assignment, const std::string& name, uint32_t index) {
  const SlotTarget* const slot = assignment.find({name, index, {}});
  return slot == nullptr ? NodeId{} : slot->target;
}

inline uint32_t on_node(const Assignment& assignment, const std::string& name, uint32_t number) {
  uint32_t count = 0;
  for (const SlotTarget& slot : assignment.services.at(name).slots)
    count += slot.target == node_id(number);
  return count;
}

}  // namespace kith::test
