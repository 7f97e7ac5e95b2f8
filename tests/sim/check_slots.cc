// Once faults have ended, every slot that can be placed runs exactly once, of the service and the
// image that is asked for.

#include <algorithm>
#include <map>
#include <set>

#include "checker.h"
#include "rollout_bound.h"
#include "world.h"

namespace kith::sim {
namespace {

constexpr Duration kSettle = std::chrono::seconds(60);
/// Moves for balance run two copies for a moment.
constexpr Duration kOverlap = std::chrono::seconds(15);
/// From the end of a wait to the start, and a tenth of the longest wait more: jitter.
constexpr Duration kBackOffSlack = std::chrono::seconds(1);

class SlotChecker final : public Checker {
 public:
  SlotChecker() : Checker("slots") {}

  void now_and_then(World& world) override {
    note_back_off(world);
    rollouts_.look(world);
    if (world.settled_since() == kNever || world.now() - world.settled_since() <= kSettle) return;
    const std::vector<size_t> live = world.live();
    if (live.empty()) return;
    wrong_.clear();
    overdue_.clear();
    look(world, world.host(live[0]).node());
    std::erase_if(since_, [&](const auto& item) { return !wrong_.contains(item.first); });
    for (const std::string& what : wrong_) {
      const Instant since = since_.try_emplace(what, world.now()).first->second;
      expect(world, "wrong for a moment", world.now() - since <= kOverlap, [&] { return what; });
    }
  }

 private:
  void judge(std::string_view about, bool right, const std::string& what) {
    count(about);
    if (!right) wrong_.insert(what);
  }

  void look(World& world, const Node& node) {
    const auto running = world.running();
    for (const auto& [name, doc] : node.catalog().services()) {
      if (doc->spec.image.starts_with("missing")) continue;
      overdue_.merge(rollouts_.overdue(world, *doc, world.settled_since()));
      if (doc->spec.mode == ServiceMode::kGlobal) look_at_global(world, node, name);
      if (doc->spec.mode != ServiceMode::kReplicated) continue;
      for (uint32_t index = 1; index <= doc->spec.replicas; ++index) {
        const auto at = running.find(SlotKey{name, index, {}});
        const size_t copies = at == running.end() ? 0 : at->second.size();
        const auto home = doc->homes.find(index);
        const bool home_away = doc->spec.failover == Failover::kPinned &&
                               (home == doc->homes.end() || !lives(world, home->second));
        const bool waits = home_away || backs_off(world, SlotKey{name, index, {}});
        judge("slots", copies == 1 || (copies == 0 && waits),
              name + "." + std::to_string(index) + " runs " + std::to_string(copies) + " times");
      }
    }
    for (size_t i = 0; i < world.size(); ++i) {
      if (!world.host(i).up()) continue;
      for (const ContainerInfo* container : world.host(i).engine().running())
        look_at(world, node, i, *container);
    }
  }

  void look_at(const World& world, const Node& node, size_t host, const ContainerInfo& container) {
    const auto at = node.catalog().services().find(container.slot.service);
    const std::string what = container.slot.text() + " on " + world.host(host).name();
    if (at == node.catalog().services().end() || at->second->id != container.service_id)
      return judge("copies", false, what + " is of a service that is no more");
    const ServiceSpec& spec = at->second->spec;
    const bool replicated = spec.mode == ServiceMode::kReplicated;
    judge("copies", !replicated || container.slot.index <= spec.replicas, what + " is scaled away");
    judge("copies", container.image == spec.image || !overdue_.contains(container.slot),
          what + " runs " + container.image + ", asked for is " + spec.image);
  }

  static bool lives(const World& world, const NodeId& node) {
    const auto host = world.index_of(node);
    return host && world.host(*host).agent_up();
  }

  // A wall clock may have jumped since a task began to wait, so its own time says nothing.
  void note_back_off(const World& world) {
    std::map<std::string, Wait> waits;
    for (const size_t i : world.live()) {
      for (const TaskRecord& task : world.tasks_of(i)) {
        if (!task.backing_off || task.failures < 2) continue;
        const auto known = waits_.find(task.id);
        const bool same = known != waits_.end() && known->second.failures == task.failures;
        waits[task.id] = {task.slot, task.failures, same ? known->second.since : world.now()};
      }
    }
    waits_ = std::move(waits);
  }

  /// It failed so often that its owner still waits before the next start, and not longer than it
  /// should: 1 s from the second failure on, doubled with each, and a tenth more.
  bool backs_off(const World& world, const SlotKey& slot) const {
    return std::any_of(waits_.begin(), waits_.end(), [&](const auto& item) {
      const Wait& waits = item.second;
      if (waits.slot != slot) return false;
      Duration longest = kFirstBackOff;
      for (uint32_t n = 2; n < waits.failures && longest < kMaxBackOff; ++n) longest *= 2;
      return world.now() - waits.since <= std::min(longest, kMaxBackOff) * 11 / 10 + kBackOffSlack;
    });
  }

  // One on each host that may run something.
  void look_at_global(const World& world, const Node& node, const std::string& name) {
    for (const size_t i : world.live()) {
      const auto entry = node.catalog().roster().find(world.host(i).id());
      if (entry == node.catalog().roster().end()) continue;
      const size_t wanted = entry->second.availability == Availability::kDrain ? 0 : 1;
      size_t copies = 0;
      for (const ContainerInfo* container : world.host(i).engine().running())
        copies += container->slot.service == name ? 1 : 0;
      const bool may_lack = entry->second.availability == Availability::kPause && copies == 0;
      judge("global slots", copies == wanted || may_lack,
            name + " runs " + std::to_string(copies) + " times on " + world.host(i).name());
    }
  }

  struct Wait {
    SlotKey slot;
    uint32_t failures = 0;
    Instant since;
  };
  std::map<std::string, Wait> waits_;
  RolloutBound rollouts_;
  std::set<SlotKey> overdue_;  ///< their update should have come to them
  std::set<std::string> wrong_;
  std::map<std::string, Instant> since_;
};

}  // namespace

std::unique_ptr<Checker> check_slots() {
  return std::make_unique<SlotChecker>();
}

}  // namespace kith::sim
