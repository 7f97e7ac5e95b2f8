#include "placement/rebalance.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <tuple>

#include "base/defects.h"
#include "placement/bounds.h"
#include "placement/eligibility.h"
#include "placement/node_index.h"
#include "placement/preference.h"

namespace kith {
namespace {

/// More preference groups than this are not evened out: comparing all pairs would cost too much.
constexpr uint32_t kMaxGroups = 256;

/// A fraction with a positive denominator below 2^32, or a product of two such.
struct Fraction {
  SignedWide over = 0;
  SignedWide under = 1;
};
int compare(const Fraction& a, const Fraction& b) {
  const SignedWide left = a.over * b.under;
  const SignedWide right = b.over * a.under;
  return left < right ? -1 : left > right ? 1 : 0;
}

/// What the load term loses when a node of this load gives up a slot, and gains when it takes one.
Fraction given_up(uint64_t load, uint64_t weight) {
  return {2 * static_cast<SignedWide>(load) - 1, static_cast<SignedWide>(weight)};
}
Fraction taken_on(uint64_t load, uint64_t weight) {
  return {2 * static_cast<SignedWide>(load) + 1, static_cast<SignedWide>(weight)};
}
Fraction minus(const Fraction& a, const Fraction& b) {
  return {a.over * b.under - b.over * a.under, a.under * b.under};
}

struct Gain {
  int64_t violated = 0;
  int64_t spread = 0;
  Fraction load;
};
/// Lexicographic.
int compare(const Gain& a, const Gain& b) {
  if (a.violated != b.violated) return a.violated < b.violated ? -1 : 1;
  if (a.spread != b.spread) return a.spread < b.spread ? -1 : 1;
  return compare(a.load, b.load);
}

/// A service as rebalancing sees it.
struct Standing {
  const ServiceDoc* doc = nullptr;
  const ServiceTargets* targets = nullptr;
  std::vector<std::optional<uint32_t>> where;  // by slot: the node its copy is on, or moves to
  bool movable = false;
  bool refused = false;  // some node refuses some slot
  uint32_t under_way = 0;
};

struct Choice {
  Gain gain;
  uint64_t hash = 0;
  size_t service = 0;
  size_t slot = 0;
  uint32_t from = 0;
  uint32_t to = 0;
};

/// More gain; ties by slot hash.
bool better(const Choice& a, const Choice& b) {
  const int order = compare(a.gain, b.gain);
  const auto tie = [](const Choice& c) { return std::tie(c.hash, c.service, c.slot, c.to); };
  return order > 0 || (order == 0 && tie(a) < tie(b));
}

class Rebalancer {
 public:
  Rebalancer(const PlacementView& view, const Assignment& assignment)
      : view_(view),
        assignment_(assignment),
        eligibility_(view),
        index_(view),
        use_(assignment.use),
        steady_(view.nodes.size(), 0) {
    for (NodeUse& use : use_) use.slots = 0;
    for (const ServiceDoc& doc : view.services) stand(doc);
  }

  std::vector<Move> moves(const RebalanceLimits& limits);
  Potential potential();

 private:
  void stand(const ServiceDoc& doc);
  struct Stood {
    std::optional<uint32_t> where;
    bool healthy = false;  // some copy of it is
  };
  Stood stand_slot(Standing& standing, const SlotTarget& target,
                   std::vector<Seat>::const_iterator& next);
  void count(const Standing& standing);
  PreferenceTree tree_of(const Standing& standing, const Candidates& candidates) const;
  void look(size_t service, std::optional<Choice>& best);
  void look_plainly(size_t service, std::optional<Choice>& best);
  void rank_targets();
  std::optional<Choice> best_between(size_t service, const std::vector<uint32_t>& sources,
                                     const std::vector<uint32_t>& targets, int64_t violated);
  bool refused_somewhere(const ServiceDoc& doc, uint32_t node) const;
  bool can_take(const Standing& standing, const Candidates& candidates, const Demand& demand,
                uint32_t node) const;

  uint64_t weight(uint32_t node) const { return weight_of(view_.nodes[node]); }
  bool load_allows(uint32_t from, uint32_t to) const {
    return (Wide{use_[to].slots} + 1) * weight(from) + weight(to) <=
           Wide{steady_[from]} * weight(to);
  }

  const PlacementView& view_;
  const Assignment& assignment_;
  Eligibility eligibility_;
  NodeIndex index_;
  std::vector<NodeUse> use_;  // `slots` counts copies where they are or move to
  // Of these, the ones with a healthy copy. A node gives up slots by this count and takes them by
  // the other, so that work which does not come up drives away nothing that runs.
  std::vector<uint64_t> steady_;
  std::vector<Standing> standings_;
  std::vector<uint32_t> counts_;    // of one service, by node
  std::vector<uint32_t> by_gain_;   // all nodes, the one that takes a slot most lightly first
  std::vector<uint32_t> by_level_;  // all nodes, the one that is then loaded least first
};

void Rebalancer::stand(const ServiceDoc& doc) {
  const auto at = assignment_.services.find(doc.name);
  if (at == assignment_.services.end() || at->second.service_id != doc.id) return;
  Standing standing;
  standing.doc = &doc;
  standing.targets = &at->second;
  standing.movable = is_replicated(doc) && doc.spec.failover == Failover::kEager;
  const auto older = [](const auto& item, const std::string& name) {
    return item.slot.service < name;
  };
  const auto refusal =
      std::lower_bound(view_.refusals.begin(), view_.refusals.end(), doc.name, older);
  standing.refused = refusal != view_.refusals.end() && refusal->slot.service == doc.name;
  auto next = std::lower_bound(view_.seats.begin(), view_.seats.end(), doc.name, older);
  standing.where.reserve(at->second.slots.size());
  for (const SlotTarget& target : at->second.slots) {
    const Stood stood = stand_slot(standing, target, next);
    standing.where.push_back(stood.where);
    if (!stood.where) continue;
    use_[*stood.where].slots += 1;
    steady_[*stood.where] += stood.healthy ? 1 : 0;
  }
  standings_.push_back(std::move(standing));
}

/// Where a slot counts. A slot that lacks a healthy copy, or has more than one, or is not of the
/// current generation, keeps its whole service from moving.
Rebalancer::Stood Rebalancer::stand_slot(Standing& standing, const SlotTarget& target,
                                         std::vector<Seat>::const_iterator& next) {
  std::vector<const Seat*> seats;
  while (next != view_.seats.end() && next->slot < target.slot) ++next;
  for (; next != view_.seats.end() && next->slot == target.slot; ++next) {
    if (next->service_id != standing.doc->id) continue;
    const auto node = index_.find(next->node);
    if (!node || view_.nodes[*node].liveness == Liveness::kDead ||
        view_.nodes[*node].liveness == Liveness::kLeft)
      continue;
    seats.push_back(&*next);
  }
  const bool settled = seats.size() == 1 && seats[0]->healthy && target.seated &&
                       seats[0]->generation == standing.doc->generation;
  if (!settled) standing.movable = false;
  const bool healthy =
      std::any_of(seats.begin(), seats.end(), [](const Seat* seat) { return seat->healthy; });
  const Seat* moving = nullptr;
  for (const Seat* seat : seats)
    if (seat->moving && !settled &&
        (moving == nullptr ||
         std::tie(seat->term, seat->node) > std::tie(moving->term, moving->node)))
      moving = seat;
  if (moving != nullptr) {
    ++standing.under_way;
    return {index_.find(moving->node), healthy};
  }
  return {target.target.none() ? std::nullopt : index_.find(target.target), healthy};
}

void Rebalancer::count(const Standing& standing) {
  counts_.assign(view_.nodes.size(), 0);
  for (const auto& node : standing.where)
    if (node) ++counts_[*node];
}

/// Groups are of the nodes that may keep copies, so that a copy's leaving removes no group. Needs
/// `count`.
PreferenceTree Rebalancer::tree_of(const Standing& standing, const Candidates& candidates) const {
  std::vector<uint8_t> member;
  for (uint32_t i = 0; i < view_.nodes.size(); ++i)
    member.push_back((candidates.holds[i] != 0 && view_.nodes[i].engine.present) || counts_[i] > 0);
  PreferenceTree tree(view_, standing.doc->spec.spread_preferences, member);
  if (tree.leaves() > kMaxGroups) tree = PreferenceTree(view_, {}, member);
  for (uint32_t i = 0; i < view_.nodes.size(); ++i)
    if (counts_[i] > 0) tree.add(tree.leaf(i), static_cast<int>(counts_[i]));
  return tree;
}

bool Rebalancer::refused_somewhere(const ServiceDoc& doc, uint32_t node) const {
  auto at = std::lower_bound(
      view_.refusals.begin(), view_.refusals.end(), doc.name,
      [](const Refusal& refused, const std::string& name) { return refused.slot.service < name; });
  for (; at != view_.refusals.end() && at->slot.service == doc.name; ++at)
    if (at->node == view_.nodes[node].id && at->generation == doc.generation) return true;
  return false;
}

bool Rebalancer::can_take(const Standing& standing, const Candidates& candidates,
                          const Demand& demand, uint32_t node) const {
  const NodeView& view = view_.nodes[node];
  if (candidates.bar[node] != Bar::kNone || view.liveness != Liveness::kAlive || !view.ready)
    return false;
  const uint32_t most = standing.doc->spec.max_replicas_per_node;
  if (most != 0 && counts_[node] >= most) return false;
  // Any slot's name does: a host port is free only if nobody holds it, this service included.
  return lacks(view, use_[node], demand, {}) == Lack::kNothing &&
         !(standing.refused && refused_somewhere(*standing.doc, node));
}

void Rebalancer::rank_targets() {
  by_gain_.resize(view_.nodes.size());
  for (uint32_t i = 0; i < by_gain_.size(); ++i) by_gain_[i] = i;
  by_level_ = by_gain_;
  std::sort(by_gain_.begin(), by_gain_.end(), [&](uint32_t a, uint32_t b) {
    const int order =
        compare(taken_on(use_[a].slots, weight(a)), taken_on(use_[b].slots, weight(b)));
    return order != 0 ? order < 0 : a < b;
  });
  std::sort(by_level_.begin(), by_level_.end(), [&](uint32_t a, uint32_t b) {
    const Wide left = (Wide{use_[a].slots} + 1) * weight(b);
    const Wide right = (Wide{use_[b].slots} + 1) * weight(a);
    return left != right ? left < right : a < b;
  });
}

/// `look` for a service without preferences, where it has no copy on some node that can take one:
/// of these the two that would take it best are enough. Needs `rank_targets`, and `counts_` zero.
void Rebalancer::look_plainly(size_t service, std::optional<Choice>& best) {
  const Standing& standing = standings_[service];
  const Candidates& candidates = eligibility_.of(standing.doc->spec);
  const Demand demand(standing.doc->spec);
  std::vector<uint32_t> sources;
  for (const auto& node : standing.where)
    if (node && counts_[*node]++ == 0) sources.push_back(*node);
  std::sort(sources.begin(), sources.end());
  std::vector<uint32_t> targets;
  for (const auto* const order : {&by_gain_, &by_level_}) {
    const auto found = std::find_if(order->begin(), order->end(), [&](uint32_t node) {
      return counts_[node] == 0 && can_take(standing, candidates, demand, node);
    });
    if (found != order->end()) targets.push_back(*found);
  }
  const bool searched = !targets.empty();
  if (searched && !sources.empty()) {
    const auto found = best_between(service, sources, targets, 0);
    if (found && (!best || better(*found, *best))) best = found;
  }
  for (const uint32_t node : sources) counts_[node] = 0;
  if (!searched) look(service, best);
}

/// The best move of one service. What a move gains splits into a part of its source and a part of
/// its target, so the best of each group of nodes are enough.
void Rebalancer::look(size_t service, std::optional<Choice>& best) {
  const Standing& standing = standings_[service];
  const Candidates& candidates = eligibility_.of(standing.doc->spec);
  const Demand demand(standing.doc->spec);
  count(standing);
  PreferenceTree tree = tree_of(standing, candidates);
  std::vector<std::vector<uint32_t>> sources(tree.leaves());
  std::vector<std::vector<uint32_t>> targets(tree.leaves());
  for (uint32_t i = 0; i < view_.nodes.size(); ++i) {
    if (counts_[i] > 0) sources[tree.leaf(i)].push_back(i);
    if (can_take(standing, candidates, demand, i)) targets[tree.leaf(i)].push_back(i);
  }
  for (uint32_t from = 0; from < tree.leaves(); ++from) {
    for (uint32_t to = 0; to < tree.leaves(); ++to) {
      if (sources[from].empty() || targets[to].empty()) continue;
      const int64_t violated = tree.levels() == 0 ? 0 : tree.gain(from, to);
      if (violated < 0) continue;
      const auto found = best_between(service, sources[from], targets[to], violated);
      if (!found) continue;
      if (!best || better(*found, *best)) best = found;
    }
  }
  counts_.assign(view_.nodes.size(), 0);
}

std::optional<Choice> Rebalancer::best_between(size_t service, const std::vector<uint32_t>& sources,
                                               const std::vector<uint32_t>& targets,
                                               int64_t violated) {
  const auto source_order = [&](uint32_t a, uint32_t b) {  // < 0: b is the better source
    if (counts_[a] != counts_[b]) return counts_[a] < counts_[b] ? -1 : 1;
    return compare(given_up(steady_[a], weight(a)), given_up(steady_[b], weight(b)));
  };
  const auto target_order = [&](uint32_t a, uint32_t b) {  // < 0: a is the better target
    if (counts_[a] != counts_[b]) return counts_[a] < counts_[b] ? -1 : 1;
    return compare(taken_on(use_[a].slots, weight(a)), taken_on(use_[b].slots, weight(b)));
  };
  uint32_t from = *std::max_element(sources.begin(), sources.end(),
                                    [&](uint32_t a, uint32_t b) { return source_order(a, b) < 0; });
  uint32_t to = *std::min_element(targets.begin(), targets.end(),
                                  [&](uint32_t a, uint32_t b) { return target_order(a, b) < 0; });
  const int64_t spread =
      2 * (static_cast<int64_t>(counts_[from]) - static_cast<int64_t>(counts_[to]) - 1);
  const bool any = defective(Defect::kMovesWithoutGain);
  if (violated == 0 && spread < 0 && !any) return std::nullopt;
  if (violated == 0 && spread == 0 && !any && !load_allows(from, to)) {
    // With unequal weights the pair of least load sums need not be the one that the bar on small
    // gains lets through: look for the pair furthest apart.
    const auto left = [&](uint32_t node) {
      return Fraction{static_cast<SignedWide>(steady_[node]) - 1,
                      static_cast<SignedWide>(weight(node))};
    };
    const auto reached = [&](uint32_t node) {
      return Fraction{static_cast<SignedWide>(use_[node].slots) + 1,
                      static_cast<SignedWide>(weight(node))};
    };
    for (const uint32_t node : sources)
      if (counts_[node] == counts_[from] && compare(left(node), left(from)) > 0) from = node;
    for (const uint32_t node : targets)
      if (counts_[node] == counts_[to] && compare(reached(node), reached(to)) < 0) to = node;
    if (!load_allows(from, to)) return std::nullopt;
  }
  Choice choice;
  choice.gain = {
      violated, spread,
      minus(given_up(steady_[from], weight(from)), taken_on(use_[to].slots, weight(to)))};
  choice.service = service;
  choice.to = to;
  const Standing& standing = standings_[service];
  bool found = false;
  for (size_t slot = 0; slot < standing.where.size(); ++slot) {
    const auto node = standing.where[slot];
    if (!node || (*node != from && source_order(*node, from) != 0)) continue;
    if (!std::binary_search(sources.begin(), sources.end(), *node)) continue;
    if (violated == 0 && spread == 0 && !any && !load_allows(*node, to)) continue;
    const uint64_t hash = standing.targets->slots[slot].slot.hash();
    if (found && hash >= choice.hash) continue;
    found = true;
    choice.hash = hash;
    choice.slot = slot;
    choice.from = *node;
  }
  return choice;
}

std::vector<Move> Rebalancer::moves(const RebalanceLimits& limits) {
  std::vector<Move> out;
  uint32_t under_way = 0;
  for (const Standing& standing : standings_) under_way += standing.under_way;
  while (under_way < limits.per_cluster) {
    std::optional<Choice> best;
    rank_targets();
    counts_.assign(view_.nodes.size(), 0);
    for (size_t i = 0; i < standings_.size(); ++i) {
      if (!standings_[i].movable || standings_[i].under_way >= limits.per_service) continue;
      if (standings_[i].doc->spec.spread_preferences.empty()) {
        look_plainly(i, best);
      } else {
        look(i, best);
      }
    }
    if (!best) break;
    Standing& standing = standings_[best->service];
    const SlotKey& slot = standing.targets->slots[best->slot].slot;
    out.push_back({slot, view_.nodes[best->from].id, view_.nodes[best->to].id});
    standing.where[best->slot] = best->to;
    use_[best->from].slots -= 1;
    use_[best->to].slots += 1;
    steady_[best->from] -= 1;
    steady_[best->to] += 1;
    charge(use_[best->to], Demand(standing.doc->spec), slot);
    ++standing.under_way;
    ++under_way;
  }
  return out;
}

Potential Rebalancer::potential() {
  Potential out;
  for (const Standing& standing : standings_) {
    if (!is_replicated(*standing.doc)) continue;
    count(standing);
    for (const uint64_t copies : counts_) out.spread += copies * copies;
    if (!standing.doc->spec.spread_preferences.empty())
      out.violated += tree_of(standing, eligibility_.of(standing.doc->spec)).violated();
  }
  for (uint32_t i = 0; i < use_.size(); ++i) {
    const Wide load = use_[i].slots;
    out.load += static_cast<uint64_t>(load * load * (uint64_t{1} << 32) / weight(i));
  }
  return out;
}

}  // namespace

std::vector<Move> rebalance(const PlacementView& view, const Assignment& assignment,
                            const RebalanceLimits& limits) {
  assert(in_order(view));
  assert(assignment.use.size() == view.nodes.size());
  return Rebalancer(view, assignment).moves(limits);
}

Potential potential(const PlacementView& view, const Assignment& assignment) {
  assert(in_order(view));
  return Rebalancer(view, assignment).potential();
}

}  // namespace kith
