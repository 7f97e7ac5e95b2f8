#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hlc.h"
#include "base/instant.h"
#include "base/result.h"
#include "state/document.h"

namespace kith {

constexpr size_t kMaxDocuments = 20'000;                 ///< tombstones included
constexpr size_t kMaxDocumentBytes = 128 * 1024 * 1024;  ///< of all keys and bodies
constexpr size_t kMaxConflicts = 256;
constexpr size_t kDocBuckets = 256;
/// The year 2100. No host's clock is believed beyond it, and no stamp from beyond is taken in.
constexpr Stamp kLatestStamp{(4'102'444'800'000 - 1'577'836'800'000ULL) << 16};

enum class ConflictReason : uint8_t {
  kConcurrentEdit,    ///< edited on both sides
  kFarFuture,         ///< stamped after kLatestStamp; not applied
  kOlderThanHorizon,  ///< from before the purged deletes, and unknown here; not applied
  kHistoryTooOld,     ///< replaced by a version that no longer knows whether it descends from it
};
/// A few readable words: `edited on both sides`.
[[nodiscard]] std::string_view to_string(ConflictReason reason);

/// A version that did not make it, kept on this node for people to look at.
struct Conflict {
  Document lost;
  DocVersion won;  ///< what stood here when it lost; a zero stamp if nothing did
  ConflictReason reason = ConflictReason::kConcurrentEdit;
  WallTime at;  ///< when this node noticed
  [[nodiscard]] uint64_t id() const { return version_digest(lost.key, lost.version); }
};
[[nodiscard]] Bytes encode(const Conflict& conflict);
[[nodiscard]] Result<Conflict> decode_conflict(ByteView bytes);

/// The key under which a conflict's loser travels: `lost/<hex of its id>`.
[[nodiscard]] std::string lost_key(uint64_t conflict_id);

/// What one or more calls want on disk, as one transaction: Database::write takes it.
struct StoreBatch {
  struct Row {
    std::string key;
    Bytes envelope;
  };
  std::vector<Row> documents;         ///< insert or replace
  std::vector<std::string> purged;    ///< delete; after `documents`
  std::vector<Conflict> conflicts;    ///< insert or replace, by id
  std::vector<uint64_t> settled;      ///< ids of conflicts to delete; after `conflicts`
  std::optional<Stamp> horizon;       ///< of purged deletes
  std::optional<Stamp> last_stamp;    ///< floor of the clock at the next start
  std::map<std::string, Bytes> meta;  ///< anything else; an empty value deletes the key
  [[nodiscard]] bool empty() const;
  /// Appends what came later.
  void append(StoreBatch&& later);
};

/// A version that should be told to others: as a RecordRumor if small, else as an OfferRumor.
struct DocNews {
  std::string key;       ///< the document's; of a conflict's loser its lost_key
  uint64_t version = 0;  ///< version_digest
  Bytes envelope;
};

/// What the caller does after each call: persist `batch`, and only then acknowledge to a client;
/// gossip `news`; look again at what hangs on `changed`.
struct DocEffects {
  std::vector<std::string> changed;
  bool conflicts_changed = false;
  StoreBatch batch;
  std::vector<DocNews> news;
};

enum class MergeOutcome : uint8_t {
  kApplied,   ///< it is the current version now; what it replaced may have become a conflict
  kKnown,     ///< exactly this version was here, as current or as a conflict
  kStale,     ///< an ancestor of what is here, or equal in value but earlier
  kConflict,  ///< it lost against an edit that did not know of it
  kSetAside,  ///< from the far future or from before the horizon: a conflict, not applied
  kFull,      ///< kMaxDocuments or kMaxDocumentBytes reached
};

/// How a document came here; matters only for those from before the horizon.
enum class DocSource : uint8_t {
  kRumor,
  kAheadPeer,  ///< a sync with a peer whose horizon is later than mine: it knows what was deleted
};

struct DocStoreConfig {
  uint64_t digest_seed = 0;  ///< equal on all nodes of a cluster, whatever key each has
  std::chrono::milliseconds tombstone_age = std::chrono::hours(30 * 24);
};

/// The replicated documents: a pure, commutative, idempotent merge, last writer by DocVersion.
/// What is taken in does not hang on this host's clock: whoever's is wrong, all hold the same. A
/// clock ahead draws everybody's stamps ahead, which still grow with each edit.
/// Two stores that took in the same documents in any order are equal and have equal roots; equal
/// roots mean equal stores but for a chance of 2^-64.
class DocStore {
 public:
  /// `floor`: the last persisted stamp; nothing earlier is ever given to an edit.
  explicit DocStore(const DocStoreConfig& config, Stamp floor = {});

  /// Puts back what was on disk, before any other call.
  void restore(std::vector<Document> documents, std::vector<Conflict> conflicts, Stamp horizon);

  /// Makes the next version of a document: later by at least 1 ms than what it edits, whatever the
  /// clock says. kTooLarge: the record, or has_room. On error nothing has changed.
  [[nodiscard]] Result<DocVersion> put(std::string_view key, std::string body, Now now,
                                       const NodeId& author, DocEffects& out);
  /// Leaves a tombstone. kNotFound: there is no such live document.
  [[nodiscard]] Result<DocVersion> remove(std::string_view key, Now now, const NodeId& author,
                                          DocEffects& out);

  /// Takes in a version made elsewhere (decode_document has checked it).
  MergeOutcome merge(Document document, Now now, DocEffects& out,
                     DocSource source = DocSource::kRumor);

  /// Forgets tombstones older than the configured age and moves the horizon past them. Cheap; call
  /// every few minutes.
  void purge(Now now, DocEffects& out);
  /// Takes over a peer's horizon, unless it is after all that is known here. Only at the end of a
  /// complete sync with that peer: SyncSink::raise_horizon.
  void raise_horizon(Stamp horizon, Now now, DocEffects& out);
  /// Moves a live document no later than `horizon` to the conflicts: a peer with that horizon,
  /// which is no earlier than ours, lacks it, so it was deleted there. Does nothing for a horizon
  /// after all that is known here, as raise_horizon. SyncSink::drop_documents.
  void drop(std::string_view key, Stamp horizon, Now now, DocEffects& out);
  /// Forgets a conflict. False if there is none of that id.
  bool dismiss(uint64_t conflict_id, DocEffects& out);

  /// A live document; null if there is none. Valid until the next change of the store.
  [[nodiscard]] const Document* find(std::string_view key) const;
  /// As find, tombstones included, and the losers of conflicts by their lost_key.
  [[nodiscard]] const Document* find_any(std::string_view key) const;
  /// Live documents whose key starts with `prefix`, ordered by key.
  [[nodiscard]] std::vector<const Document*> list(std::string_view prefix) const;
  /// Ordered by (key, version).
  [[nodiscard]] std::vector<const Conflict*> conflicts() const;
  /// kTooLarge, in words for people, if this version of its key would be beyond kMaxDocuments or
  /// kMaxDocumentBytes here.
  [[nodiscard]] Status has_room(const Document& document) const;
  [[nodiscard]] size_t size() const { return documents_.size(); }
  /// Of all keys and bodies; not of conflicts.
  [[nodiscard]] size_t bytes() const { return bytes_; }
  [[nodiscard]] Stamp horizon() const { return horizon_; }
  [[nodiscard]] Stamp last_stamp() const { return clock_.last(); }

  /// Digest of every document, tombstones included, and of the horizon: on every ping and ack.
  [[nodiscard]] uint64_t root() const;
  /// kDocBuckets digests; equal ones hold equal documents.
  [[nodiscard]] const std::array<uint64_t, kDocBuckets>& buckets() const { return buckets_; }
  [[nodiscard]] size_t bucket_of(std::string_view key) const;
  /// Every document of the buckets that are set, tombstones included, ordered by key.
  [[nodiscard]] std::vector<const Document*> in_buckets(const std::bitset<kDocBuckets>& set) const;
  /// Whether taking in this version would change anything here.
  [[nodiscard]] bool wants(std::string_view key, const DocVersion& version) const;
  /// Whether an OfferRumor names a version that is not here: then fetch it.
  [[nodiscard]] bool wants_offer(std::string_view key, uint64_t version) const;

  /// The digests once more from nothing, for tests: true if they are what is kept.
  [[nodiscard]] bool digests_hold() const;

 private:
  using Documents = std::map<std::string, Document, std::less<>>;

  Result<DocVersion> edit(std::string_view key, std::string body, bool deleted, Now now,
                          const NodeId& author, DocEffects& out);
  void store(Document document, DocEffects& out);
  void erase(Documents::iterator at, DocEffects& out);
  /// Adds a document to the digests and the size, or takes it off.
  void digest(const Document& document, bool add);
  [[nodiscard]] bool fits(const Document& document) const;
  [[nodiscard]] bool beyond_all_known(Stamp horizon, Now now) const;
  bool add_conflict(Conflict conflict, DocEffects& out);
  void settle(uint64_t conflict_id, DocEffects& out);
  void settle_equal(const Document& document, DocEffects& out);
  MergeOutcome set_aside(Document document, ConflictReason reason, Now now, DocEffects& out);
  MergeOutcome merge_new(Document theirs, DocSource source, Now now, DocEffects& out);
  MergeOutcome merge_over(const Document& mine, Document theirs, Now now, DocEffects& out);
  MergeOutcome merge_under(const Document& mine, Document theirs, Now now, DocEffects& out);

  DocStoreConfig config_;
  HybridClock clock_;
  Documents documents_;
  std::map<uint64_t, Conflict> conflicts_;  // by id
  Stamp horizon_;
  std::array<uint64_t, kDocBuckets> buckets_{};
  uint64_t sum_ = 0;  // of the buckets
  size_t bytes_ = 0;
};

}  // namespace kith
