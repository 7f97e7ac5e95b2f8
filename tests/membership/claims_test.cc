#include <doctest/doctest.h>

#include <set>

#include "membership/net.h"

using namespace kith;
using namespace kith::test;

namespace {

constexpr Instant kStart = Instant{} + 1h;
constexpr Epoch kEpoch = 3;

MemberRumor alive(size_t i, Incarnation incarnation = first_incarnation(kEpoch),
                  uint64_t boot = 7) {
  MemberRumor r;
  r.subject = node_id(i);
  r.incarnation = incarnation;
  r.epoch = incarnation >> 32;
  r.boot = boot;
  r.name = "m" + std::to_string(i);
  r.address = {"10.0.0." + std::to_string(i), 7117};
  return r;
}

MemberRumor says(Claim claim, size_t accuser, size_t subject,
                 Incarnation incarnation = first_incarnation(kEpoch)) {
  MemberRumor r;
  r.claim = claim;
  r.subject = node_id(subject);
  r.incarnation = incarnation;
  if (claim != Claim::kLeft) r.accuser = node_id(accuser);
  return r;
}

/// Node 0 that knows nodes 1..n-1.
struct One {
  explicit One(size_t n, uint64_t seed = 1, const SwimConfig& config = SwimConfig::lan())
      : swim({node_id(0), "m0", {"10.0.0.0", 7117}, kEpoch, 5}, config, Rng(seed), kStart) {
    for (size_t i = 1; i < n; ++i) hear(alive(i), i);
    out = {};
  }
  SwimEffects& hear(const MemberRumor& r, size_t from) {
    out = {};
    swim.hear(r, node_id(from), now, out);
    return out;
  }
  SwimEffects& receive(size_t from, const Body& body) {
    out = {};
    swim.receive(node_id(from), {"10.0.0." + std::to_string(from), 7117}, body, now, out);
    return out;
  }
  [[nodiscard]] MemberState state(size_t i) const { return swim.find(node_id(i))->state; }
  [[nodiscard]] bool said(MemberEventKind kind) const {
    for (const auto& event : out.events) {
      if (event.kind == kind) return true;
    }
    return false;
  }
  [[nodiscard]] const SwimSend* sent(size_t to) const {
    for (const auto& send : out.sends) {
      if (send.to == node_id(to)) return &send;
    }
    return nullptr;
  }

  Swim swim;
  SwimEffects out;
  Instant now = kStart;
};

}  // namespace

TEST_CASE("swim: a ping is answered by its nonce, also that of a stranger, who learns who I am") {
  One one(3);
  const auto& known = one.receive(1, Ping{42});
  REQUIRE(known.sends.size() == 1);
  CHECK(std::get<Ack>(known.sends[0].body).nonce == 42);
  CHECK(known.sends[0].rumors.empty());
  const auto& stranger = one.receive(9, Ping{43});
  REQUIRE(stranger.sends.size() == 1);
  CHECK(stranger.sends[0].address.host == "10.0.0.9");
  REQUIRE(stranger.sends[0].rumors.size() == 1);
  CHECK(stranger.sends[0].rumors[0].subject == node_id(0));
}

TEST_CASE("swim: an accused node refutes with one more than the greater, to all who accused") {
  One one(4);
  const Incarnation mine = one.swim.self().incarnation;
  one.hear(says(Claim::kSuspect, 2, 0, mine + 5), 1);
  CHECK(one.swim.self().incarnation == mine + 6);
  CHECK(one.swim.self_rumor().incarnation == mine + 6);
  REQUIRE(one.out.news.size() == 1);
  CHECK(one.out.news[0].urgent);
  CHECK(one.out.news[0].from.none());
  REQUIRE(one.sent(1) != nullptr);
  REQUIRE(one.sent(2) != nullptr);
  CHECK(one.sent(2)->rumors[0].incarnation == mine + 6);
  CHECK(one.swim.health_multiplier() == 2);
  const auto& ack = one.receive(1, Ping{1});
  REQUIRE(ack.sends[0].rumors.size() == 1);  // once more, on the ack
  CHECK(one.receive(1, Ping{2}).sends[0].rumors.empty());
}

TEST_CASE("swim: a stale accusation is answered with the newer alive, as its subject signed it") {
  One one(4);
  MemberRumor newer = alive(3, first_incarnation(kEpoch) + 4);
  newer.signature[0] = 0xab;
  one.hear(newer, 3);
  for (const Claim claim : {Claim::kSuspect, Claim::kDead}) {
    one.hear(says(claim, 2, 3), 1);
    CHECK(one.state(3) == MemberState::kAlive);
    REQUIRE(one.sent(1) != nullptr);
    CHECK(one.sent(1)->rumors[0].signature == newer.signature);
    CHECK(one.out.news.empty());
  }
}

TEST_CASE("swim: corrections are held to a rate") {
  One one(4);
  one.hear(alive(3, first_incarnation(kEpoch) + 4), 3);
  size_t sent = 0;
  for (int i = 0; i < 1000; ++i) sent += one.hear(says(Claim::kDead, 2, 3), 1).sends.size();
  CHECK(sent == 100);
}

TEST_CASE("swim: claims are ordered by incarnation") {
  struct Row {
    Claim first;
    uint64_t first_inc;
    Claim then;
    uint64_t then_inc;
    MemberState result;
  };
  using enum Claim;
  const Row rows[] = {
      {kSuspect, 0, kAlive, 0, MemberState::kSuspect},
      {kSuspect, 0, kAlive, 1, MemberState::kAlive},
      {kDead, 0, kAlive, 0, MemberState::kDead},
      {kDead, 0, kAlive, 1, MemberState::kAlive},
      {kDead, 0, kSuspect, 0, MemberState::kDead},
      {kSuspect, 0, kDead, 0, MemberState::kDead},
      {kAlive, 2, kSuspect, 1, MemberState::kAlive},
      {kAlive, 2, kDead, 1, MemberState::kAlive},
      {kAlive, 2, kDead, 2, MemberState::kDead},
      {kLeft, 0, kDead, 0, MemberState::kLeft},
      {kLeft, 0, kSuspect, 0, MemberState::kLeft},
      {kLeft, 0, kAlive, 0, MemberState::kLeft},
      {kLeft, 0, kAlive, 1, MemberState::kAlive},
      {kDead, 0, kLeft, 0, MemberState::kLeft},
      {kAlive, 2, kLeft, 1, MemberState::kAlive},
      {kSuspect, 3, kAlive, 2, MemberState::kSuspect},
  };
  int n = 0;
  for (const Row& row : rows) {
    CAPTURE(n++);
    SwimConfig config = SwimConfig::lan();
    config.doubt_deaths = false;  // as in SWIM; what doubt adds: doubt_test.cc
    One one(5, 1, config);
    const auto rumor = [&](Claim claim, uint64_t add) {
      const Incarnation inc = first_incarnation(kEpoch) + add;
      return claim == kAlive ? alive(3, inc) : says(claim, 2, 3, inc);
    };
    one.hear(rumor(row.first, row.first_inc), 1);
    one.hear(rumor(row.then, row.then_inc), 1);
    CHECK(one.state(3) == row.result);
  }
}

TEST_CASE("swim: only distinct accusers that are members count, and at most K + 1 are kept") {
  One one(8);
  one.hear(says(Claim::kSuspect, 1, 7), 1);
  CHECK(one.said(MemberEventKind::kSuspect));
  CHECK(one.out.news.size() == 1);
  CHECK(one.hear(says(Claim::kSuspect, 1, 7), 2).news.empty());
  CHECK(one.hear(says(Claim::kSuspect, 99, 7), 2).news.empty());
  CHECK(one.hear(says(Claim::kSuspect, 7, 7), 2).news.empty());
  CHECK(one.hear(says(Claim::kSuspect, 2, 7), 2).news.size() == 1);
  CHECK(one.hear(says(Claim::kSuspect, 3, 7), 2).news.size() == 1);
  CHECK(one.hear(says(Claim::kSuspect, 4, 7), 2).news.empty());
  CHECK(one.swim.find(node_id(7))->accusations.size() == 3);
}

TEST_CASE("swim: a claim from beyond what can be true changes nothing") {
  const Incarnation known = first_incarnation(kEpoch);
  for (const Incarnation wild : {known + kMaxIncarnationJump + 1,
                                 first_incarnation(kEpoch + kMaxEpochJump + 1), ~Incarnation{0}}) {
    One one(4);
    one.hear(says(Claim::kSuspect, 2, 3, wild), 1);
    one.hear(says(Claim::kDead, 2, 3, wild), 1);
    one.hear(says(Claim::kLeft, 2, 3, wild), 1);
    one.hear(alive(3, wild), 1);
    CHECK(one.state(3) == MemberState::kAlive);
    CHECK(one.swim.find(node_id(3))->incarnation == known);
    one.hear(says(Claim::kDead, 2, 0, wild), 1);
    CHECK(one.swim.self().incarnation == known);
  }
  One one(4);
  one.hear(alive(3, first_incarnation(kEpoch + 1000)), 1);  // a new epoch is no jump
  CHECK(one.swim.find(node_id(3))->epoch == kEpoch + 1000);
  CHECK(one.said(MemberEventKind::kRestarted));
}

TEST_CASE("swim: a malformed alive is dropped") {
  MemberRumor epoch = alive(3);
  epoch.epoch += 1;
  MemberRumor nowhere = alive(3);
  nowhere.address = {};
  MemberRumor name = alive(3);
  name.name = std::string(kMaxNodeName + 1, 'x');
  MemberRumor nobody = alive(3);
  nobody.subject = {};
  for (const MemberRumor& r : {epoch, nowhere, name, nobody}) {
    One one(3);
    one.hear(r, 1);
    CHECK(one.swim.members().size() == 3);
    CHECK(one.out.news.empty());
  }
}

TEST_CASE("swim: who was given up and speaks is told so, but not without end") {
  One one(4);
  MemberRumor verdict = says(Claim::kDead, 2, 3);
  verdict.signature[5] = 9;
  one.hear(says(Claim::kSuspect, 2, 3), 2);
  one.now += 900ms;
  one.hear(verdict, 2);
  CHECK(one.said(MemberEventKind::kDead));
  CHECK(one.receive(3, Gossip{}).sends.at(0).rumors.at(0).signature == verdict.signature);
  CHECK(one.receive(3, Gossip{}).sends.empty());
  one.now += 1s;
  CHECK(one.receive(3, Gossip{}).sends.size() == 1);
  const auto& ack = one.receive(3, Ping{5});  // an ack says it each time
  CHECK(ack.sends.at(0).rumors.back().claim == Claim::kDead);
}

TEST_CASE("swim: all views agree on who the confirmers of a suspect are") {
  constexpr size_t kNodes = 12;
  std::set<NodeId> called;
  for (size_t viewer = 0; viewer < kNodes; ++viewer) {
    if (viewer == 5) continue;
    Swim swim({node_id(viewer), "x", {"10.0.0.9", 1}, kEpoch, 1}, SwimConfig::lan(), Rng(viewer),
              kStart);
    SwimEffects out;
    for (size_t i = 0; i < kNodes; ++i) swim.hear(alive(i), node_id(i), kStart, out);
    out = {};
    swim.hear(says(Claim::kSuspect, 6, 5), node_id(6), kStart, out);
    for (const auto& send : out.sends) {
      if (send.to == node_id(5) && std::holds_alternative<Ping>(send.body)) {
        called.insert(node_id(viewer));
      }
    }
  }
  CHECK(called.size() == 3);
  CHECK_FALSE(called.contains(node_id(6)));
}

TEST_CASE("swim: the first accuser tells the suspect and calls the confirmers") {
  One one(8);
  std::set<NodeId> confirmers;
  bool told = false;
  NodeId suspect;
  for (int i = 0; i < 1000 && suspect.none(); ++i) {  // nobody ever answers
    one.now = one.swim.next_deadline();
    one.out = {};
    one.swim.advance(one.now, one.out);
    for (const auto& event : one.out.events) {
      if (event.kind == MemberEventKind::kSuspect) suspect = event.node;
    }
  }
  REQUIRE_FALSE(suspect.none());
  for (const auto& send : one.out.sends) {
    if (std::holds_alternative<Confirm>(send.body)) {
      CHECK(std::get<Confirm>(send.body).target == suspect);
      CHECK(send.rumors.size() == 1);
      confirmers.insert(send.to);
    }
    told |= send.to == suspect && std::holds_alternative<Gossip>(send.body);
  }
  CHECK(told);
  CHECK(confirmers.size() == 3);
  CHECK(one.swim.find(suspect)->accusations.at(0).accuser == node_id(0));
}

TEST_CASE("swim: an ack counts only from who was asked, with the nonce that was sent") {
  for (const int forgery : {0, 1, 2}) {
    One one(3, 4);
    std::vector<SwimSend> pings;
    bool suspected = false;
    const Instant end = kStart + 5s;
    while (one.swim.next_deadline() < end) {
      one.now = one.swim.next_deadline();
      one.out = {};
      one.swim.advance(one.now, one.out);
      suspected |= one.said(MemberEventKind::kSuspect);
      const auto sends = one.out.sends;
      for (const auto& send : sends) {
        const auto* ping = std::get_if<Ping>(&send.body);
        if (ping == nullptr) continue;
        const size_t target = send.to == node_id(1) ? 1 : 2;
        if (forgery == 0) one.receive(target, Ack{ping->nonce});
        if (forgery == 1) one.receive(3 - target, Ack{ping->nonce});
        if (forgery == 2) one.receive(target, Ack{ping->nonce ^ 0x1000});
      }
    }
    CHECK(suspected == (forgery != 0));
  }
}

TEST_CASE("swim: who answers the last pings is not declared dead by me, though it never refutes") {
  One one(2);
  for (const bool answers : {true, false}) {
    const Instant end = one.now + 30s;
    bool dead = false;
    one.hear(says(Claim::kSuspect, 0, 1), 0);
    while (one.swim.next_deadline() < end) {
      one.now = one.swim.next_deadline();
      one.out = {};
      one.swim.advance(one.now, one.out);
      dead |= one.said(MemberEventKind::kDead);
      const auto sends = one.out.sends;
      for (const auto& send : sends) {
        if (const auto* ping = std::get_if<Ping>(&send.body); ping && answers) {
          one.receive(1, Ack{ping->nonce});
        }
      }
    }
    CHECK(dead == !answers);
  }
}

TEST_CASE("swim: a relay passes the ack on, or says nack in time (Lifeguard section IV-A)") {
  One one(4);
  const auto& first = one.receive(1, PingReq{0x99, node_id(2), {"10.0.0.2", 7117}});
  REQUIRE(one.sent(2) != nullptr);
  const uint64_t nonce = std::get<Ping>(first.sends[0].body).nonce;
  const auto& passed = one.receive(2, Ack{nonce});
  REQUIRE(passed.sends.size() == 1);
  CHECK(passed.sends[0].to == node_id(1));
  CHECK(std::get<Ack>(passed.sends[0].body).nonce == 0x99);
  CHECK(one.receive(2, Ack{nonce}).sends.empty());

  one.receive(1, PingReq{0x77, node_id(3), {"10.0.0.3", 7117}});
  bool nacked = false;
  const Instant began = one.now;
  while (one.swim.next_deadline() < began + 450ms) {
    one.now = one.swim.next_deadline();
    one.out = {};
    one.swim.advance(one.now, one.out);
    for (const auto& send : one.out.sends) {
      const auto* nack = std::get_if<Nack>(&send.body);
      nacked |= nack != nullptr && nack->nonce == 0x77 && send.to == node_id(1);
    }
  }
  CHECK(nacked);
}

TEST_CASE("swim: relays are limited") {
  One one(3);
  size_t pings = 0;
  for (uint64_t i = 0; i < 2 * kMaxRelays; ++i) {
    pings += one.receive(1, PingReq{i, node_id(2), {"10.0.0.2", 7117}}).sends.size();
  }
  CHECK(pings == kMaxRelays);
}

TEST_CASE("swim: another boot in one epoch is an identity clash, said once in a while") {
  One one(3);
  one.hear(alive(1, first_incarnation(kEpoch) + 1, 8), 1);
  CHECK(one.said(MemberEventKind::kIdentityClash));
  one.hear(alive(1, first_incarnation(kEpoch) + 2, 9), 1);
  CHECK_FALSE(one.said(MemberEventKind::kIdentityClash));
  one.hear(alive(0, first_incarnation(1), 77), 1);  // of an earlier start of its own
  CHECK(one.out.events.empty());
}

TEST_CASE("swim: a data directory of one start ago takes a fresh epoch, whichever boot is lower") {
  for (const uint64_t boot : {uint64_t{4}, uint64_t{6}}) {  // its own is 5
    One one(3);
    one.hear(alive(0, first_incarnation(kEpoch), boot), 1);
    CHECK(one.swim.self().epoch > kEpoch);
    CHECK(one.said(MemberEventKind::kEpochRaised));
  }
}

TEST_CASE("swim: who leaves while it suspects another survives what it hears of that one") {
  for (const Claim claim : {Claim::kSuspect, Claim::kDead}) {
    One one(5);
    one.hear(says(Claim::kSuspect, 2, 1), 2);
    REQUIRE(one.state(1) == MemberState::kSuspect);
    one.swim.leave(one.now, one.out);
    one.hear(says(claim, 3, 1), 3);
    CHECK(one.state(1) == MemberState::kSuspect);
  }
}

TEST_CASE("swim: what one that is removed held against others is held by this node itself") {
  One one(5);
  one.hear(says(Claim::kSuspect, 3, 1), 2);
  one.hear(says(Claim::kSuspect, 3, 2), 2);
  one.hear(says(Claim::kSuspect, 4, 2), 2);
  REQUIRE(one.swim.forget(node_id(3)));
  for (const size_t subject : {1, 2}) {
    CAPTURE(subject);
    const Member* member = one.swim.find(node_id(subject));
    REQUIRE(member->state == MemberState::kSuspect);
    std::set<NodeId> accusers;
    for (const MemberRumor& held : member->accusations) accusers.insert(held.signer());
    CHECK(accusers.contains(node_id(0)));
    CHECK_FALSE(accusers.contains(node_id(3)));
    CHECK(accusers.size() == member->accusations.size());
  }
}

TEST_CASE("swim: what is forgotten stays so until it says something newer") {
  One one(4);
  CHECK(one.swim.forget(node_id(3)));
  CHECK_FALSE(one.swim.forget(node_id(3)));
  CHECK_FALSE(one.swim.forget(node_id(0)));
  CHECK(one.swim.alive_count() == 3);
  one.hear(alive(3), 1);
  CHECK_FALSE(one.swim.known(node_id(3)));
  one.hear(alive(3, first_incarnation(kEpoch) + 1), 1);
  CHECK(one.swim.known(node_id(3)));
}

TEST_CASE("swim: a new name or address is told, as an event and as news") {
  One one(3);
  MemberRumor moved = alive(1, first_incarnation(kEpoch) + 1);
  moved.name = "other";
  moved.address.port = 9;
  one.hear(moved, 2);
  CHECK(one.said(MemberEventKind::kRenamed));
  CHECK(one.said(MemberEventKind::kMoved));
  CHECK(one.out.news.at(0).from == node_id(2));
  one.out = {};
  const Incarnation before = one.swim.self().incarnation;
  one.swim.update_self("me", {"10.9.9.9", 1}, one.now, one.out);
  CHECK(one.swim.self_rumor().name == "me");
  CHECK(one.swim.self_rumor().incarnation == before + 1);
  CHECK(one.out.news.size() == 1);
}

TEST_CASE("swim: a death in a peer's roster is passed to who lives, not believed") {
  One one(4);
  const MemberRumor roster[] = {
      alive(1), alive(2), says(Claim::kDead, 1, 2), alive(9), says(Claim::kDead, 1, 9), alive(8)};
  one.out = {};
  one.swim.hear_roster(roster, node_id(1), one.now, one.out);
  CHECK(one.state(2) == MemberState::kAlive);
  REQUIRE(one.sent(2) != nullptr);
  CHECK(one.sent(2)->rumors.at(0).claim == Claim::kDead);
  CHECK(one.state(9) == MemberState::kDead);
  CHECK(one.state(8) == MemberState::kAlive);
  // What it gave me, I can give on.
  const auto mine = one.swim.roster();
  One other(1, 2);
  other.swim.hear_roster(mine, node_id(1), other.now, other.out);
  CHECK(other.state(9) == MemberState::kDead);
  CHECK(other.state(8) == MemberState::kAlive);
}

TEST_CASE("swim: who leaves probes and accuses nobody, and does not refute") {
  One one(4);
  one.out = {};
  one.swim.leave(one.now, one.out);
  CHECK(one.swim.leaving());
  REQUIRE(one.out.news.size() == 1);
  CHECK(one.out.news[0].rumor.claim == Claim::kLeft);
  CHECK(one.swim.next_deadline() == kNever);
  one.hear(says(Claim::kDead, 1, 0), 1);
  CHECK(one.out.news.empty());
  CHECK(one.receive(1, Ping{1}).sends.size() == 1);
}

TEST_CASE("swim: no sequence of claims breaks the table or moves an incarnation back") {
  Rng rng(5);
  for (int run = 0; run < 30; ++run) {
    One one(6, rng.next());
    std::map<NodeId, Incarnation> seen;
    for (int step = 0; step < 600; ++step) {
      const size_t subject = rng.below(8);
      const size_t from = 1 + rng.below(6);
      const Incarnation inc =
          rng.below(20) == 0 ? rng.next() : first_incarnation(kEpoch + rng.below(2)) + rng.below(6);
      const auto claim = static_cast<Claim>(rng.below(4));
      one.out = {};
      switch (rng.below(8)) {
        case 0:
          one.receive(from, Ack{rng.next()});
          break;
        case 1:
          one.receive(from, Confirm{node_id(subject), {"10.0.0.1", 1}});
          break;
        case 2:
          one.receive(from, PingReq{rng.next(), node_id(subject), {"10.0.0.1", 1}});
          break;
        case 3:
          one.swim.stalled(Duration(rng.below(1'000'000'000)), one.now);
          break;
        case 4:
          one.now += Duration(rng.below(500'000'000));
          one.swim.advance(one.now, one.out);
          CHECK(one.swim.next_deadline() > one.now);
          break;
        case 5:
          if (rng.below(20) == 0) {
            one.swim.forget(node_id(subject));
            seen.erase(node_id(subject));
            break;
          }
          [[fallthrough]];
        default:
          one.hear(claim == Claim::kAlive ? alive(subject, inc, rng.below(3))
                                          : says(claim, rng.below(8), subject, inc),
                   from);
      }
      size_t alive_now = 0;
      for (const auto& [id, member] : one.swim.members()) {
        REQUIRE(member.incarnation >= seen[id]);
        seen[id] = member.incarnation;
        alive_now += member.state == MemberState::kAlive;
        REQUIRE((member.state != MemberState::kSuspect || !member.accusations.empty()));
        REQUIRE((member.state != MemberState::kAlive || member.accusations.empty()));
      }
      REQUIRE(one.swim.alive_count() == alive_now);
      REQUIRE(one.swim.self().state == MemberState::kAlive);
    }
  }
}
