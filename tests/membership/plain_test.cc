// The mode that comparisons are made against: SWIM of 2002, with suspicion, and nothing more.
#include <doctest/doctest.h>

#include "membership/net.h"

using namespace kith;
using namespace kith::test;

namespace {

constexpr Instant kStart = Instant{} + 1h;
constexpr size_t kMembers = 8;

MemberRumor alive(size_t i) {
  MemberRumor r;
  r.subject = node_id(i);
  r.incarnation = first_incarnation(1);
  r.epoch = 1;
  r.boot = 7;
  r.name = "m" + std::to_string(i);
  r.address = {"10.0.0." + std::to_string(i), 7117};
  return r;
}

MemberRumor suspects(size_t accuser, size_t subject) {
  MemberRumor r = alive(subject);
  r.claim = Claim::kSuspect;
  r.accuser = node_id(accuser);
  return r;
}

SwimConfig plain() {
  return SwimConfig::paper(kMembers).plain();
}

Swim among_eight(const SwimConfig& config) {
  return Swim({node_id(0), "m0", {"10.0.0.0", 7117}, 1, 5}, config, Rng(3), kStart);
}

void acquaint(Swim& swim) {
  SwimEffects nothing;
  for (size_t i = 1; i < kMembers; ++i) swim.hear(alive(i), node_id(i), kStart, nothing);
}

}  // namespace

TEST_CASE("config: the timing of Lifeguard's experiments (section V), alpha 5 and beta 6") {
  const SwimConfig c = SwimConfig::paper(128);
  CHECK(c.interval(2) == 1s);
  CHECK(c.interval(128) == 1s);
  CHECK(c.suspicion_min == 10'536ms);  // 5 log10(128) s
  CHECK(c.suspicion_max_factor == 6);
  CHECK(c.confirmations == 3);
  CHECK(c.max_health_multiplier == 8);
  CHECK(SwimConfig::paper(2).suspicion_min == 5s);
}

TEST_CASE("plain swim: one ping, one round of ping-req, a fixed suspicion, and nothing else") {
  Swim swim = among_eight(plain());
  acquaint(swim);
  std::map<NodeId, unsigned> pings;
  std::map<NodeId, unsigned> requests;
  std::map<NodeId, Instant> suspected;
  std::map<NodeId, Instant> dead;
  while (swim.next_deadline() < kStart + 30s) {  // nobody ever answers
    const Instant now = swim.next_deadline();
    SwimEffects out;
    swim.advance(now, out);
    CHECK(out.stream_pings.empty());
    for (const auto& send : out.sends) {
      if (dead.contains(send.to)) continue;  // knocked at, so that it can return
      CHECK(send.rumors.empty());
      if (std::holds_alternative<Ping>(send.body)) {
        if (!suspected.contains(send.to)) ++pings[send.to];
      } else {
        const auto* request = std::get_if<PingReq>(&send.body);
        REQUIRE(request != nullptr);
        if (!suspected.contains(request->target)) ++requests[request->target];
      }
    }
    for (const auto& event : out.events) {
      if (event.kind == MemberEventKind::kSuspect) suspected.emplace(event.node, now);
      if (event.kind == MemberEventKind::kDead) dead.emplace(event.node, now);
    }
  }
  CHECK(swim.health_multiplier() == 1);
  REQUIRE(dead.size() == kMembers - 1);
  for (const auto& [id, at] : dead) {
    CHECK(at - suspected.at(id) == plain().suspicion_min);
    CHECK(pings[id] == 1);
    CHECK(requests[id] <= plain().indirect_peers);
  }
}

TEST_CASE("plain swim: no confirmation shortens a suspicion, no ack postpones its end") {
  Swim swim = among_eight(plain());
  acquaint(swim);
  SwimEffects out;
  for (const size_t accuser : {2U, 3U, 4U, 5U}) {
    swim.hear(suspects(accuser, 1), node_id(accuser), kStart, out);
  }
  CHECK(out.news.size() == 1);
  CHECK(out.sends.empty());
  Instant died{};
  while (swim.next_deadline() < kStart + 10s) {
    const Instant now = swim.next_deadline();
    out = {};
    swim.advance(now, out);
    for (const auto& event : out.events) {
      if (event.kind == MemberEventKind::kDead && event.node == node_id(1)) died = now;
    }
    const auto sends = out.sends;
    for (const auto& send : sends) {
      const auto* ping = std::get_if<Ping>(&send.body);
      if (ping == nullptr || died != Instant{}) continue;
      swim.receive(send.to, send.address, Ack{ping->nonce}, now, out);
    }
  }
  CHECK(died == kStart + plain().suspicion_min);
}

TEST_CASE("plain swim: who is suspected, or accuses of what is over, is told nothing of it") {
  for (const bool whole : {true, false}) {
    Swim swim = among_eight(whole ? SwimConfig::paper(kMembers) : plain());
    acquaint(swim);
    SwimEffects out;
    swim.hear(suspects(2, 1), node_id(2), kStart, out);
    out = {};
    swim.receive(node_id(1), {"10.0.0.1", 7117}, Ping{9}, kStart, out);
    REQUIRE(out.sends.size() == 1);
    CHECK(out.sends[0].rumors.empty() == !whole);
    // A relay whose target is silent says so, or not.
    swim.receive(node_id(2), {"10.0.0.2", 7117}, PingReq{0x77, node_id(3), {"10.0.0.3", 7117}},
                 kStart, out);
    bool nacked = false;
    while (swim.next_deadline() < kStart + 2s) {
      const Instant now = swim.next_deadline();
      out = {};
      swim.advance(now, out);
      for (const auto& send : out.sends) nacked |= std::holds_alternative<Nack>(send.body);
    }
    CHECK(nacked == whole);
  }
}

TEST_CASE("plain swim: finds a crash, and its dead return") {
  Net net(12, SwimConfig::paper(12).plain(), 5);
  net.run(3s);
  net.freeze(4, 30s);
  CHECK(net.run_until([&] { return net.all_see(4, MemberState::kDead); }, 30s));
  CHECK(net.run_until([&] { return net.all_alive(); }, 40s));
}
