// Two nodes with equal records and equal views of who is alive compute equal placements.

#include <array>
#include <map>
#include <set>

#include "base/hash.h"
#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

uint64_t records_of(const Node& node) {
  uint64_t hash = node.documents().root();
  for (const ObservedVector& vector : node.observed().vectors())
    hash = hash_combine(hash, hash_combine(vector.node.short_id(), vector.digest));
  for (const auto& [id, member] : node.membership().members())
    hash = hash_combine(hash, hash_combine(id.short_id(), static_cast<uint64_t>(member.state)));
  return hash;
}

uint64_t placement_of(const Node& node) {
  uint64_t hash = 1;
  for (const auto& [name, targets] : node.work().assignment().services)
    for (const SlotTarget& slot : targets.slots)
      hash = hash_combine(hash, hash_combine(slot.slot.hash(), slot.target.short_id()));
  return hash;
}

class PlacementChecker final : public Checker {
 public:
  PlacementChecker() : Checker("placement") {}

  void now_and_then(World& world) override {
    std::map<uint64_t, std::map<uint64_t, size_t>> seen;
    std::map<uint64_t, size_t> holders;
    for (const size_t i : world.live()) {
      const Node& node = world.host(i).node();
      if (!node.synced()) continue;
      Known& known = known_[i];
      const uint64_t before = known.records;
      known.settle(world.host(i));
      // Now may be the moment between hearing and looking.
      if (known.records != before) continue;
      seen[known.records].emplace(known.placement, i);
      ++holders[known.records];
    }
    std::set<uint64_t> unequal;
    for (const auto& [records, placements] : seen) {
      if (holders[records] < 2) continue;
      expect(world, "equal views", placements.size() < 2 || !unequal_.contains(records), [&] {
        return "equal records, other placements: " + world.host(placements.begin()->second).name() +
               " and " + world.host(placements.rbegin()->second).name();
      });
      if (placements.size() > 1) unequal.insert(records);
    }
    unequal_ = std::move(unequal);
  }

 private:
  /// What a host's answers were, until something they follow from changes.
  struct Known {
    std::array<uint64_t, 4> records_from{};
    uint64_t records = 0;
    uint64_t placement_from = 0;
    uint64_t placement = 0;

    void settle(const SimHost& host) {
      const Node& node = host.node();
      const std::array<uint64_t, 4> from{node.documents().root(), node.observed().root(),
                                         node.membership().changes(), host.lives()};
      if (from != records_from) records = records_of(node);
      records_from = from;
      const uint64_t key = hash_combine(node.work().key(), host.lives());
      if (key != placement_from) placement = placement_of(node);
      placement_from = key;
    }
  };
  std::map<size_t, Known> known_;
  std::set<uint64_t> unequal_;
};

}  // namespace

std::unique_ptr<Checker> check_placement() {
  return std::make_unique<PlacementChecker>();
}

}  // namespace kith::sim
