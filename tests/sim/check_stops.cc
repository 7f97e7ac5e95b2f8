// A replica that runs is stopped only if somebody asked for it, or if a copy of higher rank ran a
// moment ago, which confirmed that it stays.

#include <map>
#include <set>
#include <tuple>

#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

/// From the confirmation to the stop: the lead, and the news on its way.
constexpr Duration kFresh = std::chrono::seconds(5);

class StopChecker final : public Checker {
 public:
  void stepped(World& world, size_t host) override {
    if (!world.host(host).up()) return;
    for (const ContainerInfo* container : world.host(host).engine().running())
      ran_[container->slot][{container->term, world.host(host).id()}] = world.now();
    if (!world.host(host).agent_up()) return;
    for (const TaskRecord& task : world.host(host).node().reconciler().tasks())
      look(world.host(host), task);
  }

  void stopping(World& world, size_t host, const ContainerInfo& container) override {
    const SimHost& at = world.host(host);
    if (!at.agent_up() || asked_for(at, container)) return;
    if (!known_healthy_.contains(container.task_id)) return;  // its start came about just now
    const Rank mine{container.term, at.id()};
    const auto& copies = ran_[container.slot];
    for (auto copy = copies.upper_bound(mine); copy != copies.end(); ++copy)
      if (world.now() - copy->second <= kFresh) return;
    world.violated(at.name() + " stops " + container.slot.text() + " (term " +
                   std::to_string(container.term) + "), which nobody else runs");
  }

 private:
  using Rank = std::pair<Term, NodeId>;

  // A stop is judged when it is decided: it is carried out a second later.
  void look(const SimHost& at, const TaskRecord& task) {
    if (healthy(task)) {
      known_healthy_.insert(task.id);
    } else if (task.desired != TaskState::kRunning && decided_.insert(task.id).second) {
      ContainerInfo container;
      container.slot = task.slot;
      container.service_id = task.service_id;
      container.generation = task.generation;
      container.image = task.image;
      if (asked_for(at, container)) known_healthy_.erase(task.id);
    }
  }

  static bool asked_for(const SimHost& at, const ContainerInfo& container) {
    const Node& node = at.node();
    const auto service = node.catalog().services().find(container.slot.service);
    if (service == node.catalog().services().end()) return true;
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

  std::map<SlotKey, std::map<Rank, Instant>> ran_;
  std::set<std::string> known_healthy_;  ///< and not told to stop for a good reason
  std::set<std::string> decided_;
};

}  // namespace

std::unique_ptr<Checker> check_stops() {
  return std::make_unique<StopChecker>();
}

}  // namespace kith::sim
