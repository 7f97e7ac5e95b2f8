#include "gossip/shared_ring.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "gossip/crypto.h"

namespace kith {
namespace {

constexpr uint64_t kYear = 366ULL * 24 * 3600 * 1000 << 16;
/// A clock that is reset starts in 2020 or before: it must still take what is stamped today.
constexpr uint64_t kMaxAhead = 30 * kYear;

bool removed(const SharedKey& key) {
  return key.removed != Stamp{} && key.removed >= key.order();
}
Stamp at_least_one(Stamp stamp) {
  return std::max(stamp, Stamp{1});
}

/// The keys' lists are of the later order; what was made at once by several is of all.
void join(SharedKey& mine, const SharedKey& theirs) {
  if (mine.order() <= theirs.order()) {
    if (mine.order() < theirs.order()) {
      mine.members.clear();
      mine.after.clear();
    }
    mine.members.insert(theirs.members.begin(), theirs.members.end());
    mine.after.insert(theirs.after.begin(), theirs.after.end());
  }
  std::erase_if(mine.without, [&](const NodeId& node) { return !theirs.without.contains(node); });
  if (!mine.key) mine.key = theirs.key;
  mine.created = std::max(mine.created, theirs.created);
  mine.used = std::max(mine.used, theirs.used);
  mine.removed = std::max(mine.removed, theirs.removed);
  mine.next = mine.next || theirs.next;
}

Secret proof_of(const ClusterKey& key, const NodeId& node) {
  return keyed_hash(key.secret, "kith admission 1", {node.key});
}

template <class T>
void keep_first(std::set<T>& all, size_t count) {
  while (all.size() > count) all.erase(std::prev(all.end()));
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
  for (auto& [id, key] : keys_) {
    if (id != primary_ && removed(key)) key.key.reset();
    keep_first(key.members, kMaxListed);
    if (key.order() >= keys_.at(primary_).used) continue;
    key.members.clear();
    key.after.clear();
  }
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
  return !hidden_from_banned(primary_) ||
         std::any_of(keys_.begin(), keys_.end(), [&](const auto& item) {
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

/// Made by somebody who knew of every ban.
bool SharedRing::hidden_from_banned(uint64_t key_id) const {
  const std::set<NodeId>& without = keys_.at(key_id).without;
  return std::includes(without.begin(), without.end(), banned_.begin(), banned_.end());
}

bool SharedRing::listed(const NodeId& node) const {
  const std::set<NodeId>& members = keys_.at(primary_).members;
  return members.empty() || members.contains(node);
}

bool SharedRing::admitted(const NodeId& node, const Admission& shown) const {
  if (listed(node)) return true;
  if (!live_.contains(shown.key) || keys_.at(primary_).after.contains(shown.key)) return false;
  return shown.proof == proof_of(*keys_.at(shown.key).key, node);
}

Admission SharedRing::admission(const NodeId& node) const {
  return {primary_, proof_of(primary(), node)};
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
  // Given again, it is no less known than it was.
  const auto [at, fresh] = keys_.try_emplace(id);
  SharedKey& entry = at->second;
  if (fresh) entry.without = banned_;
  entry.created = *stamp;
  entry.key = key;
  settle_primary();
  make_room();
  return {};
}

std::set<uint64_t> SharedRing::all_but(uint64_t key_id) const {
  std::set<uint64_t> out;
  for (const auto& [id, key] : keys_)
    if (id != key_id) out.insert(id);
  return out;
}

Status SharedRing::use(uint64_t key_id, WallTime now, std::set<NodeId> members) {
  if (standing(key_id) == KeyStanding::kUnknown)
    return fail(ErrorCode::kNotFound, "there is no key " + key_id_text(key_id) +
                                          " in the ring; `kith key ls` lists them");
  if (key_id == primary_) return {};
  const auto stamp = after_all(now);
  if (!stamp) return fail(stamp.error());
  SharedKey& key = keys_.at(key_id);
  key.used = *stamp;
  key.members = std::move(members);
  key.after = all_but(key_id);
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
  SharedKey& key = keys_.at(fresh.id());
  key.next = true;
  key.members.clear();
  key.after = all_but(fresh.id());
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
  drafted.banned_.insert(node);
  if (const Status rotated = drafted.rotate(fresh, now); !rotated) return rotated;
  *this = std::move(drafted);
  return {};
}

// --- What follows by itself --------------------------------------------------------------------

/// A rotation by somebody who did not know of a ban, later than the ban's: the banned node may have
/// that key. The next one is made of the secrets of all, so of one at least that it cannot have.
void SharedRing::outrun_bans() {
  const auto outruns = [&](const auto& item) {
    return item.second.next && item.second.used < item.second.created && !gone(item.first) &&
           hidden_from_banned(item.first);
  };
  if (hidden_from_banned(primary_) || std::any_of(keys_.begin(), keys_.end(), outruns)) return;
  Bytes secrets;
  std::set<NodeId> may_know = banned_;  // all of what there is
  for (const uint64_t id : live_) {
    const SharedKey& key = keys_.at(id);
    secrets.insert(secrets.end(), key.key->secret.begin(), key.key->secret.end());
    for (const NodeId& node : key.without) may_know.erase(node);
  }
  if (!may_know.empty()) return;  // nothing is hidden from it: that takes a rotation by hand
  const ClusterKey fresh{keyed_hash({}, "kith key past a ban 1", {secrets})};
  if (keys_.contains(fresh.id())) return;
  SharedRing drafted = *this;
  for (const uint64_t id : oldest_first())
    if (drafted.live_.size() >= kMaxLive && drafted.live_.contains(id)) (void)drafted.remove(id);
  if (drafted.rotate(fresh, {})) *this = std::move(drafted);
}

bool SharedRing::settle(const std::map<NodeId, KeyHolder>& holders) {
  const SharedRing before = *this;
  outrun_bans();
  for (auto& [key_id, key] : keys_) {
    const uint64_t id = key_id;  // a structured binding cannot be captured
    if (!key.next || key.used >= key.created || gone(id)) continue;
    const bool all_have = std::all_of(holders.begin(), holders.end(), [id](const auto& item) {
      const std::vector<uint64_t>& has = item.second.keys;
      return !item.second.present || std::find(has.begin(), has.end(), id) != has.end();
    });
    for (const auto& [node, holder] : holders) key.members.insert(node);
    // The same stamp whoever does it.
    if (all_have) key.used = key.created;
  }
  settle_primary();
  const bool all_name = std::all_of(holders.begin(), holders.end(), [&](const auto& item) {
    return item.second.primary == primary_;
  });
  // Not while one is needed that a banned node does not have.
  const bool over = all_name && hidden_from_banned(primary_);
  for (auto& [id, key] : keys_)
    if (over && retiring(id)) key.removed = std::max(key.removed, at_least_one(key.order()));
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
    const auto [at, fresh] = keys_.try_emplace(id, theirs);
    if (!fresh) join(at->second, theirs);
  }
  banned_.insert(other.banned_.begin(), other.banned_.end());
  if (banned_.size() > kMaxBanned) {
    keep_first(banned_, kMaxBanned);
    for (auto& [id, key] : keys_)
      std::erase_if(key.without, [&](const NodeId& node) { return !banned(node); });
  }
  settle_primary();
  make_room();
  return *this != before;
}

}  // namespace kith
