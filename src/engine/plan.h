#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/instant.h"
#include "placement/view.h"
#include "state/records.h"

namespace kith {

// What one node does about one slot: a pure function of what it sees. The rows are those of the
// table "Who starts, who stops" in docs/architecture.md.

/// What placement says of one slot.
struct SlotFacts {
  NodeId target;   ///< of `assign`; none: nobody can run it
  NodeId move_to;  ///< a move allowed now (rebalance, handback, drain) goes there; none: no move
  std::optional<uint32_t> place;  ///< mine in the walk: 0 the target, 1 the next that could run it
  bool pinned = false;            ///< no row 2: it waits for its node
  bool all_refused = false;  ///< every eligible node refused: each is free again after its back-off
  bool evicted = false;      ///< global slots: this node is drained or does not fit any more
};

/// A task record of another node, or of an earlier start of this one, with what my view says of its
/// node.
struct PeerCopy {
  const TaskRecord* record = nullptr;
  bool hidden = false;  ///< its node is dead or has left, or it is my own
  bool suspect = false;
};

/// A task of mine that has not ended.
struct OwnCopy {
  const TaskRecord* record = nullptr;
  bool due = false;                                 ///< backing off, and the wait is over
  const std::vector<std::string>* asked = nullptr;  ///< task ids that the current ask went to
};

/// All that the table looks at.
struct SlotView {
  SlotKey slot;
  NodeId self;
  const ServiceDoc* service = nullptr;  ///< null: removed, or not heard of yet
  SlotFacts facts;
  std::vector<OwnCopy> own;
  std::vector<PeerCopy> peers;
  bool paused = false;    ///< row 0
  bool synced = false;    ///< knows what a peer knows, so that an absence means something
  bool can_start = true;  ///< engine listed, not refused, no wait to sit out
  bool open = true;       ///< the service's generation is open for this slot
  bool leaving = false;   ///< this node stops all it runs
  Duration absent_for{};  ///< how long no copy has been present
};

enum class ActionKind : uint8_t {
  kStart,    ///< rows 1, 2, 4, and the second copy of a start-first update
  kRestart,  ///< a copy that waited out its back-off starts
  kReplace,  ///< stop-first update: stop, then start the open generation in its place
  kStop,     ///< row 7, or a lower copy of my own, or this node leaves
  kYield,    ///< row 5 with its confirmation: a higher copy stays
  kDrop,     ///< row 3: end a copy that is not healthy
  kAsk,      ///< row 5: ask `asked` under a new nonce
  kUnask,    ///< nobody to ask any more
  kConfirm,  ///< row 6: `confirmations` is what my record should say
  kSettle,   ///< a move is over: not `moving` any more
};

struct Action {
  ActionKind kind = ActionKind::kStart;
  int row = 0;               ///< of the table; 0: an update, a restart, my own duplicate
  std::string task_id = {};  ///< of mine; empty for kStart
  bool moving = false;       ///< kStart by row 4
  std::vector<std::string> asked = {};
  std::vector<Confirmation> confirmations = {};
};

constexpr Duration kTakeoverStep = std::chrono::seconds(3);  ///< row 2: times my place
constexpr size_t kMaxConfirmations = 64;                     ///< in one record

/// Ordered actions for this slot; empty once converged.
[[nodiscard]] std::vector<Action> plan(const SlotView& view);

/// (term, node id): which of two copies stays.
[[nodiscard]] bool outranks(const TaskRecord& a, const TaskRecord& b);
/// Its owner keeps it up: preparing, starting, running or backing off, and not told to stop.
[[nodiscard]] bool present(const TaskRecord& task);
/// Runs, not told to stop, and healthy if it has a health check.
[[nodiscard]] bool healthy(const TaskRecord& task);
/// The service still has this slot, as far as documents tell (not: whether this node fits).
[[nodiscard]] bool wants(const ServiceDoc& service, const SlotKey& slot);
/// 1 + the highest term known for the slot, hidden records included.
[[nodiscard]] Term next_term(const SlotView& view, std::span<const TaskRecord> history);
/// The last copy of this generation ended, and the restart policy says that is that.
[[nodiscard]] bool finished(const ServiceDoc& service, const SlotKey& slot,
                            std::span<const TaskRecord* const> records);
/// False where a lease is needed first: `majority` services, which wait until there are leases.
[[nodiscard]] bool may_start(const ServiceDoc& service);

/// How the service's containers are replaced now: its update's terms, or its rollback's.
[[nodiscard]] const UpdateConfig& rollout_config(const ServiceDoc& service);

/// Of what such a container runs: the current spec, or else the one before.
[[nodiscard]] std::string image_of(const ServiceDoc& service, Generation generation);

/// Rolling update without a leader. `records`: every record of the service, hidden and ended ones
/// included, from all nodes. True if `slot` may run the service's current generation: there was no
/// update; or nobody runs another generation any more; or this slot ran the current one before; or
/// every slot of the earlier batches says `stable` at it and no more failed than is tolerated.
/// Batches: `parallelism` slots each, by index; of a global service, by node id.
[[nodiscard]] bool generation_open(const ServiceDoc& service, const SlotKey& slot,
                                   std::span<const TaskRecord* const> records);

}  // namespace kith
