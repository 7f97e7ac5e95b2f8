#include "gossip/seal.h"

#include <doctest/doctest.h>

#include <set>

#include "gossip/replay_window.h"
#include "samples.h"

using namespace kith;

namespace {

constexpr uint64_t kCluster = 99;

DatagramSealer sealer(uint64_t self, uint64_t boot = 1000, uint8_t key = 1,
                      uint64_t cluster = kCluster) {
  return DatagramSealer(cluster, KeyRing(sample::key(key)), self, boot);
}

}  // namespace

TEST_CASE("seal: its receiver opens it and learns who, which boot and which sequence") {
  auto a = sealer(1, 1001);
  auto b = sealer(2);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{100}, kMaxPlain}) {
    const Bytes plain(size, 0x5a);
    const Bytes datagram = a.seal(plain, 2);
    CHECK(datagram.size() == size + kSealOverhead);
    const auto opened = b.open(datagram);
    REQUIRE(opened);
    CHECK(opened->plain == plain);
    CHECK(opened->sender == 1);
    CHECK(opened->boot == 1001);
    CHECK(opened->sequence == a.counters().sealed);
    CHECK_FALSE(opened->hello);
  }
  CHECK(b.counters().opened == 4);
}

TEST_CASE("seal: only the receiver opens it, a hello every member") {
  auto a = sealer(1);
  auto b = sealer(2);
  auto c = sealer(3);
  const Bytes to_b = a.seal(as_bytes("x"), 2);
  CHECK(b.open(to_b));
  CHECK(c.open(to_b).error().code == ErrorCode::kUnauthentic);
  const Bytes hello = a.seal(as_bytes("x"), 0);
  CHECK(b.open(hello)->hello);
  CHECK(c.open(hello)->hello);
}

TEST_CASE("seal: what was for one node cannot be turned into a hello, nor a hello aimed") {
  auto a = sealer(1);
  auto b = sealer(2);
  for (const uint64_t receiver : {uint64_t{2}, uint64_t{0}}) {
    Bytes datagram = a.seal(as_bytes("x"), receiver);
    datagram[5] ^= 1;  // the flag
    CHECK_FALSE(b.open(datagram));
  }
}

TEST_CASE("seal: another key or another cluster does not open it") {
  const Bytes datagram = sealer(1).seal(as_bytes("x"), 2);
  auto other_key = sealer(2, 1000, 7);
  CHECK(other_key.open(datagram).error().code == ErrorCode::kUnauthentic);
  CHECK(other_key.counters().unknown_key == 1);
  auto other_cluster = sealer(2, 1000, 1, kCluster + 1);
  CHECK(other_cluster.open(datagram).error().code == ErrorCode::kUnauthentic);
  CHECK(other_cluster.counters().unauthentic == 1);
}

TEST_CASE("seal: every key of the ring opens, the primary seals") {
  KeyRing ring(sample::key(1));
  REQUIRE(ring.add(sample::key(2)));
  auto old_key = sealer(1, 1000, 1);
  auto new_key = sealer(2, 1000, 2);
  DatagramSealer both(kCluster, ring, 3, 1000);
  CHECK(both.open(old_key.seal(as_bytes("x"), 3))->key_id == sample::key(1).id());
  CHECK(both.open(new_key.seal(as_bytes("x"), 3))->key_id == sample::key(2).id());
  CHECK(old_key.open(both.seal(as_bytes("x"), 1)));
  CHECK_FALSE(new_key.open(both.seal(as_bytes("x"), 2)));
  ring = KeyRing(sample::key(2));
  REQUIRE(ring.add(sample::key(1)));
  both.set_keys(ring);
  CHECK(new_key.open(both.seal(as_bytes("x"), 2)));
  CHECK(both.open(old_key.seal(as_bytes("x"), 3)));
  both.set_keys(KeyRing(sample::key(2)));
  CHECK_FALSE(both.open(old_key.seal(as_bytes("x"), 3)));
}

TEST_CASE("seal: one changed bit anywhere and it does not open") {
  auto a = sealer(1);
  auto b = sealer(2);
  const Bytes datagram = a.seal(as_bytes("some plain text"), 2);
  for (size_t bit = 0; bit < datagram.size() * 8; ++bit) {
    Bytes bad = datagram;
    bad[bit / 8] = static_cast<uint8_t>(bad[bit / 8] ^ (1 << bit % 8));
    CAPTURE(bit);
    // All flags but the first are free for later, and authenticated nevertheless.
    REQUIRE_FALSE(b.open(bad));
  }
  CHECK(b.counters().opened == 0);
  CHECK(b.open(datagram));
}

TEST_CASE("seal: truncated, extended or random bytes do not open") {
  Rng rng(8);
  auto a = sealer(1);
  auto b = sealer(2);
  const Bytes datagram = a.seal(as_bytes("some plain text"), 2);
  for (size_t size = 0; size < datagram.size(); ++size) {
    REQUIRE_FALSE(b.open(ByteView(datagram).first(size)));
  }
  Bytes longer = datagram;
  longer.push_back(0);
  CHECK_FALSE(b.open(longer));
  for (int i = 0; i < 5000; ++i) {
    Bytes bytes = sample::random_bytes(rng, rng.below(200));
    REQUIRE_FALSE(b.open(bytes));
    // With a right start it gets as far as the cipher.
    std::copy_n(datagram.begin(), std::min<size_t>(bytes.size(), 14), bytes.begin());
    REQUIRE_FALSE(b.open(bytes));
  }
  const SealCounters& n = b.counters();
  CHECK(n.malformed + n.unknown_key + n.unauthentic == datagram.size() + 1 + 10'000);
}

TEST_CASE("seal: no nonce comes twice, and equal texts look different") {
  auto a = sealer(1, 1001);
  auto a_restarted = sealer(1, 1002);
  std::set<Bytes> nonces;
  std::set<Bytes> texts;
  for (int i = 0; i < 500; ++i) {
    for (const Bytes& d : {a.seal(as_bytes("same"), 2), a_restarted.seal(as_bytes("same"), 2)}) {
      nonces.insert(Bytes(d.begin() + 14, d.begin() + 38));
      texts.insert(Bytes(d.begin() + 38, d.end()));
    }
  }
  CHECK(nonces.size() == 1000);
  CHECK(texts.size() == 1000);
}

TEST_CASE("seal: a newcomer is heard once it proves its boot, and its datagrams only once") {
  const Identity newcomer = sample::identity(1);
  const uint64_t from = newcomer.id().short_id();
  MemberRumor alive = sample::alive(newcomer.id());
  alive.boot = 1001;
  newcomer.sign(alive, kCluster);
  auto sender = sealer(from, alive.boot);
  auto receiver = sealer(2);
  ReplayGuard guard;
  VerifyCache cache;

  const Bytes ping = encode(Message{Ping{7}, 0, {}});
  const Bytes first = sender.seal(ping, 0);
  const Bytes second = sender.seal(encode(Message{Ping{8}, 0, {alive}}), 0);

  // Without an alive in it there is nothing to trust yet.
  auto opened = receiver.open(first).value();
  CHECK(guard.accept(opened.sender, opened.boot, opened.sequence) == ReplayVerdict::kUnknownBoot);

  opened = receiver.open(second).value();
  REQUIRE(guard.accept(opened.sender, opened.boot, opened.sequence) == ReplayVerdict::kUnknownBoot);
  const auto told = std::get<MemberRumor>(decode_message(opened.plain)->rumors.at(0));
  REQUIRE(told.subject.short_id() == opened.sender);
  REQUIRE(cache.check(told, kCluster));
  REQUIRE(guard.learn(opened.sender, told.epoch, told.boot));
  CHECK(guard.accept(opened.sender, opened.boot, opened.sequence) == ReplayVerdict::kFresh);

  // Both recorded and sent again: the second was handled, the first never was.
  CHECK(guard.accept(opened.sender, opened.boot, opened.sequence) == ReplayVerdict::kReplay);
  opened = receiver.open(first).value();
  CHECK(guard.accept(opened.sender, opened.boot, opened.sequence) == ReplayVerdict::kFresh);
  CHECK(guard.accept(opened.sender, opened.boot, opened.sequence) == ReplayVerdict::kReplay);
}

TEST_CASE("seal: a full message makes a datagram within the limit") {
  Rng rng(9);
  Disseminator d({}, Rng(1));
  for (int i = 0; i < 100; ++i) d.spread(sample::random_rumor(rng), Instant{});
  auto a = sealer(1);
  size_t largest = 0;
  for (int i = 0; i < 50; ++i) {
    Message message{Ping{rng.next()}, rng.next(), {}};
    d.piggyback(message, Instant{} + std::chrono::seconds(1));
    const size_t size = a.seal(encode(message), 2).size();
    REQUIRE(size <= kMaxDatagram);
    largest = std::max(largest, size);
  }
  CHECK(largest > kMaxDatagram - 200);
}
