// What others may make a store hold, and what bytes may make it do.

#include <doctest/doctest.h>

#include <array>

#include "base/rng.h"
#include "state/sync.h"
#include "state/wire.h"

using namespace kith;

namespace {

constexpr int64_t kStart = 1'790'000'000'000;
const Now kNow{Instant{}, WallTime{kStart}};

NodeId node(uint8_t n) {
  NodeId id;
  id.key[0] = n;
  return id;
}

Document document(std::string key, int64_t ms, std::string body = "{}") {
  Document out;
  out.key = std::move(key);
  out.version.stamp = Stamp::from_wall({kStart + ms});
  out.version.author = node(9);
  out.body = std::move(body);
  out.version.content_hash = content_hash_of(out);
  return out;
}

Observed observed(uint8_t of, const std::string& rest, uint64_t sequence, size_t size) {
  Observed out;
  out.node = node(of);
  out.key = "node/" + out.node.hex() + "/" + rest;
  out.epoch = 1;
  out.sequence = sequence;
  out.body = Bytes(size, 7);
  return out;
}

/// Something valid, of any shape, no deeper than `depth`.
void random_object(msgpack::packer<msgpack::sbuffer>& to, Rng& rng, int depth) {
  switch (rng.below(depth == 0 ? 8 : 10)) {
    case 0:
      to.pack(rng.next() >> rng.below(64));
      return;
    case 1:
      to.pack(-static_cast<int64_t>(rng.next() >> (1 + rng.below(63))));
      return;
    case 2:
      to.pack(std::string(rng.chance(1, 50) ? 66'000 : rng.below(400), 's'));
      return;
    case 3: {
      const std::string bytes(rng.below(400), 'b');
      to.pack_bin(static_cast<uint32_t>(bytes.size()));
      to.pack_bin_body(bytes.data(), static_cast<uint32_t>(bytes.size()));
      return;
    }
    case 4:
      to.pack(1.5);
      return;
    case 5:
      to.pack(2.5F);
      return;
    case 6:
      rng.chance(1, 2) ? to.pack(true) : to.pack_nil();
      return;
    case 7: {
      constexpr std::array<size_t, 8> kSizes = {1, 2, 4, 8, 16, 3, 300, 70'000};
      const std::string bytes(kSizes[rng.below(kSizes.size())], 'e');
      to.pack_ext(bytes.size(), static_cast<int8_t>(rng.next()));
      to.pack_ext_body(bytes.data(), static_cast<uint32_t>(bytes.size()));
      return;
    }
    case 8: {
      const auto count = static_cast<uint32_t>(rng.below(20));
      to.pack_array(count);
      for (uint32_t i = 0; i < count; ++i) random_object(to, rng, depth - 1);
      return;
    }
    default: {
      const auto count = static_cast<uint32_t>(rng.below(20));
      to.pack_map(count);
      for (uint32_t i = 0; i < 2 * count; ++i) random_object(to, rng, depth - 1);
    }
  }
}

bool msgpack_takes(ByteView bytes) {
  try {
    size_t end = 0;
    // More than there are bytes is never whole; without a limit msgpack asks for the memory first.
    const size_t most = bytes.size();
    const auto handle =
        msgpack::unpack(reinterpret_cast<const char*>(bytes.data()), bytes.size(), end, nullptr,
                        nullptr, msgpack::unpack_limit(most, most, most, most, most));
    return end == bytes.size();
  } catch (const msgpack::unpack_error&) {
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

struct Peer : SyncSink {
  explicit Peer(uint8_t n)
      : self(node(n)), observed(self, 1, 42, [](ByteView) { return Signature{}; }) {}
  void take_documents(std::vector<Document> documents, DocSource source) override {
    DocEffects out;
    for (Document& document : documents) docs.merge(std::move(document), now, out, source);
  }
  void take_observed(std::vector<Observed> records) override {
    ObservedEffects out;
    for (Observed& record : records) observed.merge(std::move(record), out);
  }
  void drop_documents(std::vector<std::string> keys, Stamp horizon) override {
    DocEffects out;
    for (const std::string& key : keys) docs.drop(key, horizon, now, out);
  }
  void raise_horizon(Stamp horizon) override {
    DocEffects out;
    docs.raise_horizon(horizon, now, out);
  }
  NodeId self;
  Now now = kNow;
  DocStore docs{DocStoreConfig{}};
  ObservedStore observed;
};

/// One exchange; what `a` sent.
size_t sync(Peer& a, Peer& b) {
  SyncSession left = SyncSession::initiate(a.docs, a.observed, a);
  SyncSession right = SyncSession::respond(b.docs, b.observed, b);
  for (bool moved = true; moved;) {
    moved = false;
    for (auto [from, to] : {std::pair(&left, &right), std::pair(&right, &left)}) {
      while (const auto frame = from->next_frame()) {
        REQUIRE(to->receive(*frame));
        moved = true;
      }
    }
  }
  CHECK(left.done());
  CHECK(right.done());
  return left.counters().bytes_sent;
}

}  // namespace

TEST_CASE("wire: what is well formed is what msgpack can read, and nothing is made for the rest") {
  size_t good = 0;
  size_t bad = 0;
  for (uint64_t seed = 1; seed <= 4'000; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    msgpack::sbuffer buffer;
    msgpack::packer<msgpack::sbuffer> packer(buffer);
    random_object(packer, rng, 3);
    Bytes bytes(buffer.data(), buffer.data() + buffer.size());
    REQUIRE(wire::well_formed(bytes));
    for (int change = 0; change < 4; ++change) {
      Bytes other = bytes;
      if (rng.chance(1, 3)) other.resize(rng.below(other.size() + 1));
      if (!other.empty()) other[rng.below(other.size())] = static_cast<uint8_t>(rng.next());
      if (rng.chance(1, 5)) other.push_back(static_cast<uint8_t>(rng.next()));
      const bool formed = wire::well_formed(other);
      REQUIRE(formed == msgpack_takes(other));
      ++(formed ? good : bad);
    }
  }
  CHECK(good > 1'000);
  CHECK(bad > 1'000);
  CHECK(wire::well_formed(Bytes(wire::kMaxDepth, 0x91)) == false);  // the innermost is missing
  Bytes deep(wire::kMaxDepth, 0x91);
  deep.push_back(1);
  CHECK(wire::well_formed(deep));
  deep.insert(deep.begin(), 0x91);
  CHECK_FALSE(wire::well_formed(deep));
  CHECK_FALSE(wire::well_formed(Bytes{0xdd, 0xff, 0xff, 0xff, 0xff}));
  CHECK_FALSE(wire::well_formed(Bytes{0xdf, 0x80, 0x00, 0x00, 0x00}));
  CHECK_FALSE(wire::well_formed(Bytes{}));
}

TEST_CASE("document: keys of other kinds are refused") {
  CHECK(decode_document(encode(document("service/a", 0))));
  CHECK(decode_document(encode(document("newer/kind", 0))));
  CHECK_FALSE(decode_document(encode(document("node/" + node(1).hex() + "/info", 0))));
  CHECK_FALSE(decode_document(encode(document(lost_key(1), 0))));
}

TEST_CASE("doc store: a horizon in the future drops nothing") {
  DocStore store{DocStoreConfig{}};
  DocEffects out;
  REQUIRE(store.merge(document("service/a", -1'000), kNow, out) == MergeOutcome::kApplied);
  for (const Stamp horizon : {Stamp{UINT64_MAX}, Stamp::from_wall({kStart + 60'000})}) {
    store.drop("service/a", horizon, kNow, out);
    CHECK(store.find("service/a") != nullptr);
  }
  store.drop("service/a", Stamp::from_wall({kStart - 500}), kNow, out);
  CHECK(store.find("service/a") == nullptr);
}

TEST_CASE("doc store: what was deleted is dropped by stamps seen, not by this host's clock") {
  DocStore store{DocStoreConfig{}};
  const Now at_1970{Instant{}, WallTime{0}};
  DocEffects out;
  REQUIRE(store.merge(document("service/a", -1'000), at_1970, out) == MergeOutcome::kApplied);
  REQUIRE(store.merge(document("service/b", 0), at_1970, out) == MergeOutcome::kApplied);
  store.drop("service/a", Stamp::from_wall({kStart + 60'000}), at_1970, out);
  CHECK(store.find("service/a") != nullptr);
  store.drop("service/a", Stamp::from_wall({kStart - 500}), at_1970, out);
  CHECK(store.find("service/a") == nullptr);
}

TEST_CASE("doc store: documents keep to a size in all") {
  DocStore store{DocStoreConfig{}};
  size_t applied = 0;
  for (int i = 0; i < 2'300; ++i) {
    DocEffects out;
    const auto outcome = store.merge(
        document("service/" + std::to_string(i), i - 5'000, std::string(60'000, 'x')), kNow, out);
    if (outcome == MergeOutcome::kApplied)
      ++applied;
    else
      REQUIRE(outcome == MergeOutcome::kFull);
  }
  CHECK(store.bytes() <= kMaxDocumentBytes);
  CHECK(applied > 2'200);
  CHECK(applied < 2'300);
  DocEffects out;
  CHECK(store.put("service/more", std::string(60'000, 'y'), kNow, node(1), out).error().code ==
        ErrorCode::kTooLarge);
  CHECK(store.has_room(document("service/more", 0, std::string(60'000, 'y'))).error().code ==
        ErrorCode::kTooLarge);
  CHECK(store.has_room(document("service/0", 0, std::string(60'000, 'y'))));
  CHECK(store.merge(document("service/0", -100, std::string(60'001, 'y')), kNow, out) ==
        MergeOutcome::kApplied);
  CHECK(store.remove("service/1", kNow, node(1), out));
  CHECK(store.put("service/more", std::string(59'000, 'y'), kNow, node(1), out));
  CHECK(store.digests_hold());
}

TEST_CASE("observed: what one node says, and all together, keep to a size") {
  ObservedStore store(node(1), 1, 42, [](ByteView) { return Signature{}; });
  uint64_t sequence = 0;
  for (uint8_t of = 2; of < 72; ++of) {
    ObservedEffects out;
    for (int i = 0; i < 80; ++i)
      store.merge(observed(of, "task/" + std::to_string(i), ++sequence, 60'000), out);
    size_t bytes = 0;
    for (const Observed* record : store.kept(node(of))) bytes += record->key.size() + 60'000;
    CHECK(bytes <= kMaxObservedBytesPerNode);
    if (of < 60) CHECK(bytes > kMaxObservedBytesPerNode - 120'000);
  }
  CHECK(store.bytes() <= kMaxObservedBytes);
  CHECK(store.bytes() > kMaxObservedBytes - 120'000);
  // What grows smaller is taken, and makes room.
  ObservedEffects out;
  CHECK_FALSE(store.merge(observed(2, "more", ++sequence, 60'000), out));
  CHECK(store.merge(observed(2, "task/0", ++sequence, 1), out));
  CHECK(store.merge(observed(2, "more", ++sequence, 50'000), out));
  const size_t before = store.bytes();
  store.drop_node(node(3), out);
  CHECK(store.bytes() < before - 4'000'000);
  store.set_inventory(node(4), 2, out);
  CHECK(store.bytes() < before - 8'000'000);
  CHECK(store.digests_hold());
}

TEST_CASE("sync: more than one exchange may carry takes several, and no horizon before the last") {
  Peer a(1);
  Peer b(2);
  DocEffects out;
  for (int i = 0; i < 800; ++i)
    REQUIRE(
        a.docs.merge(document("service/" + std::to_string(i), i - 5'000, std::string(60'000, 'x')),
                     kNow, out) == MergeOutcome::kApplied);
  // A delete that was forgotten since, so that a has a horizon: all above is from before it.
  REQUIRE(a.docs.merge(document("service/gone", 0), kNow, out) == MergeOutcome::kApplied);
  REQUIRE(a.docs.remove("service/gone", kNow, node(1), out));
  a.now.wall.ms = b.now.wall.ms = kStart + 40LL * 24 * 3600 * 1000;
  a.docs.purge(a.now, out);
  REQUIRE(a.docs.horizon() > Stamp::from_wall({kStart - 1}));
  int exchanges = 0;
  while (a.docs.root() != b.docs.root() && exchanges < 5) {
    CHECK(b.docs.horizon() == Stamp{});
    CHECK(sync(a, b) < kMaxSyncBytes + 2 * kMaxSyncFrame);
    ++exchanges;
  }
  CHECK(exchanges == 2);
  CHECK(b.docs.size() == 800);
  CHECK(b.docs.horizon() == a.docs.horizon());
  CHECK(b.docs.conflicts().empty());
}

TEST_CASE("sync: each key is answered once, however often it is asked for") {
  Peer a(1);
  DocEffects out;
  REQUIRE(a.docs.put("service/a", std::string(1'000, 'x'), kNow, node(1), out));
  SyncSession session = SyncSession::respond(a.docs, a.observed, a);
  msgpack::sbuffer buffer;
  msgpack::packer<msgpack::sbuffer> packer(buffer);
  packer.pack_array(5'001).pack(4);
  for (int i = 0; i < 2'500; ++i) packer.pack("service/a").pack("service/" + std::to_string(i));
  for (int i = 0; i < 10; ++i) REQUIRE(session.receive(as_bytes({buffer.data(), buffer.size()})));
  REQUIRE(session.receive(Bytes{0x91, 7}));
  size_t bytes = 0;
  while (const auto frame = session.next_frame()) bytes += frame->size();
  CHECK(bytes > 1'000);
  CHECK(bytes < 1'500);
  CHECK(session.counters().documents_sent == 1);
}
