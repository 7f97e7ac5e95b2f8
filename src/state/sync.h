#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "state/doc_store.h"
#include "state/observed_store.h"

namespace kith {

constexpr size_t kMaxSyncFrame = 256 * 1024;
constexpr size_t kMaxFetchKeys = 1'024;

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
  virtual void drop_documents(std::vector<std::string> keys) = 0;
  /// DocStore::raise_horizon.
  virtual void raise_horizon(Stamp horizon) = 0;
};

/// One anti-entropy exchange over an ordered, authenticated stream of frames. Order of calls: a
/// constructor below; then send every `next_frame()` as the stream takes it (one at a time bounds
/// memory), call `receive` for every frame that arrives and look for `next_frame()` again; close
/// once `done()`. The initiator speaks first. The stores must outlive the session and may change
/// meanwhile; what changes during a session is left to the next one.
///
/// Frames (initiator I, responder R): I hello(docs root, horizon, a digest per node) - R
/// hello(the same, bucket digests if the roots differ) - I summaries(versions in the differing
/// buckets and nodes), end - R records that I lacks, wants, drops, end - I the wanted records, end.
/// A fetch: I wants, end - R records, end.
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
  struct Frame;
  /// A record to send, encoded only when its turn comes.
  struct Outgoing {
    std::optional<NodeId> node;  // observed: whose
    std::string key;
  };
  struct Summary {
    std::map<std::string, DocVersion> docs;
    std::map<NodeId, std::map<std::string, ObservedVersion>> observed;
    std::vector<uint8_t> buckets;
  };

  SyncSession(const DocStore& docs, const ObservedStore& observed, SyncSink& sink);

  void send_hello(bool with_buckets);
  void send_summaries();
  void send_wants(const std::vector<std::string>& docs,
                  const std::vector<std::pair<NodeId, std::string>>& observed);
  void compare();
  void finish();
  std::optional<Bytes> next_records();

  const DocStore* docs_;
  const ObservedStore* observed_;
  SyncSink* sink_;
  State state_ = State::kAwaitHello;
  bool initiator_ = false;
  bool fetching_ = false;
  Summary theirs_;
  Stamp their_horizon_;
  Stamp my_horizon_;
  std::deque<Bytes> control_;
  std::deque<Outgoing> records_;
  bool end_due_ = false;
  bool ended_ = false;
  Counters counters_;
};

}  // namespace kith
