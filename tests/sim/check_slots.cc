// Once faults have ended, every slot that can be placed runs exactly once, of the service and the
// image that is asked for.

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
      if (doc->spec.mode != ServiceMode::kReplicated || doc->spec.image.starts_with("missing"))
        continue;
      for (uint32_t index = 1; index <= doc->spec.replicas; ++index) {
        const auto at = running.find(SlotKey{name, index, {}});
        const size_t copies = at == running.end() ? 0 : at->second.size();
        if (copies != 1)
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

  std::map<std::string, Instant> since_;
};

}  // namespace

std::unique_ptr<Checker> check_slots() {
  return std::make_unique<SlotChecker>();
}

}  // namespace kith::sim
