// Node: documents, records, edits, and the disk.

#include <algorithm>
#include <utility>

#include "agent/node.h"
#include "base/defects.h"

namespace kith {
namespace {

constexpr Duration kSaveRetry = std::chrono::seconds(5);
constexpr Duration kEnrolPause = std::chrono::seconds(5);
constexpr Duration kHomesPause = std::chrono::seconds(5);

}  // namespace

void Node::document_changed(const std::string& key, Now now) {
  dirty_ = true;
  if (key.starts_with("service/")) {
    const std::string name = key.substr(8);
    const auto service = [&]() -> std::shared_ptr<const ServiceDoc> {
      const auto at = catalog_.services().find(name);
      return at == catalog_.services().end() ? nullptr : at->second;
    };
    const auto before = service();
    catalog_.document_changed(docs_, key);
    const auto after = service();
    if (!before && !after) return;
    const std::string action = !before ? "create" : after ? "update" : "remove";
    const std::string verb = !before ? " created" : after ? " updated" : " removed";
    note("service", action, after ? after->id : before->id, name, "service " + name + verb, now);
    return;
  }
  const auto node = node_of_roster_key(key);
  const auto before = node ? catalog_.roster().find(*node) : catalog_.roster().end();
  const std::optional<std::string> was =
      before == catalog_.roster().end() ? std::nullopt : std::optional(before->second.name);
  catalog_.document_changed(docs_, key);
  if (was && !catalog_.roster().contains(*node)) removed(*node, *was, now);
}

/// It is not in the roster any more.
void Node::removed(const NodeId& node, const std::string& name, Now now) {
  note("node", "remove", node.docker_id(), name, "node " + name + " removed", now);
  const Member* member = swim_.find(node);
  if (node == self() || (member != nullptr && member->present())) return;
  swim_.forget(node);
  guard_.forget(node.short_id());
  disseminator_.invalidate(member_prefix(node));
  unsaved_.meta[std::string(kAliveMeta) + node.hex()] = {};
  ObservedEffects effects;
  observed_.drop_node(node, effects);
  apply(effects, now);
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
    if (info != nullptr && info->ring != 0 && info->ring != keys_.digest()) keys_differ_ = true;
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

uint64_t Node::edit(Edit edit) {
  if (edits_.size() >= kMaxQueuedEdits && !defective(Defect::kEditsWithoutLimit)) return 0;
  edits_.push_back({next_edit_, std::move(edit)});
  return next_edit_++;
}

void Node::answer(uint64_t edit, Result<std::string> outcome) {
  if (edit == enrolling_) enrolling_ = 0;
  if (edit == writing_homes_) writing_homes_ = 0;
  out_.edits.push_back({edit, std::move(outcome)});
}

/// One edit at a time: it is drafted against all that came before it, written, and only then
/// merged, told and acknowledged. What the disk refused never was.
void Node::run_edits(Now now) {
  while (!editing_ && !edits_.empty()) {
    PendingEdit pending = std::move(edits_.front());
    edits_.pop_front();
    if (const auto* keys = std::get_if<KeyEdit>(&pending.edit)) {
      edit_keys(pending.id, *keys, now);
      continue;
    }
    auto drafted = draft(pending.edit, catalog_, docs_, work_, now.wall, rng_);
    if (!drafted) {
      answer(pending.id, fail(drafted.error()));
      continue;
    }
    // One that yields is stamped right after what it is made from, whatever the clock says.
    DocStore scratch({}, drafted->yields ? Stamp{} : docs_.last_stamp());
    const Now at = drafted->yields ? Now{now.mono, {}} : now;
    std::vector<Document> current;
    if (const Document* document = docs_.find_any(drafted->key)) current.push_back(*document);
    scratch.restore(std::move(current), {}, docs_.horizon());
    DocEffects effects;
    const auto version = drafted->remove
                             ? scratch.remove(drafted->key, at, self(), effects)
                             : scratch.put(drafted->key, drafted->body, at, self(), effects);
    if (drafted->yields) effects.batch.last_stamp.reset();
    if (!version) {
      answer(pending.id, fail(version.error()));
      continue;
    }
    EditInFlight flight{next_persist_++, pending.id, {}, drafted->result, {}};
    flight.documents.push_back(*scratch.find_any(drafted->key));
    // Of the whole store, which the scratch knows nothing of.
    if (const Status room = docs_.has_room(flight.documents.back()); !room) {
      answer(pending.id, fail(room.error()));
      continue;
    }
    out_.persists.push_back({flight.persist, std::move(effects.batch)});
    editing_ = std::move(flight);
    if (defective(Defect::kEditBeforeDisk)) finish_edit({}, now);
  }
}

/// A ban removes the node in the same transaction.
void Node::edit_keys(uint64_t edit, const KeyEdit& keys, Now now) {
  const bool ban = keys.what == KeyEdit::kBan;
  if (ban && keys.node == self())
    return answer(edit, fail(ErrorCode::kConflict,
                             "node " + setup_.name +
                                 " cannot ban itself: ask another node to, or `kith leave` here"));
  if (ban && !catalog_.roster().contains(keys.node))
    return answer(edit, fail(ErrorCode::kNotFound, "node " + keys.node.docker_id() + " not found"));
  auto ring = draft_ring(keys, now);
  if (!ring) return answer(edit, fail(ring.error()));
  EditInFlight flight{next_persist_++, edit, {}, key_id_text(keys.key_id), std::move(*ring)};
  if (keys.fresh != ClusterKey{}) flight.result = key_id_text(keys.fresh.id());
  StoreBatch batch;
  const std::string key = roster_key(keys.node);
  if (const Document* document = ban ? docs_.find(key) : nullptr) {
    DocStore scratch({}, docs_.last_stamp());
    scratch.restore({*document}, {}, docs_.horizon());
    DocEffects effects;
    if (const auto gone = scratch.remove(key, now, self(), effects); !gone)
      return answer(edit, fail(gone.error()));
    flight.documents.push_back(*scratch.find_any(key));
    batch = std::move(effects.batch);
  }
  batch.meta[std::string(kRingMeta)] = flight.ring->encode();
  out_.persists.push_back({flight.persist, std::move(batch)});
  editing_ = std::move(flight);
}

void Node::finish_edit(const Status& status, Now now) {
  EditInFlight flight = std::move(*editing_);
  editing_.reset();
  if (!status) {
    disk_fault_ = status.error().message;
    answer(flight.edit,
           fail(ErrorCode::kUnavailable, "not stored, nothing was changed: " + disk_fault_));
    return;
  }
  disk_fault_.clear();
  if (flight.ring) {
    keys_.set_stored(*flight.ring);
    SharedRing ring = keys_.ring();
    const bool unsaved = keys_.unsaved;
    if (ring.merge(*flight.ring)) adopt(std::move(ring), now);
    // Unless another's came in meanwhile, it is on disk as it is.
    keys_.unsaved = unsaved || keys_.ring() != keys_.stored();
    publish_info(now);
  }
  DocEffects effects;
  for (Document& document : flight.documents) docs_.merge(std::move(document), now, effects);
  apply(effects, now);
  answer(flight.edit, flight.result);
  flush_disk(now);  // before the next edit: it waits while there is one
}

void Node::written(uint64_t persist, const Status& status, Now now, NodeEffects& out) {
  now_ = now;
  if (editing_ && editing_->persist == persist) {
    finish_edit(status, now);
  } else if (persist == saving_) {
    saving_ = 0;
    const auto ring = std::exchange(ring_being_saved_, std::nullopt);
    if (status) {
      disk_fault_.clear();
      if (ring) {
        keys_.set_stored(*ring);
        publish_info(now);
      }
    } else {  // keep it for the next try, what came since on top
      being_saved_.meta.erase(std::string(kRingMeta));
      keys_.unsaved = keys_.unsaved || ring.has_value();
      disk_fault_ = status.error().message;
      StoreBatch later = std::exchange(unsaved_, std::move(being_saved_));
      unsaved_.append(std::move(later));
      save_not_before_ = now.mono + kSaveRetry;
    }
    being_saved_ = {};
  }
  drain(out);
}

/// Not behind an edit under way: what was merged meanwhile may be older than it, and would take its
/// place on disk after it was acknowledged. Nor may an edit's ring be written over.
bool Node::anything_to_save() const {
  if (editing_ && (editing_->ring || !defective(Defect::kFlushBehindEdit))) return false;
  return !unsaved_.empty() || keys_.unsaved;
}

void Node::flush_disk(Now now) {
  if (saving_ != 0 || !anything_to_save() || now.mono < save_not_before_) return;
  saving_ = next_persist_++;
  being_saved_ = std::exchange(unsaved_, {});
  if (keys_.unsaved) {
    ring_being_saved_ = keys_.ring();
    being_saved_.meta[std::string(kRingMeta)] = ring_being_saved_->encode();
    keys_.unsaved = false;
  }
  out_.persists.push_back({saving_, being_saved_});
}

/// Sees to one's own entry in the roster, once it is known what the others know.
void Node::enrol(Now now) {
  if (!synced_ || leaving_ || enrolling_ != 0 || now.mono < enrol_not_before_) return;
  const auto at = catalog_.roster().find(self());
  const std::string address = setup_.address.text();
  const SharedRing& ring = keys_.ring();
  const bool shown = ring.listed(self()) || (at != catalog_.roster().end() &&
                                             at->second.admission.key == ring.primary_id());
  if (at != catalog_.roster().end() && at->second.name == setup_.name &&
      at->second.address == address && shown)
    return;
  Enrol entry{self(), setup_.name, address, {}};
  if (!shown) entry.admission = ring.admission(self());
  enrolling_ = edit(std::move(entry));
  enrol_not_before_ = now.mono + kEnrolPause;
}

/// Pinned slots that run here without a home get one.
void Node::write_homes(Now now) {
  if (homes_to_write_.empty() || !synced_ || leaving_ || writing_homes_ != 0 ||
      now.mono < homes_not_before_)
    return;
  writing_homes_ = edit(WriteHomes{homes_to_write_});
  homes_not_before_ = now.mono + kHomesPause;
}

}  // namespace kith
