// The figures of `./run bench placement`: what placing a million slots costs, and how even and how
// steady the function is beside a plain ring, rendezvous and jump hashing.

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <map>
#include <vector>

#include "base/rng.h"
#include "fixture.h"
#include "placement/placer.h"
#include "placement/rebalance.h"
#include "placement/ring.h"

using namespace kith;
using namespace kith::test;

namespace {

using Targets = std::map<SlotKey, NodeId>;

/// Of processor time: what else this machine does is not counted.
double ms_since(std::clock_t start) {
  return 1000.0 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

Targets targets_of(const Assignment& assignment) {
  Targets out;
  for (const auto& [name, service] : assignment.services)
    for (const SlotTarget& slot : service.slots) out[slot.slot] = slot.target;
  return out;
}

/// Load by weight: the highest over the mean.
double peak_to_mean(const PlacementView& view, const Targets& targets) {
  std::map<NodeId, double> load;
  for (const auto& [slot, target] : targets) load[target] += 1;
  double weight = 0;
  double peak = 0;
  for (const NodeView& node : view.nodes) {
    if (node.liveness != Liveness::kAlive) continue;
    weight += node.weight;
    peak = std::max(peak, load[node.id] / node.weight);
  }
  return peak * weight / static_cast<double>(targets.size());
}

NodeId random_id(Rng& rng) {
  NodeId id;
  for (uint8_t& byte : id.key) byte = static_cast<uint8_t>(rng.below(256));
  return id;
}

/// A cluster of one kind of host, and services of so many replicas.
PlacementView random_case(Rng& rng, uint32_t nodes, uint32_t services, uint32_t least,
                          uint32_t most) {
  PlacementView view = cluster(nodes);
  for (NodeView& node : view.nodes) node.id = random_id(rng);
  for (uint32_t i = 0; i < services; ++i)
    view.services.push_back(service("s" + std::to_string(rng.next()),
                                    least + static_cast<uint32_t>(rng.below(most - least + 1))));
  put_in_order(view);
  return view;
}

// --- The others ----------------------------------------------------------------------------------

std::vector<const NodeView*> living(const PlacementView& view) {
  std::vector<const NodeView*> out;
  for (const NodeView& node : view.nodes)
    if (node.liveness == Liveness::kAlive) out.push_back(&node);
  return out;
}

Targets each_slot(const PlacementView& view, const std::function<NodeId(const SlotKey&)>& where) {
  Targets out;
  for (const ServiceDoc& doc : view.services)
    for (uint32_t i = 1; i <= doc.spec.replicas; ++i) {
      const SlotKey slot{doc.name, i, {}};
      out[slot] = where(slot);
    }
  return out;
}

Targets by_ring(const PlacementView& view) {
  const Ring ring(view);
  Walk walk;
  return each_slot(view, [&](const SlotKey& slot) {
    walk.start(ring, slot.hash());
    while (const auto node = walk.next())
      if (view.nodes[*node].liveness == Liveness::kAlive) return view.nodes[*node].id;
    return NodeId{};
  });
}

/// Thaler and Ravishankar 1998.
Targets by_rendezvous(const PlacementView& view) {
  const auto nodes = living(view);
  return each_slot(view, [&](const SlotKey& slot) {
    const auto score = [&](const NodeView* node) {
      return hash_combine(slot.hash(), stable_hash(node->id.key));
    };
    return (*std::max_element(nodes.begin(), nodes.end(),
                              [&](const auto* a, const auto* b) { return score(a) < score(b); }))
        ->id;
  });
}

/// Lamping and Veach 2014. Its buckets are numbered: who leaves from the middle moves the rest.
Targets by_jump(const PlacementView& view) {
  const auto nodes = living(view);
  return each_slot(view, [&](const SlotKey& slot) {
    uint64_t key = slot.hash();
    int64_t bucket = -1;
    int64_t next = 0;
    while (next < static_cast<int64_t>(nodes.size())) {
      bucket = next;
      key = key * 2862933555777941757ULL + 1;
      next = static_cast<int64_t>(
          static_cast<double>(bucket + 1) *
          (static_cast<double>(int64_t{1} << 31) / static_cast<double>((key >> 33) + 1)));
    }
    return nodes[static_cast<size_t>(bucket)]->id;
  });
}

// --- Beside each other ---------------------------------------------------------------------------

struct Row {
  const char* name;
  std::function<Targets(const PlacementView&)> place;
  bool seats = false;  ///< copies that exist are shown to it, and it may move them when calm
};

struct Score {
  double small = 0, small_worst = 0, large_worst = 0;
  double cycle = 0, cycle_worst = 0;
  uint64_t lost = 0, added = 0, moved_back = 0, worse = 0;
};

/// Copies that were healthy on a node that still lives, and are elsewhere now.
uint64_t restarted(const PlacementView& view, const Targets& before, const Targets& after) {
  uint64_t count = 0;
  for (const auto& [slot, target] : before) {
    const auto node = find_node(view, target);
    const auto now = after.find(slot);
    count += node && view.nodes[*node].liveness == Liveness::kAlive && now != after.end() &&
             now->second != target;
  }
  return count;
}

void seat_all(PlacementView& view, const Row& row, const Targets& targets) {
  view.seats.clear();
  if (!row.seats) return;
  for (const ServiceDoc& doc : view.services)
    for (uint32_t i = 1; i <= doc.spec.replicas; ++i) {
      Seat copy = seat(doc, i, 0);
      const auto at = targets.find(copy.slot);
      if (at == targets.end()) continue;
      copy.node = at->second;
      view.seats.push_back(copy);
    }
  put_in_order(view);
}

/// Moves until even; counts those that did not lessen the imbalance.
Targets hand_back(PlacementView& view, Score& score) {
  Assignment assignment = assign(view);
  for (auto moves = rebalance(view, assignment); !moves.empty();
       moves = rebalance(view, assignment)) {
    const Potential before = potential(view, assignment);
    carry_out(view, moves.front());
    assignment = assign(view);
    ++score.moved_back;
    score.worse += potential(view, assignment) >= before;
  }
  return targets_of(assignment);
}

void run_case(const Row& row, PlacementView view, Rng& rng, Score& score) {
  Targets targets = row.place(view);
  const double even = peak_to_mean(view, targets);
  score.small += even;
  score.small_worst = std::max(score.small_worst, even);

  seat_all(view, row, targets);
  NodeView& lost = view.nodes[rng.below(view.nodes.size())];
  lost.liveness = Liveness::kDead;
  std::erase_if(view.seats, [&](const Seat& copy) { return copy.node == lost.id; });
  Targets after = row.place(view);
  score.lost += restarted(view, targets, after);

  seat_all(view, row, after);
  view.services.push_back(service("z" + std::to_string(rng.next()), 3));
  put_in_order(view);
  targets = row.place(view);
  score.added += restarted(view, after, targets);

  seat_all(view, row, targets);
  lost.liveness = Liveness::kAlive;
  if (row.seats) {
    after = hand_back(view, score);
  } else {
    after = row.place(view);
    score.moved_back += restarted(view, targets, after);
  }
  const double cycle = peak_to_mean(view, after);
  score.cycle += cycle;
  score.cycle_worst = std::max(score.cycle_worst, cycle);
}

void compare() {
  constexpr int kCases = 150;
  const auto kith = [](const PlacementView& view) { return targets_of(assign(view)); };
  const Row rows[] = {{"kith", kith, true},
                      {"kith, without incumbents", kith},
                      {"plain ring", by_ring},
                      {"rendezvous", by_rendezvous},
                      {"jump", by_jump}};
  std::printf(
      "\n%d random cases of 5 nodes and 20 services of 1 to 5 replicas: peak to mean; healthy\n"
      "copies restarted in all cases together\n\n",
      kCases);
  std::printf("| %-24s | %5s | %5s | >=100 a node | %9s | %11s | %9s | %11s | %5s |\n", "", "mean",
              "worst", "node lost", "service new", "back: all", "mean after", "worst");
  std::printf("|---|---|---|---|---|---|---|---|---|\n");
  for (const Row& row : rows) {
    Score score;
    for (int i = 0; i < kCases; ++i) {
      Rng rng(static_cast<uint64_t>(i) + 1);
      PlacementView view = random_case(rng, 5, 20, 1, 5);
      run_case(row, std::move(view), rng, score);
      const PlacementView large = random_case(rng, 5, 20, 25, 35);
      score.large_worst = std::max(score.large_worst, peak_to_mean(large, row.place(large)));
    }
    std::printf(
        "| %-24s | %5.2f | %5.2f | %12.2f | %9llu | %11llu | %9llu | %11.2f | %5.2f |\n", row.name,
        score.small / kCases, score.small_worst, score.large_worst,
        static_cast<unsigned long long>(score.lost), static_cast<unsigned long long>(score.added),
        static_cast<unsigned long long>(score.moved_back), score.cycle / kCases, score.cycle_worst);
    if (row.seats && score.worse != 0)
      std::printf("moves that did not lessen the imbalance: %llu\n",
                  static_cast<unsigned long long>(score.worse));
  }
}

// --- A million -----------------------------------------------------------------------------------

void million() {
  constexpr uint32_t kNodes = 10'000;
  constexpr uint32_t kServices = 1'000;
  constexpr uint32_t kReplicas = 1'000;
  Rng rng(1);
  PlacementView view = random_case(rng, kNodes, kServices, kReplicas, kReplicas);
  for (NodeView& node : view.nodes) node.weight = 1 + static_cast<uint32_t>(rng.below(16));
  std::printf("%u nodes of weight 1 to 16, %u services of %u replicas, one core\n", kNodes,
              kServices, kReplicas);

  std::clock_t start = std::clock();
  const Ring ring(view);
  const double ring_ms = ms_since(start);
  start = std::clock();
  const Assignment assignment = assign(view, ring);
  const double assign_ms = ms_since(start);
  const Targets targets = targets_of(assignment);
  std::printf("  ring %.0f ms, all slots placed %.0f ms: %.2f s; peak to mean %.3f\n", ring_ms,
              assign_ms, (ring_ms + assign_ms) / 1000, peak_to_mean(view, targets));

  settle(view, assignment);
  start = std::clock();
  Placer placer(view);
  (void)placer.assignment();
  std::printf("  the same kept for changes, all seated: %.2f s\n", ms_since(start) / 1000);

  std::vector<double> took;
  std::vector<Seat> placed;
  uint64_t moved = 0;
  for (int i = 0; i < 20; ++i) {
    NodeView& lost = view.nodes[rng.below(view.nodes.size())];
    if (lost.liveness == Liveness::kDead) continue;
    lost.liveness = Liveness::kDead;
    std::vector<Seat*> copies;
    for (Seat& copy : view.seats)
      if (copy.node == lost.id) copies.push_back(&copy);
    start = std::clock();
    placer.set_node(lost);
    for (const Seat* copy : copies) placer.remove_seat(copy->slot, lost.id);
    const Assignment& after = placer.assignment();
    took.push_back(ms_since(start));
    if (i == 0) moved = restarted(view, targets, targets_of(after));
    for (Seat* copy : copies) {  // they run where they should, before the next is lost
      copy->node = after.find(copy->slot)->target;
      placed.push_back(*copy);
    }
    for (const Seat& copy : placed) placer.set_seat(copy);
    placed.clear();
    (void)placer.assignment();
  }
  std::sort(took.begin(), took.end());
  std::printf("  a node lost: median %.1f ms, worst %.1f ms of %zu; healthy copies moved: %llu\n",
              took[took.size() / 2], took.back(), took.size(),
              static_cast<unsigned long long>(moved));
}

}  // namespace

int main() {
  million();
  compare();
  return 0;
}
