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
  LimitChecker() : Checker("limits") {}

  void now_and_then(World& world) override {
    if (world.now() < next_) return;
    next_ = world.now() + kWindow;
    for (size_t i = 0; i < world.size(); ++i) {
      const SimHost& host = world.host(i);
      uint64_t& before = wakeups_[i];
      expect(world, "wake-ups", host.wakeups() - before <= kMaxWakeups, [&] {
        return host.name() + " woke up " + std::to_string(host.wakeups() - before) +
               " times in 5 s";
      });
      before = host.wakeups();
      if (!host.agent_up()) continue;
      look(world, host, host.node());
    }
  }

  void stepped(World& world, size_t host) override {
    const size_t waiting = world.unanswered(host);
    if (waiting == 0) return;
    // One more is being written.
    expect(world, "edits that wait", waiting <= Node::kMaxQueuedEdits + 1, [&] {
      return world.host(host).name() + " lets " + std::to_string(waiting) + " edits wait";
    });
  }

 private:
  void look(World& world, const SimHost& host, const Node& node) {
    const auto within = [&](std::string_view about, bool holds, const std::string& what) {
      expect(world, about, holds, [&] { return host.name() + what; });
    };
    within("documents",
           node.documents().size() <= kMaxDocuments &&
               node.documents().conflicts().size() <= kMaxConflicts,
           " keeps too many documents");
    within("members", node.membership().members().size() <= identities(world),
           " knows members that never were");
    within("tasks", node.reconciler().tasks().size() <= kMaxLocalTasks, " has too many tasks");
    const std::array<uint64_t, 3> from{node.documents().root(), node.observed().root(),
                                       host.lives()};
    if (std::exchange(looked_at_[host.index()], from) == from) return;
    within("digests", node.documents().digests_hold() && node.observed().digests_hold(),
           ": the digests are not those of the records");
    for (const ObservedVector& vector : node.observed().vectors())
      within("records of a node", node.observed().kept(vector.node).size() <= kMaxObservedPerNode,
             " keeps too many records of one node");
  }

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
