#include "state/observed_store.h"

#include <doctest/doctest.h>

#include "base/hash.h"
#include "base/rng.h"

using namespace kith;

namespace {

NodeId node(uint8_t n) {
  NodeId id;
  id.key[0] = n;
  return id;
}
Signature sign(ByteView bytes) {
  Signature signature{};
  const uint64_t hash = stable_hash(bytes);
  for (size_t i = 0; i < 8; ++i) signature[i] = static_cast<uint8_t>(hash >> (8 * i));
  return signature;
}
ObservedStore make(uint8_t self, Epoch epoch = 1) {
  return ObservedStore(node(self), epoch, 42, sign);
}
std::string key(uint8_t of, std::string_view rest) {
  return "node/" + node(of).hex() + "/" + std::string(rest);
}
Bytes body(std::string_view text) {
  return Bytes(as_bytes(text).begin(), as_bytes(text).end());
}
Instant after(int seconds) {
  return Instant{} + std::chrono::seconds(seconds);
}

std::vector<Observed> decoded(const ObservedEffects& effects) {
  std::vector<Observed> records;
  for (const ObservedNews& news : effects.news) {
    Result<Observed> record = decode_observed(news.envelope);
    REQUIRE(record);
    CHECK(observed_digest(*record) == news.version);
    records.push_back(std::move(*record));
  }
  return records;
}
std::map<std::string, uint64_t> kept(const ObservedStore& store, uint8_t of) {
  std::map<std::string, uint64_t> found;
  for (const Observed* record : store.kept(node(of))) found[record->key] = observed_digest(*record);
  return found;
}

}  // namespace

TEST_CASE("observed: an equal body is said once, another one anew") {
  ObservedStore store = make(1);
  ObservedEffects out;
  CHECK(store.publish(key(1, "info"), body("a"), after(0), out));
  CHECK_FALSE(store.publish(key(1, "info"), body("a"), after(0), out));
  CHECK(store.publish(key(1, "info"), body("b"), after(0), out));
  CHECK_FALSE(store.publish(key(2, "info"), body("b"), after(0), out));
  CHECK(store.retract(key(1, "info"), after(0), out));
  CHECK_FALSE(store.retract(key(1, "info"), after(0), out));
  CHECK(store.find(node(1), key(1, "info")) == nullptr);
  CHECK(out.news.size() == 3);
  for (const Observed& record : decoded(out))
    CHECK(record.signature == sign(record.signed_bytes(42)));
  CHECK(store.digests_hold());
}

TEST_CASE("observed: the signature covers every field and the cluster") {
  ObservedStore store = make(1);
  ObservedEffects out;
  store.publish(key(1, "info"), body("a"), after(0), out);
  const Observed record = decoded(out)[0];
  const Bytes bytes = record.signed_bytes(42);
  CHECK(bytes != record.signed_bytes(43));
  Observed other = record;
  ++other.epoch;
  CHECK(bytes != other.signed_bytes(42));
  other = record;
  ++other.floor;
  CHECK(bytes != other.signed_bytes(42));
  other = record;
  other.deleted = true;
  CHECK(bytes != other.signed_bytes(42));
}

TEST_CASE(
    "observed: any order, loss and repetition of arrival ends in what the node itself holds") {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    std::vector<Observed> said;
    ObservedStore last = make(1);
    // Two starts of the same node.
    for (Epoch epoch = 1; epoch <= 2; ++epoch) {
      last = make(1, epoch);
      ObservedEffects out;
      int seconds = 0;
      last.publish(key(1, "info"), body(std::to_string(epoch)), after(0), out);
      last.set_inventory(node(1), epoch, out);
      for (int i = 0; i < 300; ++i) {
        const std::string name = key(1, "task/" + std::to_string(rng.below(120)));
        if (rng.chance(1, 2))
          last.publish(name, body(std::to_string(rng.next())), after(seconds), out);
        else
          last.retract(name, after(seconds), out);
        seconds += static_cast<int>(rng.below(20));
        if (rng.chance(1, 20)) last.advance(after(seconds), out);
      }
      last.advance(after(seconds), out);
      for (Observed& record : decoded(out)) said.push_back(std::move(record));
    }
    REQUIRE(last.digests_hold());
    const auto wanted = kept(last, 1);
    for (int peer = 0; peer < 3; ++peer) {
      ObservedStore other = make(2);
      ObservedEffects out;
      rng.shuffle(std::span(said));
      for (const Observed& record : said) {
        if (rng.chance(1, 3)) continue;  // a lost rumor
        other.merge(record, out);
        if (rng.chance(1, 4)) other.merge(said[rng.below(said.size())], out);
      }
      other.set_inventory(node(1), 2, out);
      // A sync: what the node itself holds, in any order.
      std::vector<const Observed*> repair = last.kept(node(1));
      rng.shuffle(std::span(repair));
      for (const Observed* record : repair) other.merge(*record, out);
      REQUIRE(other.digests_hold());
      REQUIRE(kept(other, 1) == wanted);
      REQUIRE(other.vectors()[0].digest == last.vectors()[0].digest);
    }
  }
}

TEST_CASE("observed: tombstones are bounded by count and age") {
  ObservedStore store = make(1);
  ObservedEffects out;
  store.publish(key(1, "info"), body("a"), after(0), out);
  for (int i = 0; i < 500; ++i) {
    store.publish(key(1, "task/" + std::to_string(i)), body("x"), after(0), out);
    store.retract(key(1, "task/" + std::to_string(i)), after(0), out);
  }
  store.advance(after(0), out);
  CHECK(store.kept(node(1)).size() == 501);  // no floor before the inventory
  store.set_inventory(node(1), 1, out);
  store.advance(after(1), out);
  CHECK(store.kept(node(1)).size() == 1 + kMaxObservedTombstones);
  store.advance(after(3600), out);
  CHECK(store.kept(node(1)).size() == 1);
  const size_t said = out.news.size();
  store.advance(after(7200), out);
  CHECK(out.news.size() == said);
  CHECK(store.find(node(1), key(1, "info")) != nullptr);
}

TEST_CASE("observed: a new epoch replaces the earlier one only once its inventory is published") {
  ObservedStore before = make(1, 1);
  ObservedEffects old_said;
  before.publish(key(1, "task/a"), body("a"), after(0), old_said);
  before.publish(key(1, "task/b"), body("b"), after(0), old_said);
  ObservedStore peer = make(2);
  ObservedEffects out;
  for (const Observed& record : decoded(old_said)) peer.merge(record, out);
  ObservedStore now = make(1, 2);
  ObservedEffects new_said;
  now.publish(key(1, "task/a"), body("a"), after(0), new_said);
  for (const Observed& record : decoded(new_said)) CHECK(peer.merge(record, out));
  CHECK(peer.find(node(1), key(1, "task/a"))->epoch == 2);
  CHECK(peer.find(node(1), key(1, "task/b"))->epoch == 1);
  peer.set_inventory(node(1), 2, out);
  CHECK(peer.find(node(1), key(1, "task/b")) == nullptr);
  for (const Observed& record : decoded(old_said)) CHECK_FALSE(peer.merge(record, out));
  CHECK(peer.find(node(1), key(1, "task/b")) == nullptr);
  peer.drop_node(node(1), out);
  CHECK(peer.all().empty());
}

TEST_CASE("observed: nobody says a thing of this node's present epoch but itself") {
  ObservedStore impostor = make(1, 1);
  ObservedEffects said;
  impostor.publish(key(1, "info"), body("x"), after(0), said);
  ObservedStore store = make(1, 1);
  ObservedEffects out;
  CHECK_FALSE(store.merge(decoded(said)[0], out));
  CHECK(store.all().empty());
}

TEST_CASE("observed: records of one node are bounded") {
  ObservedStore source = make(1);
  ObservedEffects out;
  for (size_t i = 0; i < kMaxObservedPerNode; ++i)
    REQUIRE(source.publish(key(1, "task/" + std::to_string(i)), body("x"), after(0), out));
  CHECK_FALSE(source.publish(key(1, "task/more"), body("x"), after(0), out));
}

TEST_CASE("observed: no bytes crash the decoder, and a key must be its node's") {
  ObservedStore store = make(1);
  ObservedEffects out;
  store.publish(key(1, "info"), body("some body"), after(0), out);
  Observed foreign = decoded(out)[0];
  foreign.key = key(2, "info");
  CHECK_FALSE(decode_observed(encode(foreign)));
  Rng rng(1);
  for (int i = 0; i < 20'000; ++i) {
    Bytes bad = out.news[0].envelope;
    bad[rng.below(bad.size())] = static_cast<uint8_t>(rng.next());
    if (rng.chance(1, 2)) bad.resize(rng.below(bad.size()));
    (void)decode_observed(bad);
  }
}
