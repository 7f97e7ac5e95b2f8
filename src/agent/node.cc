#include "agent/node.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/hash.h"

namespace kith {
namespace {

constexpr Duration kHousekeeping = std::chrono::minutes(1);
constexpr Duration kEngineGrace = std::chrono::seconds(10);
constexpr Duration kSaveRetry = std::chrono::seconds(5);
constexpr Duration kFarewell = std::chrono::milliseconds(500);
constexpr std::string_view kAliveMeta = "alive/";

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

uint64_t digest_seed(const KeyRing& keys, uint64_t cluster_id) {
  return hash_combine(stable_hash(keys.primary().secret), cluster_id);
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
      rng_(rng),
      sealer_(cluster_id_, setup_.keys, setup_.identity.id().short_id(), setup_.boot),
      swim_({setup_.identity.id(), setup_.name, setup_.address, setup_.epoch, setup_.boot},
            setup_.swim, rng_.split(), now.mono),
      disseminator_(gossip_config(setup_.swim), rng_.split()),
      docs_({digest_seed(setup_.keys, cluster_id_)}, setup_.loaded.last_stamp),
      observed_(setup_.identity.id(), setup_.epoch, cluster_id_,
                [this](ByteView bytes) { return setup_.identity.sign(bytes); }),
      links_(setup_.identity, setup_.keys, cluster_id_, *this),
      reconciler_(setup_.identity.id(), setup_.name, {}, rng_.split()),
      started_(now.mono),
      started_wall_(now.wall),
      next_sync_(now.mono + kSyncInterval),
      next_housekeeping_(now.mono + kHousekeeping),
      unsynced_since_(now.mono),
      engine_grace_(now.mono + kEngineGrace) {
  now_ = now;
  for (const Endpoint& to : setup_.seeds) seeds_.push_back({to, {}, false, 0, now.mono});
  docs_.restore(std::move(setup_.loaded.documents), std::move(setup_.loaded.conflicts),
                setup_.loaded.horizon);
  for (const Document* document : docs_.list("")) catalog_.document_changed(docs_, document->key);
  for (const auto& [key, bytes] : setup_.loaded.meta) {
    if (!key.starts_with(kAliveMeta)) continue;
    const auto rumor = decode_rumor(bytes);
    const auto* alive = rumor ? std::get_if<MemberRumor>(&*rumor) : nullptr;
    if (alive == nullptr || !verified_.check(*alive, cluster_id_)) continue;
    short_ids_[alive->subject.short_id()] = alive->subject;
    guard_.learn(alive->subject.short_id(), alive->epoch, alive->boot);
    swim_.restore(*alive, now.mono);
  }
  setup_.loaded = {};
  DocEffects restamped;
  docs_.restamp_future(now, self(), restamped);
  apply(restamped, now);
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

void Node::note(std::string type, std::string action, std::string id, std::string name,
                std::string text, Now now, std::map<std::string, std::string> attributes) {
  out_.events.push_back({now.wall, std::move(type), std::move(action), std::move(id),
                         std::move(name), std::move(text), std::move(attributes)});
}

// --- Membership --------------------------------------------------------------------------------

void Node::member_event(const MemberEvent& event, Now now) {
  dirty_ = true;
  const std::string name = event.node == self() ? setup_.name : [&] {
    const Member* member = swim_.find(event.node);
    return member == nullptr ? catalog_.name_of(event.node) : member->name;
  }();
  const std::string by = event.by.none() ? std::string() : catalog_.name_of(event.by);
  const auto say = [&](const char* action, const std::string& text) {
    std::map<std::string, std::string> attributes;
    if (!by.empty()) attributes["by"] = by;
    note("node", action, event.node.docker_id(), name, text, now, std::move(attributes));
  };
  switch (event.kind) {
    case MemberEventKind::kJoined:
    case MemberEventKind::kReturned: {
      calm_at_ = now.mono + kCalm;
      const bool joined = event.kind == MemberEventKind::kJoined;
      say(joined ? "join" : "return", "node " + name + (joined ? " joined" : " is back"));
      remember_alive(event.node);
      if (synced_) {  // at once: what each side did while they were apart
        sync_wanted_.insert(event.node);
        sync_not_before_ =
            std::min(sync_not_before_, now.mono + std::chrono::milliseconds(rng_.below(50)));
      }
      break;
    }
    case MemberEventKind::kRestarted:
      heard_me_.erase(event.node);
      remember_alive(event.node);
      say("restart", "the agent of node " + name + " restarted");
      break;
    case MemberEventKind::kSuspect:
      calm_at_ = now.mono + kCalm;
      say("suspect", "node " + name + " is suspect" + (by.empty() ? "" : ", says " + by));
      break;
    case MemberEventKind::kRefuted:
      calm_at_ = now.mono + kCalm;
      say("alive", "node " + name + " is alive after all");
      break;
    case MemberEventKind::kDead:
      calm_at_ = now.mono + kCalm;
      heard_me_.erase(event.node);
      mismatches_.erase(event.node);
      say("dead", "node " + name + " is dead" + (by.empty() ? "" : ", says " + by));
      break;
    case MemberEventKind::kLeft:
      calm_at_ = now.mono + kCalm;
      heard_me_.erase(event.node);
      say("left", "node " + name + " has left");
      break;
    case MemberEventKind::kRenamed:
      remember_alive(event.node);
      say("renamed", "node " + event.node.docker_id() + " is named " + name + " now");
      break;
    case MemberEventKind::kMoved:
      remember_alive(event.node);
      say("moved", "node " + name + " has another address now");
      break;
    case MemberEventKind::kNameClash:
      name_clashes_[event.node] = event.by;
      say("name clash", "two nodes are named " + name + ": " + event.node.docker_id() + " and " +
                            event.by.docker_id() + "; both are kept, give one another node.name");
      break;
    case MemberEventKind::kIdentityClash:
      say("identity clash", "two agents run with the identity of " + name +
                                ": one data_dir was copied or restored beside the other");
      if (event.node == self())
        out_.stop = "another agent that runs longer has this node's identity (" +
                    self().docker_id() +
                    "): this data_dir is a copy; empty it, and this host joins as a new node";
      break;
    case MemberEventKind::kEpochRaised: {
      const std::string epoch = std::to_string(swim_.self().epoch);
      unsaved_.meta["epoch"] = Bytes(epoch.begin(), epoch.end());
      break;
    }
    case MemberEventKind::kIsolated:
      say("isolated", "most of the cluster vanished at once: this host may be cut off");
      break;
    case MemberEventKind::kReunited:
      say("reunited", "this host sees most of the cluster again");
      break;
  }
}

/// Keeps the last alive a member signed, to find it again after a restart.
void Node::remember_alive(const NodeId& node) {
  const Member* member = swim_.find(node);
  if (member == nullptr || node == self()) return;
  unsaved_.meta[std::string(kAliveMeta) + node.hex()] = encode(Rumor(member->alive));
}

// --- Documents and records ---------------------------------------------------------------------

void Node::document_changed(const std::string& key, Now now) {
  dirty_ = true;
  const auto services = catalog_.services();
  const auto roster = catalog_.roster();
  catalog_.document_changed(docs_, key);
  if (key.starts_with("service/")) {
    const std::string name = key.substr(8);
    const auto before = services.find(name);
    const auto after = catalog_.services().find(name);
    const bool was = before != services.end();
    const bool is = after != catalog_.services().end();
    if (!was && !is) return;
    const std::string action = !was ? "create" : is ? "update" : "remove";
    const std::string verb = !was ? " created" : is ? " updated" : " removed";
    note("service", action, is ? after->second->id : before->second->id, name,
         "service " + name + verb, now);
    return;
  }
  for (const auto& [node, doc] : roster) {
    if (roster_key(node) != key || catalog_.roster().contains(node)) continue;
    note("node", "remove", node.docker_id(), doc.name, "node " + doc.name + " removed", now);
    const Member* member = swim_.find(node);
    if (node == self() || (member != nullptr && member->present())) continue;
    swim_.forget(node);
    guard_.forget(node.short_id());
    disseminator_.invalidate(member_prefix(node));
    unsaved_.meta[std::string(kAliveMeta) + node.hex()] = {};
    ObservedEffects effects;
    observed_.drop_node(node, effects);
    apply(effects, now);
  }
}

void Node::apply(DocEffects& effects, Now now) {
  unsaved_.append(std::move(effects.batch));
  effects.batch = {};
  tell(effects, now);
  for (const std::string& key : effects.changed) document_changed(key, now);
}

void Node::apply(const ObservedEffects& effects, Now now) {
  tell(effects, now);
  for (const ObservedChange& change : effects.changed) {
    dirty_ = true;
    const auto before = catalog_.task(change.node, change.key);
    catalog_.observed_changed(observed_, change.node, change.key);
    if (const auto after = catalog_.task(change.node, change.key))
      note_task(before.get(), *after, now);
    if (change.key != node_info_key(change.node)) continue;
    const NodeInfo* info = catalog_.info(change.node);
    if (info == nullptr || info->inventory_epoch == 0) continue;
    Superseding& waits = inventories_[change.node];
    if (waits.epoch != info->inventory_epoch)
      waits = {info->inventory_epoch, now.mono + kInventoryGrace};
  }
}

/// Voids what nodes said before their last start, once they have said all of it anew.
void Node::supersede(Now now) {
  for (auto at = inventories_.begin(); at != inventories_.end();) {
    if (at->second.due > now.mono) {
      ++at;
      continue;
    }
    const NodeId node = at->first;
    at = inventories_.erase(at);
    const NodeInfo* info = catalog_.info(node);
    if (info == nullptr || info->inventory_epoch == 0) continue;
    ObservedEffects superseded;
    observed_.set_inventory(node, info->inventory_epoch, superseded);
    apply(superseded, now);
  }
}

uint64_t Node::edit(Edit edit, Now now) {
  if (edits_.size() >= kMaxQueuedEdits) return 0;
  (void)now;
  edits_.push_back({next_edit_, std::move(edit)});
  return next_edit_++;
}

/// One edit at a time: it is drafted against all that came before it, written, and only then
/// merged, told and acknowledged. What the disk refused never was.
void Node::run_edits(Now now) {
  while (!editing_ && !edits_.empty()) {
    PendingEdit pending = std::move(edits_.front());
    edits_.pop_front();
    auto drafted = draft(pending.edit, catalog_, docs_, work_, now.wall, rng_);
    if (!drafted) {
      out_.edits.push_back({pending.id, fail(drafted.error())});
      continue;
    }
    DocStore scratch({digest_seed(setup_.keys, cluster_id_)}, docs_.last_stamp());
    std::vector<Document> current;
    if (const Document* document = docs_.find_any(drafted->key)) current.push_back(*document);
    scratch.restore(std::move(current), {}, docs_.horizon());
    DocEffects effects;
    const auto version = drafted->remove
                             ? scratch.remove(drafted->key, now, self(), effects)
                             : scratch.put(drafted->key, drafted->body, now, self(), effects);
    if (!version) {
      out_.edits.push_back({pending.id, fail(version.error())});
      continue;
    }
    EditInFlight flight{next_persist_++, pending.id, {}, drafted->result};
    flight.documents.push_back(*scratch.find_any(drafted->key));
    out_.persists.push_back({flight.persist, std::move(effects.batch)});
    editing_ = std::move(flight);
  }
}

void Node::finish_edit(const Status& status, Now now) {
  EditInFlight flight = std::move(*editing_);
  editing_.reset();
  if (!status) {
    disk_fault_ = status.error().message;
    out_.edits.push_back({flight.edit, fail(ErrorCode::kUnavailable,
                                            "not stored, nothing was changed: " + disk_fault_)});
    return;
  }
  disk_fault_.clear();
  DocEffects effects;
  for (Document& document : flight.documents) docs_.merge(std::move(document), now, effects);
  apply(effects, now);
  out_.edits.push_back({flight.edit, flight.result});
}

void Node::written(uint64_t persist, const Status& status, Now now, NodeEffects& out) {
  now_ = now;
  if (editing_ && editing_->persist == persist) {
    finish_edit(status, now);
  } else if (persist == saving_) {
    saving_ = 0;
    if (status) {
      disk_fault_.clear();
    } else {  // keep it for the next try, what came since on top
      disk_fault_ = status.error().message;
      StoreBatch later = std::exchange(unsaved_, std::move(being_saved_));
      unsaved_.append(std::move(later));
      save_not_before_ = now.mono + kSaveRetry;
    }
    being_saved_ = {};
  }
  drain(out);
}

void Node::flush_disk(Now now) {
  if (saving_ != 0 || unsaved_.empty() || now.mono < save_not_before_) return;
  saving_ = next_persist_++;
  being_saved_ = std::exchange(unsaved_, {});
  out_.persists.push_back({saving_, being_saved_});
}

/// Sees to one's own entry in the roster, once it is known what the others know.
void Node::enrol(Now now) {
  if (!synced_ || leaving_ || enrolling_) return;
  const auto at = catalog_.roster().find(self());
  const std::string address = setup_.address.text();
  if (at != catalog_.roster().end() && at->second.name == setup_.name &&
      at->second.address == address)
    return;
  RosterDoc doc;
  if (at != catalog_.roster().end()) doc = at->second;
  doc.node = self();
  doc.name = setup_.name;
  doc.address = address;
  enrolling_ = edit(Enrol{doc}, now) != 0;
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

/// Tells what became of a task on any node; `before` is what its record said until now.
void Node::note_task(const TaskRecord* before, const TaskRecord& after, Now now) {
  const bool worth = after.state >= TaskState::kStarting || !after.error.empty();
  const bool news = before == nullptr || before->state != after.state;
  if (!synced_ || !worth || !news) return;
  const std::string state(to_string(after.state));
  const std::string node = after.node == self() ? setup_.name : catalog_.name_of(after.node);
  std::string text = after.slot.text() + " " + state + " on " + node;
  if (!after.error.empty()) text += ": " + after.error;
  if (after.backing_off) text += ", " + after.message;
  note("task", state, after.id, after.slot.text(), std::move(text), now, {{"node", node}});
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
  work_.update(catalog_, swim_.members(), self(), now.mono >= calm_at_);
  Situation situation = work_.situation(catalog_, setup_.epoch);
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
  for (const auto& [id, member] : swim_.members()) {
    if (member.unconfirmed) return false;
    if (id == self() || !member.present()) continue;
    const NodeInfo* info = catalog_.info(id);
    if (info == nullptr || info->inventory_epoch != member.epoch) return false;
  }
  return true;
}

void Node::housekeep(Now now) {
  if (now.mono < next_housekeeping_) return;
  next_housekeeping_ = now.mono + kHousekeeping;
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
  enrol(now);
  run_edits(now);
  housekeep(now);
  supersede(now);
  ReconcileEffects effects;
  reconciler_.advance(now, effects);
  carry_out(effects, now);
  const bool ready = synced_ && listed_ && !leaving_ && swim_.ready_allowed(now.mono);
  const bool silent_engine = !listed_ && setup_.has_engine && now.mono >= engine_grace_;
  if (ready != was_ready_ || silent_engine) publish_info(now);
  const bool calm_now = calm_at_ != Instant::min() && now.mono >= calm_at_;
  if (calm_now) calm_at_ = Instant::min();
  if (!booted_ && synced_ && (now.mono - started_ >= kLonely || all_listed())) {
    booted_ = true;
    dirty_ = true;
  }
  if (dirty_ || calm_now) look(now);
  if (dirty_) publish_info(now);
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
  if (dirty_ || (!edits_.empty() && !editing_)) return now_.mono;
  Instant next = std::min({swim_.next_deadline(), links_.next_deadline(),
                           reconciler_.next_deadline(), next_housekeeping_, next_sync_, leave_at_});
  // Without peers the tick rests, whatever waits.
  next = std::min(next, disseminator_.next_deadline());
  if (calm_at_ != Instant::min()) next = std::min(next, calm_at_);
  if (!booted_ && synced_) next = std::min(next, started_ + kLonely);
  for (const auto& [node, waits] : inventories_) next = std::min(next, waits.due);
  if (!synced_) next = std::min(next, now_.mono + std::chrono::milliseconds(100));
  if (!sync_wanted_.empty() && syncing_ == 0) next = std::min(next, sync_not_before_);
  if (saving_ == 0 && !unsaved_.empty()) next = std::min(next, save_not_before_);
  if (!listed_ && setup_.has_engine) next = std::min(next, engine_grace_);
  if (!was_ready_ && synced_) next = std::min(next, swim_.held_until());
  if (!leaving_) {
    for (const Seed& seed : seeds_) {
      if (seed.stream != 0 || met(seed)) continue;
      next = std::min(next, std::max(seed.next, now_.mono + std::chrono::milliseconds(20)));
    }
  }
  return next;
}

}  // namespace kith
