// Once faults have ended, every slot that can be placed runs exactly once, of the service and the
// image that is asked for.

#include <algorithm>
#include <map>
#include <set>

#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

constexpr Duration kSettle = std::chrono::seconds(60);
/// Moves for balance run two copies for a moment.
constexpr Duration kOverlap = std::chrono::seconds(15);

class SlotChecker final : public Checker {
 public:
  void now_and_then(World& world) override {
    if (world.settled_since() == kNever || world.now() - world.settled_since() <= kSettle) return;
    const std::vector<size_t> live = world.live();
    if (live.empty()) return;
    std::set<std::string> wrong;
    look(world, world.host(live[0]).node(), wrong);
    std::erase_if(since_, [&](const auto& item) { return !wrong.contains(item.first); });
    for (const std::string& what : wrong) {
      const auto [at, fresh] = since_.try_emplace(what, world.now());
      if (!fresh && world.now() - at->second > kOverlap) world.violated(what);
    }
  }

 private:
  static void look(const World& world, const Node& node, std::set<std::string>& wrong) {
    const auto running = world.running();
    for (const auto& [name, doc] : node.catalog().services()) {
      if (doc->spec.image.starts_with("missing")) continue;
      if (doc->spec.mode == ServiceMode::kGlobal) look_at_global(world, node, name, wrong);
      if (doc->spec.mode != ServiceMode::kReplicated) continue;
      for (uint32_t index = 1; index <= doc->spec.replicas; ++index) {
        const auto at = running.find(SlotKey{name, index, {}});
        const size_t copies = at == running.end() ? 0 : at->second.size();
        const auto home = doc->homes.find(index);
        const bool home_away = doc->spec.failover == Failover::kPinned &&
                               (home == doc->homes.end() || !lives(world, home->second));
        const bool waits = home_away || backs_off(world, SlotKey{name, index, {}});
        if (copies != 1 && !(copies == 0 && waits))
          wrong.insert(name + "." + std::to_string(index) + " runs " + std::to_string(copies) +
                       " times");
      }
    }
    for (size_t i = 0; i < world.size(); ++i) {
      if (!world.host(i).up()) continue;
      for (const ContainerInfo* container : world.host(i).engine().running()) {
        const auto at = node.catalog().services().find(container->slot.service);
        const std::string what = container->slot.text() + " on " + world.host(i).name();
        if (at == node.catalog().services().end() || at->second->id != container->service_id)
          wrong.insert(what + " is of a service that is no more");
        else if (at->second->spec.mode == ServiceMode::kReplicated &&
                 container->slot.index > at->second->spec.replicas)
          wrong.insert(what + " is scaled away");
        else if (container->image != at->second->spec.image)
          wrong.insert(what + " runs " + container->image + ", asked for is " +
                       at->second->spec.image);
      }
    }
  }

  static bool lives(const World& world, const NodeId& node) {
    const auto host = world.index_of(node);
    return host && world.host(*host).agent_up();
  }

  /// It failed so often that its owner still waits before the next start, and not longer than it
  /// should: 1 s from the second failure on, doubled with each, and a tenth more.
  static bool backs_off(const World& world, const SlotKey& slot) {
    for (const size_t i : world.live()) {
      const SimHost& host = world.host(i);
      for (const TaskRecord& task : host.node().reconciler().tasks()) {
        if (task.slot != slot || !task.backing_off || task.failures < 2) continue;
        Duration wait = kFirstBackOff;
        for (uint32_t n = 2; n < task.failures && wait < kMaxBackOff; ++n) wait *= 2;
        const auto ms = std::min(wait, kMaxBackOff) / std::chrono::milliseconds(1) * 11 / 10;
        if (host.now().wall.ms - task.since.ms <= ms + 1'000) return true;
      }
    }
    return false;
  }

  // One on each host that may run something.
  static void look_at_global(const World& world, const Node& node, const std::string& name,
                             std::set<std::string>& wrong) {
    for (const size_t i : world.live()) {
      const auto entry = node.catalog().roster().find(world.host(i).id());
      if (entry == node.catalog().roster().end()) continue;
      const size_t wanted = entry->second.availability == Availability::kDrain ? 0 : 1;
      size_t copies = 0;
      for (const ContainerInfo* container : world.host(i).engine().running())
        copies += container->slot.service == name ? 1 : 0;
      const bool may_lack = entry->second.availability == Availability::kPause && copies == 0;
      if (copies != wanted && !may_lack)
        wrong.insert(name + " runs " + std::to_string(copies) + " times on " +
                     world.host(i).name());
    }
  }

  std::map<std::string, Instant> since_;
};

}  // namespace

std::unique_ptr<Checker> check_slots() {
  return std::make_unique<SlotChecker>();
}

}  // namespace kith::sim
