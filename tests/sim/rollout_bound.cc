#include "rollout_bound.h"

#include <algorithm>

#include "engine/plan.h"
#include "engine/reconcile.h"
#include "world.h"

namespace kith::sim {
namespace {

/// To the engine and back, for each of what a replacement asks of it.
constexpr int kAnswers = 4;

/// From the moment all before it run to the moment that a batch does, at the slowest of engines.
Duration step_of(World& world, const ServiceDoc& service) {
  Duration engine{};
  for (size_t i = 0; i < world.size(); ++i) {
    const EnginePace& pace = world.host(i).engine().pace();
    engine = std::max(engine, pace.stop_least + pace.stop_spread + pace.start_least +
                                  pace.start_spread + kAnswers * pace.answer);
  }
  const UpdateConfig& config = rollout_config(service);
  return config.monitor + config.delay + ReconcileConfig{}.stop_lead + engine;
}

}  // namespace

void RolloutBound::look(World& world) {
  hosts_.resize(world.size());
  for (size_t i = 0; i < world.size(); ++i) {
    Host& host = hosts_[i];
    const FakeEngine& engine = world.host(i).engine();
    if (!world.host(i).up()) host = {};
    if (!world.host(i).up() || host.changes == engine.changes()) continue;
    host.changes = engine.changes();
    std::map<std::string, Copy> copies;
    for (const ContainerInfo* container : engine.running()) {
      const auto known = host.copies.find(container->task_id);
      const Instant since = known == host.copies.end() ? world.now() : known->second.since;
      copies[container->task_id] = {container->slot, container->service_id, container->image,
                                    since};
    }
    host.copies = std::move(copies);
  }
}

std::set<SlotKey> RolloutBound::overdue(World& world, const ServiceDoc& service,
                                        Instant settled) const {
  struct Slot {
    bool old = false;  ///< one of its copies runs another image
    Instant since = kNever;
  };
  std::map<SlotKey, Slot> slots;
  if (service.spec.mode == ServiceMode::kReplicated)
    for (uint32_t i = 1; i <= service.spec.replicas; ++i) slots[{service.name, i, {}}];
  for (const Host& host : hosts_) {
    for (const auto& [task, copy] : host.copies) {
      if (copy.slot.service != service.name || copy.service_id != service.id) continue;
      Slot& slot = slots[copy.slot];
      slot.old = slot.old || copy.image != service.spec.image;
      slot.since = std::min(slot.since, copy.since);
    }
  }
  const uint64_t parallelism = rollout_config(service).parallelism;
  const size_t batch = parallelism == 0 ? slots.size() : parallelism;
  std::set<SlotKey> found;
  Instant before = settled;  // since when all slots of the batches before have run
  Instant opened = before;
  size_t index = 0;
  for (const auto& [key, slot] : slots) {
    if (index++ % batch == 0) {
      if (!found.empty()) break;
      opened = before;
    }
    if (slot.old) found.insert(key);
    // Where none runs the update waits, and that is judged by itself.
    before = slot.since == kNever ? kNever : std::max(before, slot.since);
  }
  const bool due = opened != kNever && world.now() > opened + step_of(world, service);
  return due ? found : std::set<SlotKey>{};
}

}  // namespace kith::sim
