#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "agent/catalog.h"
#include "agent/edit.h"
#include "agent/keys.h"
#include "agent/links.h"
#include "agent/work.h"
#include "api/cluster.h"
#include "base/rng.h"
#include "engine/host.h"
#include "engine/reconcile.h"
#include "gossip/disseminator.h"
#include "gossip/identity.h"
#include "gossip/key_ring.h"
#include "gossip/replay_window.h"
#include "gossip/seal.h"
#include "membership/swim.h"
#include "state/persist.h"
#include "state/sync.h"

namespace kith {

/// What a node is made of at a start.
struct NodeSetup {
  std::string cluster;
  Identity identity;
  KeyRing keys;
  std::string name;
  Endpoint address;  ///< what the others reach it by
  std::map<std::string, std::string> labels;
  uint32_t weight = 0;  ///< 0: from processors and memory
  bool has_engine = true;
  std::vector<Endpoint> seeds;  ///< `host` may be a name
  SwimConfig swim;
  Epoch epoch = 1;    ///< greater than at any start before; on disk already
  uint64_t boot = 0;  ///< drawn from the operating system at this start
  LoadedState loaded;
  /// Null: a memory of its own; no memory. The simulator's nodes share these: what one of them has
  /// checked or worked out from equal records, no other does again.
  std::shared_ptr<VerifyCache> verified{};
  std::shared_ptr<PlacementMemory> placements{};
};

/// Before the node id in hex: meta keys under which each member's last signed alive is kept.
constexpr std::string_view kAliveMeta = "alive/";

struct SendDatagram {
  Endpoint to;
  Bytes bytes;
};
/// One transaction; answered by Node::written with its number.
struct Persist {
  uint64_t id = 0;
  StoreBatch batch;
};
struct EditDone {
  uint64_t edit = 0;
  Result<std::string> outcome;
};

/// What the driver does after each call, in this order.
struct NodeEffects {
  std::vector<SendDatagram> datagrams;
  std::vector<StreamCommand> streams;
  std::vector<Persist> persists;
  std::vector<HostCommand> commands;
  std::vector<EditDone> edits;
  std::vector<ClusterEvent> events;
  std::optional<std::string> stop;  ///< end the agent; why, and the mend
};

/// One member of a cluster, whole but for the outside world: sockets, clocks, disk and Docker are
/// the driver's. The same class runs in the agent and in the simulator.
///
/// Order of calls at each wake-up: `stalled` if the loop woke late; whatever arrived; `advance`
/// last, always. Effects are appended; carry them out before the next wake-up. Arm one timer at
/// `next_deadline()`.
class Node final : private LinkHandler, private SyncSink {
 public:
  Node(NodeSetup setup, Rng rng, Now now, NodeEffects& out);
  ~Node() override;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // --- Input -----------------------------------------------------------------------------------
  void datagram(const Endpoint& from, ByteView bytes, Now now, NodeEffects& out);
  void stream_accepted(uint64_t stream, Now now, NodeEffects& out);
  void stream_connected(uint64_t stream, Now now, NodeEffects& out);
  void stream_data(uint64_t stream, ByteView bytes, Now now, NodeEffects& out);
  /// kRefused: it was never open, since nobody listens there.
  void stream_closed(uint64_t stream, const Error& why, Now now, NodeEffects& out);
  void written(uint64_t persist, const Status& status, Now now, NodeEffects& out);
  void host(const HostEvent& event, Now now, NodeEffects& out);
  /// The loop woke this much later than it should have.
  void stalled(Duration lag, Now now);
  void advance(Now now, NodeEffects& out);
  [[nodiscard]] Instant next_deadline() const;

  /// Queues an edit; EditDone follows once it is on disk, or was refused. Zero: too many wait.
  uint64_t edit(Edit edit);
  /// Stops what runs here, unless `keep_running`, says goodbye, and asks the driver to stop.
  void leave(bool keep_running, Now now, NodeEffects& out);

  // --- Questions (node_report.cc)
  // -------------------------------------------------------------------
  [[nodiscard]] const NodeId& self() const { return setup_.identity.id(); }
  [[nodiscard]] StatusReport status(Now now) const;
  [[nodiscard]] std::vector<NodeEntry> nodes(Now now) const;
  [[nodiscard]] std::vector<ServiceEntry> services() const;
  [[nodiscard]] std::vector<TaskRecord> tasks() const;
  [[nodiscard]] Result<Explanation> explain(const SlotKey& slot) const;
  [[nodiscard]] std::vector<ConflictEntry> conflicts() const;
  [[nodiscard]] std::vector<KeyEntry> key_entries() const;

  // For the simulator's checkers.
  [[nodiscard]] const Keys& keys() const { return keys_; }
  [[nodiscard]] const Swim& membership() const { return swim_; }
  [[nodiscard]] const DocStore& documents() const { return docs_; }
  [[nodiscard]] const ObservedStore& observed() const { return observed_; }
  [[nodiscard]] const Catalog& catalog() const { return catalog_; }
  [[nodiscard]] const Reconciler& reconciler() const { return reconciler_; }
  [[nodiscard]] const Work& work() const { return work_; }
  [[nodiscard]] bool synced() const { return synced_; }
  [[nodiscard]] bool leaving() const { return leaving_; }

  static constexpr size_t kMaxQueuedEdits = 256;
  static constexpr Duration kLonely = std::chrono::seconds(3);
  static constexpr Duration kCalm = std::chrono::seconds(2);
  /// Between two looks, and more in a larger cluster, where a look costs more: what comes meanwhile
  /// is looked at together. A change that comes alone is looked at in the moment.
  static constexpr Duration kLookPause = std::chrono::milliseconds(10);
  static constexpr Duration kLookPauseAMember = std::chrono::microseconds(250);
  static constexpr Duration kSyncInterval = std::chrono::seconds(30);
  static constexpr Duration kSeedPause = std::chrono::milliseconds(100);
  static constexpr Duration kSyncPause = std::chrono::seconds(5);
  /// From a node's word that it has listed its tasks until those of its earlier epochs are void:
  /// that word travels apart from the tasks, and may come before them.
  static constexpr Duration kInventoryGrace = std::chrono::seconds(2);

 private:
  struct Seed {
    Endpoint to;
    NodeId node;  ///< who answered there last
    bool self = false;
    uint64_t stream = 0;
    Instant next = Instant::min();
    Duration pause = kSeedPause;
    std::string fault{};    ///< of the last try, if nothing has come of any since
    mutable NodeId seen{};  ///< who was present there last, without having been asked
  };
  /// A link's business beyond its secrecy.
  struct Talk {
    std::unique_ptr<SyncSession> session;
    bool roster_sent = false;
    bool counted = false;  ///< its exchange is over and was taken note of
    std::optional<StreamPing> ping;
    std::vector<std::string> keys;
    NodeId expected;  ///< of those dialled
  };
  /// A peer whose stores differ from mine, by its pings.
  struct Mismatch {
    unsigned seen = 0;
    Instant since;
  };
  struct PendingEdit {
    uint64_t id = 0;
    Edit edit;
  };
  struct EditInFlight {
    uint64_t persist = 0;
    uint64_t edit = 0;
    std::vector<Document> documents;
    std::string result;
    std::optional<SharedRing> ring;
  };
  // First byte of a frame on a link.
  static constexpr uint8_t kMessageFrame = 0;
  static constexpr uint8_t kSyncFrame = 1;
  static constexpr uint8_t kRingFrame = 2;

  // node_wire.cc: datagrams, rumors; node_links.cc: links.
  void send(const NodeId& to, const Endpoint& address, Message message, Now now);
  void sign(MemberRumor& rumor) const;
  [[nodiscard]] std::vector<Rumor> as_rumors(std::vector<MemberRumor> rumors) const;
  bool admit(const Opened& opened, const Message& message);
  [[nodiscard]] bool concerns_banned(const Body& body) const;
  void hear(const Message& message, const NodeId& from, uint64_t key_id, bool roster, Now now);
  void take_record(const RecordRumor& rumor, Now now);
  void take_offer(const OfferRumor& rumor, const NodeId& from);
  [[nodiscard]] uint64_t root() const;
  void compare_root(const NodeId& from, uint64_t root, Now now);
  void carry_out(SwimEffects& effects, Now now);
  void tell(const DocEffects& effects, Now now);
  void tell(const ObservedEffects& effects, Now now);
  void tell_record(const std::string& key, uint64_t version, const Bytes& envelope, Now now);
  uint64_t dial(const Endpoint& to, const NodeId& expected, LinkPurpose purpose, Now now);
  [[nodiscard]] bool met(const Seed& seed) const;
  void dial_seeds(Now now);
  void fetch_offers(Now now);
  void start_syncs(Now now);
  [[nodiscard]] std::optional<NodeId> any_peer();
  void send_roster(uint64_t stream);
  void send_frame(uint64_t stream, uint8_t type, ByteView payload);
  void pump(uint64_t stream);
  void exchange_over(uint64_t stream);

  // node_keys.cc
  [[nodiscard]] bool still_uses(uint64_t sender, uint64_t key_id) const;
  [[nodiscard]] std::map<NodeId, KeyHolder> key_holders() const;
  [[nodiscard]] bool lets_in(uint64_t key_id) const;
  void adopt(SharedRing ring, Now now);
  void recheck_roster(bool primary_changed, Now now);
  void shut_out(const NodeId& node, Now now);
  void part_with(const NodeId& node, Now now);
  void send_ring(uint64_t stream, bool whole);
  [[nodiscard]] bool has_my_ring(const NodeId& peer) const;
  void take_ring(uint64_t stream, ByteView payload, Now now);
  void exchange_rings(Now now);
  void ring_link_failed(Now now);
  void settle_keys(Now now);
  [[nodiscard]] std::string names_of_lacking(
      const std::function<bool(const KeyHolder&)>& lacks) const;
  [[nodiscard]] Result<SharedRing> draft_ring(const KeyEdit& edit, Now now) const;

  // LinkHandler
  [[nodiscard]] bool admits(const NodeId& peer, uint64_t key_id) const override;
  void link_established(uint64_t stream, Now now) override;
  void link_frame(uint64_t stream, ByteView frame, Now now) override;
  void link_lost(uint64_t stream, const Error& why, bool established, Now now) override;
  // SyncSink
  void take_documents(std::vector<Document> documents, DocSource source) override;
  void take_observed(std::vector<Observed> records) override;
  void drop_documents(std::vector<std::string> keys, Stamp horizon) override;
  void raise_horizon(Stamp horizon) override;

  // node_events.cc, node_store.cc, node.cc: members, documents, disk, work.
  void member_event(const MemberEvent& event, Now now);
  void remember_alive(const NodeId& node);
  void document_changed(const std::string& key, Now now);
  void removed(const NodeId& node, const std::string& name, Now now);
  void apply(DocEffects& effects, Now now);
  void apply(const ObservedEffects& effects, Now now);
  void supersede(Now now);
  [[nodiscard]] bool all_listed() const;
  void answer(uint64_t edit, Result<std::string> outcome);
  void run_edits(Now now);
  void edit_keys(uint64_t edit, const KeyEdit& keys, Now now);
  void finish_edit(const Status& status, Now now);
  void enrol(Now now);
  void write_homes(Now now);
  void flush_disk(Now now);
  [[nodiscard]] bool anything_to_save() const;
  void carry_out(ReconcileEffects& effects, Now now);
  void publish_info(Now now);
  void look(Now now);
  void settle_synced(Now now);
  void housekeep(Now now);
  void drain(NodeEffects& out);
  void note_task(const TaskRecord* before, const TaskRecord& after, Now now);
  void note(std::string type, std::string action, std::string id, std::string name,
            std::string text, Now now, std::map<std::string, std::string> attributes = {});

  NodeSetup setup_;
  uint64_t cluster_id_;
  Keys keys_;
  Rng rng_;
  DatagramSealer sealer_;
  ReplayGuard guard_;
  std::shared_ptr<VerifyCache> verified_;
  Swim swim_;
  Disseminator disseminator_;
  DocStore docs_;
  ObservedStore observed_;
  Links links_;
  Catalog catalog_;
  Work work_;
  Reconciler reconciler_;

  Instant started_;
  WallTime started_wall_;
  std::map<uint64_t, NodeId> short_ids_;
  std::set<NodeId> heard_me_;  ///< answered a ping of this boot: they know it
  std::vector<Seed> seeds_;
  std::map<uint64_t, Talk> talks_;
  std::map<NodeId, Mismatch> mismatches_;
  std::map<NodeId, std::set<std::string>> offers_;
  std::set<NodeId> sync_wanted_;
  uint64_t syncing_ = 0;               ///< the outgoing exchange, if any
  uint64_t outdated_ = 0;              ///< datagrams under a key that their sender has left
  std::map<NodeId, uint64_t> agreed_;  ///< digest of the ring that each had after an exchange
  bool keys_differ_ = true;            ///< somebody may have another ring
  uint64_t ring_link_ = 0;
  Instant ring_not_before_ = Instant::min();
  Instant next_sync_;
  Instant sync_not_before_ = Instant::min();
  Instant next_housekeeping_;

  bool synced_ = false;
  bool booted_ = false;      ///< after this start all have said what they run, or had their time
  mutable NodeId unlisted_;  ///< had not said what it runs when that was asked last
  Instant unsynced_since_;
  bool dirty_ = true;  ///< the records or the view changed: look again
  Instant look_not_before_ = Instant::min();
  Instant calm_at_ = Instant::min();
  bool was_ready_ = false;

  EngineUp engine_;
  bool engine_up_ = false;
  std::string engine_fault_;
  Instant engine_grace_;  ///< until then a silent engine may still be starting
  bool listed_ = false;
  struct Superseding {
    Epoch epoch = 0;
    Instant due;
  };
  std::map<NodeId, Superseding> inventories_;  ///< when what these said in earlier epochs goes

  uint64_t next_edit_ = 1;
  std::deque<PendingEdit> edits_;
  std::optional<EditInFlight> editing_;
  uint64_t enrolling_ = 0;  ///< the edit under way
  Instant enrol_not_before_ = Instant::min();
  std::string homes_to_write_;  ///< of a service, as of the last look; empty: none
  uint64_t writing_homes_ = 0;  ///< the edit under way
  Instant homes_not_before_ = Instant::min();
  StoreBatch unsaved_;
  uint64_t next_persist_ = 1;
  uint64_t saving_ = 0;
  StoreBatch being_saved_;
  std::optional<SharedRing> ring_being_saved_;
  Instant save_not_before_ = Instant::min();
  std::string disk_fault_;

  bool leaving_ = false;
  Instant leave_at_ = kNever;

  struct OwnAlive {
    Bytes bytes;
    Signature signature{};
  };
  mutable OwnAlive own_alive_;  ///< as signed last: it is told to many
  Now now_{};                   ///< of the call under way
  NodeEffects out_;             ///< gathered within a call
  std::map<NodeId, NodeId> name_clashes_;
};

}  // namespace kith
