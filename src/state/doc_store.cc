#include "state/doc_store.h"

#include <algorithm>
#include <tuple>

#include "base/defects.h"
#include "base/hash.h"
#include "gossip/message.h"

namespace kith {
namespace {

constexpr std::string_view kLostPrefix = "lost/";

/// A host's clock as far as it can be true; one from beyond would use up the stamps.
WallTime believable(WallTime wall) {
  return wall < kLatestStamp.wall() ? wall : WallTime{0};
}

bool wins_over(const Document& theirs, const Document& mine) {
  const bool later = mine.version < theirs.version;
  const bool by_order = !defective(Defect::kMergeKeepsMine) && !defective(Defect::kMergeByArrival);
  if (by_order || descent(later ? mine : theirs, later ? theirs : mine) != Descent::kConcurrent)
    return later;
  return defective(Defect::kMergeByArrival);
}

bool equal_value(const Document& a, const Document& b) {
  return a.deleted == b.deleted && a.body == b.body;
}

Document next_version(std::string_view key, const Document* parent, Stamp stamp,
                      const NodeId& author) {
  Document next;
  next.key = key;
  next.version.stamp = stamp;
  next.version.author = author;
  if (parent != nullptr) {
    next.ancestors.push_back({parent->version.stamp, parent->version.content_hash});
    const size_t rest = std::min(parent->ancestors.size(), kMaxAncestors - 1);
    next.ancestors.insert(next.ancestors.end(), parent->ancestors.begin(),
                          parent->ancestors.begin() + static_cast<std::ptrdiff_t>(rest));
  }
  return next;
}

}  // namespace

std::string lost_key(uint64_t id) {
  std::array<uint8_t, 8> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(id >> (56 - 8 * i));
  return std::string(kLostPrefix) + to_hex(bytes);
}

DocStore::DocStore(const DocStoreConfig& config, Stamp floor) : config_(config), clock_(floor) {}

void DocStore::restore(std::vector<Document> documents, std::vector<Conflict> conflicts,
                       Stamp horizon) {
  horizon_ = horizon;
  clock_.observe(horizon);
  for (Document& document : documents) {
    clock_.observe(document.version.stamp);
    const auto [at, fresh] = documents_.try_emplace(document.key, std::move(document));
    if (fresh) digest(at->second, true);
  }
  for (Conflict& conflict : conflicts) {
    if (conflicts_.size() == kMaxConflicts) break;
    conflicts_.try_emplace(conflict.id(), std::move(conflict));
  }
}

Result<DocVersion> DocStore::put(std::string_view key, std::string body, Now now,
                                 const NodeId& author, DocEffects& out) {
  return edit(key, std::move(body), false, now, author, out);
}

Result<DocVersion> DocStore::remove(std::string_view key, Now now, const NodeId& author,
                                    DocEffects& out) {
  if (find(key) == nullptr) return fail(ErrorCode::kNotFound, std::string(key) + " not found");
  return edit(key, {}, true, now, author, out);
}

Result<DocVersion> DocStore::edit(std::string_view key, std::string body, bool deleted, Now now,
                                  const NodeId& author, DocEffects& out) {
  if (key.empty() || key.size() > kMaxRecordKey || key.substr(0, 5) == kLostPrefix)
    return fail(ErrorCode::kInvalid, "bad key: " + std::string(key.substr(0, kMaxRecordKey)));
  const auto at = documents_.find(key);
  const Document* parent = at == documents_.end() ? nullptr : &at->second;
  HybridClock clock = clock_;
  Stamp stamp = clock.next(believable(now.wall));
  if (parent != nullptr) stamp = std::max(stamp, Stamp{(parent->version.stamp.ms() + 1) << 16});
  Document next = next_version(key, parent, stamp, author);
  next.deleted = deleted;
  next.body = std::move(body);
  next.version.content_hash = content_hash_of(next);
  if (const size_t size = encode(next).size(); size > kMaxRecordSize)
    return fail(ErrorCode::kTooLarge, std::string(key) + ": " + std::to_string(size) +
                                          " bytes, the limit is " + std::to_string(kMaxRecordSize));
  if (const Status room = has_room(next); !room) return fail(room.error());
  const DocVersion version = next.version;
  store(std::move(next), out);
  return version;
}

/// Makes it the current version: the only place that does.
void DocStore::store(Document document, DocEffects& out) {
  clock_.observe(document.version.stamp);
  settle_equal(document, out);
  const auto at = documents_.try_emplace(document.key).first;
  if (!at->second.key.empty()) digest(at->second, false);
  at->second = std::move(document);
  digest(at->second, true);
  Bytes envelope = encode(at->second);
  out.changed.push_back(at->first);
  out.news.push_back({at->first, version_digest(at->first, at->second.version), envelope});
  std::erase(out.batch.purged, at->first);
  out.batch.documents.push_back({at->first, std::move(envelope)});
  out.batch.last_stamp = clock_.last();
}

void DocStore::erase(Documents::iterator at, DocEffects& out) {
  digest(at->second, false);
  if (!at->second.deleted) out.changed.push_back(at->first);
  std::erase_if(out.batch.documents,
                [&](const StoreBatch::Row& row) { return row.key == at->first; });
  out.batch.purged.push_back(at->first);
  documents_.erase(at);
}

bool DocStore::fits(const Document& document) const {
  const auto at = documents_.find(document.key);
  if (at == documents_.end() && documents_.size() >= kMaxDocuments) return false;
  const size_t freed = at == documents_.end() ? 0 : at->first.size() + at->second.body.size();
  const size_t added = document.key.size() + document.body.size();
  return added <= freed || bytes_ + added - freed <= kMaxDocumentBytes;
}

Status DocStore::has_room(const Document& document) const {
  if (fits(document)) return {};
  const bool many = documents_.size() >= kMaxDocuments;
  const auto days = std::chrono::duration_cast<std::chrono::days>(config_.tombstone_age).count();
  return fail(ErrorCode::kTooLarge,
              "the cluster holds " +
                  (many ? std::to_string(documents_.size()) + " records, its limit: remove some; "
                        : std::to_string(bytes_) + " bytes of records, of " +
                              std::to_string(kMaxDocumentBytes) + ": remove some; ") +
                  "the name of what was removed counts for " + std::to_string(days) + " days");
}

MergeOutcome DocStore::merge(Document theirs, Now now, DocEffects& out, DocSource source) {
  const auto at = documents_.find(theirs.key);
  const bool here = at != documents_.end();
  if (here && at->second.version == theirs.version) return MergeOutcome::kKnown;
  const auto known = conflicts_.find(version_digest(theirs.key, theirs.version));
  if (known != conflicts_.end()) {
    const bool vouched_for = known->second.reason == ConflictReason::kOlderThanHorizon &&
                             source == DocSource::kAheadPeer && !here;
    if (!vouched_for) return MergeOutcome::kKnown;
  }
  if (theirs.version.stamp > kLatestStamp) {
    if (here && equal_value(at->second, theirs)) return MergeOutcome::kStale;
    return set_aside(std::move(theirs), ConflictReason::kFarFuture, now, out);
  }
  if (!here) return merge_new(std::move(theirs), source, now, out);
  return wins_over(theirs, at->second) ? merge_over(at->second, std::move(theirs), now, out)
                                       : merge_under(at->second, std::move(theirs), now, out);
}

MergeOutcome DocStore::merge_new(Document theirs, DocSource source, Now now, DocEffects& out) {
  if (theirs.version.stamp <= horizon_) {
    if (theirs.deleted) return MergeOutcome::kStale;
    if (source != DocSource::kAheadPeer)
      return set_aside(std::move(theirs), ConflictReason::kOlderThanHorizon, now, out);
  }
  if (!fits(theirs)) return MergeOutcome::kFull;
  store(std::move(theirs), out);
  return MergeOutcome::kApplied;
}

/// Theirs is later and wins.
MergeOutcome DocStore::merge_over(const Document& mine, Document theirs, Now now, DocEffects& out) {
  if (!fits(theirs)) return MergeOutcome::kFull;
  const Descent from = descent(mine, theirs);
  const bool lost = from == Descent::kConcurrent || (from == Descent::kUnknown && !mine.deleted);
  if (lost && !equal_value(mine, theirs)) {
    const ConflictReason reason = from == Descent::kConcurrent ? ConflictReason::kConcurrentEdit
                                                               : ConflictReason::kHistoryTooOld;
    (void)add_conflict({mine, theirs.version, reason, now.wall}, out);
  }
  store(std::move(theirs), out);
  return MergeOutcome::kApplied;
}

/// Theirs is earlier and loses.
MergeOutcome DocStore::merge_under(const Document& mine, Document theirs, Now now,
                                   DocEffects& out) {
  if (equal_value(mine, theirs) || descent(theirs, mine) != Descent::kConcurrent)
    return MergeOutcome::kStale;
  const bool fresh = add_conflict(
      {std::move(theirs), mine.version, ConflictReason::kConcurrentEdit, now.wall}, out);
  return fresh ? MergeOutcome::kConflict : MergeOutcome::kStale;
}

MergeOutcome DocStore::set_aside(Document document, ConflictReason reason, Now now,
                                 DocEffects& out) {
  const Document* mine = find_any(document.key);
  const DocVersion won = mine == nullptr ? DocVersion{} : mine->version;
  (void)add_conflict({std::move(document), won, reason, now.wall}, out);
  return MergeOutcome::kSetAside;
}

/// Of one key only the versions that no other one kept descends from stay; of all, the latest
/// kMaxConflicts: so that what is kept does not hang on the order of arrival, and a loser that
/// travels is news only once.
bool DocStore::add_conflict(Conflict conflict, DocEffects& out) {
  const uint64_t id = conflict.id();
  if (conflicts_.count(id) != 0) return false;
  std::vector<uint64_t> replaced;
  for (const auto& [other_id, other] : conflicts_) {
    if (other.lost.key != conflict.lost.key) continue;
    if (other.lost.version < conflict.lost.version) {
      if (descent(other.lost, conflict.lost) == Descent::kAncestor) replaced.push_back(other_id);
    } else if (descent(conflict.lost, other.lost) == Descent::kAncestor) {
      return false;
    }
  }
  if (conflicts_.size() - replaced.size() >= kMaxConflicts) {
    const auto rank = [](const Conflict& c) { return std::tie(c.lost.version, c.lost.key); };
    const auto earliest = std::min_element(
        conflicts_.begin(), conflicts_.end(),
        [&](const auto& a, const auto& b) { return rank(a.second) < rank(b.second); });
    if (rank(conflict) < rank(earliest->second)) return false;
    replaced.push_back(earliest->first);
  }
  for (const uint64_t old : replaced) settle(old, out);
  if (conflict.reason == ConflictReason::kConcurrentEdit)
    out.news.push_back({lost_key(id), id, encode(conflict.lost)});
  std::erase(out.batch.settled, id);
  out.batch.conflicts.push_back(conflict);
  out.conflicts_changed = true;
  conflicts_.emplace(id, std::move(conflict));
  return true;
}

void DocStore::settle(uint64_t id, DocEffects& out) {
  if (conflicts_.erase(id) == 0) return;
  std::erase_if(out.batch.conflicts, [&](const Conflict& kept) { return kept.id() == id; });
  out.batch.settled.push_back(id);
  out.conflicts_changed = true;
}

/// What is current now, or has the current value, is no loser.
void DocStore::settle_equal(const Document& document, DocEffects& out) {
  std::vector<uint64_t> equal;
  for (const auto& [id, conflict] : conflicts_) {
    if (conflict.lost.key == document.key && equal_value(conflict.lost, document))
      equal.push_back(id);
  }
  for (const uint64_t id : equal) settle(id, out);
}

void DocStore::purge(Now now, DocEffects& out) {
  if (defective(Defect::kTombstoneForgotten)) {
    for (auto at = documents_.begin(); at != documents_.end();) {
      const auto here = at++;
      if (here->second.deleted) erase(here, out);
    }
  }
  const Stamp cutoff = Stamp::from_wall({now.wall.ms - config_.tombstone_age.count()});
  Stamp horizon = horizon_;
  for (const auto& [key, document] : documents_) {
    if (document.deleted && document.version.stamp < cutoff)
      horizon = std::max(horizon, document.version.stamp);
  }
  raise_horizon(horizon, now, out);
}

/// No honest peer has such a horizon: it is the stamp of what was deleted a while ago. By the
/// stamps seen as well, since this host's clock may be at 1970.
bool DocStore::beyond_all_known(Stamp horizon, Now now) const {
  return horizon > std::max(Stamp::from_wall(now.wall), clock_.last());
}

void DocStore::raise_horizon(Stamp horizon, Now now, DocEffects& out) {
  if (horizon <= horizon_ || beyond_all_known(horizon, now)) return;
  horizon_ = horizon;
  clock_.observe(horizon);
  out.batch.horizon = horizon;
  for (auto at = documents_.begin(); at != documents_.end();) {
    const auto here = at++;
    if (here->second.deleted && here->second.version.stamp <= horizon) erase(here, out);
  }
}

void DocStore::drop(std::string_view key, Stamp horizon, Now now, DocEffects& out) {
  if (beyond_all_known(horizon, now)) return;
  const auto at = documents_.find(key);
  if (at == documents_.end() || at->second.deleted || at->second.version.stamp > horizon) return;
  (void)add_conflict({at->second, {}, ConflictReason::kOlderThanHorizon, now.wall}, out);
  erase(at, out);
}

bool DocStore::dismiss(uint64_t conflict_id, DocEffects& out) {
  if (conflicts_.count(conflict_id) == 0) return false;
  settle(conflict_id, out);
  return true;
}

const Document* DocStore::find(std::string_view key) const {
  const auto at = documents_.find(key);
  return at == documents_.end() || at->second.deleted ? nullptr : &at->second;
}

const Document* DocStore::find_any(std::string_view key) const {
  const auto at = documents_.find(key);
  if (at != documents_.end()) return &at->second;
  if (key.substr(0, kLostPrefix.size()) != kLostPrefix) return nullptr;
  for (const auto& [id, conflict] : conflicts_) {
    if (lost_key(id) == key) return &conflict.lost;
  }
  return nullptr;
}

std::vector<const Document*> DocStore::list(std::string_view prefix) const {
  std::vector<const Document*> found;
  for (auto at = documents_.lower_bound(prefix); at != documents_.end(); ++at) {
    if (at->first.compare(0, prefix.size(), prefix) != 0) break;
    if (!at->second.deleted) found.push_back(&at->second);
  }
  return found;
}

std::vector<const Conflict*> DocStore::conflicts() const {
  std::vector<const Conflict*> found;
  for (const auto& [id, conflict] : conflicts_) found.push_back(&conflict);
  std::sort(found.begin(), found.end(), [](const Conflict* a, const Conflict* b) {
    return std::tie(a->lost.key, a->lost.version) < std::tie(b->lost.key, b->lost.version);
  });
  return found;
}

}  // namespace kith
