#pragma once

#include <bitset>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "state/doc_store.h"
#include "state/observed_store.h"

namespace kith {

constexpr size_t kMaxSyncFrame = 256 * 1024;
constexpr size_t kMaxFetchKeys = 1'024;
/// Of records that one side sends in a session; what is left over is for the next one. Well below
/// what a stream queues.
constexpr size_t kMaxSyncBytes = 32 * 1024 * 1024;

namespace wire {
class Elements;
}
enum class SyncFrame : uint8_t;

/// Where a session hands what it received. Called only from within SyncSession::receive.
class SyncSink {
 public:
  virtual ~SyncSink() = default;
  /// Merge each with `source` into the session's DocStore before returning; persist and gossip as
  /// the effects say.
  virtual void take_documents(std::vector<Document> documents, DocSource source) = 0;
  /// Signatures are not checked yet. May be merged later.
  virtual void take_observed(std::vector<Observed> records) = 0;
  /// DocStore::drop each.
  virtual void drop_documents(std::vector<std::string> keys, Stamp horizon) = 0;
  /// DocStore::raise_horizon.
  virtual void raise_horizon(Stamp horizon) = 0;
};

/// One anti-entropy exchange over an ordered, authenticated stream of frames. Order of calls: a
/// constructor below; then send every `next_frame()` as the stream takes it (one at a time bounds
/// memory), call `receive` for every frame that arrives and look for `next_frame()` again; close
/// once `done()`. The initiator speaks first. The stores must outlive the session and may change
/// meanwhile; what changes during a session is left to the next one.
///
/// Phases, each ended by an `end` frame (initiator I, responder R): I hello(docs root, horizon), a
/// digest per node - R the same, and bucket digests if the roots differ - I the versions in the
/// differing buckets and nodes - R wants, drops, the records that I lacks - I the wanted records.
/// A fetch: I wants - R records.
class SyncSession {
 public:
  /// Compares and exchanges everything.
  static SyncSession initiate(const DocStore& docs, const ObservedStore& observed, SyncSink& sink);
  /// Fetches the named records only (after OfferRumors); at most kMaxFetchKeys.
  static SyncSession fetch(const DocStore& docs, const ObservedStore& observed, SyncSink& sink,
                           std::vector<std::string> keys);
  static SyncSession respond(const DocStore& docs, const ObservedStore& observed, SyncSink& sink);

  /// The next frame to send, at most kMaxSyncFrame long; nothing for now.
  [[nodiscard]] std::optional<Bytes> next_frame();
  /// kInvalid: garbage, or a frame out of turn; close the stream. What was handed to the sink
  /// before stays good.
  Status receive(ByteView frame);
  /// Both sides have said all, and every frame was taken by next_frame().
  [[nodiscard]] bool done() const;

  struct Counters {
    size_t documents_sent = 0, documents_received = 0;
    size_t observed_sent = 0, observed_received = 0;
    size_t bytes_sent = 0, bytes_received = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  enum class State : uint8_t { kAwaitHello, kAwaitSummary, kAwaitRecords, kFinished };
  using DocVersions = std::map<std::string, DocVersion, std::less<>>;
  using ObservedVersions = std::map<std::string, ObservedVersion, std::less<>>;
  struct Peer {  // what the other side said
    uint64_t root = 0;
    Stamp horizon;
    std::vector<uint64_t> buckets;
    std::map<NodeId, uint64_t> vectors;
    std::bitset<kDocBuckets> differing;
    DocVersions docs;
    std::map<NodeId, ObservedVersions> observed;
    size_t entries = 0;
  };

  SyncSession(const DocStore& docs, const ObservedStore& observed, SyncSink& sink);

  void send_hello();
  void send_summaries();
  void compare_documents();
  void compare_observed();
  void send_keys(SyncFrame type, const std::vector<std::string>& keys);
  void send_end();
  std::optional<Bytes> next_records();

  bool in_turn(SyncFrame type) const;
  bool receive_hello(wire::Elements& from);
  bool receive_vectors(wire::Elements& from);
  bool receive_summary(wire::Elements& from);
  bool receive_keys(SyncFrame type, wire::Elements& from);
  bool receive_records(wire::Elements& from);
  void receive_end(bool complete);

  const DocStore* docs_;
  const ObservedStore* observed_;
  SyncSink* sink_;
  State state_ = State::kAwaitHello;
  bool initiator_ = false;
  bool fetching_ = false;
  bool greeted_ = false;  // their hello came
  Stamp horizon_;         // ours, as we said it
  Peer peer_;
  std::vector<std::string> wants_;            // ours, of the comparison
  std::deque<Bytes> control_;                 // frames to send before the records
  std::deque<std::string> record_keys_;       // records to send, encoded when their turn comes
  std::set<std::string, std::less<>> asked_;  // what they want, each once
  bool end_due_ = false;
  bool cut_short_ = false;  // kMaxSyncBytes: not all was sent
  Counters counters_;
};

}  // namespace kith
