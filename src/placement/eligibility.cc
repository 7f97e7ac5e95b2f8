#include "placement/eligibility.h"

#include <algorithm>
#include <tuple>

namespace kith {
namespace {

bool away(const NodeView& node) {
  return node.liveness == Liveness::kDead || node.liveness == Liveness::kLeft;
}

Bar first_bar(const NodeView& node, bool ask_ready) {
  if (node.liveness == Liveness::kDead) return Bar::kDead;
  if (node.liveness == Liveness::kLeft) return Bar::kLeft;
  if (node.availability == Availability::kDrain) return Bar::kDrained;
  if (node.availability == Availability::kPause) return Bar::kPaused;
  if (!node.runs_tasks) return Bar::kNoEngine;
  if (ask_ready && !node.ready) return Bar::kNotReady;
  return Bar::kNone;
}

}  // namespace

Eligibility::Eligibility(const PlacementView& view, const Ring* ring)
    : view_(view), ring_(ring), bars_(first_bars()) {}

std::vector<Bar> Eligibility::first_bars() const {
  const bool somebody =
      std::any_of(view_.nodes.begin(), view_.nodes.end(),
                  [](const NodeView& node) { return first_bar(node, true) == Bar::kNone; });
  std::vector<Bar> bars;
  bars.reserve(view_.nodes.size());
  for (const NodeView& node : view_.nodes) bars.push_back(first_bar(node, somebody));
  return bars;
}

const Candidates& Eligibility::of(const ServiceSpec& spec) {
  const auto at = cache_.find(spec);
  if (at != cache_.end()) return at->second;
  if (cache_.size() >= kMaxCached) cache_.clear();
  return cache_.emplace(Asked(spec.constraints, spec.platforms), judge(spec)).first->second;
}

void Eligibility::judge_node(const Constraints& constraints, const Platforms& platforms,
                             uint32_t index, Candidates& out) const {
  const NodeView& node = view_.nodes[index];
  const bool allowed =
      constraints && std::all_of(constraints->begin(), constraints->end(),
                                 [&](const Constraint& c) { return matches(c, node); });
  const bool fits = allowed && fits_platform(platforms, node);
  out.bar[index] = bars_[index] == Bar::kNone && !fits ? Bar::kConstraint : bars_[index];
  // A copy that runs already outlives a constraint that cannot be read, and shows that its image is
  // for its node.
  const bool may_stay = allowed || !constraints;
  out.holds[index] = may_stay && !away(node) && node.availability != Availability::kDrain;
}

Candidates Eligibility::judge(const ServiceSpec& spec) const {
  const auto parsed = parse_constraints(spec.constraints);
  Candidates out;
  if (!parsed) out.fault = parsed.error().message;
  const Constraints constraints = parsed ? Constraints(*parsed) : std::nullopt;
  out.bar.resize(view_.nodes.size());
  out.holds.resize(view_.nodes.size());
  std::vector<uint8_t> fit;
  for (uint32_t i = 0; i < view_.nodes.size(); ++i) {
    judge_node(constraints, spec.platforms, i, out);
    fit.push_back(out.bar[i] == Bar::kNone);
    out.count += out.bar[i] == Bar::kNone;
  }
  if (ring_ != nullptr && out.count < view_.nodes.size() / 4) out.few = ring_->only(fit);
  return out;
}

void Eligibility::refresh(uint32_t index) {
  std::vector<Bar> bars = first_bars();
  bool alone = true;
  for (uint32_t i = 0; i < bars.size(); ++i) alone = alone && (i == index || bars[i] == bars_[i]);
  bars_ = std::move(bars);
  if (!alone) return cache_.clear();
  for (auto at = cache_.begin(); at != cache_.end();) {
    Candidates& known = at->second;
    const auto& [constraints, platforms] = at->first;
    const auto parsed = parse_constraints(constraints);
    const bool fitted = known.bar[index] == Bar::kNone;
    judge_node(parsed ? Constraints(*parsed) : std::nullopt, platforms, index, known);
    const bool fits = known.bar[index] == Bar::kNone;
    known.count = known.count + fits - fitted;
    // A ring of the few may hold one too many, whom the walk passes over, but lacks none.
    at = fits && !fitted && known.few ? cache_.erase(at) : std::next(at);
  }
}

Demand::Demand(const ServiceSpec& spec) : resources(spec.reservations) {
  for (const PortSpec& port : spec.ports)
    if (port.host_mode && port.published != 0) ports.push_back({port.protocol, port.published});
}

Lack lacks(const NodeView& node, const NodeUse& use, const Demand& demand, const SlotKey& slot) {
  const auto short_of = [](int64_t wanted, int64_t has, int64_t used) {
    return wanted > 0 && wanted > std::max<int64_t>(has, 0) - used;
  };
  if (short_of(demand.resources.nano_cpus, node.nano_cpus, use.nano_cpus)) return Lack::kCpus;
  if (short_of(demand.resources.memory_bytes, node.memory_bytes, use.memory_bytes))
    return Lack::kMemory;
  for (const HostPort& port : demand.ports) {
    const auto holder = use.ports.find(port);
    if (holder != use.ports.end() && holder->second != slot) return Lack::kPort;
  }
  return Lack::kNothing;
}

void charge(NodeUse& use, const Demand& demand, const SlotKey& slot) {
  // Saturates: documents are not to be trusted with an overflow.
  const auto add = [](int64_t& sum, int64_t more) {
    if (more > 0) sum = more > INT64_MAX - sum ? INT64_MAX : sum + more;
  };
  add(use.nano_cpus, demand.resources.nano_cpus);
  add(use.memory_bytes, demand.resources.memory_bytes);
  for (const HostPort& port : demand.ports) use.ports.emplace(port, slot);
}

const Refusal* refusal(const PlacementView& view, const ServiceDoc& doc, const SlotKey& slot,
                       const NodeId& node) {
  const auto at = std::lower_bound(view.refusals.begin(), view.refusals.end(), std::tie(slot, node),
                                   [](const Refusal& refused, const auto& wanted) {
                                     return std::tie(refused.slot, refused.node) < wanted;
                                   });
  if (at == view.refusals.end() || at->slot != slot || at->node != node) return nullptr;
  return at->generation == doc.generation ? &*at : nullptr;
}

bool any_refusal(const PlacementView& view, const ServiceDoc& doc, const SlotKey& slot) {
  auto at = std::lower_bound(
      view.refusals.begin(), view.refusals.end(), slot,
      [](const Refusal& refused, const SlotKey& wanted) { return refused.slot < wanted; });
  for (; at != view.refusals.end() && at->slot == slot; ++at)
    if (at->generation == doc.generation) return true;
  return false;
}

std::vector<const Seat*> seats_of(const PlacementView& view, const ServiceDoc& doc,
                                  const SlotKey& slot) {
  std::vector<const Seat*> out;
  auto at =
      std::lower_bound(view.seats.begin(), view.seats.end(), slot,
                       [](const Seat& seat, const SlotKey& wanted) { return seat.slot < wanted; });
  for (; at != view.seats.end() && at->slot == slot; ++at)
    if (at->service_id == doc.id) out.push_back(&*at);
  return out;
}

bool outranks(const Seat& a, const Seat& b) {
  return std::tie(a.healthy, a.term, a.node) > std::tie(b.healthy, b.term, b.node);
}

}  // namespace kith
