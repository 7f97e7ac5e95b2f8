// Records, documents, and the frames of an exchange. The first byte picks the decoder. Of a
// document the content hash is put right first, since it would stop everything behind it.

#include <memory>

#include "fuzz.h"
#include "gossip/message.h"
#include "state/records.h"
#include "state/sync.h"

using namespace kith;
using fuzz::must;

namespace {

constexpr int64_t kWall = 1'790'000'000'000;
const Now kNow{Instant{}, WallTime{kWall}};

/// Bytes that decode encode to bytes that decode to the same.
template <auto decode>
void read_record(ByteView bytes) {
  const auto record = decode(bytes);
  if (!record) return;
  const Bytes once = encode(*record);
  const auto again = decode(once);
  if (once.size() > kMaxRecordSize) return;
  must(again.has_value());
  must(encode(*again) == once);
}

template <auto decode>
void read_json(ByteView bytes) {
  const auto doc = decode(as_text(bytes));
  if (!doc) return;
  const std::string once = to_json(*doc);
  const auto again = decode(once);
  must(again.has_value());
  must(to_json(*again) == once);
}

void read_spec(ByteView bytes) {
  const auto spec = parse_service_spec(as_text(bytes));
  const auto task = task_template_of(as_text(bytes));
  if (spec) must(task.has_value());
}

class Sink final : public SyncSink {
 public:
  Sink() : observed_(NodeId{{1}}, 1, 1, [](ByteView) { return Signature{}; }) {
    DocEffects out;
    for (const char* key : {"service/a", "service/b", "roster/c"})
      must(docs_.put(key, "{}", kNow, NodeId{{1}}, out).has_value());
    ObservedEffects said;
    must(observed_.publish("node/" + NodeId{{1}}.hex() + "/info", {1}, {}, said));
  }
  void take_documents(std::vector<Document> documents, DocSource source) override {
    DocEffects out;
    for (Document& document : documents) docs_.merge(std::move(document), kNow, out, source);
  }
  void take_observed(std::vector<Observed> records) override {
    ObservedEffects out;
    for (Observed& record : records) observed_.merge(std::move(record), out);
  }
  void drop_documents(std::vector<std::string> keys, Stamp horizon) override {
    DocEffects out;
    for (const std::string& key : keys) docs_.drop(key, horizon, kNow, out);
  }
  void raise_horizon(Stamp horizon) override {
    DocEffects out;
    docs_.raise_horizon(horizon, kNow, out);
  }
  DocStore docs_{DocStoreConfig{}};
  ObservedStore observed_;
};

/// Frames as they come, to either side of an exchange or to a fetch.
void read_frames(ByteView bytes) {
  fuzz::Input input(bytes.data(), bytes.size());
  Sink sink;
  const uint8_t side = input.byte() % 3;
  SyncSession session = side == 0   ? SyncSession::respond(sink.docs_, sink.observed_, sink)
                        : side == 1 ? SyncSession::initiate(sink.docs_, sink.observed_, sink)
                                    : SyncSession::fetch(sink.docs_, sink.observed_, sink,
                                                         {"service/x", "service/y"});
  size_t sent = 0;
  const auto drain = [&] {
    while (const auto frame = session.next_frame()) sent += frame->size();
  };
  drain();
  while (!input.empty()) {
    if (!session.receive(input.piece())) break;
    drain();
  }
  must(sent <= 1024 * 1024);
  must(sink.docs_.digests_hold() && sink.observed_.digests_hold());
  must(sink.docs_.conflicts().size() <= kMaxConflicts);
}

/// Several documents of few keys: merged in the order they come and in the opposite one, both
/// stores agree on what stands.
void merge(ByteView bytes) {
  fuzz::Input input(bytes.data(), bytes.size());
  std::vector<Document> documents;
  while (!input.empty() && documents.size() < 12) {
    Document document;
    document.key = std::string("service/") + static_cast<char>('a' + input.byte() % 2);
    document.version.author.key[0] = static_cast<uint8_t>(1 + input.byte() % 3);
    const uint8_t when = input.byte();
    document.version.stamp = Stamp::from_wall({kWall - 128 + when});
    const uint8_t flags = input.byte();
    document.deleted = flags % 4 == 0;
    if (!document.deleted) document.body = std::string(1, static_cast<char>('0' + flags % 10));
    if (flags >= 128 && !documents.empty()) {
      const Document& parent = documents[flags % documents.size()];
      if (parent.key == document.key && parent.version.stamp < document.version.stamp) {
        document.ancestors = {{parent.version.stamp, parent.version.content_hash}};
        for (const Ancestor& older : parent.ancestors)
          if (document.ancestors.size() < kMaxAncestors) document.ancestors.push_back(older);
      }
    }
    document.version.content_hash = content_hash_of(document);
    const auto travelled = decode_document(encode(document));
    must(travelled.has_value());
    documents.push_back(*travelled);
  }
  DocStore forth{DocStoreConfig{}};
  DocStore back{DocStoreConfig{}};
  DocEffects out;
  for (size_t i = 0; i < documents.size(); ++i) {
    forth.merge(documents[i], kNow, out);
    back.merge(documents[documents.size() - 1 - i], kNow, out);
  }
  must(forth.root() == back.root());
  must(forth.digests_hold());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr void (*kReaders[])(ByteView) = {read_record<decode_document>,
                                            read_record<decode_observed>,
                                            read_record<decode_node_info>,
                                            read_record<decode_task>,
                                            read_record<decode_refused>,
                                            read_record<decode_conflict>,
                                            read_json<service_from_json>,
                                            read_json<roster_from_json>,
                                            read_spec,
                                            read_frames,
                                            merge};
  kReaders[data[0] % std::size(kReaders)](ByteView(data, size).subspan(1));
  return 0;
}
