#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/instant.h"
#include "base/rng.h"
#include "engine/host.h"
#include "engine/plan.h"
#include "engine/task.h"
#include "engine/task_index.h"
#include "state/records.h"

namespace kith {

/// What the node knows, handed in each time something in it changed.
struct Situation {
  std::map<std::string, std::shared_ptr<const ServiceDoc>> services;  ///< by name; absent: removed
  /// Read at each call as it is then. Of this node's own only those of earlier starts count,
  /// hidden: for their terms.
  std::shared_ptr<const TaskIndex> tasks = std::make_shared<TaskIndex>();
  uint64_t epoch = 0;  ///< of this start
  /// The roster; a node that is not in it counts as dead.
  std::shared_ptr<const std::map<NodeId, Liveness>> nodes =
      std::make_shared<std::map<NodeId, Liveness>>();
  /// Of the slots that this node is to run, or may have to, and of those in `concerns`.
  std::map<SlotKey, SlotFacts> slots;
  /// Synced with one peer since boot (and since the last stall), or 3 s without any peer.
  bool synced = false;
};

/// Something a person may want to read.
struct SlotEvent {
  SlotKey slot;
  std::string task_id;
  std::string action;  ///< start, running, healthy, stop, stopped, failed, refused, adopted, ...
  std::string text;    ///< one line
};

/// What the caller does after each call, in this order: publish (own records, to be signed and
/// spread), retract, then carry out the commands.
struct ReconcileEffects {
  std::vector<TaskRecord> publish;
  std::vector<std::string> retract;  ///< ids of own task records that are no more
  std::vector<RefusedRecord> refuse;
  std::vector<SlotKey> unrefuse;
  std::vector<HostCommand> commands;
  std::vector<SlotEvent> events;
};

struct ReconcileConfig {
  /// Between `told to stop` in the record and SIGTERM, so that nobody is sent to it any more.
  Duration stop_lead = std::chrono::seconds(1);
  /// Wait before a slot that every node refused is tried again; doubles up to kMaxBackOff.
  Duration refused_retry = std::chrono::seconds(10);
};

constexpr size_t kMaxLocalTasks = 2'000;  ///< beyond, nothing is started

/// Makes this host so: every node runs one for itself. Sans-IO; level-triggered: each call looks at
/// the whole of what it concerns again.
///
/// Order of calls: construct; `handle(EngineUp)` makes it ask for the Inventory; until that came,
/// and until a Situation says `synced`, it starts and stops nothing. After each call: do what the
/// effects say and re-arm a timer at `next_deadline()`.
class Reconciler {
 public:
  Reconciler(NodeId self, std::string node_name, const ReconcileConfig& config, Rng rng);

  void update(Situation situation, Now now, ReconcileEffects& out);
  void handle(const HostEvent& event, Now now, ReconcileEffects& out);
  /// Acts on every deadline at or before `now`.
  void advance(Now now, ReconcileEffects& out);
  [[nodiscard]] Instant next_deadline() const;
  /// Whether `advance` would look at anything.
  [[nodiscard]] bool acts(Instant now) const;

  /// Timers lagged longer than the suspicion time: what I believe is old. Starts and stops nothing
  /// until the next Situation that says `synced`; the caller passes none that does before it has
  /// synced anew.
  void stalled();
  /// Stops everything here and starts nothing more. `tasks().empty()` once it is done.
  void leave(Now now, ReconcileEffects& out);

  /// Adopted tasks are published: the node may announce its epoch as `inventory_epoch`.
  [[nodiscard]] bool inventory_listed() const { return announced_; }
  [[nodiscard]] bool engine_up() const { return engine_up_; }
  /// Own tasks that have not ended, by slot, then term.
  [[nodiscard]] std::vector<TaskRecord> tasks() const;
  /// The same without copies.
  template <class Visit>
  void each_task(Visit visit) const {
    for (const auto& [slot, local] : slots_)
      for (const Task& task : local.tasks) visit(task.record);
  }
  /// The slots that it has something of: a Situation is to say what placement says of each.
  [[nodiscard]] std::vector<SlotKey> concerns() const;
  /// Grows whenever what it answers may have changed.
  [[nodiscard]] uint64_t changes() const { return changes_; }
  /// Ended ones that are still published.
  [[nodiscard]] std::vector<TaskRecord> history() const;

 private:
  struct LocalSlot {
    std::vector<Task> tasks;  ///< not ended
    std::vector<KeptTask> kept;
    std::deque<TaskRecord> history;
    Restarts restarts;
    Instant not_before = Instant::min();  ///< no start earlier
    std::optional<Instant> absent_since;  ///< no copy present, and not paused
    std::optional<Instant> open_since;    ///< the gate of the current generation
    Generation open_generation = 0;
    std::optional<RefusedRecord> refused;
    uint32_t refusals = 0;  ///< in a row; paces the retries
    Instant retry_at = kNever;
  };
  using Slots = std::map<SlotKey, LocalSlot>;

  [[nodiscard]] bool paused() const { return !situation_.synced || stalled_; }
  [[nodiscard]] const ServiceDoc* service_of(const SlotKey& slot) const;
  void touch();
  [[nodiscard]] SlotFacts facts_of(const SlotKey& slot) const;
  [[nodiscard]] bool counts(const TaskIndex::Entry& entry) const;
  [[nodiscard]] PeerCopy peer_of(const TaskIndex::Entry& entry) const;

  // Planning, one slot.
  void look(const SlotKey& slot, Now now, ReconcileEffects& out);
  void look_at_all(Now now, ReconcileEffects& out);
  [[nodiscard]] SlotView view_of(const SlotKey& slot, LocalSlot& local, Instant now);
  [[nodiscard]] bool can_start(const SlotView& view, LocalSlot& local, Instant now);
  [[nodiscard]] bool is_open(const ServiceDoc& service, const SlotKey& slot, LocalSlot& local,
                             Instant now);
  [[nodiscard]] bool is_finished(const SlotView& view, const LocalSlot& local) const;
  void apply(const Action& action, const SlotView& view, LocalSlot& local, Now now,
             ReconcileEffects& out);
  void restart(Task& task, LocalSlot& local, Now now, ReconcileEffects& out);
  void clear_refusal(const SlotKey& slot, LocalSlot& local, ReconcileEffects& out);
  void drop_stale_refusal(const SlotKey& slot, LocalSlot& local, Now now, ReconcileEffects& out);
  void refuse(const TaskRecord& task, LocalSlot& local, Instant now, ReconcileEffects& out);
  void fire(LocalSlot& local, Now now, ReconcileEffects& out);
  void start_waiting(LocalSlot& local, Now now, ReconcileEffects& out);
  void publish_dirty(LocalSlot& local, ReconcileEffects& out);
  void remove_outlived(const SlotKey& slot, LocalSlot& local, ReconcileEffects& out);
  void forget_if_done(const SlotKey& slot, LocalSlot& local, ReconcileEffects& out);

  // The life of a task.
  /// `before`: what it replaces; null if nothing of this host.
  Task& create(const SlotKey& slot, LocalSlot& local, const TaskRecord* before, Now now);
  void succeed(const TaskRecord& before, LocalSlot& local, Duration wait, bool overlaps, Now now);
  void stop(LocalSlot& local, const std::string& task_id, bool lead, std::string_view why, Now now,
            ReconcileEffects& out);
  void send_stop(Task& task, ReconcileEffects& out);
  /// Moves it into the history, or retracts it if it was never started; invalidates references to
  /// the slot's tasks.
  void end(LocalSlot& local, const std::string& task_id, TaskState state, Now now,
           ReconcileEffects& out);
  /// False if its container is to be kept: the task is finished for good.
  bool exited(LocalSlot& local, Task& task, int32_t exit_code, std::string error, Now now,
              ReconcileEffects& out);
  void start_failed(LocalSlot& local, Task& task, const TaskFailed& event, Now now,
                    ReconcileEffects& out);
  void runs(LocalSlot& local, Task& task, Now now, ReconcileEffects& out);
  /// Level-triggered: the engine tells of a health only when it changes, and one that was found so
  /// is told of by nobody.
  void replace_unhealthy(LocalSlot& local, Now now, ReconcileEffects& out);
  void unhealthy(LocalSlot& local, const std::string& task_id, Now now, ReconcileEffects& out);
  void say(const TaskRecord& task, std::string_view action, std::string text,
           ReconcileEffects& out) const;

  void on(const TaskProgress& event, Now now, ReconcileEffects& out);
  void on(const TaskFailed& event, Now now, ReconcileEffects& out);
  void on(const TaskExited& event, Now now, ReconcileEffects& out);
  void on(const TaskHealth& event, Now now, ReconcileEffects& out);
  void on(const TaskGone& event, Now now, ReconcileEffects& out);
  void on(const EngineUp& event, Now now, ReconcileEffects& out);
  void on(const EngineDown& event, Now now, ReconcileEffects& out);
  void on(const Inventory& event, Now now, ReconcileEffects& out);
  void adopt(const ContainerInfo& container, Now now, ReconcileEffects& out);
  void adopt_unknown(const ContainerInfo& container, Now now, ReconcileEffects& out);
  void meet_again(const ContainerInfo& container, Now now, ReconcileEffects& out);

  struct Found {
    LocalSlot* local = nullptr;
    Task* task = nullptr;  ///< null: not one of mine, or ended
  };
  [[nodiscard]] Found find(const std::string& task_id);

  NodeId self_;
  std::string node_name_;
  ReconcileConfig config_;
  Rng rng_;
  Situation situation_;
  Slots slots_;
  std::map<std::string, SlotKey> index_;  ///< task id, until it has ended
  bool engine_up_ = false;
  bool listed_ = false;            ///< since the engine came up last
  bool announced_ = false;         ///< listed once since boot
  Instant seen_ = Instant::min();  ///< the latest moment acted upon
  bool stalled_ = false;
  bool leaving_ = false;
  uint64_t changes_ = 0;
  bool touched_ = true;  ///< something came since `advance` last found nothing to do
  mutable std::optional<Instant> next_;  ///< next_deadline, until something is touched
};

}  // namespace kith
