#include "state/sync.h"

#include <algorithm>
#include <array>

#include "state/sync_frame.h"

namespace kith {
namespace {

constexpr uint8_t kDocumentRecord = 0;
constexpr uint8_t kObservedRecord = 1;

void append(std::deque<Bytes>& to, std::deque<Bytes> frames) {
  for (Bytes& frame : frames) to.push_back(std::move(frame));
}

std::array<uint8_t, kDocBuckets / 8> to_bitmap(const std::bitset<kDocBuckets>& set) {
  std::array<uint8_t, kDocBuckets / 8> bitmap{};
  for (size_t i = 0; i < kDocBuckets; ++i) {
    if (set.test(i)) bitmap[i / 8] = static_cast<uint8_t>(bitmap[i / 8] | 1U << (i % 8));
  }
  return bitmap;
}

std::bitset<kDocBuckets> from_bitmap(const std::array<uint8_t, kDocBuckets / 8>& bitmap) {
  std::bitset<kDocBuckets> set;
  for (size_t i = 0; i < kDocBuckets; ++i) set.set(i, (bitmap[i / 8] >> (i % 8) & 1U) != 0);
  return set;
}

}  // namespace

SyncSession::SyncSession(const DocStore& docs, const ObservedStore& observed, SyncSink& sink)
    : docs_(&docs), observed_(&observed), sink_(&sink) {}

SyncSession SyncSession::initiate(const DocStore& docs, const ObservedStore& observed,
                                  SyncSink& sink) {
  SyncSession session(docs, observed, sink);
  session.initiator_ = true;
  session.send_hello();
  return session;
}

SyncSession SyncSession::fetch(const DocStore& docs, const ObservedStore& observed, SyncSink& sink,
                               std::vector<std::string> keys) {
  SyncSession session(docs, observed, sink);
  session.initiator_ = true;
  session.fetching_ = true;
  session.state_ = State::kAwaitRecords;
  if (keys.size() > kMaxFetchKeys) keys.resize(kMaxFetchKeys);
  session.send_keys(SyncFrame::kWants, keys);
  session.send_end();
  return session;
}

SyncSession SyncSession::respond(const DocStore& docs, const ObservedStore& observed,
                                 SyncSink& sink) {
  return SyncSession(docs, observed, sink);
}

bool SyncSession::done() const {
  return state_ == State::kFinished && control_.empty() && record_keys_.empty() && !end_due_;
}

// Sending.

std::optional<Bytes> SyncSession::next_frame() {
  std::optional<Bytes> frame;
  if (!control_.empty()) {
    frame = std::move(control_.front());
    control_.pop_front();
  } else if (!record_keys_.empty()) {
    frame = next_records();
  }
  if (!frame && end_due_) {
    FrameWriter end(SyncFrame::kEnd);
    if (cut_short_) end.add([](wire::Packer& packer) { packer.pack(true); });
    frame = end.take();
    end_due_ = false;
  }
  if (frame) counters_.bytes_sent += frame->size();
  return frame;
}

std::optional<Bytes> SyncSession::next_records() {
  if (counters_.bytes_sent >= kMaxSyncBytes) {
    record_keys_.clear();
    cut_short_ = true;
    return std::nullopt;
  }
  FrameWriter writer(SyncFrame::kRecords);
  for (; !record_keys_.empty(); record_keys_.pop_front()) {
    const std::string& key = record_keys_.front();
    const std::optional<NodeId> node = node_of_key(key);
    const Observed* observed = node ? observed_->find_any(*node, key) : nullptr;
    const Document* document = node ? nullptr : docs_->find_any(key);
    if (observed == nullptr && document == nullptr) continue;
    wire::Buffer buffer;
    wire::Packer packer(buffer);
    packer.pack_array(2);
    packer.pack(node ? kObservedRecord : kDocumentRecord);
    wire::pack_bytes(packer, node ? encode(*observed) : encode(*document));
    if (writer.count() != 0 && !writer.fits(buffer.size())) return writer.take();
    writer.add_packed(buffer.take());
    ++(node ? counters_.observed_sent : counters_.documents_sent);
  }
  if (writer.count() == 0) return std::nullopt;
  return writer.take();
}

void SyncSession::send_end() {
  control_.push_back(FrameWriter(SyncFrame::kEnd).take());
}

void SyncSession::send_hello() {
  horizon_ = docs_->horizon();
  FrameWriter hello(SyncFrame::kHello);
  const uint64_t root = docs_->root();
  hello.add([&](wire::Packer& packer) { packer.pack(root); });
  hello.add([&](wire::Packer& packer) { packer.pack(horizon_.value); });
  if (!initiator_ && root != peer_.root) {
    for (const uint64_t digest : docs_->buckets())
      hello.add([&](wire::Packer& packer) { packer.pack(digest); });
  }
  append(control_, hello.finish());
  FrameWriter vectors(SyncFrame::kVectors);
  for (const ObservedVector& vector : observed_->vectors()) {
    vectors.add([&](wire::Packer& packer) {
      packer.pack_array(2);
      wire::pack_node(packer, vector.node);
      packer.pack(vector.digest);
    });
  }
  append(control_, vectors.finish());
  send_end();
}

void SyncSession::send_keys(SyncFrame type, const std::vector<std::string>& keys) {
  FrameWriter writer(type);
  for (const std::string& key : keys)
    writer.add([&](wire::Packer& packer) { wire::pack_text(packer, key); });
  append(control_, writer.finish());
}

void SyncSession::send_summaries() {
  FrameWriter writer(SyncFrame::kSummary);
  const auto entry = [&](uint32_t size, SummaryEntry kind, auto&& rest) {
    writer.add([&](wire::Packer& packer) {
      packer.pack_array(size);
      packer.pack(static_cast<uint8_t>(kind));
      rest(packer);
    });
  };
  std::bitset<kDocBuckets> differing;
  for (size_t i = 0; i < peer_.buckets.size(); ++i)
    differing.set(i, peer_.buckets[i] != docs_->buckets()[i]);
  entry(2, SummaryEntry::kBuckets,
        [&](wire::Packer& packer) { wire::pack_bytes(packer, to_bitmap(differing)); });
  for (const Document* document : docs_->in_buckets(differing)) {
    entry(5, SummaryEntry::kDocument, [&](wire::Packer& packer) {
      wire::pack_text(packer, document->key);
      packer.pack(document->version.stamp.value);
      wire::pack_node(packer, document->version.author);
      packer.pack(document->version.content_hash);
    });
  }
  std::map<NodeId, uint64_t> mine;
  for (const ObservedVector& vector : observed_->vectors()) mine[vector.node] = vector.digest;
  std::map<NodeId, uint64_t> either = mine;
  either.insert(peer_.vectors.begin(), peer_.vectors.end());
  for (const auto& [node, digest] : either) {
    const auto theirs = peer_.vectors.find(node);
    const auto ours = mine.find(node);
    if (theirs != peer_.vectors.end() && ours != mine.end() && theirs->second == ours->second)
      continue;
    entry(2, SummaryEntry::kNode,
          [&, &named = node](wire::Packer& packer) { wire::pack_node(packer, named); });
    for (const Observed* record : observed_->kept(node)) {
      entry(5, SummaryEntry::kRecord, [&](wire::Packer& packer) {
        const ObservedVersion version = version_of(*record);
        wire::pack_text(packer, record->key);
        packer.pack(version.epoch);
        packer.pack(version.sequence);
        packer.pack(version.content_hash);
      });
    }
  }
  append(control_, writer.finish());
  send_end();
}

// Comparing: the responder's part.

void SyncSession::compare_documents() {
  std::vector<std::string> drop_here;
  std::vector<std::string> drop_there;
  // Who has an equal or later horizon and lacks a document from before it knows it was deleted.
  const bool i_know = horizon_ >= peer_.horizon;
  const bool they_know = peer_.horizon >= horizon_;
  for (const Document* mine : docs_->in_buckets(peer_.differing)) {
    const auto theirs = peer_.docs.find(mine->key);
    if (theirs == peer_.docs.end()) {
      const bool before = mine->version.stamp <= peer_.horizon;
      if (before && they_know && !mine->deleted)
        drop_here.push_back(mine->key);
      else if (!before || !mine->deleted)
        record_keys_.push_back(mine->key);
      continue;
    }
    if (mine->version == theirs->second) continue;
    const bool wanted = docs_->wants(mine->key, theirs->second);
    if (wanted) wants_.push_back(mine->key);
    if (mine->version < theirs->second) continue;
    record_keys_.push_back(mine->key);
    // By the time they answer, mine may have made theirs a conflict over there.
    if (wanted) wants_.push_back(lost_key(version_digest(mine->key, theirs->second)));
  }
  for (const auto& [key, version] : peer_.docs) {
    if (docs_->find_any(key) != nullptr) continue;
    if (version.stamp <= horizon_ && i_know)
      drop_there.push_back(key);
    else if (docs_->wants(key, version) || peer_.horizon > horizon_)
      wants_.push_back(key);
  }
  if (!drop_here.empty()) sink_->drop_documents(std::move(drop_here), peer_.horizon);
  send_keys(SyncFrame::kDrops, drop_there);
}

void SyncSession::compare_observed() {
  for (const auto& [node, theirs] : peer_.observed) {
    for (const Observed* mine : observed_->kept(node)) {
      const auto at = theirs.find(mine->key);
      if (at == theirs.end() || at->second < version_of(*mine)) record_keys_.push_back(mine->key);
    }
    for (const auto& [key, version] : theirs) {
      if (observed_->wants(node, key, version)) wants_.push_back(key);
    }
  }
}

// Receiving.

Status SyncSession::receive(ByteView frame) {
  const auto refuse = [](const char* why) {
    return fail(ErrorCode::kInvalid, std::string("bad sync frame: ") + why);
  };
  if (frame.size() > kMaxSyncFrame) return refuse("too long");
  counters_.bytes_received += frame.size();
  const auto handle = wire::parse(frame);
  if (!handle) return refuse("not msgpack");
  wire::Elements entries(handle->get());
  uint8_t number = 0;
  entries >> number;
  const auto type = static_cast<SyncFrame>(number);
  if (!entries.good() || !in_turn(type)) return refuse("out of turn");
  peer_.entries += entries.left();
  if (peer_.entries > kMaxSyncEntries) return refuse("too many entries");
  bool good = true;
  switch (type) {
    case SyncFrame::kHello:
      good = receive_hello(entries);
      break;
    case SyncFrame::kVectors:
      good = receive_vectors(entries);
      break;
    case SyncFrame::kSummary:
      good = receive_summary(entries);
      break;
    case SyncFrame::kWants:
    case SyncFrame::kDrops:
      good = receive_keys(type, entries);
      break;
    case SyncFrame::kRecords:
      good = receive_records(entries);
      break;
    case SyncFrame::kEnd:
      receive_end(entries.left() == 0);
      break;
  }
  if (!good) return refuse("malformed");
  return {};
}

bool SyncSession::in_turn(SyncFrame type) const {
  switch (state_) {
    case State::kAwaitHello:
      if (type == SyncFrame::kHello) return !greeted_ && !fetching_;
      if (type == SyncFrame::kWants) return !initiator_ && !greeted_;
      if (type == SyncFrame::kVectors) return greeted_;
      return type == SyncFrame::kEnd && (greeted_ || fetching_);
    case State::kAwaitSummary:
      return type == SyncFrame::kSummary || type == SyncFrame::kEnd;
    case State::kAwaitRecords:
      if (type == SyncFrame::kWants || type == SyncFrame::kDrops) return initiator_ && !fetching_;
      return type == SyncFrame::kRecords || type == SyncFrame::kEnd;
    case State::kFinished:
      break;
  }
  return false;
}

bool SyncSession::receive_hello(wire::Elements& from) {
  from >> peer_.root >> peer_.horizon.value;
  const size_t digests = from.left();
  if (digests != 0 && (digests != kDocBuckets || !initiator_)) return false;
  peer_.buckets.resize(digests);
  for (uint64_t& digest : peer_.buckets) from >> digest;
  greeted_ = true;
  return from.good();
}

bool SyncSession::receive_vectors(wire::Elements& from) {
  while (from.left() > 0) {
    wire::Elements entry(*from.next());
    ObservedVector vector;
    entry >> vector.node >> vector.digest;
    if (!entry.good() || peer_.vectors.size() >= kMaxObservedNodes) return false;
    peer_.vectors[vector.node] = vector.digest;
  }
  return true;
}

bool SyncSession::receive_summary(wire::Elements& from) {
  while (from.left() > 0) {
    wire::Elements entry(*from.next());
    uint8_t kind = 0;
    entry >> kind;
    if (kind == static_cast<uint8_t>(SummaryEntry::kBuckets)) {
      std::array<uint8_t, kDocBuckets / 8> bitmap{};
      entry >> bitmap;
      peer_.differing = from_bitmap(bitmap);
    } else if (kind == static_cast<uint8_t>(SummaryEntry::kDocument)) {
      std::string key;
      DocVersion version;
      entry >> key >> version.stamp.value >> version.author >> version.content_hash;
      if (key.size() > kMaxRecordKey || peer_.docs.size() >= kMaxDocuments) return false;
      peer_.docs[std::move(key)] = version;
    } else if (kind == static_cast<uint8_t>(SummaryEntry::kNode)) {
      NodeId node;
      entry >> node;
      peer_.observed.try_emplace(node);
    } else if (kind == static_cast<uint8_t>(SummaryEntry::kRecord)) {
      std::string key;
      ObservedVersion version;
      entry >> key >> version.epoch >> version.sequence >> version.content_hash;
      const std::optional<NodeId> node = node_of_key(key);
      if (!node || key.size() > kMaxRecordKey) return false;
      peer_.observed[*node][std::move(key)] = version;
    }
    if (!entry.good()) return false;
  }
  return true;
}

bool SyncSession::receive_keys(SyncFrame type, wire::Elements& from) {
  if (state_ == State::kAwaitHello) fetching_ = true;
  std::vector<std::string> keys(from.left());
  for (std::string& key : keys) from >> key;
  if (!from.good()) return false;
  if (type == SyncFrame::kDrops) {
    if (peer_.horizon >= horizon_) sink_->drop_documents(std::move(keys), peer_.horizon);
    return true;
  }
  for (std::string& key : keys) {
    if (key.size() > kMaxRecordKey) return false;
    if (fetching_ && asked_.size() >= kMaxFetchKeys) break;
    // Only what is here, so that what is remembered is bounded by what is stored; the loser of a
    // conflict may come to be here before its turn.
    const std::optional<NodeId> node = node_of_key(key);
    const bool here = node ? observed_->find_any(*node, key) != nullptr
                           : docs_->find_any(key) != nullptr || key.size() == lost_key(0).size();
    if (here && asked_.insert(key).second) record_keys_.push_back(std::move(key));
  }
  return true;
}

bool SyncSession::receive_records(wire::Elements& from) {
  std::vector<Document> documents;
  std::vector<Observed> records;
  while (from.left() > 0) {
    wire::Elements entry(*from.next());
    uint8_t kind = 0;
    Bytes envelope;
    entry >> kind >> envelope;
    if (!entry.good() || kind > kObservedRecord) return false;
    if (kind == kDocumentRecord) {
      Result<Document> document = decode_document(envelope);
      if (!document) return false;
      documents.push_back(std::move(*document));
    } else {
      Result<Observed> observed = decode_observed(envelope);
      if (!observed) return false;
      records.push_back(std::move(*observed));
    }
  }
  counters_.documents_received += documents.size();
  counters_.observed_received += records.size();
  const bool ahead = !fetching_ && peer_.horizon > horizon_;
  if (!documents.empty())
    sink_->take_documents(std::move(documents), ahead ? DocSource::kAheadPeer : DocSource::kRumor);
  if (!records.empty()) sink_->take_observed(std::move(records));
  return true;
}

void SyncSession::receive_end(bool complete) {
  if (state_ == State::kAwaitHello) {
    if (fetching_) {
      end_due_ = true;
      state_ = State::kFinished;
    } else if (initiator_) {
      send_summaries();
      state_ = State::kAwaitRecords;
    } else {
      send_hello();
      state_ = State::kAwaitSummary;
    }
    return;
  }
  if (state_ == State::kAwaitSummary) {
    compare_documents();
    compare_observed();
    send_keys(SyncFrame::kWants, wants_);
    peer_.docs.clear();
    peer_.observed.clear();
    end_due_ = true;
    state_ = State::kAwaitRecords;
    return;
  }
  if (initiator_ && !fetching_) end_due_ = true;
  if (complete && !fetching_ && peer_.horizon > horizon_) sink_->raise_horizon(peer_.horizon);
  state_ = State::kFinished;
}

}  // namespace kith
