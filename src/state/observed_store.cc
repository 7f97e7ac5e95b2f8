#include "state/observed_store.h"

#include <algorithm>

#include "base/hash.h"
#include "state/wire.h"

namespace kith {
namespace {

constexpr uint8_t kFormat = 1;
constexpr std::string_view kDomain = "kith observed 1";

std::string prefix_of(const NodeId& node) {
  return "node/" + node.hex() + "/";
}

void pack_fields(wire::Packer& packer, const Observed& observed) {
  wire::pack_text(packer, observed.key);
  wire::pack_node(packer, observed.node);
  packer.pack(observed.epoch);
  packer.pack(observed.sequence);
  packer.pack(observed.floor);
  packer.pack(observed.deleted);
  wire::pack_bytes(packer, observed.body);
}

size_t size_of(const Observed& observed) {
  return observed.key.size() + observed.body.size();
}

Error not_observed(std::string why) {
  return {ErrorCode::kInvalid, "not a node's record: " + std::move(why)};
}

}  // namespace

std::optional<NodeId> node_of_key(std::string_view key) {
  constexpr size_t kStart = 5;
  constexpr size_t kHex = 64;
  if (key.size() <= kStart + kHex || key.substr(0, kStart) != "node/" || key[kStart + kHex] != '/')
    return std::nullopt;
  return NodeId::from_hex(key.substr(kStart, kHex));
}

Bytes Observed::signed_bytes(uint64_t cluster_id) const {
  wire::Buffer buffer;
  wire::Packer packer(buffer);
  wire::pack_text(packer, kDomain);
  packer.pack(cluster_id);
  pack_fields(packer, *this);
  return buffer.take();
}

Bytes encode(const Observed& observed) {
  wire::Buffer buffer;
  wire::Packer packer(buffer);
  packer.pack_array(9);
  packer.pack(kFormat);
  pack_fields(packer, observed);
  wire::pack_bytes(packer, observed.signature);
  return buffer.take();
}

Result<Observed> decode_observed(ByteView envelope) {
  if (envelope.size() > kMaxRecordSize) return fail(not_observed("over 64 KiB"));
  const auto handle = wire::parse(envelope);
  if (!handle) return fail(not_observed("not msgpack"));
  Observed observed;
  uint8_t format = 0;
  wire::Elements elements(handle->get());
  elements >> format >> observed.key >> observed.node >> observed.epoch >> observed.sequence >>
      observed.floor >> observed.deleted >> observed.body >> observed.signature;
  if (!elements.good()) return fail(not_observed("a field is missing or of the wrong type"));
  if (format != kFormat) return fail(not_observed("unknown format"));
  if (observed.key.size() > kMaxRecordKey || !observed.key.starts_with(prefix_of(observed.node)))
    return fail(not_observed("its key is not its node's"));
  if (observed.floor >= observed.sequence) return fail(not_observed("it voids itself"));
  if (observed.deleted && !observed.body.empty()) return fail(not_observed("bad tombstone"));
  return observed;
}

ObservedVersion version_of(const Observed& observed) {
  uint64_t content = hash_combine(stable_hash(observed.body), observed.floor);
  content = hash_combine(content, observed.deleted ? 1 : 0);
  return {observed.epoch, observed.sequence, content};
}

uint64_t observed_digest(const Observed& observed) {
  const ObservedVersion version = version_of(observed);
  uint64_t hash = hash_combine(stable_hash(observed.key), version.epoch);
  hash = hash_combine(hash, version.sequence);
  return hash_combine(hash, version.content_hash);
}

ObservedStore::ObservedStore(const NodeId& self, Epoch epoch, uint64_t cluster_id, Signer signer)
    : self_(self), epoch_(epoch), cluster_id_(cluster_id), signer_(std::move(signer)) {}

bool ObservedStore::publish(std::string_view key, Bytes body, Instant, ObservedEffects& out) {
  if (!key.starts_with(prefix_of(self_)) || key.size() > kMaxRecordKey) return false;
  const Observed* known = find_any(self_, key);
  if (known == nullptr && nodes_[self_].records.size() >= kMaxObservedPerNode) return false;
  if (known != nullptr && !known->deleted && known->epoch == epoch_ && known->body == body)
    return false;
  constexpr size_t kEnvelope = 512;  // everything but the body, at most
  if (body.size() > kMaxRecordSize - kEnvelope) return false;
  const size_t freed = known == nullptr ? 0 : size_of(*known);
  if (nodes_[self_].bytes + key.size() + body.size() > kMaxObservedBytesPerNode + freed)
    return false;
  say(key, std::move(body), false, out);
  return true;
}

bool ObservedStore::retract(std::string_view key, Instant now, ObservedEffects& out) {
  if (find(self_, key) == nullptr) return false;
  say(key, {}, true, out);
  own_tombstones_[sequence_] = now;
  return true;
}

void ObservedStore::say(std::string_view key, Bytes body, bool deleted, ObservedEffects& out) {
  PerNode& mine = nodes_[self_];
  if (const auto at = mine.records.find(key); at != mine.records.end())
    own_tombstones_.erase(at->second.sequence);
  Observed next;
  next.key = key;
  next.node = self_;
  next.epoch = epoch_;
  next.sequence = ++sequence_;
  next.floor = floor_;
  next.deleted = deleted;
  next.body = std::move(body);
  next.signature = signer_(next.signed_bytes(cluster_id_));
  put(mine, std::move(next), out);
}

void ObservedStore::advance(Instant now, ObservedEffects& out) {
  // Before the inventory a floor would void what earlier epochs said too.
  if (nodes_[self_].cutoff.epoch < epoch_) return;
  uint64_t floor = 0;
  size_t left = own_tombstones_.size();
  for (const auto& [sequence, since] : own_tombstones_) {
    if (left <= kMaxObservedTombstones && now - since < kObservedTombstoneAge) break;
    floor = sequence;
    --left;
  }
  if (floor != 0) compact(floor, out);
}

void ObservedStore::compact(uint64_t floor, ObservedEffects& out) {
  PerNode& mine = nodes_[self_];
  floor_ = floor;
  std::vector<std::string> again;
  const Observed* newest = nullptr;
  for (const auto& [key, record] : mine.records) {
    if (record.sequence <= floor && !record.deleted) again.push_back(key);
    if (newest == nullptr || newest->sequence < record.sequence) newest = &record;
  }
  // The floor travels in records: at least one must carry it.
  if (again.empty()) again.push_back(newest->key);
  for (const std::string& key : again) {
    const Observed& record = mine.records.find(key)->second;
    const auto since = own_tombstones_.find(record.sequence);
    const std::optional<Instant> was =
        since == own_tombstones_.end() ? std::nullopt : std::optional(since->second);
    say(key, Bytes(record.body), record.deleted, out);
    if (was) own_tombstones_[sequence_] = *was;
  }
  own_tombstones_.erase(own_tombstones_.begin(), own_tombstones_.upper_bound(floor));
  cut(self_, {epoch_, floor}, out);
}

bool ObservedStore::wants(const NodeId& node, std::string_view key,
                          const ObservedVersion& version) const {
  if (node == self_ && version.epoch >= epoch_) return false;
  const auto of = nodes_.find(node);
  if (of == nodes_.end()) return nodes_.size() < kMaxObservedNodes;
  if (Cutoff{version.epoch, version.sequence} <= of->second.cutoff) return false;
  const auto at = of->second.records.find(key);
  if (at == of->second.records.end()) return of->second.records.size() < kMaxObservedPerNode;
  return version_of(at->second) < version;
}

bool ObservedStore::wants(const Observed& observed) const {
  return wants(observed.node, observed.key, version_of(observed)) && fits(observed);
}

bool ObservedStore::fits(const Observed& observed) const {
  const Observed* known = find_any(observed.node, observed.key);
  const size_t freed = known == nullptr ? 0 : size_of(*known);
  const size_t added = size_of(observed);
  if (added <= freed) return true;
  const auto of = nodes_.find(observed.node);
  const size_t theirs = of == nodes_.end() ? 0 : of->second.bytes;
  return theirs + added - freed <= kMaxObservedBytesPerNode &&
         bytes_ + added - freed <= kMaxObservedBytes;
}

bool ObservedStore::wants_offer(std::string_view key, uint64_t version) const {
  const std::optional<NodeId> node = node_of_key(key);
  if (!node || *node == self_) return false;
  const Observed* known = find_any(*node, key);
  return known == nullptr || observed_digest(*known) != version;
}

bool ObservedStore::merge(Observed observed, ObservedEffects& out) {
  if (!wants(observed)) return false;
  const NodeId node = observed.node;
  const Cutoff cutoff{observed.floor == 0 ? 0 : observed.epoch, observed.floor};
  put(nodes_[node], std::move(observed), out);
  cut(node, cutoff, out);
  return true;
}

void ObservedStore::set_inventory(const NodeId& node, Epoch epoch, ObservedEffects& out) {
  cut(node, {epoch, 0}, out);
}

void ObservedStore::drop_node(const NodeId& node, ObservedEffects& out) {
  const auto of = nodes_.find(node);
  if (node == self_ || of == nodes_.end()) return;
  for (const auto& [key, record] : of->second.records) {
    if (!record.deleted) out.changed.push_back({node, key});
  }
  bytes_ -= of->second.bytes;
  root_ -= part(node, of->second);
  nodes_.erase(of);
}

void ObservedStore::put(PerNode& of, Observed observed, ObservedEffects& out) {
  root_ -= part(observed.node, of);
  const auto [at, fresh] = of.records.try_emplace(observed.key);
  const bool shown = !fresh && !at->second.deleted;
  const size_t freed = fresh ? 0 : size_of(at->second);
  if (!fresh) of.digest -= observed_digest(at->second);
  at->second = std::move(observed);
  of.bytes += size_of(at->second) - freed;
  bytes_ += size_of(at->second) - freed;
  const uint64_t digest = observed_digest(at->second);
  of.digest += digest;
  root_ += part(at->second.node, of);
  if (shown || !at->second.deleted) out.changed.push_back({at->second.node, at->first});
  out.news.push_back({at->first, digest, encode(at->second)});
}

void ObservedStore::cut(const NodeId& node, Cutoff cutoff, ObservedEffects& out) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end() && nodes_.size() >= kMaxObservedNodes) return;
  PerNode& of = found == nodes_.end() ? nodes_[node] : found->second;
  if (cutoff <= of.cutoff) return;
  of.cutoff = cutoff;
  root_ -= part(node, of);
  for (auto at = of.records.begin(); at != of.records.end();) {
    const Observed& record = at->second;
    if (cutoff < Cutoff{record.epoch, record.sequence}) {
      ++at;
      continue;
    }
    of.digest -= observed_digest(record);
    of.bytes -= size_of(record);
    bytes_ -= size_of(record);
    if (!record.deleted) out.changed.push_back({node, record.key});
    at = of.records.erase(at);
  }
  root_ += part(node, of);
}

uint64_t ObservedStore::part(const NodeId& node, const PerNode& of) {
  return of.records.empty() ? 0 : hash_combine(stable_hash(node.key), of.digest);
}

const Observed* ObservedStore::find_any(const NodeId& node, std::string_view key) const {
  const auto of = nodes_.find(node);
  if (of == nodes_.end()) return nullptr;
  const auto at = of->second.records.find(key);
  return at == of->second.records.end() ? nullptr : &at->second;
}

const Observed* ObservedStore::find(const NodeId& node, std::string_view key) const {
  const Observed* found = find_any(node, key);
  return found == nullptr || found->deleted ? nullptr : found;
}

std::vector<const Observed*> ObservedStore::kept(const NodeId& node) const {
  std::vector<const Observed*> found;
  const auto of = nodes_.find(node);
  if (of == nodes_.end()) return found;
  for (const auto& [key, record] : of->second.records) found.push_back(&record);
  return found;
}

std::vector<const Observed*> ObservedStore::of_node(const NodeId& node) const {
  std::vector<const Observed*> found = kept(node);
  std::erase_if(found, [](const Observed* record) { return record->deleted; });
  return found;
}

std::vector<const Observed*> ObservedStore::all() const {
  std::vector<const Observed*> found;
  for (const auto& [node, of] : nodes_) {
    for (const auto& [key, record] : of.records) {
      if (!record.deleted) found.push_back(&record);
    }
  }
  return found;
}

std::vector<ObservedVector> ObservedStore::vectors() const {
  std::vector<ObservedVector> found;
  for (const auto& [node, of] : nodes_) {
    if (!of.records.empty()) found.push_back({node, of.digest});
  }
  return found;
}

bool ObservedStore::digests_hold() const {
  uint64_t root = 0;
  for (const auto& [node, of] : nodes_) {
    uint64_t digest = 0;
    for (const auto& [key, record] : of.records) digest += observed_digest(record);
    if (digest != of.digest) return false;
    root += part(node, of);
  }
  return root == root_;
}

}  // namespace kith
