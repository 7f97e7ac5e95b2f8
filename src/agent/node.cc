#include "agent/node.h"

#include <algorithm>
#include <array>
#include <utility>

#include "agent/homes.h"
#include "base/hash.h"

namespace kith {
namespace {

constexpr Duration kHousekeeping = std::chrono::minutes(1);
constexpr Duration kEngineGrace = std::chrono::seconds(10);
constexpr Duration kFarewell = std::chrono::milliseconds(500);

GossipConfig gossip_config(const SwimConfig& swim) {
  GossipConfig config;
  config.gossip_interval = swim.gossip_interval;
  config.gossip_fanout = swim.gossip_fan_out;
  config.retransmit_mult = swim.retransmit_factor;
  config.urgent_fanout = swim.urgent_fan_out;
  config.urgent_rate = swim.urgent_rate;
  config.urgent_burst = swim.urgent_burst;
  return config;
}

/// Not of a key: keys come and go while digests are kept, and no two members may differ.
uint64_t digest_seed(uint64_t cluster_id) {
  return hash_combine(stable_hash("kith digests 1"), cluster_id);
}

ByteView stored_ring(const LoadedState& loaded) {
  const auto at = loaded.meta.find(std::string(kRingMeta));
  return at == loaded.meta.end() ? ByteView() : ByteView(at->second);
}

/// A host of one processor and 1 GiB weighs 2; what differs less than that weighs the same.
uint32_t automatic_weight(int64_t nano_cpus, int64_t memory_bytes) {
  const int64_t cpus = std::max<int64_t>(1, nano_cpus / 1'000'000'000);
  const int64_t gib = std::max<int64_t>(1, (memory_bytes + (int64_t{1} << 29)) >> 30);
  return static_cast<uint32_t>(std::min<int64_t>(1000, cpus + std::min(gib, cpus * 4)));
}

}  // namespace

Node::Node(NodeSetup setup, Rng rng, Now now, NodeEffects& out)
    : setup_(std::move(setup)),
      cluster_id_(cluster_id_of(setup_.cluster)),
      keys_(setup_.keys.primary(), stored_ring(setup_.loaded)),
      rng_(rng),
      sealer_(cluster_id_, keys_.wire(), setup_.identity.id().short_id(), setup_.boot),
      verified_(setup_.verified ? setup_.verified : std::make_shared<VerifyCache>()),
      swim_({setup_.identity.id(), setup_.name, setup_.address, setup_.epoch, setup_.boot},
            setup_.swim, rng_.split(), now.mono),
      disseminator_(gossip_config(setup_.swim), rng_.split()),
      docs_({digest_seed(cluster_id_)}, setup_.loaded.last_stamp),
      observed_(setup_.identity.id(), setup_.epoch, cluster_id_,
                [this](ByteView bytes) { return setup_.identity.sign(bytes); }),
      links_(setup_.identity, keys_.wire(), cluster_id_, *this),
      work_(setup_.placements),
      reconciler_(setup_.identity.id(), setup_.name, {}, rng_.split()),
      started_(now.mono),
      started_wall_(now.wall),
      next_sync_(now.mono + kSyncInterval),
      next_housekeeping_(now.mono + kHousekeeping),
      unsynced_since_(now.mono),
      engine_grace_(now.mono + kEngineGrace) {
  now_ = now;
  for (const NodeId& node : keys_.ring().banned()) catalog_.hide(node);
  for (const Endpoint& to : setup_.seeds) seeds_.push_back({to, {}, false, 0, now.mono});
  catalog_.filter_roster(
      [this](const RosterDoc& doc) { return keys_.ring().admitted(doc.node, doc.admission); });
  docs_.restore(std::move(setup_.loaded.documents), std::move(setup_.loaded.conflicts),
                setup_.loaded.horizon);
  for (const Document* document : docs_.list("")) catalog_.document_changed(docs_, document->key);
  for (const auto& [key, bytes] : setup_.loaded.meta) {
    if (!key.starts_with(kAliveMeta)) continue;
    const auto rumor = decode_rumor(bytes);
    const auto* alive = rumor ? std::get_if<MemberRumor>(&*rumor) : nullptr;
    if (alive == nullptr || keys_.banned(alive->subject) || !verified_->check(*alive, cluster_id_))
      continue;
    short_ids_[alive->subject.short_id()] = alive->subject;
    guard_.learn(alive->subject.short_id(), alive->epoch, alive->boot);
    swim_.restore(*alive, now.mono);
  }
  setup_.loaded = {};
  SwimEffects announced;
  swim_.announce(now.mono, announced);
  carry_out(announced, now);
  publish_info(now);
  drain(out);
}

Node::~Node() = default;

void Node::drain(NodeEffects& out) {
  const auto move_to = [](auto& from, auto& to) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
    from.clear();
  };
  move_to(out_.datagrams, out.datagrams);
  move_to(out_.streams, out.streams);
  move_to(out_.persists, out.persists);
  move_to(out_.commands, out.commands);
  move_to(out_.edits, out.edits);
  move_to(out_.events, out.events);
  if (out_.stop) out.stop = std::exchange(out_.stop, std::nullopt);
}

// --- Work --------------------------------------------------------------------------------------

void Node::publish_info(Now now) {
  // What was said before this start holds until the engine has answered or has had its time: an
  // agent that is started anew must not look like a host without an engine.
  if (setup_.has_engine && !engine_up_ && engine_fault_.empty() && now.mono < engine_grace_) return;
  NodeInfo info;
  info.node = self();
  info.name = setup_.name;
  info.version = KITH_VERSION;
  info.host_address = setup_.address.host;
  info.labels = setup_.labels;
  info.engine = engine_.info;
  info.engine.present = setup_.has_engine;
  info.engine.up = engine_up_;
  info.engine.error = engine_fault_;
  info.nano_cpus = engine_.nano_cpus;
  info.memory_bytes = engine_.memory_bytes;
  info.weight = setup_.weight != 0 ? setup_.weight
                                   : automatic_weight(engine_.nano_cpus, engine_.memory_bytes);
  const bool listed = !setup_.has_engine || reconciler_.inventory_listed() ||
                      (!engine_up_ && now.mono >= engine_grace_);
  if (listed && !listed_) {
    listed_ = true;
    ObservedEffects effects;
    observed_.set_inventory(self(), setup_.epoch, effects);
    apply(effects, now);
  }
  info.inventory_epoch = listed_ ? setup_.epoch : 0;
  info.key = keys_.stored().primary_id();
  for (const auto& [id, key] : keys_.stored().live()) info.keys.push_back(id);
  info.ring = keys_.stored().digest();
  was_ready_ = synced_ && listed_ && !leaving_ && swim_.ready_allowed(now.mono);
  info.ready = was_ready_;
  ObservedEffects effects;
  observed_.publish(node_info_key(self()), encode(info), now.mono, effects);
  apply(effects, now);
}

void Node::carry_out(ReconcileEffects& effects, Now now) {
  ObservedEffects said;
  for (const TaskRecord& task : effects.publish) {
    observed_.publish(task_key(self(), task.id), encode(task), now.mono, said);
  }
  for (const std::string& id : effects.retract)
    observed_.retract(task_key(self(), id), now.mono, said);
  for (const RefusedRecord& refused : effects.refuse)
    observed_.publish(refused_key(self(), refused.slot), encode(refused), now.mono, said);
  for (const SlotKey& slot : effects.unrefuse)
    observed_.retract(refused_key(self(), slot), now.mono, said);
  apply(said, now);
  for (HostCommand& command : effects.commands) out_.commands.push_back(std::move(command));
  for (const SlotEvent& event : effects.events) {
    // Changes of state are told from the records, of every node alike.
    constexpr std::array<std::string_view, 4> kSteps = {"ask", "stop", "refused", "adopted"};
    if (std::find(kSteps.begin(), kSteps.end(), event.action) == kSteps.end()) continue;
    std::string text = event.slot.text() + " on " + setup_.name + ": " + event.action;
    if (!event.text.empty()) text += ", " + event.text;
    note("task", event.action, event.task_id, event.slot.text(), std::move(text), now,
         {{"node", setup_.name}});
  }
}

void Node::host(const HostEvent& event, Now now, NodeEffects& out) {
  now_ = now;
  if (const auto* up = std::get_if<EngineUp>(&event)) {
    engine_ = *up;
    engine_up_ = true;
    engine_fault_.clear();
    note("node", "engine up", self().docker_id(), setup_.name,
         "Docker " + up->info.version + " answers on " + setup_.name, now);
  } else if (const auto* down = std::get_if<EngineDown>(&event)) {
    if (engine_up_ || engine_fault_.empty())
      note("node", "engine down", self().docker_id(), setup_.name,
           "Docker on " + setup_.name + " does not answer: " + down->reason, now);
    engine_up_ = false;
    engine_fault_ = down->reason;
  }
  if (dirty_) look(now);
  ReconcileEffects effects;
  reconciler_.handle(event, now, effects);
  carry_out(effects, now);
  publish_info(now);
  dirty_ = true;
  drain(out);
}

/// Works out who should run what, and makes this host so.
void Node::look(Now now) {
  dirty_ = false;
  const auto members = static_cast<int64_t>(swim_.present_count());
  look_not_before_ = now.mono + std::max<Duration>(kLookPause, kLookPauseAMember * members);
  // Also of the keys: they tell which entries of the roster count.
  work_.update(catalog_, hash_combine(docs_.root(), keys_.digest()), swim_.members(), self(),
               now.mono >= calm_at_);
  homes_to_write_ = kith::homes_to_write(catalog_, work_, self());
  Situation situation = work_.situation(catalog_, setup_.epoch, reconciler_.concerns());
  situation.synced = synced_ && booted_;
  ReconcileEffects effects;
  reconciler_.update(std::move(situation), now, effects);
  carry_out(effects, now);
}

/// What is absent here is absent only once a peer was asked, or nobody is there to ask.
void Node::settle_synced(Now now) {
  if (synced_) return;
  const bool alone = swim_.present_count() <= 1;
  const bool nobody_to_ask =
      seeds_.empty() ||
      std::all_of(seeds_.begin(), seeds_.end(), [](const Seed& seed) { return seed.self; });
  if (!alone) {
    if (sync_wanted_.empty() && syncing_ == 0)
      if (const auto peer = any_peer()) sync_wanted_.insert(*peer);
    sync_not_before_ = std::min(sync_not_before_, now.mono + std::chrono::milliseconds(500));
    return;
  }
  if ((nobody_to_ask && swim_.members().size() <= 1) || now.mono - unsynced_since_ >= kLonely) {
    synced_ = true;
    dirty_ = true;
  }
}

/// Everybody who may run something has said so in its present life. When all agents are started at
/// once, nobody remembers for the others what they run.
bool Node::all_listed() const {
  const auto waits = [&](const Member& member) {
    if (member.unconfirmed) return true;
    if (member.id == self() || !member.present()) return false;
    const NodeInfo* info = catalog_.info(member.id);
    return info == nullptr || info->inventory_epoch != member.epoch;
  };
  if (const Member* last = swim_.find(unlisted_); last != nullptr && waits(*last)) return false;
  for (const auto& [id, member] : swim_.members()) {
    if (!waits(member)) continue;
    unlisted_ = id;
    return false;
  }
  return true;
}

void Node::housekeep(Now now) {
  if (now.mono < next_housekeeping_) return;
  next_housekeeping_ = now.mono + kHousekeeping;
  // Datagrams do not reach these: all that they carry has to come by stream.
  for (const auto& [id, member] : swim_.members())
    if (member.stream_only && member.present()) sync_wanted_.insert(id);
  ObservedEffects said;
  observed_.advance(now.mono, said);
  apply(said, now);
  DocEffects effects;
  docs_.purge(now, effects);
  apply(effects, now);
}

void Node::stalled(Duration lag, Now now) {
  swim_.stalled(lag, now.mono);
  if (lag < setup_.swim.suspicion_min || swim_.present_count() <= 1) return;
  // Others may have taken over meanwhile: ask before acting on what I believe.
  reconciler_.stalled();
  synced_ = false;
  unsynced_since_ = now.mono;
  sync_not_before_ = now.mono;
  dirty_ = true;
}

void Node::advance(Now now, NodeEffects& out) {
  now_ = now;
  SwimEffects members;
  swim_.advance(now.mono, members);
  carry_out(members, now);
  links_.advance(now, out_.streams);
  if (!leaving_) {
    dial_seeds(now);
    settle_synced(now);
    start_syncs(now);
  }
  fetch_offers(now);
  exchange_rings(now);
  enrol(now);
  housekeep(now);
  supersede(now);
  const bool ready = synced_ && listed_ && !leaving_ && swim_.ready_allowed(now.mono);
  const bool silent_engine = !listed_ && setup_.has_engine && now.mono >= engine_grace_;
  if (ready != was_ready_ || silent_engine) publish_info(now);
  const bool calm_now = calm_at_ != Instant::min() && now.mono >= calm_at_;
  if (calm_now) calm_at_ = Instant::min();
  if (!booted_ && synced_ && (now.mono - started_ >= kLonely || all_listed())) {
    booted_ = true;
    dirty_ = true;
  }
  // Whoever acts looks first: at a copy it has heard of since, for one.
  const bool due = now.mono >= look_not_before_ || !edits_.empty() || reconciler_.acts(now.mono);
  if ((dirty_ && due) || calm_now) {
    settle_keys(now);
    look(now);
    if (dirty_) publish_info(now);
  }
  ReconcileEffects effects;
  reconciler_.advance(now, effects);
  carry_out(effects, now);
  write_homes(now);
  run_edits(now);
  flush_disk(now);
  std::vector<GossipSend> sends;
  disseminator_.set_cluster_size(swim_.present_count());
  disseminator_.advance(now.mono, swim_.peers(), sends);
  for (GossipSend& sending : sends)
    send(sending.to.id, sending.to.address, std::move(sending.message), now);
  if (leaving_ && leave_at_ == kNever && reconciler_.tasks().empty()) {
    SwimEffects farewell;
    swim_.leave(now.mono, farewell);
    carry_out(farewell, now);
    leave_at_ = now.mono + kFarewell;
  }
  if (now.mono >= leave_at_) out_.stop = "";
  drain(out);
}

void Node::leave(bool keep_running, Now now, NodeEffects& out) {
  now_ = now;
  leaving_ = true;
  dirty_ = true;
  publish_info(now);
  if (keep_running) {
    SwimEffects farewell;
    swim_.leave(now.mono, farewell);
    carry_out(farewell, now);
    leave_at_ = now.mono + kFarewell;
  } else {
    ReconcileEffects effects;
    reconciler_.leave(now, effects);
    carry_out(effects, now);
  }
  drain(out);
}

Instant Node::next_deadline() const {
  if (!edits_.empty() && !editing_) return now_.mono;
  Instant next = std::min({swim_.next_deadline(), links_.next_deadline(),
                           reconciler_.next_deadline(), next_housekeeping_, next_sync_, leave_at_});
  if (dirty_) next = std::min(next, std::max(now_.mono, look_not_before_));
  // Without peers the tick rests, whatever waits.
  next = std::min(next, disseminator_.next_deadline());
  if (calm_at_ != Instant::min()) next = std::min(next, calm_at_);
  if (!booted_ && synced_) next = std::min(next, started_ + kLonely);
  for (const auto& [node, waits] : inventories_) next = std::min(next, waits.due);
  if (!synced_) next = std::min(next, now_.mono + std::chrono::milliseconds(100));
  if (!sync_wanted_.empty() && syncing_ == 0) next = std::min(next, sync_not_before_);
  if (saving_ == 0 && anything_to_save()) next = std::min(next, save_not_before_);
  if (!homes_to_write_.empty() && synced_ && !leaving_ && writing_homes_ == 0)
    next = std::min(next, std::max(homes_not_before_, now_.mono));
  if (keys_differ_ && ring_link_ == 0) next = std::min(next, std::max(ring_not_before_, now_.mono));
  if (!listed_ && setup_.has_engine) next = std::min(next, engine_grace_);
  if (!was_ready_ && synced_ && swim_.held_until() > now_.mono)
    next = std::min(next, swim_.held_until());
  if (!leaving_) {
    for (const Seed& seed : seeds_) {
      if (seed.stream != 0 || met(seed)) continue;
      next = std::min(next, std::max(seed.next, now_.mono + std::chrono::milliseconds(20)));
    }
  }
  // What is long due is due now: the driver measures how late it woke against this.
  return std::max(next, now_.mono);
}

}  // namespace kith
