#include "placement/rebalance.h"

#include <algorithm>
#include <optional>
#include <set>

#include <doctest/doctest.h>

#include "placement/constraint.h"
#include "random_view.h"

using namespace kith;
using namespace kith::test;

namespace {

/// Healthy lone copies thrown anywhere they are allowed to stay.
PlacementView scattered(Rng& rng, bool weights) {
  PlacementView view = random_view(rng, weights);
  view.seats.clear();
  for (ServiceDoc& doc : view.services)
    if (rng.chance(3, 4)) doc.spec.failover = Failover::kEager;
  for (const ServiceDoc& doc : view.services) {
    if (doc.spec.mode == ServiceMode::kGlobal) continue;
    for (uint32_t index = 1; index <= doc.spec.replicas; ++index)
      view.seats.push_back(
          seat(doc, index, static_cast<uint32_t>(1 + rng.below(rng.chance(1, 2) ? 2 : 12))));
  }
  std::erase_if(view.seats, [&](const Seat& copy) { return !find_node(view, copy.node); });
  put_in_order(view);
  settle(view, assign(view));
  return view;
}

/// How much one move changes the potential, counted afresh from definitions. Single-level
/// preferences; loads as exact as doubles are for such small numbers.
struct Change {
  int64_t violated = 0;
  int64_t spread = 0;
  double load = 0;
};

class Naive {
 public:
  Naive(const PlacementView& view, const Assignment& assignment)
      : view_(view), assignment_(assignment) {
    for (const auto& [name, service] : assignment.services)
      for (const SlotTarget& slot : service.slots)
        if (!slot.target.none()) {
          ++load_[slot.target];
          if (slot.seated) ++steady_[slot.target];  // here all copies are healthy
          ++counts_[name][slot.target];
        }
  }

  std::optional<Change> best() const {
    std::optional<Change> out;
    for (const ServiceDoc& doc : view_.services) {
      if (!movable(doc)) continue;
      for (const SlotTarget& slot : assignment_.services.at(doc.name).slots)
        for (const NodeView& to : view_.nodes)
          if (const auto change = allowed(doc, slot.target, to))
            if (!out || better(*change, *out)) out = change;
    }
    return out;
  }
  std::optional<Change> of(const Move& move) const {
    for (const ServiceDoc& doc : view_.services)
      if (doc.name == move.slot.service && movable(doc))
        return allowed(doc, move.from, view_.nodes[*find_node(view_, move.to)]);
    return std::nullopt;
  }
  static bool better(const Change& a, const Change& b) {
    if (a.violated != b.violated) return a.violated > b.violated;
    if (a.spread != b.spread) return a.spread > b.spread;
    return a.load > b.load + 1e-9;
  }

 private:
  static uint64_t at(const std::map<NodeId, uint64_t>& counts, const NodeId& id) {
    const auto found = counts.find(id);
    return found == counts.end() ? 0 : found->second;
  }
  bool movable(const ServiceDoc& doc) const {
    if (doc.spec.mode != ServiceMode::kReplicated || doc.spec.failover != Failover::kEager)
      return false;
    for (const SlotTarget& slot : assignment_.services.at(doc.name).slots)
      if (!slot.seated) return false;
    return true;
  }
  uint64_t violated(const ServiceDoc& doc, const std::map<NodeId, uint64_t>& counts) const {
    if (doc.spec.spread_preferences.empty()) return 0;
    std::map<std::string, uint64_t> groups;
    uint64_t total = 0;
    for (const NodeView& node : view_.nodes) {
      bool member = node.engine.present && node.availability != Availability::kDrain &&
                    node.liveness != Liveness::kDead && node.liveness != Liveness::kLeft;
      for (const std::string& text : doc.spec.constraints)
        member = member && matches(*parse_constraint(text), node);
      if (!member && at(counts, node.id) == 0) continue;
      groups[node.labels.at("zone")] += at(counts, node.id);
      total += at(counts, node.id);
    }
    uint64_t sum = 0;
    for (const auto& [zone, count] : groups) {
      const uint64_t high = (total + groups.size() - 1) / groups.size();
      const uint64_t low = total / groups.size();
      if (count > high) sum += count - high;
      if (count < low) sum += low - count;
    }
    return sum;
  }
  std::optional<Change> allowed(const ServiceDoc& doc, const NodeId& from,
                                const NodeView& to) const {
    if (from == to.id || to.liveness != Liveness::kAlive || !to.ready || !to.runs_tasks ||
        to.availability != Availability::kActive)
      return std::nullopt;
    for (const std::string& text : doc.spec.constraints)
      if (!matches(*parse_constraint(text), to)) return std::nullopt;
    for (const Refusal& r : view_.refusals)
      if (r.slot.service == doc.name && r.node == to.id && r.generation == doc.generation)
        return std::nullopt;
    std::map<NodeId, uint64_t> counts = counts_.at(doc.name);
    const uint32_t most = doc.spec.max_replicas_per_node;
    if (most != 0 && at(counts, to.id) >= most) return std::nullopt;
    const NodeUse& use = assignment_.use[*find_node(view_, to.id)];
    const Resources& wanted = doc.spec.reservations;
    if (wanted.memory_bytes > 0 && use.memory_bytes + wanted.memory_bytes > to.memory_bytes)
      return std::nullopt;
    if (wanted.nano_cpus > 0 && use.nano_cpus + wanted.nano_cpus > to.nano_cpus)
      return std::nullopt;
    for (const PortSpec& port : doc.spec.ports)
      if (use.ports.count({port.protocol, port.published}) > 0) return std::nullopt;

    Change out;
    const int64_t a = static_cast<int64_t>(at(counts, from));
    const int64_t b = static_cast<int64_t>(at(counts, to.id));
    out.spread = a * a + b * b - (a - 1) * (a - 1) - (b + 1) * (b + 1);
    const int64_t before = static_cast<int64_t>(violated(doc, counts));
    if (a == 1) {
      counts.erase(from);
    } else {
      --counts[from];
    }
    ++counts[to.id];
    out.violated = before - static_cast<int64_t>(violated(doc, counts));
    const double load_a = static_cast<double>(at(steady_, from));
    const double load_b = static_cast<double>(at(load_, to.id));
    const double weight_a = view_.nodes[*find_node(view_, from)].weight;
    const double weight_b = to.weight;
    out.load = (load_a * load_a - (load_a - 1) * (load_a - 1)) / weight_a +
               (load_b * load_b - (load_b + 1) * (load_b + 1)) / weight_b;
    if (out.violated < 0 || (out.violated == 0 && out.spread < 0)) return std::nullopt;
    if (out.violated == 0 && out.spread == 0 &&
        (load_b + 1) * weight_a > (load_a - 1) * weight_b + 1e-9)
      return std::nullopt;
    return out;
  }

  const PlacementView& view_;
  const Assignment& assignment_;
  std::map<NodeId, uint64_t> load_;
  std::map<NodeId, uint64_t> steady_;
  std::map<std::string, std::map<NodeId, uint64_t>> counts_;
};

size_t unseated(const Assignment& assignment) {
  size_t count = 0;
  for (const auto& [name, service] : assignment.services)
    for (const SlotTarget& slot : service.slots) count += !slot.target.none() && !slot.seated;
  return count;
}

/// Carries moves out until none is left; how many there were.
size_t run_out(PlacementView& view, size_t most = 2000) {
  for (size_t done = 0; done < most; ++done) {
    const auto moves = rebalance(view, assign(view), {1, 1});
    if (moves.empty()) return done;
    carry_out(view, moves[0]);
  }
  FAIL("rebalancing does not end");
  return most;
}

}  // namespace

TEST_CASE("rebalance: each move lowers the potential strictly, so a series of them ends") {
  size_t moved = 0;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    PlacementView view = scattered(rng, true);
    for (size_t step = 0;; ++step) {
      REQUIRE(step < 500);
      const Assignment now = assign(view);
      const auto moves = rebalance(view, now);
      CHECK(moves.size() <= 2);
      if (moves.empty()) break;
      if (moves.size() == 2) CHECK(moves[0].slot.service != moves[1].slot.service);
      const Potential before = potential(view, now);
      for (const Move& move : moves) {
        CHECK(now.find(move.slot)->target == move.from);
        carry_out(view, move);
        ++moved;
      }
      const Assignment next = assign(view);
      for (const Move& move : moves) CHECK(next.find(move.slot)->target == move.to);
      // Room that a move leaves may let a slot run that waited; else the potential falls.
      if (unseated(next) == 0) CHECK(potential(view, next) < before);
    }
  }
  CHECK(moved > 1000);
}

TEST_CASE("rebalance: chooses as a naive search of all moves does") {
  size_t moved = 0;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const bool weights = seed % 2 == 0;
    PlacementView view = scattered(rng, weights);
    for (size_t step = 0; step < 20; ++step) {
      const Assignment now = assign(view);
      const Naive naive(view, now);
      const auto moves = rebalance(view, now, {1, 1});
      const auto best = naive.best();
      CHECK(moves.empty() == !best.has_value());
      if (moves.empty()) break;
      const auto chosen = naive.of(moves[0]);
      REQUIRE(chosen.has_value());
      // With unequal weights a pair that the bar on small gains lets through need not be the best.
      if (!weights || best->violated > 0 || best->spread > 0)
        CHECK_FALSE(Naive::better(*best, *chosen));
      carry_out(view, moves[0]);
      ++moved;
    }
  }
  CHECK(moved > 1000);
}

TEST_CASE("rebalance: a node that returns empty gets its share back one move at a time") {
  PlacementView view = cluster(5);
  for (int s = 0; s < 10; ++s) view.services.push_back(service("s" + std::to_string(s), 4));
  put_in_order(view);
  view.nodes[4].liveness = Liveness::kDead;
  settle(view, assign(view));
  CHECK(rebalance(view, assign(view)).empty());
  view.nodes[4].liveness = Liveness::kAlive;
  CHECK(assign(view).use[4].slots == 0);
  size_t steps = 0;
  for (;; ++steps) {
    const auto moves = rebalance(view, assign(view), {1, 1});
    if (moves.empty()) break;
    REQUIRE(moves.size() == 1);
    CHECK(moves[0].to == node_id(5));
    carry_out(view, moves[0]);
  }
  const Assignment out = assign(view);
  CHECK(steps == 8);
  for (uint32_t n = 0; n < 5; ++n) CHECK(out.use[n].slots == 8);
}

TEST_CASE("rebalance: moves under way count as done, and against the limits") {
  PlacementView view = cluster(3);
  const ServiceDoc a = service("a", 3);
  const ServiceDoc b = service("b", 3);
  const ServiceDoc c = service("c", 3);
  view.services = {a, b, c};
  for (const ServiceDoc& doc : view.services)
    for (uint32_t index = 1; index <= 3; ++index) view.seats.push_back(seat(doc, index, 1));
  put_in_order(view);
  const auto begin = [&](const Move& move) {
    Seat copy = seat(service(move.slot.service, 3), move.slot.index, 1);
    copy.node = move.to;
    copy.term = 2;
    copy.healthy = false;
    copy.moving = true;
    view.seats.push_back(copy);
    put_in_order(view);
  };
  const auto first = rebalance(view, assign(view), {1, 1});
  REQUIRE(first.size() == 1);
  begin(first[0]);
  const auto second = rebalance(view, assign(view));
  REQUIRE(second.size() == 1);
  CHECK(second[0].slot.service != first[0].slot.service);
  CHECK(second[0].to != first[0].to);  // the first move's load counts at its destination
  begin(second[0]);
  CHECK(rebalance(view, assign(view)).empty());
  CHECK(rebalance(view, assign(view), {1, 3}).size() == 1);

  // A destination that is healthy beside its source is still under way; alone it is not, though
  // its record goes on saying that a move started it.
  for (Seat& copy : view.seats) copy.healthy = true;
  CHECK(rebalance(view, assign(view)).empty());
  std::erase_if(view.seats, [&](const Seat& copy) {
    return !copy.moving && (copy.slot == first[0].slot || copy.slot == second[0].slot);
  });
  CHECK(rebalance(view, assign(view)).size() == 2);
}

TEST_CASE("rebalance: leaves alone what may not move") {
  struct Row {
    std::string what;
    void (*change)(PlacementView&);
    bool moves;
  };
  const std::vector<Row> rows = {
      {"as it is", [](PlacementView&) {}, true},
      {"pinned", [](PlacementView& v) { v.services[0].spec.failover = Failover::kPinned; }, false},
      {"manual", [](PlacementView& v) { v.services[0].spec.failover = Failover::kManual; }, false},
      {"majority", [](PlacementView& v) { v.services[0].spec.failover = Failover::kMajority; },
       false},
      {"a sick copy", [](PlacementView& v) { v.seats[1].healthy = false; }, false},
      {"a missing copy", [](PlacementView& v) { v.seats.pop_back(); }, false},
      {"an update", [](PlacementView& v) { v.services[0].generation = 2; }, false},
      {"two copies",
       [](PlacementView& v) {
         Seat copy = v.seats[0];
         copy.node = node_id(2);
         v.seats.push_back(copy);
         put_in_order(v);
       },
       false},
      {"nobody ready", [](PlacementView& v) { v.nodes[1].ready = v.nodes[2].ready = false; },
       false},
      {"all suspect",
       [](PlacementView& v) { v.nodes[1].liveness = v.nodes[2].liveness = Liveness::kSuspect; },
       false},
      {"one ready", [](PlacementView& v) { v.nodes[1].ready = false; }, true},
      {"refused",
       [](PlacementView& v) {
         v.refusals = {{{"web", 1, {}}, node_id(2), 1, "x"}, {{"web", 2, {}}, node_id(3), 1, "x"}};
       },
       false},
      {"no memory",
       [](PlacementView& v) {
         v.services[0].spec.reservations.memory_bytes = 10;
         v.nodes[1].memory_bytes = v.nodes[2].memory_bytes = 9;
       },
       false},
      {"constraint",
       [](PlacementView& v) { v.services[0].spec.constraints = {"node.hostname == n1"}; }, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    PlacementView view = cluster(3);
    const ServiceDoc web = service("web", 3);
    view.services = {web};
    view.seats = {seat(web, 1, 1), seat(web, 2, 1), seat(web, 3, 1)};
    row.change(view);
    CHECK(rebalance(view, assign(view)).empty() != row.moves);
  }
}

TEST_CASE("rebalance: one broken service does not keep another from moving") {
  PlacementView view = cluster(2);
  const ServiceDoc good = service("good", 2);
  const ServiceDoc bad = service("bad", 1);
  view.services = {bad, good};
  view.seats = {seat(bad, 1, 2), seat(good, 1, 1), seat(good, 2, 1)};
  view.seats[0].healthy = false;
  const auto moves = rebalance(view, assign(view));
  REQUIRE(moves.size() == 1);
  CHECK(moves[0].slot.service == "good");
}

TEST_CASE("rebalance: work that does not come up drives away nothing that runs") {
  PlacementView view = cluster(3);
  const ServiceDoc web = service("web", 4);
  const ServiceDoc broken = service("broken", 1);
  view.services = {web, broken};
  for (uint32_t index = 1; index <= 4; ++index)
    view.seats.push_back(seat(web, index, index == 4 ? 1 : index));
  Seat failing = seat(broken, 1, 1);
  failing.healthy = false;
  view.seats.push_back(failing);
  put_in_order(view);
  CHECK(rebalance(view, assign(view)).empty());
  for (Seat& copy : view.seats) copy.healthy = true;  // now it is load like any other
  const auto moves = rebalance(view, assign(view), {1, 1});
  REQUIRE(moves.size() == 1);
  CHECK(moves[0].from == node_id(1));
}

TEST_CASE("rebalance: for load alone, by weight") {
  struct Row {
    uint32_t load_a, load_b, weight_a, weight_b;
    bool moves;
  };
  for (const Row& row : std::vector<Row>{{2, 0, 1, 1, true},
                                         {1, 0, 1, 1, false},
                                         {3, 2, 1, 1, false},
                                         {4, 2, 1, 1, true},
                                         {2, 1, 1, 2, true},
                                         {4, 1, 2, 1, false},
                                         {5, 1, 2, 1, true},
                                         {1, 0, 1, 100, false}}) {
    CAPTURE(row.load_a);
    CAPTURE(row.load_b);
    CAPTURE(row.weight_b);
    PlacementView view = cluster(2);
    view.nodes[0].weight = row.weight_a;
    view.nodes[1].weight = row.weight_b;
    for (uint32_t i = 0; i < row.load_a + row.load_b; ++i) {
      view.services.push_back(service("s" + std::to_string(10 + i), 1));
      view.seats.push_back(seat(view.services.back(), 1, i < row.load_a ? 1 : 2));
    }
    const auto moves = rebalance(view, assign(view));
    CHECK(moves.empty() != row.moves);
    for (const Move& move : moves) CHECK(move.to == node_id(2));
  }
}

TEST_CASE("rebalance: preferences come before spread, and spread before load") {
  PlacementView view = cluster(3);
  view.nodes[0].labels["zone"] = "a";
  view.nodes[1].labels["zone"] = "a";
  view.nodes[2].labels["zone"] = "b";
  ServiceDoc web = service("web", 4);
  web.spec.spread_preferences = {"node.labels.zone"};
  view.services = {web};
  view.seats = {seat(web, 1, 1), seat(web, 2, 1), seat(web, 3, 2), seat(web, 4, 3)};
  const auto moves = rebalance(view, assign(view));
  REQUIRE(moves.size() ==
          1);  // two and one in zone a, two in zone b: worse by node, better by zone
  CHECK(moves[0].from == node_id(1));
  CHECK(moves[0].to == node_id(3));
  CHECK(potential(view, assign(view)).violated == 2);  // one too many, one too few
  carry_out(view, moves[0]);
  CHECK(potential(view, assign(view)).violated == 0);
}

TEST_CASE("rebalance: five nodes and twenty small services end near the mean") {
  double before = 0;
  double after = 0;
  double worst = 0;
  size_t moves = 0;
  constexpr int kCases = 150;
  for (uint64_t seed = 1; seed <= kCases; ++seed) {
    Rng rng(seed);
    PlacementView view = cluster(5);
    uint64_t slots = 0;
    for (int s = 0; s < 20; ++s) {
      const uint32_t replicas = static_cast<uint32_t>(1 + rng.below(3));
      slots += replicas;
      view.services.push_back(service("s" + std::to_string(seed * 100 + s), replicas));
    }
    put_in_order(view);
    const auto peak = [&] {
      uint64_t most = 0;
      for (const NodeUse& use : assign(view).use) most = std::max(most, use.slots);
      return static_cast<double>(most) * 5 / static_cast<double>(slots);
    };
    settle(view, assign(view));
    before += peak();
    moves += run_out(view);
    after += peak();
    worst = std::max(worst, peak());
  }
  MESSAGE("peak/mean placed " << before / kCases << ", rebalanced " << after / kCases << ", worst "
                              << worst << ", " << moves << " moves in " << kCases << " cases");
  CHECK(after / kCases <= 1.25);
  CHECK(worst <= 1.25);
}
