// Tables stay within their named limits, and nobody wakes up without end.

#include <array>
#include <map>
#include <utility>

#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

constexpr Duration kWindow = std::chrono::seconds(5);
constexpr uint64_t kMaxWakeups = 2'500;  ///< by timers, within it

class LimitChecker final : public Checker {
 public:
  void now_and_then(World& world) override {
    if (world.now() < next_) return;
    next_ = world.now() + kWindow;
    for (size_t i = 0; i < world.size(); ++i) {
      const SimHost& host = world.host(i);
      uint64_t& before = wakeups_[i];
      if (host.wakeups() - before > kMaxWakeups)
        world.violated(host.name() + " woke up " + std::to_string(host.wakeups() - before) +
                       " times in 5 s");
      before = host.wakeups();
      if (!host.agent_up()) continue;
      const Node& node = host.node();
      if (node.documents().size() > kMaxDocuments ||
          node.documents().conflicts().size() > kMaxConflicts)
        world.violated(host.name() + " keeps too many documents");
      if (node.membership().members().size() > identities(world))
        world.violated(host.name() + " knows members that never were");
      if (node.reconciler().tasks().size() > kMaxLocalTasks)
        world.violated(host.name() + " has too many tasks");
      const std::array<uint64_t, 3> from{node.documents().root(), node.observed().root(),
                                         host.lives()};
      if (std::exchange(looked_at_[i], from) == from) continue;
      if (!node.documents().digests_hold() || !node.observed().digests_hold())
        world.violated(host.name() + ": the digests are not those of the records");
      for (const ObservedVector& vector : node.observed().vectors())
        if (node.observed().kept(vector.node).size() > kMaxObservedPerNode)
          world.violated(host.name() + " keeps too many records of one node");
    }
  }

 private:
  static size_t identities(const World& world) {
    size_t count = 0;
    for (size_t i = 0; i < world.size(); ++i) count += world.host(i).identities();
    return count;
  }

  Instant next_ = Instant::min();
  std::map<size_t, uint64_t> wakeups_;
  /// What a host's stores were at the last look.
  std::map<size_t, std::array<uint64_t, 3>> looked_at_;
};

}  // namespace

std::unique_ptr<Checker> check_limits() {
  return std::make_unique<LimitChecker>();
}

}  // namespace kith::sim
