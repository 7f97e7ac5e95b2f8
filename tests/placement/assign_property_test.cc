#include <algorithm>
#include <set>
#include <span>

#include <doctest/doctest.h>

#include "base/hash.h"
#include "placement/assign.h"
#include "placement/constraint.h"
#include "random_view.h"

using namespace kith;
using namespace kith::test;

namespace {

bool same(const SlotTarget& a, const SlotTarget& b) {
  return a.slot == b.slot && a.target == b.target && a.seated == b.seated && a.move == b.move &&
         a.all_refused == b.all_refused && a.waiting == b.waiting && a.waits_for == b.waits_for;
}

bool same(const Assignment& a, const Assignment& b) {
  return std::equal(a.services.begin(), a.services.end(), b.services.begin(), b.services.end(),
                    [](const auto& x, const auto& y) {
                      return x.first == y.first &&
                             std::equal(x.second.slots.begin(), x.second.slots.end(),
                                        y.second.slots.begin(), y.second.slots.end(),
                                        [](const auto& p, const auto& q) { return same(p, q); });
                    });
}

/// The second pass once more, as plainly as it can be said: every node is judged anew for every
/// slot, and bounds are raised by trying. Takes the seated slots from the answer under test.
class Oracle {
 public:
  Oracle(const PlacementView& view, const Assignment& tested) : view_(view) {
    for (const auto& [name, service] : tested.services) slots_ += service.slots.size();
    for (const NodeView& node : view.nodes) {
      if (!open(node)) continue;
      weight_ += node.weight;
    }
    for (const Seat& copy : view.seats) hold(copy, tested);
    for (const auto& [name, service] : tested.services)
      for (const SlotTarget& slot : service.slots)
        if (slot.seated) {
          ++load_[slot.target];
          ++counts_[name][slot.target];
        }
  }

  void check(const Assignment& tested) {
    for (const ServiceDoc& doc : view_.services) {
      const auto at = tested.services.find(doc.name);
      if (at == tested.services.end()) continue;
      uint64_t eligible = 0;
      for (const NodeView& node : view_.nodes) eligible += fits(doc, node);
      uint64_t spread = eligible == 0 ? 0 : (doc.spec.replicas + eligible - 1) / eligible;
      uint64_t level = 11;
      for (const SlotTarget& slot : at->second.slots) {
        if (slot.seated || !slot.waits_for.none() || doc.spec.mode == ServiceMode::kGlobal ||
            !doc.spec.spread_preferences.empty() || doc.spec.failover == Failover::kPinned) {
          if (!slot.seated && !slot.target.none()) take(doc, slot.slot, slot.target);
          continue;
        }
        CHECK(slot.target == choose(doc, slot.slot, spread, level));
        if (!slot.target.none()) take(doc, slot.slot, slot.target);
      }
    }
  }

 private:
  bool open(const NodeView& node) const {
    const auto basic = [](const NodeView& n) {
      return (n.liveness == Liveness::kAlive || n.liveness == Liveness::kSuspect) &&
             n.availability == Availability::kActive && n.runs_tasks;
    };
    bool somebody = false;
    for (const NodeView& other : view_.nodes) somebody |= basic(other) && other.ready;
    return basic(node) && (node.ready || !somebody);
  }
  bool fits(const ServiceDoc& doc, const NodeView& node) const {
    bool all = open(node);
    for (const std::string& text : doc.spec.constraints)
      all = all && matches(*parse_constraint(text), node);
    return all;
  }
  void hold(const Seat& copy, const Assignment& tested) {
    if (tested.find(copy.slot) == nullptr) return;
    for (const NodeView& node : view_.nodes)
      for (const ServiceDoc& doc : view_.services)
        if (node.id == copy.node && doc.id == copy.service_id && node.liveness != Liveness::kDead &&
            node.liveness != Liveness::kLeft)
          use(doc, copy.slot, node.id);
  }
  void use(const ServiceDoc& doc, const SlotKey& slot, const NodeId& node) {
    memory_[node] += doc.spec.reservations.memory_bytes;
    cpus_[node] += doc.spec.reservations.nano_cpus;
    for (const PortSpec& port : doc.spec.ports) ports_[node].insert({port.published, slot});
  }
  void take(const ServiceDoc& doc, const SlotKey& slot, const NodeId& node) {
    use(doc, slot, node);
    ++load_[node];
    ++counts_[doc.name][node];
  }
  bool room(const ServiceDoc& doc, const SlotKey& slot, const NodeView& node) {
    const Resources& wanted = doc.spec.reservations;
    if (wanted.memory_bytes > 0 && memory_[node.id] + wanted.memory_bytes > node.memory_bytes)
      return false;
    if (wanted.nano_cpus > 0 && cpus_[node.id] + wanted.nano_cpus > node.nano_cpus) return false;
    for (const PortSpec& port : doc.spec.ports)
      for (const auto& [number, holder] : ports_[node.id])
        if (number == port.published && holder != slot) return false;
    const uint32_t most = doc.spec.max_replicas_per_node;
    return most == 0 || counts_[doc.name][node.id] < most;
  }
  bool refused(const ServiceDoc& doc, const SlotKey& slot, const NodeView& node) const {
    for (const Refusal& r : view_.refusals)
      if (r.slot == slot && r.node == node.id && r.generation == doc.generation) return true;
    return false;
  }
  std::vector<const NodeView*> walk(const SlotKey& slot) const {
    uint64_t total = 0;
    for (const NodeView& node : view_.nodes) total += node.weight;
    // A node stands where its nearest point clockwise is.
    std::vector<std::pair<uint64_t, const NodeView*>> nearest;
    for (const NodeView& node : view_.nodes) {
      uint64_t best = UINT64_MAX;
      const uint64_t points =
          std::max<uint64_t>(1, kVirtualNodes * node.weight * view_.nodes.size() / total);
      for (uint64_t k = 0; k < points; ++k)
        best = std::min(best, hash_combine(stable_hash(node.id.key), k) - slot.hash());
      nearest.emplace_back(best, &node);
    }
    std::sort(nearest.begin(), nearest.end());
    std::vector<const NodeView*> out;
    for (const auto& [distance, node] : nearest) out.push_back(node);
    return out;
  }
  NodeId choose(const ServiceDoc& doc, const SlotKey& slot, uint64_t& spread, uint64_t& level) {
    std::vector<const NodeView*> able;
    std::vector<const NodeView*> unwilling;
    for (const NodeView* node : walk(slot))
      if (fits(doc, *node) && room(doc, slot, *node))
        (refused(doc, slot, *node) ? unwilling : able).push_back(node);
    if (able.empty()) return unwilling.empty() ? NodeId{} : unwilling[0]->id;
    const auto within = [&](const NodeView& node, uint64_t lv) {
      const uint64_t bound = (lv * slots_ * node.weight + 10 * weight_ - 1) / (10 * weight_);
      return load_[node.id] < bound;
    };
    for (const NodeView* node : able)
      if (within(*node, level) && counts_[doc.name][node->id] < spread) return node->id;
    for (uint64_t lv = level;; ++lv) {
      for (uint64_t copies = 0; copies <= doc.spec.replicas; ++copies) {
        for (const NodeView* node : able) {
          if (!within(*node, lv) || counts_[doc.name][node->id] != copies) continue;
          level = lv;
          spread = std::max(spread, copies + 1);
          return node->id;
        }
      }
    }
  }

  const PlacementView& view_;
  uint64_t slots_ = 0;
  uint64_t weight_ = 0;
  std::map<NodeId, uint64_t> load_;
  std::map<NodeId, int64_t> memory_;
  std::map<NodeId, int64_t> cpus_;
  std::map<NodeId, std::set<std::pair<uint16_t, SlotKey>>> ports_;
  std::map<std::string, std::map<NodeId, uint64_t>> counts_;
};

}  // namespace

TEST_CASE("assign: agrees with a naive oracle") {
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const PlacementView view = random_view(rng);
    const Assignment out = assign(view);
    Oracle(view, out).check(out);
  }
}

TEST_CASE("assign: the order in which records came does not matter") {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const PlacementView view = random_view(rng);
    PlacementView shuffled = view;
    rng.shuffle(std::span(shuffled.nodes));
    rng.shuffle(std::span(shuffled.services));
    rng.shuffle(std::span(shuffled.seats));
    rng.shuffle(std::span(shuffled.refusals));
    put_in_order(shuffled);
    const Assignment first = assign(view);
    const Assignment second = assign(shuffled);
    CHECK(same(first, second));
    CHECK(rebalance(view, first) == rebalance(shuffled, second));
  }
}

TEST_CASE("assign: what is settled stays, whatever else changes") {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    PlacementView view = random_view(rng);
    settle(view, assign(view));
    const Assignment before = assign(view);
    // Nodes come back, get ready, get small; services appear and grow.
    for (NodeView& node : view.nodes) {
      node.ready = rng.chance(1, 2);
      node.weight = static_cast<uint32_t>(1 + rng.below(9));
      node.memory_bytes = static_cast<int64_t>(rng.below(20));
    }
    for (ServiceDoc& doc : view.services) doc.spec.replicas += static_cast<uint32_t>(rng.below(3));
    view.nodes.push_back(node(100));
    view.services.push_back(service("new", 5));
    put_in_order(view);
    const Assignment after = assign(view);
    for (const auto& [name, service] : before.services)
      for (const SlotTarget& slot : service.slots)
        if (slot.seated) CHECK(after.find(slot.slot)->target == slot.target);
  }
}

TEST_CASE("assign: a node's death moves its slots and no others") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    PlacementView view = cluster(5);
    for (int s = 0; s < 20; ++s)
      view.services.push_back(
          service("s" + std::to_string(seed * 100 + s), static_cast<uint32_t>(1 + rng.below(4))));
    put_in_order(view);
    settle(view, assign(view));
    const Assignment before = assign(view);
    view.nodes[2].liveness = Liveness::kDead;
    const Assignment after = assign(view);
    for (const auto& [name, service] : before.services)
      for (const SlotTarget& slot : service.slots) {
        const NodeId now = after.find(slot.slot)->target;
        if (slot.target == node_id(3)) {
          CHECK_FALSE(now.none());
          CHECK(now != node_id(3));
        } else {
          CHECK(now == slot.target);
        }
      }
  }
}

TEST_CASE("assign: without seats a node's death renames few of the others' slots") {
  uint64_t others = 0;
  uint64_t renamed = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    Rng rng(seed);
    PlacementView view = cluster(5);
    for (int s = 0; s < 20; ++s)
      view.services.push_back(
          service("s" + std::to_string(seed * 100 + s), static_cast<uint32_t>(1 + rng.below(3))));
    put_in_order(view);
    const Assignment before = assign(view);
    view.nodes[2].liveness = Liveness::kDead;
    const Assignment after = assign(view);
    for (const auto& [name, service] : before.services)
      for (const SlotTarget& slot : service.slots)
        if (slot.target != node_id(3)) {
          ++others;
          renamed += after.find(slot.slot)->target != slot.target;
        }
  }
  MESSAGE("renamed without seats: " << renamed << " of " << others);
  CHECK(renamed * 100 <= others * 15);
}
