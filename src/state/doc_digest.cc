// The digests of DocStore, and the codec and small parts of what it hands out.

#include <algorithm>

#include "base/hash.h"
#include "gossip/message.h"
#include "state/doc_store.h"
#include "state/wire.h"

namespace kith {

std::string_view to_string(ConflictReason reason) {
  switch (reason) {
    case ConflictReason::kConcurrentEdit:
      return "edited on both sides";
    case ConflictReason::kFarFuture:
      return "stamped in the far future";
    case ConflictReason::kOlderThanHorizon:
      return "older than the deletes already forgotten";
    case ConflictReason::kHistoryTooOld:
      return "replaced by a version many edits later";
  }
  return "unknown";
}

Bytes encode(const Conflict& conflict) {
  wire::Buffer buffer;
  wire::Packer packer(buffer);
  packer.pack_array(6);
  wire::pack_bytes(packer, encode(conflict.lost));
  packer.pack(conflict.won.stamp.value);
  wire::pack_node(packer, conflict.won.author);
  packer.pack(conflict.won.content_hash);
  packer.pack(static_cast<uint8_t>(conflict.reason));
  packer.pack(conflict.at.ms);
  return buffer.take();
}

Result<Conflict> decode_conflict(ByteView bytes) {
  const auto handle = wire::parse(bytes);
  if (!handle) return fail(ErrorCode::kInvalid, "not a conflict: not msgpack");
  Conflict conflict;
  Bytes lost;
  wire::Elements elements(handle->get());
  elements >> lost >> conflict.won.stamp.value >> conflict.won.author >> conflict.won.content_hash;
  const msgpack::object* reason = elements.next();
  elements >> conflict.at.ms;
  if (!elements.good() ||
      !wire::read_enum(*reason, conflict.reason, ConflictReason::kHistoryTooOld))
    return fail(ErrorCode::kInvalid, "not a conflict: a field is missing or of the wrong type");
  Result<Document> document = decode_document(lost);
  if (!document) return fail(document.error());
  conflict.lost = std::move(*document);
  return conflict;
}

bool StoreBatch::empty() const {
  return documents.empty() && purged.empty() && conflicts.empty() && settled.empty() && !horizon &&
         !last_stamp && meta.empty();
}

void StoreBatch::append(StoreBatch&& later) {
  for (const Row& row : later.documents) std::erase(purged, row.key);
  for (const std::string& key : later.purged)
    std::erase_if(documents, [&](const Row& row) { return row.key == key; });
  for (const Conflict& conflict : later.conflicts) std::erase(settled, conflict.id());
  for (const uint64_t id : later.settled)
    std::erase_if(conflicts, [&](const Conflict& conflict) { return conflict.id() == id; });
  const auto move_all = [](auto& from, auto& to) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  move_all(later.documents, documents);
  move_all(later.purged, purged);
  move_all(later.conflicts, conflicts);
  move_all(later.settled, settled);
  if (later.horizon) horizon = later.horizon;
  if (later.last_stamp) last_stamp = later.last_stamp;
  for (auto& [key, value] : later.meta) meta.insert_or_assign(key, std::move(value));
}

void DocStore::digest(const Document& document, bool add) {
  const uint64_t part =
      hash_combine(config_.digest_seed, version_digest(document.key, document.version));
  uint64_t& bucket = buckets_[bucket_of(document.key)];
  bucket = add ? bucket + part : bucket - part;
  sum_ = add ? sum_ + part : sum_ - part;
  const size_t size = document.key.size() + document.body.size();
  bytes_ = add ? bytes_ + size : bytes_ - size;
}

uint64_t DocStore::root() const {
  return hash_combine(config_.digest_seed, horizon_.value) + sum_;
}

size_t DocStore::bucket_of(std::string_view key) const {
  return static_cast<size_t>(stable_hash(key, config_.digest_seed) % kDocBuckets);
}

std::vector<const Document*> DocStore::in_buckets(const std::bitset<kDocBuckets>& set) const {
  std::vector<const Document*> found;
  for (const auto& [key, document] : documents_) {
    if (set.test(bucket_of(key))) found.push_back(&document);
  }
  return found;
}

bool DocStore::wants(std::string_view key, const DocVersion& version) const {
  if (conflicts_.count(version_digest(key, version)) != 0) return false;
  const auto at = documents_.find(key);
  if (at == documents_.end() || at->second.version < version) return true;
  if (at->second.version == version) return false;
  Document older;  // only its version matters to descent()
  older.version = version;
  return descent(older, at->second) == Descent::kConcurrent;
}

bool DocStore::wants_offer(std::string_view key, uint64_t version) const {
  if (conflicts_.count(version) != 0) return false;
  const auto at = documents_.find(key);
  return at == documents_.end() || version_digest(key, at->second.version) != version;
}

bool DocStore::digests_hold() const {
  DocStore fresh(config_);
  for (const auto& [key, document] : documents_) fresh.digest(document, true);
  return fresh.buckets_ == buckets_ && fresh.sum_ == sum_ && fresh.bytes_ == bytes_;
}

}  // namespace kith
