// Who has just booted, or does not know what its peers know, starts nothing. A start is of a higher
// term than all that is known of its slot. Moves for balance come to an end.

#include <map>
#include <set>

#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

constexpr Duration kSettle = std::chrono::seconds(60);
/// Each lessens a potential; what balance takes after chaos is far fewer.
constexpr size_t kMovesASlot = 2;
constexpr size_t kMovesMore = 10;

class StartChecker final : public Checker {
 public:
  StartChecker() : Checker("starts") {}

  void starting(World& world, size_t host, const StartTask& start) override {
    const SimHost& at = world.host(host);
    if (at.is_clone()) return;
    expect(world, "starts", at.node().synced(), [&] {
      return at.name() + " starts " + start.slot.text() + " and does not know what others know";
    });
  }

  // Who wakes takes in all that waited, then acts: what its Docker said is judged by what it knew
  // before it heard the rest.
  void told(World& world, const std::string& line) override {
    if (line.starts_with("thaw ") || line == "calm") woke_ = world.now();
  }

  void stepped(World& world, size_t host) override {
    const SimHost& at = world.host(host);
    if (!at.agent_up() || at.is_clone()) return;
    for (const TaskRecord& task : world.tasks_of(host)) {
      if (!seen_.insert(task.id).second) continue;
      if (at.engine().containers().contains(task.id)) continue;  // adopted
      look(world, at, task);
    }
  }

 private:
  void look(World& world, const SimHost& at, const TaskRecord& begun) {
    for (const auto& [node, tasks] : at.node().catalog().tasks()) {
      for (const auto& [id, other] : tasks) {
        if (id == begun.id || other.record->slot != begun.slot) continue;
        if (woke_ == world.now()) continue;
        expect(world, "terms", other.record->term < begun.term, [&] {
          return at.name() + " begins " + begun.slot.text() + " under term " +
                 std::to_string(begun.term) + ", and knows of " +
                 std::to_string(other.record->term);
        });
      }
    }
    if (!begun.moving || world.settled_since() == kNever ||
        world.now() - world.settled_since() <= kSettle)
      return;
    const size_t slots = world.running().size();
    expect(world, "moves after calm", ++moves_ <= kMovesASlot * slots + kMovesMore, [&] {
      return "moves without end: " + std::to_string(moves_) + " of " + std::to_string(slots) +
             " slots";
    });
  }

  std::set<std::string> seen_;
  Instant woke_ = Instant::min();
  size_t moves_ = 0;
};

}  // namespace

std::unique_ptr<Checker> check_starts() {
  return std::make_unique<StartChecker>();
}

}  // namespace kith::sim
