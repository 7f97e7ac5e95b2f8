// A replica that runs is stopped only if somebody asked for it, or if a copy of higher rank ran a
// moment ago, which confirmed that it stays.

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

/// From the confirmation to the stop: the lead, and the news on its way.
constexpr Duration kFresh = std::chrono::seconds(5);

class StopChecker final : public Checker {
 public:
  StopChecker() : Checker("stops") {}

  void stepped(World& world, size_t host) override {
    const SimHost& at = world.host(host);
    const std::array<uint64_t, 3> from{at.engine().changes(), at.identities(), at.up()};
    if (std::exchange(looked_at_[host], from) != from) note_running(world, host);
    if (std::exchange(tasks_[host], world.tasks_changes(host)) == world.tasks_changes(host)) return;
    if (!at.up() || !at.agent_up()) return;
    for (const TaskRecord& task : world.tasks_of(host)) look(world, at, task);
  }

  void stopping(World& world, size_t host, const ContainerInfo& container) override {
    const SimHost& at = world.host(host);
    if (!at.agent_up() || at.is_clone()) return;
    count("stops");
    if (asked_for(at, container)) return;
    if (!known_healthy_.contains(container.task_id)) return;  // its start came about just now
    const Rank mine{container.term, at.id()};
    const auto& copies = ran_[container.slot];
    const bool another = std::any_of(copies.upper_bound(mine), copies.end(), [&](const auto& copy) {
      return copy.second == kNever || world.now() - copy.second <= kFresh;
    });
    expect(world, "stops nobody asked for", another, [&] {
      return at.name() + " stops " + container.slot.text() + " (term " +
             std::to_string(container.term) + "), which nobody else runs";
    });
  }

 private:
  using Rank = std::pair<Term, NodeId>;

  void note_running(World& world, size_t host) {
    const SimHost& at = world.host(host);
    auto& here = here_[host];
    for (const auto& [slot, rank] : here) ran_[slot][rank] = world.now();
    here.clear();
    if (!at.up()) return;
    for (const ContainerInfo* container : at.engine().running()) {
      here.push_back({container->slot, {container->term, at.id()}});
      ran_[container->slot][here.back().second] = kNever;
    }
  }

  // A stop is judged when it is decided: it is carried out a second later.
  void look(World& world, const SimHost& at, const TaskRecord& task) {
    if (healthy(task)) {
      known_healthy_[task.id] = task.ask;
    } else if (task.health == Health::kUnhealthy) {
      known_healthy_.erase(task.id);
    } else if (task.desired != TaskState::kRunning && decided_.insert(task.id).second) {
      ContainerInfo container;
      container.slot = task.slot;
      container.service_id = task.service_id;
      container.generation = task.generation;
      container.image = task.image;
      if (asked_for(at, container)) known_healthy_.erase(task.id);
      const auto known = known_healthy_.find(task.id);
      if (known == known_healthy_.end() || at.is_clone() || replaced_here(world, at, task)) return;
      expect(world, "stops confirmed", confirmed(at, task, known->second), [&] {
        return at.name() + " decides to stop " + task.slot.text() + " (term " +
               std::to_string(task.term) + "), and nobody has confirmed that it stays";
      });
    }
  }

  /// A higher copy says that it stays, to the very question that was asked.
  static bool confirmed(const SimHost& at, const TaskRecord& task, uint64_t ask) {
    const auto tasks = at.node().catalog().tasks_by_slot();
    const auto others = tasks->of(task.slot);
    return std::any_of(others.begin(), others.end(), [&](const TaskIndex::Entry& other) {
      const auto& said = other.record->confirmations;
      return outranks(*other.record, task) &&
             std::any_of(said.begin(), said.end(), [&](const Confirmation& c) {
               return c.asker == at.id() && c.nonce == ask;
             });
    });
  }

  /// The second of two copies of one host.
  static bool replaced_here(const World& world, const SimHost& at, const TaskRecord& task) {
    const auto& own = world.tasks_of(at.index());
    return std::any_of(own.begin(), own.end(), [&](const TaskRecord& other) {
      return other.slot == task.slot && healthy(other) && outranks(other, task);
    });
  }

  static bool asked_for(const SimHost& at, const ContainerInfo& container) {
    const Node& node = at.node();
    const auto service = node.catalog().services().find(container.slot.service);
    // What is not known is removed only if it would be known.
    if (service == node.catalog().services().end()) return node.synced();
    const ServiceDoc& doc = *service->second;
    if (doc.id != container.service_id || doc.generation != container.generation) return true;
    if (doc.spec.mode == ServiceMode::kReplicated && container.slot.index > doc.spec.replicas)
      return true;
    if (!container.slot.node.none()) {  // of a global service
      if (container.slot.node != at.id()) return true;
      const auto entry = node.catalog().roster().find(at.id());
      if (entry != node.catalog().roster().end() &&
          entry->second.availability == Availability::kDrain)
        return true;
    }
    return doc.spec.image != container.image || node.leaving();
  }

  std::map<SlotKey, std::map<Rank, Instant>> ran_;                ///< until when; kNever: it runs
  std::map<size_t, std::vector<std::pair<SlotKey, Rank>>> here_;  ///< what runs, by host
  std::map<size_t, std::array<uint64_t, 3>> looked_at_;
  std::map<size_t, uint64_t> tasks_;  ///< as of which change they were looked at
  /// And not told to stop for a good reason: what they asked last.
  std::map<std::string, uint64_t> known_healthy_;
  std::set<std::string> decided_;
};

}  // namespace

std::unique_ptr<Checker> check_stops() {
  return std::make_unique<StopChecker>();
}

}  // namespace kith::sim
