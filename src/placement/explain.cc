#include "placement/explain.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "placement/bounds.h"
#include "placement/eligibility.h"

namespace kith {
namespace {

std::string mebibytes(int64_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

/// `1.50 CPUs`.
std::string cpus(int64_t nano) {
  const int64_t hundredths = nano / 10'000'000;
  const std::string rest = std::to_string(hundredths % 100);
  return std::to_string(hundredths / 100) + "." + (rest.size() < 2 ? "0" : "") + rest + " CPUs";
}

std::string nodes_text(size_t count) {
  return std::to_string(count) + (count == 1 ? " node" : " nodes");
}

/// Why a node is passed over: in full for the walk, and short, so that nodes of one reason can be
/// counted together, for the one line.
struct Reason {
  std::string full;
  std::string brief;
};

class Explainer {
 public:
  Explainer(const PlacementView& view, const Ring& ring, const Assignment& assignment,
            const ServiceDoc& doc, const ServiceTargets& service, const SlotTarget& slot)
      : view_(view),
        assignment_(assignment),
        doc_(doc),
        slot_(slot),
        eligibility_(view, &ring),
        candidates_(eligibility_.of(doc.spec)),
        demand_(doc.spec) {
    for (const SlotTarget& other : service.slots) {
      ++replicas_;
      if (other.slot != slot.slot && !other.target.none()) ++counts_[other.target];
    }
    for (uint32_t i = 0; i < view.nodes.size(); ++i)
      if (eligibility_.bar(i) == Bar::kNone) load_.weight += weight_of(view.nodes[i]);
    for (const auto& [name, others] : assignment.services) load_.slots += others.slots.size();
  }

  SlotExplanation run(const Ring& ring);

 private:
  std::optional<Reason> judge(uint32_t node) const;
  std::optional<Reason> barred(uint32_t node) const;
  std::optional<Reason> lacking(uint32_t node) const;
  std::optional<Reason> bounded(uint32_t node) const;
  /// What the node's use is without this slot.
  NodeUse others_on(uint32_t node) const;
  std::string name_of(const NodeId& id) const;
  std::string verdict(const SlotExplanation& so_far) const;
  std::string error(const std::map<std::string, size_t>& reasons) const;

  const PlacementView& view_;
  const Assignment& assignment_;
  const ServiceDoc& doc_;
  const SlotTarget& slot_;
  Eligibility eligibility_;
  const Candidates& candidates_;
  Demand demand_;
  LoadBound load_;
  uint64_t replicas_ = 0;
  std::map<NodeId, uint32_t> counts_;  // other slots of the service
};

std::string Explainer::name_of(const NodeId& id) const {
  const auto node = find_node(view_, id);
  return !node || view_.nodes[*node].name.empty() ? id.docker_id() : view_.nodes[*node].name;
}

NodeUse Explainer::others_on(uint32_t node) const {
  NodeUse use = assignment_.use[node];
  const NodeId& id = view_.nodes[node].id;
  const auto seats = seats_of(view_, doc_, slot_.slot);
  const bool seat =
      std::any_of(seats.begin(), seats.end(), [&](const Seat* copy) { return copy->node == id; });
  if (slot_.target == id) use.slots -= 1;
  if (slot_.target == id || seat) {
    use.nano_cpus -= std::max<int64_t>(demand_.resources.nano_cpus, 0);
    use.memory_bytes -= std::max<int64_t>(demand_.resources.memory_bytes, 0);
  }
  return use;
}

std::optional<Reason> Explainer::barred(uint32_t node) const {
  const auto same = [](std::string text) { return Reason{text, text}; };
  const NodeView& view = view_.nodes[node];
  switch (candidates_.bar[node]) {
    case Bar::kNone:
      return std::nullopt;
    case Bar::kDead:
      return same("dead");
    case Bar::kLeft:
      return same("left");
    case Bar::kDrained:
      return same("drained");
    case Bar::kPaused:
      return same("paused");
    case Bar::kNoEngine:
      if (!view.engine.present) return same("runs no containers");
      return Reason{"engine is down" + (view.engine.error.empty() ? "" : ": " + view.engine.error),
                    "engine is down"};
    case Bar::kNotReady:
      return same("not ready");
    case Bar::kConstraint:
      break;
  }
  if (!candidates_.fault.empty()) return same(candidates_.fault);
  for (const std::string& expression : doc_.spec.constraints) {
    const auto constraint = parse_constraint(expression);
    if (constraint && !matches(*constraint, view))
      return same("constraint " + constraint->expression + " does not match");
  }
  if (!fits_platform(doc_.spec.platforms, view))
    return same("image is not for " + view.engine.os + "/" + view.engine.architecture);
  return same("constraint does not match");
}

std::optional<Reason> Explainer::lacking(uint32_t node) const {
  const NodeView& view = view_.nodes[node];
  const NodeUse use = others_on(node);
  const uint32_t most = doc_.spec.max_replicas_per_node;
  const auto others = counts_.find(view.id);
  if (is_replicated(doc_) && most != 0 && others != counts_.end() && others->second >= most) {
    const std::string text = "max replicas per node " + std::to_string(most) + " reached";
    return Reason{text, text};
  }
  const auto left = [](int64_t has, int64_t used) { return std::max<int64_t>(has - used, 0); };
  switch (lacks(view, use, demand_, slot_.slot)) {
    case Lack::kNothing:
      return std::nullopt;
    case Lack::kCpus:
      return Reason{"needs " + cpus(demand_.resources.nano_cpus) + ", " +
                        cpus(left(view.nano_cpus, use.nano_cpus)) + " free",
                    "insufficient CPUs"};
    case Lack::kMemory:
      return Reason{"needs " + mebibytes(demand_.resources.memory_bytes) + ", " +
                        mebibytes(left(view.memory_bytes, use.memory_bytes)) + " free",
                    "insufficient memory"};
    case Lack::kPort:
      break;
  }
  for (const HostPort& port : demand_.ports) {
    const auto holder = use.ports.find(port);
    if (holder == use.ports.end() || holder->second == slot_.slot) continue;
    const std::string name = "port " + std::to_string(port.port) + "/" + port.protocol + " taken";
    return Reason{name + " by " + holder->second.text(), name};
  }
  return std::nullopt;
}

std::optional<Reason> Explainer::bounded(uint32_t node) const {
  if (!is_replicated(doc_) || doc_.spec.failover == Failover::kPinned) return std::nullopt;
  const NodeView& view = view_.nodes[node];
  const auto others = counts_.find(view.id);
  const uint64_t spread = spread_bound(replicas_, candidates_.count);
  if (others != counts_.end() && others->second >= spread) {
    const std::string text = "spread bound " + std::to_string(spread) + " reached";
    return Reason{text, text};
  }
  const uint64_t load = load_.at(weight_of(view));
  if (others_on(node).slots >= load) {
    const std::string text = "load bound " + std::to_string(load) + " reached";
    return Reason{text, "load bound reached"};
  }
  return std::nullopt;
}

std::optional<Reason> Explainer::judge(uint32_t node) const {
  const NodeId& id = view_.nodes[node].id;
  if (is_global(doc_) && id != slot_.slot.node)
    return Reason{"another node's slot", "another node's slot"};
  if (!slot_.waits_for.none() && id != slot_.waits_for)
    return Reason{"not the slot's home", "not the slot's home"};
  if (auto reason = barred(node)) return reason;
  if (const Refusal* refused = refusal(view_, doc_, slot_.slot, id))
    return Reason{"refused: " + refused->reason, "refused: " + refused->reason};
  if (auto reason = lacking(node)) return reason;
  return bounded(node);
}

std::string Explainer::verdict(const SlotExplanation& so_far) const {
  const std::string slot = slot_.slot.text();
  if (slot_.target.none()) return slot + " waits: " + so_far.error;
  const std::string where = name_of(slot_.target);
  if (slot_.all_refused)
    return slot + " is tried again on " + where + ": every node that could run it refused";
  if (slot_.seated) return slot + " stays on " + where + ", where it has a copy";
  if (slot_.move) return slot + " moves to " + where + ", since it may not stay where it is";
  const auto homed = doc_.homes.find(slot_.slot.index);
  if (doc_.spec.failover == Failover::kPinned && homed != doc_.homes.end() &&
      homed->second == slot_.target)
    return slot + " goes to " + where + ", its home";
  if (is_global(doc_)) return slot + " goes to " + where + ": a copy on every node";
  return slot + " goes to " + where + ", the first in its walk that can run it";
}

std::string Explainer::error(const std::map<std::string, size_t>& reasons) const {
  if (slot_.all_refused) {
    const Refusal* refused = refusal(view_, doc_, slot_.slot, slot_.target);
    return "every node refused, tried again with back-off" +
           (refused == nullptr ? "" : ": " + refused->reason);
  }
  if (!slot_.target.none()) return "";
  if (slot_.waiting == Waiting::kHomeAway || slot_.waiting == Waiting::kManual) {
    const auto node = find_node(view_, slot_.waits_for);
    const bool pinned = slot_.waiting == Waiting::kHomeAway;
    std::string why = "not in the cluster any more";
    if (!node && pinned)
      why += "; `docker service update --force " + doc_.name + "` gives it another";
    if (node) {
      const auto reason = judge(*node);
      why = reason ? reason->full : "not available";
    }
    return std::string(pinned ? "waits for its home " : "waits for ") + name_of(slot_.waits_for) +
           ": " + why + (pinned ? "" : "; failover is manual");
  }
  if (reasons.empty()) return "no suitable node (the cluster has none)";
  std::vector<std::pair<size_t, std::string>> most;
  for (const auto& [text, count] : reasons) most.emplace_back(count, text);
  std::sort(most.begin(), most.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  std::string out;
  for (const auto& [count, text] : most)
    out += (out.empty() ? "" : "; ") + nodes_text(count) + ": " + text;
  return "no suitable node (" + out + ")";
}

SlotExplanation Explainer::run(const Ring& ring) {
  SlotExplanation out;
  out.slot = slot_;
  std::vector<const Seat*> seats = seats_of(view_, doc_, slot_.slot);
  std::sort(seats.begin(), seats.end(), [](const Seat* a, const Seat* b) {
    return std::tie(a->term, a->node) > std::tie(b->term, b->node);
  });
  for (const Seat* seat : seats) out.seats.push_back(*seat);

  std::map<std::string, size_t> reasons;
  Walk walk;
  walk.start(ring, slot_.slot.hash());
  while (const auto met = walk.next()) {
    const NodeView& node = view_.nodes[*met];
    NodeVerdict line{node.id, node.name, node.id == slot_.target, false, ""};
    line.seated = std::any_of(seats.begin(), seats.end(),
                              [&](const Seat* seat) { return seat->node == node.id; });
    if (!line.target) {
      const auto reason = judge(*met);
      if (reason) line.reason = reason->full;
      if (reason && (!is_global(doc_) || node.id == slot_.slot.node)) ++reasons[reason->brief];
    }
    out.walk.push_back(std::move(line));
  }
  out.error = error(reasons);
  out.verdict = verdict(out);
  return out;
}

}  // namespace

Result<SlotExplanation> explain(const PlacementView& view, const Ring& ring,
                                const Assignment& assignment, const SlotKey& slot) {
  const SlotTarget* const target = assignment.find(slot);
  if (target == nullptr)
    return fail(ErrorCode::kNotFound, "no slot " + slot.text() + " is asked for");
  const ServiceTargets& service = assignment.services.find(slot.service)->second;
  const auto doc = std::find_if(view.services.begin(), view.services.end(),
                                [&](const ServiceDoc& d) { return d.id == service.service_id; });
  if (doc == view.services.end() || doc->name != slot.service)
    return fail(ErrorCode::kNotFound, "no service " + slot.service);
  return Explainer(view, ring, assignment, *doc, service, *target).run(ring);
}

}  // namespace kith
