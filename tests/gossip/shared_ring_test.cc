#include "gossip/shared_ring.h"

#include <doctest/doctest.h>

#include "gossip/crypto.h"
#include "samples.h"

using namespace kith;

namespace {

constexpr WallTime kNow{1'780'000'000'000};

uint64_t id(uint8_t n) {
  return sample::key(n).id();
}

SharedRing first() {
  return SharedRing(sample::key(1));
}

SharedRing joined(SharedRing a, const SharedRing& b) {
  (void)a.merge(b);
  return a;
}

KeyHolder holder(const SharedRing& ring, bool present = true) {
  KeyHolder out{ring.primary_id(), {}, present};
  for (const auto& [key_id, key] : ring.live()) out.keys.push_back(key_id);
  return out;
}

/// Every edit there is, each possible or refused.
void edit(SharedRing& ring, Rng& rng) {
  const WallTime now{kNow.ms + static_cast<int64_t>(rng.below(1000))};
  const auto n = static_cast<uint8_t>(1 + rng.below(24));
  switch (rng.below(6)) {
    case 0:
      (void)ring.add(sample::key(n), now);
      break;
    case 1:
      (void)ring.use(id(n), now, {sample::node(n), sample::node(n / 2)});
      break;
    case 2:
      (void)ring.remove(id(n));
      break;
    case 3:
      (void)ring.rotate(sample::key(n), now);
      break;
    case 4:
      (void)ring.ban(sample::node(n), sample::key(n), now);
      break;
    default:
      ring.settle({{sample::node(0), holder(ring)}, {sample::node(n), holder(ring)}});
  }
}

}  // namespace

TEST_CASE("shared ring: a key is added, used, and the old one removed") {
  SharedRing ring = first();
  CHECK(ring.untouched());
  CHECK(ring.add(sample::key(2), kNow));
  CHECK(ring.add(sample::key(2), kNow).error().code == ErrorCode::kConflict);
  CHECK_FALSE(ring.untouched());
  CHECK(ring.primary() == sample::key(1));
  CHECK(ring.standing(id(2)) == KeyStanding::kNewer);
  CHECK(ring.standing(id(3)) == KeyStanding::kUnknown);

  CHECK(ring.use(id(3), kNow).error().code == ErrorCode::kNotFound);
  CHECK(ring.use(id(2), kNow));
  CHECK(ring.primary() == sample::key(2));
  CHECK(ring.standing(id(1)) == KeyStanding::kOlder);
  CHECK(ring.keys().find(id(1)) != nullptr);

  CHECK(ring.remove(id(2)).error().code == ErrorCode::kConflict);
  CHECK(ring.remove(id(3)).error().code == ErrorCode::kNotFound);
  CHECK(ring.remove(id(1)));
  CHECK(ring.gone(id(1)));
  CHECK(ring.keys().find(id(1)) == nullptr);
  const Bytes bytes = ring.encode();
  const auto& secret = sample::key(1).secret;
  CHECK(std::search(bytes.begin(), bytes.end(), secret.begin(), secret.end()) == bytes.end());

  CHECK(ring.add(sample::key(1), kNow));  // given again, it counts again
  CHECK(ring.standing(id(1)) == KeyStanding::kNewer);
}

TEST_CASE("shared ring: what was removed does not come back with who was away") {
  SharedRing away = first();
  SharedRing ring = first();
  REQUIRE(ring.add(sample::key(2), kNow));
  REQUIRE(ring.use(id(2), kNow));
  REQUIRE(ring.remove(id(1)));
  CHECK_FALSE(ring.merge(away));
  CHECK(ring.gone(id(1)));
  CHECK(away.merge(ring));
  CHECK(away == ring);
}

TEST_CASE("shared ring: two keys at most wait for one another's removal, and one stays") {
  SharedRing a = first();
  REQUIRE(a.add(sample::key(2), kNow));
  SharedRing b = a;
  REQUIRE(a.use(id(2), kNow));
  REQUIRE(a.remove(id(1)));  // this side holds on to 2 alone
  REQUIRE(b.use(id(2), kNow));
  REQUIRE(b.use(id(1), {kNow.ms + 5}));
  REQUIRE(b.remove(id(2)));  // and that side to 1
  const SharedRing both = joined(a, b);
  CHECK(both == joined(b, a));
  CHECK(both.primary() == sample::key(1));  // the later word
  CHECK(both.live().size() == 1);
}

TEST_CASE("shared ring: rotations on two sides come to one primary, with both keys") {
  SharedRing a = first();
  SharedRing b = first();
  REQUIRE(a.rotate(sample::key(2), kNow));
  REQUIRE(b.rotate(sample::key(3), {kNow.ms + 1}));
  CHECK(a.primary() == sample::key(1));  // nobody has said that it has the new one
  const NodeId there = sample::node(1);
  const NodeId here = sample::node(2);
  CHECK(a.settle({{here, holder(a)}, {there, holder(first(), false)}}));
  CHECK(b.settle({{there, holder(b)}, {here, holder(first(), false)}}));
  CHECK(a.primary() == sample::key(2));
  CHECK(b.primary() == sample::key(3));
  CHECK(a.standing(id(1)) == KeyStanding::kOlder);  // the other side has no other
  SharedRing both = joined(a, b);
  CHECK(both == joined(b, a));
  CHECK(both.primary() == sample::key(3));
  CHECK(both.retiring(id(2)));
  CHECK(both.live().size() == 3);
  CHECK(both.settle({{here, holder(both)}, {there, holder(both)}}));
  CHECK(both.live().size() == 1);
}

TEST_CASE("shared ring: a rotation waits for who is present, its end for all") {
  SharedRing ring = first();
  REQUIRE(ring.rotate(sample::key(2), kNow));
  const NodeId self = sample::node(1);
  const NodeId peer = sample::node(2);
  std::map<NodeId, KeyHolder> holders = {{self, holder(ring)}, {peer, holder(first())}};
  CHECK(ring.settle(holders));        // notes who is in the roster
  CHECK_FALSE(ring.settle(holders));  // the peer is here and lacks it
  CHECK(ring.primary() == sample::key(1));
  holders[peer].present = false;
  CHECK(ring.settle(holders));
  CHECK(ring.primary() == sample::key(2));
  holders[self] = holder(ring);
  CHECK_FALSE(ring.settle(holders));  // the old one stays for the absent
  CHECK(ring.retiring(id(1)));
  holders[peer] = holder(ring, false);
  CHECK(ring.settle(holders));
  CHECK(ring.gone(id(1)));

  SharedRing kept = first();
  REQUIRE(kept.rotate(sample::key(2), kNow));
  REQUIRE(kept.settle({{self, holder(kept)}}));
  REQUIRE(kept.use(id(1), kNow));  // somebody wants the old one back
  CHECK_FALSE(kept.settle({{self, holder(kept)}}));
  CHECK(kept.primary() == sample::key(1));
}

TEST_CASE("shared ring: a ban is a rotation, and stays") {
  SharedRing ring = first();
  REQUIRE(ring.ban(sample::node(7), sample::key(2), kNow));
  CHECK(ring.banned(sample::node(7)));
  CHECK(ring.settle({{sample::node(1), holder(ring)}}));
  CHECK(ring.primary() == sample::key(2));
  SharedRing other = first();
  CHECK(other.digest() != ring.digest());
  CHECK(other.merge(ring));
  CHECK(other.banned(sample::node(7)));
  CHECK(other.digest() == ring.digest());
}

TEST_CASE("shared ring: a rotation that did not know of a ban is followed by one that does") {
  const NodeId self = sample::node(1);
  SharedRing a = first();
  SharedRing b = first();
  REQUIRE(a.ban(sample::node(7), sample::key(2), kNow));
  REQUIRE(a.settle({{self, holder(a)}}));
  REQUIRE(b.rotate(sample::key(3), {kNow.ms + 1000}));  // the banned one has this too
  REQUIRE(b.settle({{self, holder(b)}}));
  SharedRing both = joined(a, b);
  CHECK(both.primary() == sample::key(3));
  CHECK(both.rotating());  // nobody new is let in
  // All make the same one, whatever their clocks, and it needs what the banned one has not.
  SharedRing other = joined(b, a);
  const std::map<NodeId, KeyHolder> here = {{self, holder(both)},
                                            {sample::node(2), holder(both)}};  // none has it yet
  CHECK(both.settle(here));
  CHECK(other.settle(here));
  CHECK(both == other);
  CHECK(both.primary() == sample::key(3));
  CHECK_FALSE(both.settle(here));  // once
  SharedRing done = both;
  REQUIRE(done.settle({{self, holder(done)}, {sample::node(2), holder(done)}}));
  const ClusterKey key = done.primary();
  for (uint8_t n = 1; n <= 3; ++n) CHECK_FALSE(key == sample::key(n));
  CHECK_FALSE(done.rotating());
  REQUIRE(done.settle({{self, holder(done)}, {sample::node(2), holder(done)}}));
  CHECK(done.live().size() == 1);
  CHECK(joined(done, joined(a, b)) == done);
}

TEST_CASE("shared ring: of two bans on two sides, neither's key stays") {
  const NodeId self = sample::node(1);
  SharedRing a = first();
  SharedRing b = first();
  REQUIRE(a.ban(sample::node(7), sample::key(2), kNow));
  REQUIRE(a.settle({{self, holder(a)}}));
  REQUIRE(b.ban(sample::node(8), sample::key(3), {kNow.ms + 1}));
  REQUIRE(b.settle({{self, holder(b)}}));
  SharedRing both = joined(a, b);
  for (int i = 0; i < 3; ++i) (void)both.settle({{self, holder(both)}});
  CHECK_FALSE(both.rotating());
  CHECK(both.live().size() == 1);
  CHECK_FALSE(both.primary() == sample::key(2));
  CHECK_FALSE(both.primary() == sample::key(3));
}

TEST_CASE("shared ring: a key that was given again is as known as it was") {
  SharedRing ring = first();
  REQUIRE(ring.ban(sample::node(7), sample::key(2), kNow));
  REQUIRE(ring.settle({{sample::node(1), holder(ring)}}));
  REQUIRE(ring.settle({{sample::node(1), holder(ring)}}));
  REQUIRE(ring.gone(id(1)));
  REQUIRE(ring.add(sample::key(1), kNow));
  REQUIRE(ring.use(id(1), kNow));
  CHECK(ring.rotating());
  for (int i = 0; i < 3; ++i) (void)ring.settle({{sample::node(1), holder(ring)}});
  CHECK_FALSE(ring.primary() == sample::key(1));
  CHECK_FALSE(ring.rotating());
}

TEST_CASE("shared ring: with a key from before the primary nobody gets into the roster any more") {
  const NodeId self = sample::node(1);
  const NodeId away = sample::node(2);
  const NodeId stranger = sample::node(3);
  const NodeId fresh = sample::node(4);
  SharedRing old = first();
  CHECK(old.admitted(stranger, {}));  // nothing was rotated ever
  const Admission shown = old.admission(stranger);
  SharedRing ring = first();
  REQUIRE(ring.rotate(sample::key(2), kNow));
  REQUIRE(ring.settle({{self, holder(ring)}, {away, holder(old, false)}}));
  CHECK(ring.primary() == sample::key(2));
  CHECK(ring.admitted(self, {}));
  CHECK(ring.admitted(away, {}));  // it was there when that became the primary
  CHECK_FALSE(ring.admitted(stranger, {}));
  CHECK_FALSE(ring.admitted(stranger, shown));
  CHECK_FALSE(ring.admitted(stranger, ring.admission(fresh)));  // another's
  CHECK(ring.admitted(fresh, ring.admission(fresh)));
  CHECK(joined(old, ring).admitted(away, {}));
  CHECK_FALSE(joined(old, ring).admitted(stranger, shown));

  // A rotation elsewhere that did not know of this one does not turn out who came in meanwhile.
  SharedRing apart = first();
  REQUIRE(apart.rotate(sample::key(3), {kNow.ms + 1000}));
  REQUIRE(apart.settle({{self, holder(apart)}, {away, holder(apart)}}));
  const SharedRing both = joined(ring, apart);
  CHECK(both.primary() == sample::key(3));
  CHECK(both.admitted(fresh, ring.admission(fresh)));
  CHECK_FALSE(both.admitted(stranger, shown));
  // One that did know of it does.
  SharedRing third = both;
  REQUIRE(third.rotate(sample::key(4), kNow));
  REQUIRE(third.settle({{self, holder(third)}}));
  CHECK_FALSE(third.admitted(fresh, ring.admission(fresh)));
  // By hand: as the list says.
  SharedRing by_hand = first();
  REQUIRE(by_hand.add(sample::key(5), kNow));
  REQUIRE(by_hand.use(id(5), kNow, {self}));
  CHECK(by_hand.admitted(self, {}));
  CHECK_FALSE(by_hand.admitted(away, {}));
}

TEST_CASE("shared ring: another configuration's key is taken by who is new alone") {
  SharedRing ring = first();
  SharedRing mistaken(sample::key(9));
  CHECK_FALSE(ring.merge(mistaken));
  REQUIRE(ring.add(sample::key(2), kNow));
  REQUIRE(ring.use(id(2), kNow));
  CHECK_FALSE(ring.merge(mistaken));
  SharedRing fresh(sample::key(2));  // a new host with the key of today
  CHECK(fresh.merge(ring));
  CHECK(fresh == ring);
}

TEST_CASE("shared ring: joins are commutative, associative, idempotent, and never without a key") {
  Rng rng(5);
  size_t limited = 0;
  for (int round = 0; round < 2'000; ++round) {
    std::vector<SharedRing> views(3, first());
    const int steps = round % 4 == 0 ? 60 : 12;  // with enough keys to reach the limit
    for (int step = 0; step < steps; ++step) {
      edit(views[rng.below(3)], rng);
      if (rng.chance(1, 4)) (void)views[rng.below(3)].merge(views[rng.below(3)]);
    }
    const auto& [a, b, c] = std::tie(views[0], views[1], views[2]);
    const SharedRing all = joined(joined(a, b), c);
    REQUIRE(all == joined(a, joined(c, b)));
    REQUIRE(all == joined(joined(c, a), b));
    REQUIRE(joined(all, a) == all);
    REQUIRE(all.live().size() <= SharedRing::kMaxLive);
    limited += all.live().size() == SharedRing::kMaxLive ? 1 : 0;
    REQUIRE(all.keys().primary().id() == all.primary_id());
    REQUIRE(all.standing(all.primary_id()) == KeyStanding::kPrimary);
    // What all seal with then, somebody sealed with before.
    REQUIRE((all.primary_id() == a.primary_id() || all.primary_id() == b.primary_id() ||
             all.primary_id() == c.primary_id()));
    const auto back = SharedRing::decode(all.encode());
    REQUIRE(back);
    REQUIRE(*back == all);
    REQUIRE(back->digest() == all.digest());
  }
  CHECK(limited > 100);
}

TEST_CASE("shared ring: bytes that are no ring are refused") {
  SharedRing ring = first();
  REQUIRE(ring.ban(sample::node(7), sample::key(2), kNow));
  REQUIRE(ring.use(id(2), kNow));
  REQUIRE(ring.remove(id(1)));
  const Bytes good = ring.encode();
  for (size_t size = 0; size < good.size(); ++size)
    REQUIRE_FALSE(SharedRing::decode(ByteView(good).first(size)));
  Bytes longer = good;
  longer.push_back(0);
  CHECK_FALSE(SharedRing::decode(longer));
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes changed = good;
    changed[i] ^= 0x80;
    (void)SharedRing::decode(changed);  // an id or a secret alone is refused; nothing crashes
  }
  Bytes renamed = good;
  constexpr size_t kFirst = 1 + 8 + 32 + 8;  // after the format, one ban, and how many keys
  renamed[kFirst] ^= 1;
  CHECK_FALSE(SharedRing::decode(renamed));
  Bytes late = good;
  late[kFirst + 8] = 0xff;
  CHECK_FALSE(SharedRing::decode(late));
}

TEST_CASE("shared ring: its limits are refusals") {
  SharedRing ring = first();
  for (uint8_t n = 2; n <= KeyRing::kMaxKeys; ++n) REQUIRE(ring.add(sample::key(n), kNow));
  const SharedRing full = ring;
  CHECK(ring.add(sample::key(200), kNow).error().code == ErrorCode::kTooLarge);
  CHECK(ring.rotate(sample::key(200), kNow).error().code == ErrorCode::kTooLarge);
  CHECK(ring == full);

  SharedRing often = first();
  for (uint8_t n = 2; n < 150; ++n) {
    REQUIRE(often.add(sample::key(n), kNow));
    REQUIRE(often.use(id(n), kNow));
    REQUIRE(often.remove(id(static_cast<uint8_t>(n - 1))));
  }
  CHECK(often.live().size() == 1);
  CHECK(SharedRing::decode(often.encode()));
}

TEST_CASE("shared ring: a ban is possible in a full ring too: the oldest key makes room") {
  SharedRing ring = first();
  for (uint8_t n = 2; n <= KeyRing::kMaxKeys; ++n) REQUIRE(ring.add(sample::key(n), kNow));
  REQUIRE(ring.use(id(4), kNow));
  REQUIRE(ring.ban(sample::node(1), sample::key(200), kNow));
  CHECK(ring.banned(sample::node(1)));
  CHECK(ring.rotating());
  CHECK(ring.live().size() == SharedRing::kMaxLive);
  CHECK(ring.gone(id(1)));  // the configuration's: the oldest
  CHECK(ring.primary() == sample::key(4));
  const SharedRing once = ring;
  CHECK(ring.ban(sample::node(2), sample::key(200), kNow).error().code == ErrorCode::kConflict);
  CHECK(ring == once);  // a refusal changes nothing
  REQUIRE(ring.ban(sample::node(2), sample::key(201), kNow));
  CHECK(ring.settle({{sample::node(3), holder(ring)}}));
  CHECK(ring.primary() == sample::key(201));
}

TEST_CASE(
    "shared ring: of what two sides add, the oldest beyond the limit is gone, on both alike") {
  SharedRing a = first();
  SharedRing b = first();
  for (uint8_t n = 2; n <= KeyRing::kMaxKeys; ++n) {
    REQUIRE(a.add(sample::key(n), {kNow.ms + 2 * n}));
    REQUIRE(b.add(sample::key(static_cast<uint8_t>(100 + n)), {kNow.ms + 2 * n + 1}));
  }
  const SharedRing both = joined(a, b);
  CHECK(both == joined(b, a));
  CHECK(both.live().size() == SharedRing::kMaxLive);
  CHECK(both.primary() == sample::key(1));  // whatever its age
  CHECK(both.keys().others().size() == SharedRing::kMaxLive - 1);
  CHECK(both.gone(id(2)));
  CHECK(both.standing(id(2)) == KeyStanding::kUnknown);
  CHECK(both.standing(id(108)) == KeyStanding::kNewer);
  SharedRing kept = both;
  CHECK_FALSE(kept.merge(a));
  const auto back = SharedRing::decode(both.encode());
  REQUIRE(back);
  CHECK(*back == both);
}

TEST_CASE("shared ring: a key from the end of time is not taken, and jams nothing") {
  // As a member makes it whose clock is beyond all bounds, or who means harm.
  SharedRing late = first();
  REQUIRE(late.add(sample::key(2), kNow));
  REQUIRE(late.use(id(2), kNow));
  Bytes bytes = late.encode();
  constexpr Stamp kEnd{(4'102'444'800'000 - 1'577'836'800'000ULL) << 16};
  const auto name = u64_bytes(id(2));
  const auto at = std::search(bytes.begin(), bytes.end(), name.begin(), name.end());
  put_u64(&*at + 16, kEnd.value);
  const auto jammed = SharedRing::decode(bytes);
  REQUIRE(jammed);
  SharedRing ring = first();
  REQUIRE(ring.ban(sample::node(7), sample::key(3), kNow));
  REQUIRE(ring.settle({{sample::node(1), holder(ring)}}));
  const SharedRing before = ring;
  CHECK_FALSE(ring.merge(*jammed, SharedRing::limit(kNow)));
  CHECK(ring == before);
  REQUIRE(ring.rotate(sample::key(4), kNow));
  REQUIRE(ring.settle({{sample::node(1), holder(ring)}}));
  CHECK(ring.primary() == sample::key(4));
  // Who has it cannot make what nobody could read.
  SharedRing stuck = *jammed;
  CHECK(stuck.rotate(sample::key(5), kNow).error().code == ErrorCode::kInvalid);
  CHECK(stuck.ban(sample::node(7), sample::key(5), kNow).error().code == ErrorCode::kInvalid);
  CHECK(stuck.use(id(1), kNow).error().code == ErrorCode::kInvalid);
  CHECK(stuck == *jammed);
}

TEST_CASE("shared ring: whatever clock an edit came from, a later one wins and can be read") {
  for (const int64_t wall : {int64_t{0}, kNow.ms, kNow.ms * 2, int64_t{1} << 62}) {
    SharedRing ring = first();
    REQUIRE(ring.rotate(sample::key(2), {wall}));
    REQUIRE(ring.settle({{sample::node(1), holder(ring)}}));
    for (uint8_t n = 3; n < 8; ++n) {
      REQUIRE(ring.rotate(sample::key(n), kNow));
      REQUIRE(ring.settle({{sample::node(1), holder(ring)}}));
      CHECK(ring.primary() == sample::key(n));
      CHECK(SharedRing::decode(ring.encode()));
    }
    // Also by a host whose clock was reset.
    SharedRing taken = first();
    CHECK(taken.merge(ring, SharedRing::limit({std::max(wall, int64_t{0})})));
    CHECK(taken.primary() == ring.primary());
  }
}

TEST_CASE("key id: reads what it writes") {
  CHECK(parse_key_id(key_id_text(0x0123456789abcdef)) == 0x0123456789abcdef);
  CHECK(key_id_text(1) == "0000000000000001");
  CHECK_FALSE(parse_key_id("1"));
  CHECK_FALSE(parse_key_id("xxxxxxxxxxxxxxxx"));
}
