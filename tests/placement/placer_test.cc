#include "placement/placer.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "random_view.h"

using namespace kith;
using namespace kith::test;

namespace {

bool same(const SlotTarget& a, const SlotTarget& b) {
  return a.slot == b.slot && a.target == b.target && a.seated == b.seated && a.move == b.move &&
         a.all_refused == b.all_refused && a.waiting == b.waiting && a.waits_for == b.waits_for;
}

bool same(const NodeUse& a, const NodeUse& b) {
  return a.slots == b.slots && a.nano_cpus == b.nano_cpus && a.memory_bytes == b.memory_bytes &&
         a.ports == b.ports;
}

bool same(const Assignment& a, const Assignment& b) {
  const auto slots = [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.service_id == y.second.service_id &&
           std::equal(x.second.slots.begin(), x.second.slots.end(), y.second.slots.begin(),
                      y.second.slots.end(),
                      [](const auto& p, const auto& q) { return same(p, q); });
  };
  return std::equal(a.services.begin(), a.services.end(), b.services.begin(), b.services.end(),
                    slots) &&
         std::equal(a.use.begin(), a.use.end(), b.use.begin(), b.use.end(),
                    [](const auto& p, const auto& q) { return same(p, q); });
}

/// Puts `item` where the one with its key is, or adds it.
template <class T, class Key>
void put(std::vector<T>& items, const T& item, Key key) {
  for (T& other : items) {
    if (key(other) != key(item)) continue;
    other = item;
    return;
  }
  items.push_back(item);
}

/// Both sides of the comparison: the records, and the Placer that is told of each change.
class Pair {
 public:
  explicit Pair(const PlacementView& view) : view_(view), placer_(view) {}

  void change(Rng& rng) {
    const PlacementView other = random_view(rng);
    switch (rng.below(10)) {
      case 0:
      case 1:
        return node(rng, other.nodes[rng.below(other.nodes.size())]);
      case 2:
      case 3:
        return document(rng, other.services[rng.below(other.services.size())]);
      case 4:
        return settle_all();
      case 5:
        return refusal(rng, other);
      default:
        return seats(rng, other);
    }
  }
  bool agree() {
    PlacementView view = view_;
    put_in_order(view);
    return same(placer_.assignment(), assign(view));
  }

 private:
  void node(Rng& rng, NodeView node) {
    const auto known = std::find_if(view_.nodes.begin(), view_.nodes.end(),
                                    [&](const NodeView& n) { return n.id == node.id; });
    if (known != view_.nodes.end() && rng.chance(1, 12)) {
      view_.nodes.erase(known);
      return placer_.remove_node(node.id);
    }
    if (known != view_.nodes.end() && !rng.chance(1, 12)) node.weight = known->weight;
    if (known == view_.nodes.end() && rng.chance(3, 4)) return;
    put(view_.nodes, node, [](const NodeView& n) { return n.id; });
    placer_.set_node(node);
  }
  void document(Rng& rng, ServiceDoc doc) {
    if (rng.chance(1, 8)) {
      std::erase_if(view_.services, [&](const ServiceDoc& d) { return d.id == doc.id; });
      return placer_.remove_service(doc.id);
    }
    if (rng.chance(1, 6)) doc.id += "-later";  // two documents of one name
    if (rng.chance(1, 10)) doc.name += "x";
    if (rng.chance(1, 10)) doc.spec.mode = ServiceMode::kReplicatedJob;
    put(view_.services, doc, [](const ServiceDoc& d) { return d.id; });
    placer_.set_service(doc);
  }
  void seats(Rng& rng, const PlacementView& other) {
    for (int i = 0; i < 3; ++i) {
      if (!view_.seats.empty() && rng.chance(1, 3)) {
        const size_t at = rng.below(view_.seats.size());
        const Seat gone = view_.seats[at];
        view_.seats.erase(view_.seats.begin() + static_cast<ptrdiff_t>(at));
        placer_.remove_seat(gone.slot, gone.node);
      } else if (!other.seats.empty()) {
        set_seat(other.seats[rng.below(other.seats.size())]);
      }
    }
  }
  void set_seat(const Seat& seat) {
    put(view_.seats, seat, [](const Seat& s) { return std::tie(s.slot, s.node); });
    placer_.set_seat(seat);
  }
  void refusal(Rng& rng, const PlacementView& other) {
    if (!view_.refusals.empty() && rng.chance(1, 2)) {
      const Refusal gone = view_.refusals.back();
      view_.refusals.pop_back();
      return placer_.remove_refusal(gone.slot, gone.node);
    }
    if (other.refusals.empty()) return;
    const Refusal& refusal = other.refusals[rng.below(other.refusals.size())];
    put(view_.refusals, refusal, [](const Refusal& r) { return std::tie(r.slot, r.node); });
    placer_.set_refusal(refusal);
  }
  /// What was placed runs.
  void settle_all() {
    PlacementView settled = view_;
    put_in_order(settled);
    settle(settled, assign(settled));
    for (const Seat& seat : settled.seats) {
      for (const ServiceDoc& doc : settled.services) {
        if (doc.name != seat.slot.service) continue;
        set_seat(seat);
        break;
      }
    }
  }

  PlacementView view_;
  Placer placer_;
};

}  // namespace

TEST_CASE("placer: after any changes it says what assign says") {
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    Pair pair(random_view(rng));
    REQUIRE(pair.agree());
    for (int step = 0; step < 12; ++step) {
      CAPTURE(step);
      for (uint64_t changes = 1 + rng.below(3); changes > 0; --changes) pair.change(rng);
      REQUIRE(pair.agree());
    }
  }
}

TEST_CASE("placer: a change that is undone leaves no trace") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const PlacementView view = random_view(rng);
    Placer placer(view);
    const Assignment before = placer.assignment();
    for (const NodeView& node : view.nodes) {
      NodeView dead = node;
      dead.liveness = Liveness::kDead;
      placer.set_node(dead);
      if (rng.chance(1, 2)) (void)placer.assignment();
      placer.set_node(node);
    }
    for (const Seat& seat : view.seats) {
      placer.remove_seat(seat.slot, seat.node);
      if (rng.chance(1, 2)) (void)placer.assignment();
      placer.set_seat(seat);
    }
    CHECK(same(placer.assignment(), before));
  }
}
