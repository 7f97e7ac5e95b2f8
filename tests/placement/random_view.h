#pragma once

#include "base/rng.h"
#include "fixture.h"

namespace kith::test {

/// Clusters of every odd sort, small enough for a naive oracle.
inline PlacementView random_view(Rng& rng, bool weights = true) {
  PlacementView view;
  const uint32_t nodes = static_cast<uint32_t>(1 + rng.below(12));
  const bool large = rng.chance(1, 3);
  for (uint32_t i = 1; i <= nodes; ++i) {
    NodeView out = node(i);
    if (rng.chance(1, 6)) out.liveness = static_cast<Liveness>(rng.below(4));
    if (rng.chance(1, 6)) out.availability = static_cast<Availability>(rng.below(3));
    out.ready = !rng.chance(1, 8);
    out.runs_tasks = !rng.chance(1, 12);
    out.labels["zone"] = std::string(1, static_cast<char>('a' + rng.below(3)));
    if (rng.chance(1, 2)) out.labels["disk"] = "ssd";
    if (weights) out.weight = static_cast<uint32_t>(1 + rng.below(4));
    out.memory_bytes = static_cast<int64_t>(large ? 1000 : 2 + rng.below(12));
    out.nano_cpus = large ? 1000 : 8;
    view.nodes.push_back(out);
  }
  const uint64_t services = 1 + rng.below(8);
  for (uint32_t s = 0; s < services; ++s) {
    ServiceDoc doc = service("s" + std::to_string(s), static_cast<uint32_t>(rng.below(9)));
    doc.created.ms = static_cast<int64_t>(rng.below(3));
    doc.generation = 1 + rng.below(2);
    if (rng.chance(1, 8)) doc.spec.mode = ServiceMode::kGlobal;
    if (rng.chance(1, 4)) doc.spec.constraints = {"node.labels.disk == ssd"};
    if (rng.chance(1, 8)) doc.spec.constraints.push_back("node.hostname != n1");
    if (rng.chance(1, 4)) doc.spec.spread_preferences = {"node.labels.zone"};
    if (rng.chance(1, 3)) doc.spec.reservations.memory_bytes = static_cast<int64_t>(rng.below(4));
    if (rng.chance(1, 5)) doc.spec.reservations.nano_cpus = static_cast<int64_t>(rng.below(4));
    if (rng.chance(1, 6))
      doc.spec.ports = {{"tcp", 80, static_cast<uint16_t>(80 + rng.below(2)), true}};
    if (rng.chance(1, 5)) doc.spec.max_replicas_per_node = static_cast<uint32_t>(1 + rng.below(3));
    if (rng.chance(1, 6)) doc.spec.failover = static_cast<Failover>(rng.below(4));
    if (doc.spec.failover == Failover::kPinned && rng.chance(1, 2))
      doc.homes[1] = node_id(static_cast<uint32_t>(1 + rng.below(nodes + 1)));
    for (uint32_t index = 1; index <= doc.spec.replicas + 1; ++index) {
      for (uint32_t n = 1; n <= nodes; ++n) {
        if (rng.chance(1, 2 * nodes)) {
          Seat copy = seat(doc, index, n);
          copy.term = 1 + rng.below(3);
          copy.healthy = !rng.chance(1, 4);
          if (rng.chance(1, 20)) copy.service_id = "id-earlier";
          view.seats.push_back(copy);
        }
        if (rng.chance(1, 4 * nodes))
          view.refusals.push_back(
              {{doc.name, index, {}}, node_id(n), 1 + rng.below(2), "no such image"});
      }
    }
    view.services.push_back(doc);
  }
  put_in_order(view);
  return view;
}

}  // namespace kith::test
