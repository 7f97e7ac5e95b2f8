#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hlc.h"
#include "base/ids.h"
#include "base/instant.h"
#include "base/result.h"
#include "gossip/crypto.h"
#include "gossip/key_ring.h"

namespace kith {

/// One key as the members share it. Any two views of it join.
struct SharedKey {
  std::optional<ClusterKey> key;  ///< nothing once it is gone
  Stamp created;                  ///< zero: the configuration's
  Stamp used;         ///< when it was last made the primary; zero: never, or by the configuration
  Stamp removed;      ///< counts if not before `created` and `used`
  bool next = false;  ///< of a rotation: becomes the primary once all who are present have it
  /// The bans that whoever made it knew of. Any other banned node may have it.
  std::set<NodeId> without;
  // As of order(); let go once another primary was made later.
  std::set<NodeId> members;  ///< the roster when it became the primary; none: no list was made
  std::set<uint64_t> after;  ///< the keys there were
  bool operator==(const SharedKey&) const = default;

  [[nodiscard]] Stamp order() const { return std::max(created, used); }
};

/// How a key stands to the primary.
enum class KeyStanding : uint8_t {
  kUnknown,
  kPrimary,
  kOlder,  ///< the primary came after it: it only reads, and admits nobody new
  kNewer,  ///< added since, not the primary yet
};

/// What shows that a node got in under a key: only who has the key can make it.
struct Admission {
  uint64_t key = 0;  ///< zero: none
  Secret proof{};
  bool operator==(const Admission&) const = default;
};

/// Who has which key, as far as its own signed word goes.
struct KeyHolder {
  uint64_t primary = 0;  ///< zero: it never said
  std::vector<uint64_t> keys;
  bool present = false;
};

/// The key ring and the bans that a cluster's members agree on: a pure, commutative, idempotent
/// join, so that rotations on two sides of a split come to one. The primary is the key that was
/// made so last; of all views joined, it is the primary of one. So its secret is never gone, and no
/// ring is without one.
class SharedRing {
 public:
  /// Those that are gone included.
  static constexpr size_t kMaxKeys = 64;
  /// Of what two sides of a split added, the oldest beyond these counts as gone; never the primary.
  static constexpr size_t kMaxLive = KeyRing::kMaxKeys;
  static constexpr size_t kMaxBanned = 1024;
  static constexpr size_t kMaxListed = 10'000;  ///< SharedKey::members

  /// Of the configuration's key alone.
  explicit SharedRing(const ClusterKey& first);

  [[nodiscard]] const ClusterKey& primary() const { return *keys_.at(primary_).key; }
  [[nodiscard]] uint64_t primary_id() const { return primary_; }
  /// Those that are not gone, by id.
  [[nodiscard]] std::map<uint64_t, SharedKey> live() const;
  [[nodiscard]] KeyStanding standing(uint64_t key_id) const;
  /// Gone: once there, and removed, or more than kMaxLive are newer.
  [[nodiscard]] bool gone(uint64_t key_id) const;
  /// From before the rotation that the primary came by: removed once nobody needs it.
  [[nodiscard]] bool retiring(uint64_t key_id) const;
  /// The primary is on its way out: a next key waits to become it, or a banned node may have it.
  [[nodiscard]] bool rotating() const;
  /// Whether a roster's entry counts: the node was there when the primary became it, or got in
  /// since. Who got in with a key that the primary came after may be anybody who ever had that.
  [[nodiscard]] bool admitted(const NodeId& node, const Admission& shown) const;
  /// There when the primary became it, or no list was made then.
  [[nodiscard]] bool listed(const NodeId& node) const;
  /// Under the primary.
  [[nodiscard]] Admission admission(const NodeId& node) const;
  /// What to seal and open with: the newest KeyRing::kMaxKeys.
  [[nodiscard]] KeyRing keys() const;
  /// Nothing but one configuration's key, as at a first start.
  [[nodiscard]] bool untouched() const;
  [[nodiscard]] bool banned(const NodeId& node) const { return banned_.contains(node); }
  [[nodiscard]] const std::set<NodeId>& banned() const { return banned_; }

  // Edits; `now` only has to be near. A failure changes nothing.
  /// kConflict: it is there already. kTooLarge beyond kMaxLive. As all that follow, kInvalid if no
  /// stamp is left that could be later than all.
  [[nodiscard]] Status add(const ClusterKey& key, WallTime now);
  /// kNotFound: no such key. `members`: the roster.
  [[nodiscard]] Status use(uint64_t key_id, WallTime now, std::set<NodeId> members = {});
  /// kConflict for the primary, kNotFound for a stranger.
  [[nodiscard]] Status remove(uint64_t key_id);
  /// Adds `fresh` to become the primary, and in the end the only one: settle() sees to it.
  [[nodiscard]] Status rotate(const ClusterKey& fresh, WallTime now);
  /// A rotation without `node`. Nothing it says counts any more. Always possible: where kMaxLive
  /// are live already, the oldest is removed.
  [[nodiscard]] Status ban(const NodeId& node, const ClusterKey& fresh, WallTime now);

  /// Does what waits for the others: makes the next key primary once every holder that is present
  /// has it, and removes what is retired once every holder names the primary. Before that, makes a
  /// next key if a banned node may have the primary: the same whoever does it. `holders`: every
  /// rostered node that is not banned. True if something changed.
  bool settle(const std::map<NodeId, KeyHolder>& holders);
  /// Joins another view; true if something changed. A key with a stamp beyond `limit` is not taken:
  /// it would be the last word for ever.
  bool merge(const SharedRing& other, Stamp limit = kLastStamp);
  /// The latest stamp to take from others. Far ahead of every clock that is only wrong, and far
  /// from the last, so that whatever was taken, the next edit is later.
  [[nodiscard]] static Stamp limit(WallTime now);

  /// Equal for equal keys and bans. Tells nothing of the secrets.
  [[nodiscard]] uint64_t digest() const;
  /// Secrets included.
  [[nodiscard]] Bytes encode() const;
  /// kInvalid for anything that encode() does not give.
  [[nodiscard]] static Result<SharedRing> decode(ByteView bytes);

  bool operator==(const SharedRing&) const = default;

 private:
  /// None is decoded beyond: the year 2100.
  static constexpr Stamp kLastStamp{(4'102'444'800'000 - 1'577'836'800'000ULL) << 16};

  SharedRing() = default;
  [[nodiscard]] Result<Stamp> after_all(WallTime now) const;
  [[nodiscard]] std::vector<uint64_t> oldest_first() const;
  [[nodiscard]] bool hidden_from_banned(uint64_t key_id) const;
  [[nodiscard]] std::set<uint64_t> all_but(uint64_t key_id) const;
  void settle_primary();
  void make_room();
  void outrun_bans();

  std::map<uint64_t, SharedKey> keys_;  ///< by id
  std::set<uint64_t> live_;             ///< of these: follows from them
  std::set<NodeId> banned_;
  uint64_t primary_ = 0;
};

/// A key's id as people see it: 16 hexadecimal digits.
[[nodiscard]] std::string key_id_text(uint64_t key_id);
[[nodiscard]] std::optional<uint64_t> parse_key_id(std::string_view text);

}  // namespace kith
