#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/instant.h"
#include "base/result.h"
#include "gossip/message.h"

namespace kith {

constexpr size_t kMaxObservedPerNode = 4'096;
constexpr size_t kMaxObservedNodes = 10'000;
constexpr size_t kMaxObservedBytesPerNode = 4 * 1024 * 1024;  ///< keys and bodies
constexpr size_t kMaxObservedBytes = 256 * 1024 * 1024;       ///< of all nodes
constexpr size_t kMaxObservedTombstones = 64;                 ///< of one node, before it compacts
constexpr Duration kObservedTombstoneAge = std::chrono::minutes(10);

/// One signed record of what a node says of itself. Newest (epoch, sequence) wins for a key.
struct Observed {
  std::string key;  ///< `node/<hex>/info`; at most kMaxRecordKey bytes
  NodeId node;      ///< who says it, of itself
  Epoch epoch = 0;
  uint64_t sequence = 0;  ///< unique within the epoch, whatever the key
  /// Unless 0: every record of this epoch with a sequence up to this, and all of earlier epochs,
  /// are void: their node has retracted them or said them anew. So tombstones need not be kept for
  /// ever.
  uint64_t floor = 0;
  bool deleted = false;  ///< a tombstone; `body` is empty
  Bytes body;
  Signature signature{};

  /// What is signed: every field but the signature, after a domain string and the cluster's id.
  [[nodiscard]] Bytes signed_bytes(uint64_t cluster_id) const;
};

[[nodiscard]] Bytes encode(const Observed& observed);
/// kInvalid for any bytes that are not such a record within the limits, or whose key does not start
/// with `node/<its node>/`. Does not check the signature. Never throws.
[[nodiscard]] Result<Observed> decode_observed(ByteView envelope);

struct ObservedNews {
  std::string key;
  uint64_t version = 0;  ///< observed_digest
  Bytes envelope;
};
struct ObservedChange {
  NodeId node;
  std::string key;
};
struct ObservedEffects {
  std::vector<ObservedChange> changed;
  std::vector<ObservedNews> news;  ///< to be gossiped
};

/// Whose record a key names, if it is the key of one.
[[nodiscard]] std::optional<NodeId> node_of_key(std::string_view key);

/// Names one version of one record: the `version` of an OfferRumor.
[[nodiscard]] uint64_t observed_digest(const Observed& observed);

/// Which of the versions of one key; the greater wins.
struct ObservedVersion {
  Epoch epoch = 0;
  uint64_t sequence = 0;
  uint64_t content_hash = 0;  ///< settles a node that said two things under one sequence
  auto operator<=>(const ObservedVersion&) const = default;
};
[[nodiscard]] ObservedVersion version_of(const Observed& observed);

/// What one node knows of another's records, in a sync.
struct ObservedVector {
  NodeId node;
  uint64_t digest = 0;  ///< of all its records kept; equal ones mean equal records
};

/// Node-signed records, in memory only. The merge is a join: the state is a function of the set of
/// records taken in, in any order, with any repetition: for each node the greatest cutoff (epoch,
/// floor), and of the records after it the newest for each key.
class ObservedStore {
 public:
  /// Must give the same signature for the same bytes (Ed25519 does).
  using Signer = std::function<Signature(ByteView signed_bytes)>;

  /// `epoch`: of this start of the agent; greater than any before.
  ObservedStore(const NodeId& self, Epoch epoch, uint64_t cluster_id, Signer signer);

  /// Says something of this node. An equal body as before changes nothing and is false, as is going
  /// over kMaxObservedPerNode.
  bool publish(std::string_view key, Bytes body, Instant now, ObservedEffects& out);
  /// Takes it back. False if it was not said.
  bool retract(std::string_view key, Instant now, ObservedEffects& out);
  /// Forgets own tombstones older than kObservedTombstoneAge or beyond kMaxObservedTombstones; what
  /// else stands below the new floor is said anew. Does nothing before this node's own
  /// set_inventory. Call every minute or so.
  void advance(Instant now, ObservedEffects& out);

  /// Whether merge would change anything: ask before checking the signature.
  [[nodiscard]] bool wants(const Observed& observed) const;
  [[nodiscard]] bool wants(const NodeId& node, std::string_view key,
                           const ObservedVersion& version) const;
  [[nodiscard]] bool wants_offer(std::string_view key, uint64_t version) const;
  /// Takes in a record whose signature the caller has checked. True if it was news: then `out` says
  /// what changed, and what to pass on.
  bool merge(Observed observed, ObservedEffects& out);
  /// `node` has listed all of `epoch` (its NodeInfo says inventory_epoch == epoch): what it said in
  /// earlier epochs goes, and is refused from now on. Call for this node too.
  void set_inventory(const NodeId& node, Epoch epoch, ObservedEffects& out);
  /// A node that was removed from the cluster.
  void drop_node(const NodeId& node, ObservedEffects& out);

  /// Null if there is none or it was retracted. Valid until the next change of the store.
  [[nodiscard]] const Observed* find(const NodeId& node, std::string_view key) const;
  /// What one node says, ordered by key; without tombstones.
  [[nodiscard]] std::vector<const Observed*> of_node(const NodeId& node) const;
  /// What everybody says, ordered by (node, key); without tombstones.
  [[nodiscard]] std::vector<const Observed*> all() const;

  /// Digest of everything kept: equal ones mean equal stores.
  [[nodiscard]] uint64_t root() const { return root_; }
  // For sync. Ordered by node; by key.
  [[nodiscard]] std::vector<ObservedVector> vectors() const;
  [[nodiscard]] std::vector<const Observed*> kept(const NodeId& node) const;  ///< and tombstones
  [[nodiscard]] const Observed* find_any(const NodeId& node, std::string_view key) const;
  /// The digests once more from nothing, for tests: true if they are what is kept.
  [[nodiscard]] bool digests_hold() const;
  /// Of all keys and bodies kept.
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  struct Cutoff {  // what is not after it is void
    Epoch epoch = 0;
    uint64_t sequence = 0;
    auto operator<=>(const Cutoff&) const = default;
  };
  struct PerNode {
    std::map<std::string, Observed, std::less<>> records;
    Cutoff cutoff;
    uint64_t digest = 0;
    size_t bytes = 0;
  };
  [[nodiscard]] bool fits(const Observed& observed) const;

  void say(std::string_view key, Bytes body, bool deleted, ObservedEffects& out);
  void compact(uint64_t floor, ObservedEffects& out);
  void put(PerNode& of, Observed observed, ObservedEffects& out);
  void cut(const NodeId& node, Cutoff cutoff, ObservedEffects& out);
  /// Of a node's records in `root_`; 0 if it has none.
  [[nodiscard]] static uint64_t part(const NodeId& node, const PerNode& of);

  NodeId self_;
  Epoch epoch_;
  uint64_t cluster_id_;
  Signer signer_;
  uint64_t sequence_ = 0;
  uint64_t floor_ = 0;
  std::map<uint64_t, Instant> own_tombstones_;  // by sequence: since when
  std::map<NodeId, PerNode> nodes_;
  size_t bytes_ = 0;
  uint64_t root_ = 0;  // the sum of all parts
};

}  // namespace kith
