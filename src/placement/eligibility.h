#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "placement/assign.h"
#include "placement/constraint.h"
#include "placement/ring.h"
#include "placement/view.h"

namespace kith {

/// Why a node is passed over, whatever else runs there; in the order they are looked at.
enum class Bar : uint8_t {
  kNone,
  kDead,
  kLeft,
  kDrained,
  kPaused,
  kNoEngine,
  kNotReady,
  kConstraint
};

/// Which nodes a list of constraints, and the image's platforms, leave.
struct Candidates {
  std::vector<Bar> bar;        ///< by node: for a new copy
  std::vector<uint8_t> holds;  ///< by node: may go on running a copy that it has
  uint32_t count = 0;          ///< nodes without a bar
  std::optional<Ring> few;     ///< a ring of those alone, if they are few
  std::string fault;           ///< a constraint that does not parse: no node is left
};

/// Judges nodes for services; the answers for equal lists of constraints and platforms are shared.
class Eligibility {
 public:
  /// Both outlive this. Without a ring, `ring` must not be called.
  explicit Eligibility(const PlacementView& view, const Ring* ring = nullptr);

  /// The reference is good until the next call.
  [[nodiscard]] const Candidates& of(const ServiceSpec& spec);
  /// The ring to walk for these.
  [[nodiscard]] const Ring& ring(const Candidates& candidates) const {
    return candidates.few ? *candidates.few : *ring_;
  }
  /// After node `index` of the view changed (not its place or weight): what was worked out for it
  /// is worked out anew, and for all if it was the last that is ready, or is the first.
  void refresh(uint32_t index);
  /// Before constraints.
  [[nodiscard]] Bar bar(uint32_t node) const { return bars_[node]; }

 private:
  using Constraints = std::optional<std::vector<Constraint>>;
  using Platforms = std::vector<Platform>;
  using Asked = std::pair<std::vector<std::string>, Platforms>;
  /// Looks a spec up without copying what it asks for: each slot is.
  struct AskedLess {
    using is_transparent = void;
    static auto of(const Asked& asked) { return std::tie(asked.first, asked.second); }
    static auto of(const ServiceSpec& spec) { return std::tie(spec.constraints, spec.platforms); }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return of(a) < of(b);
    }
  };
  [[nodiscard]] Candidates judge(const ServiceSpec& spec) const;
  void judge_node(const Constraints& constraints, const Platforms& platforms, uint32_t index,
                  Candidates& out) const;
  [[nodiscard]] std::vector<Bar> first_bars() const;

  static constexpr size_t kMaxCached = 64;
  const PlacementView& view_;
  const Ring* ring_;
  std::vector<Bar> bars_;
  std::map<Asked, Candidates, AskedLess> cache_;
};

/// What one copy of a service takes of a node.
struct Demand {
  explicit Demand(const ServiceSpec& spec);
  Resources resources;
  std::vector<HostPort> ports;
};

enum class Lack : uint8_t { kNothing, kCpus, kMemory, kPort };

/// What `node` lacks for a copy of `slot`; what the slot itself holds there in `use` (ports only)
/// does not stand in its way.
[[nodiscard]] Lack lacks(const NodeView& node, const NodeUse& use, const Demand& demand,
                         const SlotKey& slot);
void charge(NodeUse& use, const Demand& demand, const SlotKey& slot);

/// The refusal of this generation, if there is one.
[[nodiscard]] const Refusal* refusal(const PlacementView& view, const ServiceDoc& doc,
                                     const SlotKey& slot, const NodeId& node);
[[nodiscard]] bool any_refusal(const PlacementView& view, const ServiceDoc& doc,
                               const SlotKey& slot);

/// The copies of one slot that belong to this service (not to an earlier one of the name).
[[nodiscard]] std::vector<const Seat*> seats_of(const PlacementView& view, const ServiceDoc& doc,
                                                const SlotKey& slot);
/// Healthy before not, then the higher (term, node id).
[[nodiscard]] bool outranks(const Seat& a, const Seat& b);

[[nodiscard]] inline uint64_t weight_of(const NodeView& node) {
  return node.weight == 0 ? 1 : node.weight;
}
[[nodiscard]] inline bool is_global(const ServiceDoc& doc) {
  return doc.spec.mode == ServiceMode::kGlobal;
}
[[nodiscard]] inline bool is_replicated(const ServiceDoc& doc) {
  return doc.spec.mode == ServiceMode::kReplicated;
}

}  // namespace kith
