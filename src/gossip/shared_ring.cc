#include "gossip/shared_ring.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "gossip/crypto.h"

namespace kith {
namespace {

constexpr uint8_t kFormat = 1;
constexpr size_t kKeySize = 4 * 8 + 2 + ClusterKey::kSize;
constexpr uint64_t kYear = 366ULL * 24 * 3600 * 1000 << 16;
/// A clock that is reset starts in 2020 or before: it must still take what is stamped today.
constexpr uint64_t kMaxAhead = 30 * kYear;

bool removed(const SharedKey& key) {
  return key.removed != Stamp{} && key.removed >= key.order();
}
Stamp at_least_one(Stamp stamp) {
  return std::max(stamp, Stamp{1});
}

void put(Bytes& out, uint64_t value) {
  const auto bytes = u64_bytes(value);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Everything but secrets.
void put(Bytes& out, uint64_t id, const SharedKey& key) {
  put(out, id);
  for (const Stamp stamp : {key.created, key.used, key.removed}) put(out, stamp.value);
  out.push_back(key.next ? 1 : 0);
}

}  // namespace

std::string key_id_text(uint64_t key_id) {
  return to_hex(u64_bytes(key_id));
}

std::optional<uint64_t> parse_key_id(std::string_view text) {
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() != 8) return std::nullopt;
  return get_u64(bytes->data());
}

SharedRing::SharedRing(const ClusterKey& first) : live_{first.id()}, primary_(first.id()) {
  keys_[primary_].key = first;
}

/// Which key is the primary and which are live, after any change; what was removed loses its
/// secret. What is too old to be live keeps it: in another order of joins, a newer one may be
/// removed first.
void SharedRing::settle_primary() {
  const SharedKey* best = nullptr;
  for (const auto& [id, key] : keys_) {
    // What was added counts only once it was used; the configuration's key was from the start.
    if (key.used == Stamp{} && key.created != Stamp{}) continue;
    if (best != nullptr && std::tie(key.used, id) < std::tie(best->used, primary_)) continue;
    best = &key;
    primary_ = id;
  }
  for (auto& [id, key] : keys_)
    if (id != primary_ && removed(key)) key.key.reset();
  live_ = {primary_};
  const std::vector<uint64_t> ids = oldest_first();
  for (auto id = ids.rbegin(); id != ids.rend() && live_.size() < kMaxLive; ++id)
    if (!removed(keys_.at(*id))) live_.insert(*id);
}

/// All but the primary.
std::vector<uint64_t> SharedRing::oldest_first() const {
  std::vector<uint64_t> out;
  for (const auto& [id, key] : keys_)
    if (id != primary_) out.push_back(id);
  std::sort(out.begin(), out.end(), [&](uint64_t a, uint64_t b) {
    return std::pair(keys_.at(a).order(), a) < std::pair(keys_.at(b).order(), b);
  });
  return out;
}

/// Of what is gone, the eldest is forgotten first.
void SharedRing::make_room() {
  if (keys_.size() <= kMaxKeys) return;
  for (const uint64_t id : oldest_first())
    if (keys_.size() > kMaxKeys && gone(id)) keys_.erase(id);
}

std::map<uint64_t, SharedKey> SharedRing::live() const {
  std::map<uint64_t, SharedKey> out;
  for (const uint64_t id : live_) out.emplace(id, keys_.at(id));
  return out;
}

bool SharedRing::gone(uint64_t key_id) const {
  return keys_.contains(key_id) && !live_.contains(key_id);
}

bool SharedRing::retiring(uint64_t key_id) const {
  return keys_.at(primary_).next && standing(key_id) == KeyStanding::kOlder;
}

bool SharedRing::rotating() const {
  return std::any_of(keys_.begin(), keys_.end(), [&](const auto& item) {
    return item.second.next && item.second.used < item.second.created && !gone(item.first);
  });
}

KeyStanding SharedRing::standing(uint64_t key_id) const {
  const auto at = keys_.find(key_id);
  if (at == keys_.end() || gone(key_id)) return KeyStanding::kUnknown;
  if (key_id == primary_) return KeyStanding::kPrimary;
  return at->second.order() > keys_.at(primary_).order() ? KeyStanding::kNewer
                                                         : KeyStanding::kOlder;
}

KeyRing SharedRing::keys() const {
  KeyRing out(primary());
  const std::vector<uint64_t> others = oldest_first();
  for (auto id = others.rbegin(); id != others.rend(); ++id)
    if (live_.contains(*id)) (void)out.add(*keys_.at(*id).key);
  return out;
}

bool SharedRing::untouched() const {
  return keys_.size() == 1 && banned_.empty() && keys_.begin()->second.order() == Stamp{};
}

// --- Edits -------------------------------------------------------------------------------------

Stamp SharedRing::limit(WallTime now) {
  const Stamp last_clock{kLastStamp.value - kMaxAhead - kYear};
  return {std::min(Stamp::from_wall(now), last_clock).value + kMaxAhead};
}

Result<Stamp> SharedRing::after_all(WallTime now) const {
  Stamp stamp = std::min(Stamp::from_wall(now), Stamp{limit(now).value - kMaxAhead});
  for (const auto& [id, key] : keys_)
    stamp = std::max(stamp, Stamp{std::max(key.order(), key.removed).value + 1});
  if (stamp > kLastStamp)
    return fail(ErrorCode::kInvalid,
                "a key of this ring is stamped at the end of time, and no edit can come after it: "
                "stop the agent, delete `ring` in its data_dir, and start it with the key of the "
                "others in its kith.yaml");
  return stamp;
}

Status SharedRing::add(const ClusterKey& key, WallTime now) {
  const uint64_t id = key.id();
  if (standing(id) != KeyStanding::kUnknown)
    return fail(ErrorCode::kConflict, "key " + key_id_text(id) + " is in the ring already");
  if (live_.size() >= kMaxLive)
    return fail(ErrorCode::kTooLarge,
                "the key ring holds " + std::to_string(kMaxLive) +
                    " keys already, its limit; remove one first (`kith key rm ID`)");
  const auto stamp = after_all(now);
  if (!stamp) return fail(stamp.error());
  SharedKey& entry = keys_[id];
  entry.created = *stamp;
  entry.key = key;
  settle_primary();
  make_room();
  return {};
}

Status SharedRing::use(uint64_t key_id, WallTime now) {
  if (standing(key_id) == KeyStanding::kUnknown)
    return fail(ErrorCode::kNotFound, "there is no key " + key_id_text(key_id) +
                                          " in the ring; `kith key ls` lists them");
  if (key_id == primary_) return {};
  const auto stamp = after_all(now);
  if (!stamp) return fail(stamp.error());
  keys_.at(key_id).used = *stamp;
  settle_primary();
  return {};
}

Status SharedRing::remove(uint64_t key_id) {
  if (standing(key_id) == KeyStanding::kUnknown)
    return fail(ErrorCode::kNotFound, "there is no key " + key_id_text(key_id) +
                                          " in the ring; `kith key ls` lists them");
  if (key_id == primary_)
    return fail(ErrorCode::kConflict, "key " + key_id_text(key_id) +
                                          " is the primary, which seals; make another one primary "
                                          "first (`kith key use ID`, or `kith key rotate`)");
  SharedKey& key = keys_.at(key_id);
  key.removed = at_least_one(key.order());
  settle_primary();
  return {};
}

Status SharedRing::rotate(const ClusterKey& fresh, WallTime now) {
  if (const Status added = add(fresh, now); !added) return added;
  keys_.at(fresh.id()).next = true;
  return {};
}

Status SharedRing::ban(const NodeId& node, const ClusterKey& fresh, WallTime now) {
  if (banned_.size() >= kMaxBanned && !banned(node))
    return fail(ErrorCode::kTooLarge, std::to_string(kMaxBanned) +
                                          " nodes are banned already, the limit; a rotation "
                                          "(`kith key rotate`) keeps out who is not rostered");
  SharedRing drafted = *this;
  for (const uint64_t id : oldest_first())
    if (drafted.live_.size() >= kMaxLive && drafted.live_.contains(id)) (void)drafted.remove(id);
  if (const Status rotated = drafted.rotate(fresh, now); !rotated) return rotated;
  drafted.banned_.insert(node);
  *this = std::move(drafted);
  return {};
}

// --- What follows by itself --------------------------------------------------------------------

bool SharedRing::settle(const std::map<NodeId, KeyHolder>& holders) {
  const SharedRing before = *this;
  for (auto& [key_id, key] : keys_) {
    const uint64_t id = key_id;  // a structured binding cannot be captured
    if (!key.next || key.used >= key.created || gone(id)) continue;
    const bool all_have = std::all_of(holders.begin(), holders.end(), [id](const auto& item) {
      const std::vector<uint64_t>& has = item.second.keys;
      return !item.second.present || std::find(has.begin(), has.end(), id) != has.end();
    });
    // The same stamp whoever does it.
    if (all_have) key.used = key.created;
  }
  settle_primary();
  const bool all_name = std::all_of(holders.begin(), holders.end(), [&](const auto& item) {
    return item.second.primary == primary_;
  });
  for (auto& [id, key] : keys_)
    if (all_name && retiring(id)) key.removed = std::max(key.removed, at_least_one(key.order()));
  settle_primary();
  return *this != before;
}

bool SharedRing::merge(const SharedRing& other, Stamp limit) {
  const SharedRing before = *this;
  const bool takes_all = untouched() && !other.untouched();
  for (const auto& [id, theirs] : other.keys_) {
    // A configuration's key that is another than mine is a mistake, unless I am the one who is new.
    if (theirs.order() == Stamp{} && !takes_all && !keys_.contains(id)) continue;
    if (std::max(theirs.order(), theirs.removed) > limit) continue;
    SharedKey& mine = keys_[id];
    if (!mine.key) mine.key = theirs.key;
    mine.created = std::max(mine.created, theirs.created);
    mine.used = std::max(mine.used, theirs.used);
    mine.removed = std::max(mine.removed, theirs.removed);
    mine.next = mine.next || theirs.next;
  }
  banned_.insert(other.banned_.begin(), other.banned_.end());
  while (banned_.size() > kMaxBanned) banned_.erase(std::prev(banned_.end()));
  settle_primary();
  make_room();
  return *this != before;
}

// --- Bytes -------------------------------------------------------------------------------------

uint64_t SharedRing::digest() const {
  Bytes all;
  put(all, primary_);
  for (const auto& [id, key] : live()) put(all, id, key);
  for (const NodeId& node : banned_) all.insert(all.end(), node.key.begin(), node.key.end());
  return get_u64(keyed_hash({}, "kith key ring 1", {all}).data());
}

Bytes SharedRing::encode() const {
  Bytes out{kFormat, static_cast<uint8_t>(keys_.size())};
  put(out, banned_.size());
  for (const auto& [id, key] : keys_) {
    put(out, id, key);
    out.push_back(key.key ? 1 : 0);
    const ClusterKey secret = key.key.value_or(ClusterKey{});
    out.insert(out.end(), secret.secret.begin(), secret.secret.end());
  }
  for (const NodeId& node : banned_) out.insert(out.end(), node.key.begin(), node.key.end());
  return out;
}

Result<SharedRing> SharedRing::decode(ByteView bytes) {
  const auto broken = [](const char* why) {
    return fail(ErrorCode::kInvalid, std::string("not a key ring: ") + why);
  };
  constexpr size_t kHead = 10;
  if (bytes.size() < kHead || bytes[0] != kFormat) return broken("unknown format");
  const size_t keys = bytes[1];
  const uint64_t banned = get_u64(&bytes[2]);
  if (keys == 0 || keys > kMaxKeys || banned > kMaxBanned ||
      bytes.size() != kHead + keys * kKeySize + banned * sizeof(NodeId::key))
    return broken("bad length");
  SharedRing out;
  const uint8_t* at = bytes.data() + kHead;
  const auto next = [&at] { return get_u64(std::exchange(at, at + 8)); };
  for (size_t i = 0; i < keys; ++i) {
    const uint64_t id = next();
    SharedKey key;
    for (Stamp* stamp : {&key.created, &key.used, &key.removed})
      if ((*stamp = {next()}) > kLastStamp) return broken("bad stamp");
    const uint8_t is_next = *at++;
    const uint8_t has_secret = *at++;
    ClusterKey secret;
    std::copy_n(at, ClusterKey::kSize, secret.secret.begin());
    at += ClusterKey::kSize;
    if (is_next > 1 || has_secret > 1) return broken("bad flag");
    key.next = is_next == 1;
    if (has_secret == 1) key.key = secret;
    if (key.key && key.key->id() != id) return broken("a key that is not what it is called");
    if (!key.key && !removed(key)) return broken("a key without its secret");
    if (!out.keys_.emplace(id, key).second) return broken("a key twice");
  }
  for (size_t i = 0; i < banned; ++i) {
    NodeId node;
    std::copy_n(at, node.key.size(), node.key.begin());
    at += node.key.size();
    out.banned_.insert(node);
  }
  out.settle_primary();
  if (!out.keys_.contains(out.primary_) || !out.keys_.at(out.primary_).key)
    return broken("no primary");
  return out;
}

}  // namespace kith
