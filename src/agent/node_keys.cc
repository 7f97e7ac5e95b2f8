// Node: the key ring that the members share, and who is banned.

#include <algorithm>
#include <tuple>
#include <utility>

#include "agent/node.h"
#include "gossip/crypto.h"

namespace kith {
namespace {

constexpr Duration kExchangePause = std::chrono::milliseconds(100);
constexpr Duration kFailedPause = std::chrono::seconds(1);

}  // namespace

/// Whether who has this key of the ring may be new: it is as good as the primary, or better. The
/// configuration's other key is only ever dialled with: who answers to that has it too.
bool Node::lets_in(uint64_t key_id) const {
  const KeyStanding standing = keys_.ring().standing(key_id);
  return standing == KeyStanding::kPrimary || standing == KeyStanding::kNewer ||
         (key_id == keys_.configured().id() && !keys_.ring().gone(key_id) &&
          keys_.wire().find(key_id) == nullptr);
}

/// An old key alone opens nothing: it is for members that have not heard of the new one yet. Nor
/// does one that is being replaced: a banned host has it, and could come as somebody else.
bool Node::admits(const NodeId& peer, uint64_t key_id) const {
  if (keys_.banned(peer)) return false;
  const bool rotated = keys_.wire().find(key_id) != nullptr &&
                       (key_id != keys_.ring().primary_id() || keys_.ring().rotating());
  return (lets_in(key_id) && !rotated) || catalog_.roster().contains(peer);
}

/// A datagram under another key than the primary counts while its sender is here and has not said
/// that it has moved on: else whoever has an old key could speak for those who are away.
bool Node::still_uses(uint64_t sender, uint64_t key_id) const {
  const KeyStanding standing = keys_.ring().standing(key_id);
  if (standing == KeyStanding::kPrimary) return true;
  const auto known = short_ids_.find(sender);
  if (known == short_ids_.end()) return false;
  const Member* member = swim_.find(known->second);
  if (member == nullptr || !member->present()) return false;
  if (standing == KeyStanding::kNewer) return true;
  const NodeInfo* info = catalog_.info(known->second);
  return info == nullptr || info->key != keys_.ring().primary_id();
}

std::map<NodeId, KeyHolder> Node::key_holders() const {
  std::map<NodeId, KeyHolder> out;
  const auto add = [&](const NodeId& node) {
    if (keys_.banned(node)) return;
    KeyHolder& holder = out[node];
    const Member* member = swim_.find(node);
    holder.present = node == self() || (member != nullptr && member->present());
    const NodeInfo* info = catalog_.info(node);
    if (info == nullptr) return;
    holder.primary = info->key;
    holder.keys = info->keys;
  };
  for (const auto& [node, doc] : catalog_.roster()) add(node);
  for (const auto& [node, member] : swim_.members())
    if (member.present()) add(node);
  return out;
}

/// Takes a ring into use.
void Node::adopt(SharedRing ring, Now now) {
  const uint64_t before = keys_.ring().primary_id();
  std::vector<NodeId> banned;
  for (const NodeId& node : ring.banned())
    if (!keys_.banned(node)) banned.push_back(node);
  keys_.set(std::move(ring));
  sealer_.set_keys(keys_.wire());
  keys_differ_ = true;
  dirty_ = true;
  if (const uint64_t primary = keys_.ring().primary_id(); primary != before)
    note("cluster", "key", key_id_text(primary), setup_.name,
         "key " + key_id_text(primary) + " is the primary on " + setup_.name + " now, instead of " +
             key_id_text(before),
         now);
  for (const NodeId& node : banned) shut_out(node, now);
  recheck_roster(keys_.ring().primary_id() != before, now);
}

/// Whose entry counts follows from the ring. Who is here under a key that was replaced without its
/// knowledge may be anybody who ever had that: it has to come in once more, under today's.
void Node::recheck_roster(bool primary_changed, Now now) {
  for (const Document* document : docs_.list("roster/"))
    if (const auto node = node_of_roster_key(document->key); node && !keys_.banned(*node))
      document_changed(document->key, now);
  if (!primary_changed) return;
  enrol_not_before_ = now.mono;
  std::vector<NodeId> leave;
  for (const auto& [node, member] : swim_.members())
    if (node != self() && !keys_.ring().listed(node) && !catalog_.roster().contains(node))
      leave.push_back(node);
  for (const NodeId& node : leave) {
    const std::string name = catalog_.name_of(node);
    note(
        "node", "turn out", node.docker_id(), name,
        "node " + name +
            " came in with a key that had been replaced; it can join again with today's key in its "
            "kith.yaml",
        now);
    part_with(node, now);
  }
}

/// Nothing is left here of a banned node but the ban.
void Node::shut_out(const NodeId& node, Now now) {
  if (node == self()) return;
  note("node", "ban", node.docker_id(), catalog_.name_of(node),
       "node " + catalog_.name_of(node) + " is banned", now);
  part_with(node, now);
  catalog_.hide(node);
}

void Node::part_with(const NodeId& node, Now now) {
  links_.drop_peer(node, now, out_.streams);
  swim_.forget(node);
  guard_.forget(node.short_id());
  short_ids_.erase(node.short_id());
  disseminator_.invalidate(member_prefix(node));
  heard_me_.erase(node);
  mismatches_.erase(node);
  offers_.erase(node);
  sync_wanted_.erase(node);
  inventories_.erase(node);
  name_clashes_.erase(node);
  agreed_.erase(node);
  unsaved_.meta[std::string(kAliveMeta) + node.hex()] = {};
  ObservedEffects effects;
  observed_.drop_node(node, effects);
  apply(effects, now);
  calm_at_ = now.mono + kCalm;
  dirty_ = true;
}

// --- Between two members -----------------------------------------------------------------------

/// 8 bytes of digest, then the ring if the other end's was another.
void Node::send_ring(uint64_t stream, bool whole) {
  const auto digest = u64_bytes(keys_.digest());
  Bytes frame(digest.begin(), digest.end());
  if (whole) {
    const Bytes ring = keys_.ring().encode();
    frame.insert(frame.end(), ring.begin(), ring.end());
  }
  send_frame(stream, kRingFrame, frame);
}

/// As far as its signed word or an exchange with it goes.
bool Node::has_my_ring(const NodeId& peer) const {
  const auto at = agreed_.find(peer);
  if (at != agreed_.end() && at->second == keys_.digest()) return true;
  const NodeInfo* info = catalog_.info(peer);
  return info != nullptr && info->ring == keys_.digest();
}

void Node::take_ring(uint64_t stream, ByteView payload, Now now) {
  const NodeId peer = links_.peer(stream);
  const bool asked = links_.purpose(stream) != LinkPurpose::kServe;
  if (payload.size() < sizeof(uint64_t)) return;
  const uint64_t theirs = get_u64(payload.data());
  const ByteView whole = payload.subspan(sizeof(uint64_t));
  const bool differed = theirs != keys_.digest();
  if (!whole.empty()) {
    const auto ring = SharedRing::decode(whole);
    SharedRing mine = keys_.ring();
    // A clock that was reset knows from the documents that it is later.
    const WallTime wall{std::max(now.wall.ms, docs_.last_stamp().wall().ms)};
    if (ring && mine.merge(*ring, SharedRing::limit(wall))) adopt(std::move(mine), now);
    if (!links_.alive(stream)) return;  // it is I who should not have talked to it
  }
  if (theirs == keys_.digest() || !whole.empty()) agreed_[peer] = keys_.digest();
  // The one that was asked answers; the one that asked has the last word, if there is one.
  if (!asked && whole.empty()) send_ring(stream, differed);
  if (asked && theirs != keys_.digest()) send_ring(stream, true);
  if (asked && links_.purpose(stream) == LinkPurpose::kKeys) {
    links_.close(stream, out_.streams);
    talks_.erase(stream);
  }
}

/// Seeks out those present whose ring is another than mine, one after the other.
void Node::exchange_rings(Now now) {
  if (ring_link_ != 0 && !links_.alive(ring_link_)) ring_link_ = 0;
  if (!keys_differ_ || ring_link_ != 0 || now.mono < ring_not_before_) return;
  std::vector<Peer> others;
  for (const Peer& peer : swim_.peers()) {
    const NodeInfo* info = catalog_.info(peer.id);
    if (info != nullptr && info->ring != 0 && !has_my_ring(peer.id)) others.push_back(peer);
  }
  keys_differ_ = !others.empty();
  if (others.empty()) return;
  const Peer& peer = others[rng_.below(others.size())];
  ring_link_ = dial(peer.address, peer.id, LinkPurpose::kKeys, now);
  ring_not_before_ = now.mono + kExchangePause + std::chrono::milliseconds(rng_.below(50));
}

void Node::ring_link_failed(Now now) {
  ring_not_before_ = now.mono + kFailedPause;
}

/// What a rotation still waits for may have come about.
void Node::settle_keys(Now now) {
  const auto waits = [this] {
    const SharedRing& ring = keys_.ring();
    const auto& others = keys_.wire().others();
    return ring.rotating() || std::any_of(others.begin(), others.end(), [&](const ClusterKey& key) {
             return ring.retiring(key.id());
           });
  };
  if (!synced_ || leaving_ || !catalog_.roster().contains(self()) || !waits()) return;
  SharedRing ring = keys_.ring();
  if (ring.settle(key_holders())) adopt(std::move(ring), now);
}

// --- Edits -------------------------------------------------------------------------------------

/// The names of those for whom `lacks` holds, as in `a, b and c`; empty if there are none.
std::string Node::names_of_lacking(const std::function<bool(const KeyHolder&)>& lacks) const {
  std::vector<std::string> names;
  for (const auto& [node, holder] : key_holders())
    if (lacks(holder)) names.push_back(catalog_.name_of(node));
  std::sort(names.begin(), names.end());
  std::string out;
  for (size_t i = 0; i < names.size(); ++i)
    out += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  return out;
}

Result<SharedRing> Node::draft_ring(const KeyEdit& edit, Now now) const {
  SharedRing ring = keys_.ring();
  const std::string id = key_id_text(edit.key_id);
  const auto lacks = [&](const KeyHolder& holder) {
    return holder.present &&
           std::find(holder.keys.begin(), holder.keys.end(), edit.key_id) == holder.keys.end();
  };
  const auto names_another = [&](const KeyHolder& holder) {
    return holder.primary != ring.primary_id();
  };
  std::set<NodeId> roster;
  Status done;
  switch (edit.what) {
    case KeyEdit::kAdd:
      done = ring.add(edit.fresh, now.wall);
      break;
    case KeyEdit::kRotate:
      done = ring.rotate(edit.fresh, now.wall);
      break;
    case KeyEdit::kBan:
      done = ring.ban(edit.node, edit.fresh, now.wall);
      break;
    case KeyEdit::kUse:
      if (const std::string names = names_of_lacking(lacks);
          !names.empty() && !edit.force && ring.standing(edit.key_id) != KeyStanding::kUnknown)
        return fail(ErrorCode::kConflict,
                    "key " + id + " has not reached " + names +
                        " yet, and would cut them off until it has; wait for it (`kith key ls`), "
                        "or --force");
      if (!synced_)
        return fail(ErrorCode::kUnavailable,
                    "this host has not heard from the others since it started, and cannot tell who "
                    "else needs the key; try again in a few seconds");
      for (const auto& [node, holder] : key_holders()) roster.insert(node);
      done = ring.use(edit.key_id, now.wall, std::move(roster));
      break;
    case KeyEdit::kRemove:
      if (const std::string names = names_of_lacking(names_another);
          !names.empty() && !edit.force && ring.standing(edit.key_id) == KeyStanding::kOlder)
        return fail(ErrorCode::kConflict,
                    "key " + id + " is the last that " + names + " may have: " + names +
                        " never said to use the primary " + key_id_text(ring.primary_id()) +
                        ", and without this key cannot come back by itself. Start the agent "
                        "there, or forget the node (`kith node rm`), or --force: then put the "
                        "new key into the kith.yaml there");
      done = ring.remove(edit.key_id);
      break;
  }
  if (!done) return fail(done.error());
  return ring;
}

std::vector<KeyEntry> Node::key_entries() const {
  std::vector<KeyEntry> out;
  const SharedRing& ring = keys_.ring();
  const auto holders = key_holders();
  for (const auto& [id, key] : ring.live()) {
    KeyEntry entry;
    entry.id = key_id_text(id);
    if (key.created != Stamp{}) entry.created = key.created.wall();
    if (key.used != Stamp{}) entry.used = key.used.wall();
    entry.primary = id == ring.primary_id();
    entry.configured = id == keys_.configured().id();
    entry.next = !entry.primary && key.next && key.used == Stamp{};
    entry.leaving = ring.retiring(id);
    for (const auto& [node, holder] : holders) {
      const bool has = entry.primary ? holder.primary == id
                                     : std::find(holder.keys.begin(), holder.keys.end(), id) !=
                                           holder.keys.end();
      if (!has) entry.lacking.push_back(catalog_.name_of(node));
      // What keeps an old key: who may have no newer one.
      if (entry.leaving && holder.primary != ring.primary_id())
        entry.needed_by.push_back(catalog_.name_of(node));
    }
    std::sort(entry.lacking.begin(), entry.lacking.end());
    std::sort(entry.needed_by.begin(), entry.needed_by.end());
    out.push_back(std::move(entry));
  }
  std::sort(out.begin(), out.end(), [](const KeyEntry& a, const KeyEntry& b) {
    return std::tie(b.primary, a.created.ms, a.id) < std::tie(a.primary, b.created.ms, b.id);
  });
  return out;
}

}  // namespace kith
