#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/reconcile.h"

namespace kith::test {

/// One node that knows one service `web` of one slot, and is its target.
struct Bench {
  Bench() : reconciler(me(), "pi", {}, Rng(1)) {
    doc.id = "web-1";
    doc.name = "web";
    doc.spec_json = "{}";
  }
  static NodeId me() {
    NodeId id;
    id.key[0] = 1;
    return id;
  }
  [[nodiscard]] Now clock() const { return {now, {}}; }
  void begin() { effects = {}; }
  void tell(const HostEvent& event) {
    begin();
    reconciler.handle(event, clock(), effects);
  }
  void update() {
    begin();
    Situation view;
    view.synced = synced;
    if (!removed) view.services["web"] = std::make_shared<const ServiceDoc>(doc);
    view.slots[slot] = facts;
    auto tasks = std::make_shared<TaskIndex>();
    auto nodes = std::make_shared<std::map<NodeId, Liveness>>();
    for (const auto& peer : peers) {
      tasks->set(peer, 1);
      (*nodes)[peer->node] = Liveness::kAlive;
    }
    view.tasks = tasks;
    view.nodes = nodes;
    reconciler.update(std::move(view), clock(), effects);
  }
  void pass(Duration time) {
    now += time;
    begin();
    reconciler.advance(clock(), effects);
  }
  template <class Command>
  [[nodiscard]] std::vector<Command> sent() const {
    std::vector<Command> all;
    for (const HostCommand& command : effects.commands)
      if (const auto* one = std::get_if<Command>(&command)) all.push_back(*one);
    return all;
  }
  [[nodiscard]] static ContainerInfo container(const std::string& id, Term term,
                                               ContainerStatus status) {
    ContainerInfo info;
    info.container_id = "c-" + id;
    info.task_id = id;
    info.slot = {"web", 1, {}};
    info.service_id = "web-1";
    info.generation = 1;
    info.term = term;
    info.status = status;
    info.exit_code = status == ContainerStatus::kExited ? 1 : 0;
    return info;
  }
  void up(std::vector<ContainerInfo> containers = {}) {
    tell(EngineUp{});
    REQUIRE(sent<ListTasks>().size() == 1);
    tell(Inventory{std::move(containers)});
  }
  /// Runs web.1 and gives its task id.
  std::string run() {
    up();
    facts.target = me();
    update();
    REQUIRE(sent<StartTask>().size() == 1);
    const std::string id = sent<StartTask>()[0].task_id;
    running(id);
    return id;
  }
  void running(const std::string& id) {
    TaskProgress progress;
    progress.task_id = id;
    progress.state = TaskState::kRunning;
    progress.container_id = "c-" + id;
    tell(progress);
  }

  Instant now{std::chrono::seconds(1000)};
  ServiceDoc doc;
  SlotKey slot{"web", 1, {}};
  SlotFacts facts;
  std::vector<std::shared_ptr<const TaskRecord>> peers;
  bool synced = true;
  bool removed = false;
  Reconciler reconciler;
  ReconcileEffects effects;
};

}  // namespace kith::test
