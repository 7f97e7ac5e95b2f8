// Who has just booted, or does not know what its peers know, starts nothing. A start is of a higher
// term than all that is known of its slot. Moves for balance come to an end.

#include <algorithm>
#include <map>
#include <set>
#include <utility>

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

  void stepped(World& world, size_t host) override {
    const SimHost& at = world.host(host);
    if (!at.agent_up() || at.is_clone()) return;
    Known& known = known_[host];
    if (std::exchange(known.life, at.lives()) != at.lives()) known = {.life = at.lives()};
    const uint64_t changes = world.tasks_changes(host);
    if (std::exchange(known.changes, changes) != changes) {
      for (const TaskRecord& task : world.tasks_of(host)) {
        if (!seen_.insert(task.id).second) continue;
        if (at.engine().containers().contains(task.id)) continue;  // adopted
        look(world, at, task, known);
      }
    }
    known.hear(at.node());
  }

 private:
  /// What a host knew when the step began: of what one wake-up brings, Docker's word may come first
  /// and be acted upon, and another's record a moment later.
  struct Known {
    struct Tasks {
      uint64_t digest = 0;
      std::set<std::string> ids;
    };
    uint64_t life = 0;
    uint64_t changes = 0;
    uint64_t root = 0;
    std::map<NodeId, Tasks> tasks = {};  ///< by whose they are

    void hear(const Node& node) {
      if (std::exchange(root, node.observed().root()) == node.observed().root()) return;
      for (const ObservedVector& vector : node.observed().vectors()) {
        Tasks& of = tasks[vector.node];
        if (std::exchange(of.digest, vector.digest) == vector.digest) continue;
        of.ids.clear();
        const auto said = node.catalog().tasks().find(vector.node);
        if (said == node.catalog().tasks().end()) continue;
        for (const auto& [id, task] : said->second) of.ids.insert(id);
      }
    }
    [[nodiscard]] bool contains(const TaskRecord& task) const {
      const auto of = tasks.find(task.node);
      return of != tasks.end() && of->second.ids.contains(task.id);
    }
  };

  void look(World& world, const SimHost& at, const TaskRecord& begun, const Known& known) {
    const Catalog& catalog = at.node().catalog();
    const auto tasks = catalog.tasks_by_slot();
    for (const TaskIndex::Entry& other : tasks->of(begun.slot)) {
      if (other.record->id == begun.id || !known.contains(*other.record)) continue;
      expect(world, "terms", other.record->term < begun.term, [&] {
        return at.name() + " begins " + begun.slot.text() + " under term " +
               std::to_string(begun.term) + ", and knows of " + std::to_string(other.record->term) +
               " on " + catalog.name_of(other.record->node) + ", " +
               std::string(to_string(other.record->state));
      });
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
  std::map<size_t, Known> known_;
  size_t moves_ = 0;
};

}  // namespace

std::unique_ptr<Checker> check_starts() {
  return std::make_unique<StartChecker>();
}

}  // namespace kith::sim
