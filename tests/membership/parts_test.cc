#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "membership/net.h"

using namespace kith;
using namespace kith::test;

namespace {
constexpr Instant kStart = Instant{} + 1h;
double ms(Duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}
}  // namespace

TEST_CASE("config: the profiles are the measured ones") {
  struct Row {
    const char* name;
    Duration interval, large, t1_min, t1_max, t2, smin, window, gossip;
    unsigned multiple, pings, k, confirmations, last, health, retransmit;
  };
  const Row rows[] = {
      {"lan", 300ms, 500ms, 100ms, 500ms, 200ms, 900ms, 450ms, 100ms, 4, 2, 3, 2, 4, 3, 6},
      {"wan", 1s, 1s, 300ms, 1500ms, 800ms, 3s, 1s, 200ms, 3, 2, 3, 2, 3, 4, 6},
      {"edge", 1s, 1s, 500ms, 1s, 1s, 5s, 3s, 200ms, 4, 3, 3, 3, 6, 8, 8},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const SwimConfig c = SwimConfig::profile(row.name).value();
    CHECK(c.interval(16) == row.interval);
    CHECK(c.interval(17) == row.large);
    CHECK(c.direct_timeout_min == row.t1_min);
    CHECK(c.direct_timeout_max == row.t1_max);
    CHECK(c.indirect_timeout == row.t2);
    CHECK(c.suspicion_min == row.smin);
    CHECK(c.suspicion_max_factor == 2);
    CHECK(c.last_ping_window == row.window);
    CHECK(c.gossip_interval == row.gossip);
    CHECK(c.rtt_multiple == row.multiple);
    CHECK(c.direct_pings == row.pings);
    CHECK(c.indirect_peers == row.k);
    CHECK(c.indirect_rounds == 2);
    CHECK(c.confirmations == row.confirmations);
    CHECK(c.confirmers == 3);
    CHECK(c.last_pings == row.last);
    CHECK(c.max_health_multiplier == row.health);
    CHECK(c.retransmit_factor == row.retransmit);
  }
  CHECK_FALSE(SwimConfig::profile("LAN"));
}

TEST_CASE("suspicion: confirmations shorten it by the formula (Lifeguard section IV-B)") {
  const SwimConfig c = SwimConfig::lan();
  struct Row {
    unsigned confirmations, wanted;
    double ms;
  };
  const Row rows[] = {{0, 0, 900},
                      {0, 1, 1800},
                      {1, 1, 900},
                      {0, 2, 1800},
                      {1, 2, 1800 - 900 * std::log(2) / std::log(3)},
                      {2, 2, 900}};
  for (const Row& row : rows) {
    CHECK(ms(Suspicion::timeout(c, row.confirmations, row.wanted)) ==
          doctest::Approx(row.ms).epsilon(1e-6));
  }
}

TEST_CASE("suspicion: K is at most n - 2") {
  struct Row {
    size_t members;
    unsigned wanted;
  };
  for (const Row& row : {Row{1, 0}, Row{2, 0}, Row{3, 1}, Row{4, 2}, Row{5, 2}, Row{100, 2}}) {
    Suspicion s(SwimConfig::lan(), row.members, kStart);
    unsigned wanted = 0;
    for (; s.wants_more(); ++wanted) s.confirm(kStart);
    CHECK(wanted == row.wanted);
  }
}

TEST_CASE("suspicion: all last pings go out before a death, whatever comes in between") {
  Rng rng(1);
  for (const char* profile : {"lan", "wan", "edge"}) {
    const SwimConfig c = SwimConfig::profile(profile).value();
    for (int round = 0; round < 300; ++round) {
      Instant now = kStart;
      Suspicion s(c, 2 + rng.below(10), now);
      std::vector<Instant> pings;
      for (int steps = 0; steps < 1000; ++steps) {
        const Instant next = s.next_deadline();
        if (rng.below(4) == 0) {  // something happens before the deadline
          now += Duration(
              rng.below(static_cast<uint64_t>(std::max<int64_t>(1, (next - now).count()))));
          const uint64_t what = rng.below(40);
          if (what < 20) {
            if (s.wants_more()) pings.clear();
            s.confirm(now);
          } else if (what < 22) {
            s.extend(Duration(rng.below(2'000'000'000)), now);
            pings.clear();
          } else if (what < 24) {
            s.proof_of_life(now);
            pings.clear();
          }
          continue;
        }
        const bool late = rng.below(60) == 0;
        now = std::max(now, next) + (late ? Duration(rng.below(3'000'000'000)) : Duration(0));
        const Instant before = s.end();
        const auto step = s.step(now);
        if (s.end() != before) pings.clear();
        if (step == Suspicion::Step::kLastPing) pings.push_back(now);
        if (step == Suspicion::Step::kDeclareDead) break;
      }
      CHECK(now >= s.end());
      CHECK(now - kStart >= c.suspicion_min);
      CHECK(pings.size() == c.last_pings);
    }
  }
}

TEST_CASE("suspicion: a late confirmation never moves the end into the window of last pings") {
  const SwimConfig c = SwimConfig::lan();
  Suspicion s(c, 10, kStart);
  s.confirm(kStart);
  s.confirm(kStart + 1200ms);  // 900 ms are over already
  CHECK(s.end() == kStart + 1200ms + c.last_ping_window);
}

TEST_CASE("awareness: stays within its bounds and scales") {
  Awareness health(3);
  CHECK(health.multiplier() == 1);
  health.better();
  CHECK(health.multiplier() == 1);
  health.worse(100);
  CHECK(health.multiplier() == 3);
  CHECK(health.scale(100ms) == 300ms);
  health.better();
  health.better();
  CHECK(health.multiplier() == 1);
}

TEST_CASE("deadlines: fire as a naive list would") {
  Rng rng(2);
  Deadlines<int> fast;
  std::map<int, Instant> naive;
  for (int i = 0; i < 5000; ++i) {
    const int key = static_cast<int>(rng.below(30));
    const Instant at = kStart + Duration(rng.below(50));
    if (rng.below(3) == 0) {
      fast.erase(key);
      naive.erase(key);
    } else if (rng.below(2) == 0) {
      fast.set(key, at);
      naive[key] = at;
    } else {
      const auto best = std::min_element(naive.begin(), naive.end(), [](auto& a, auto& b) {
        return std::pair(a.second, a.first) < std::pair(b.second, b.first);
      });
      const auto got = fast.pop_due(at);
      const bool due = best != naive.end() && best->second <= at;
      REQUIRE(got.has_value() == due);
      if (!due) continue;
      CHECK(*got == best->first);
      naive.erase(best);
    }
    CHECK(fast.size() == naive.size());
  }
}

TEST_CASE("member table: counts, names and peers agree with a walk over all") {
  Rng rng(3);
  MemberTable table(node_id(0));
  for (int i = 0; i < 4000; ++i) {
    const NodeId id = node_id(rng.below(40));
    Member* member = table.find(id);
    switch (rng.below(5)) {
      case 0: {
        Member fresh;
        fresh.id = id;
        fresh.name = "m" + std::to_string(rng.below(10));
        fresh.address = {"10.0.0.1", static_cast<uint16_t>(1 + rng.below(9))};
        fresh.state = static_cast<MemberState>(rng.below(4));
        CHECK((table.insert(fresh) != nullptr) == (member == nullptr));
        break;
      }
      case 1:
        CHECK(table.erase(id) == (member != nullptr && id != table.self()));
        break;
      case 2:
        if (member) table.set_state(*member, static_cast<MemberState>(rng.below(4)), kStart);
        break;
      case 3:
        if (member) table.rename(*member, "m" + std::to_string(rng.below(10)));
        break;
      default:
        if (member) table.move(*member, {"10.0.0.2", static_cast<uint16_t>(1 + rng.below(9))});
    }
    size_t present = 0;
    size_t left = 0;
    std::vector<Peer> peers;
    for (const auto& [key, m] : table.all()) {
      present += m.present();
      left += m.state == MemberState::kLeft;
      if (m.present() && key != table.self()) peers.push_back({key, m.address});
      bool namesake = false;
      for (const auto& [k2, m2] : table.all()) {
        namesake |= k2 != key && m2.present() && m2.name == m.name;
      }
      REQUIRE(table.namesake(m).has_value() == namesake);
    }
    REQUIRE(table.present() == present);
    REQUIRE(table.expected() == table.size() - left);
    REQUIRE(table.peers() == peers);
    const size_t k = rng.below(6);
    const auto drawn = table.draw(k, rng, [](const Member& m) { return m.present(); });
    REQUIRE(drawn.size() == std::min(k, peers.size()));
    for (const Member* m : drawn) {
      CHECK(m->id != table.self());
      CHECK(std::ranges::count(drawn, m) == 1);
    }
  }
}

TEST_CASE("member table: holds no more than its limit") {
  MemberTable table(node_id(0));
  for (size_t i = 0; i < kMaxMembers; ++i) {
    Member m;
    m.id = node_id(i);
    REQUIRE(table.insert(m) != nullptr);
  }
  Member one_more;
  one_more.id = node_id(kMaxMembers);
  CHECK(table.insert(one_more) == nullptr);
  CHECK(table.size() == kMaxMembers);
}

TEST_CASE("flaps: hold-down begins at the second, doubles, and ends") {
  const SwimConfig config;
  FlapTracker flaps(config);
  Instant now = kStart;
  Incarnation incarnation = 1;
  const auto flap = [&](unsigned accusers) {
    MemberRumor r;
    r.incarnation = incarnation++;
    r.claim = Claim::kDead;
    bool counted = false;
    for (unsigned i = 0; i < accusers; ++i) {
      r.accuser = node_id(i);
      counted |= flaps.accused(r, now);
      counted |= flaps.accused(r, now);  // the same accuser twice is one
    }
    return counted;
  };
  CHECK_FALSE(flap(1));
  CHECK(flap(2));
  CHECK(flaps.ready_allowed(now));
  const Duration holds[] = {20s, 40s, 80s, 160s, 320s, 600s, 600s};
  for (const Duration hold : holds) {
    now += 1s;
    CHECK(flap(3));
    CHECK(flaps.held_until() == now + hold);
    CHECK_FALSE(flaps.ready_allowed(now + hold - 1ms));
    CHECK(flaps.ready_allowed(now + hold));
  }
  now += 11min;
  CHECK(flaps.flaps(now) == 0);
  CHECK(flap(2));
  CHECK(flaps.ready_allowed(now));
}

TEST_CASE("flaps: suspicions alone are no flap") {
  const SwimConfig config;
  FlapTracker flaps(config);
  MemberRumor r;
  r.claim = Claim::kSuspect;
  r.incarnation = 1;
  for (size_t i = 0; i < 5; ++i) {
    r.accuser = node_id(i);
    CHECK_FALSE(flaps.accused(r, kStart));
  }
  r.claim = Claim::kDead;
  CHECK(flaps.accused(r, kStart));
}

TEST_CASE("isolation: more than half, at least two, within the window") {
  Isolation two(10s);
  CHECK_FALSE(two.lost(node_id(1), 0, kStart));  // the only other: it may as well be dead
  Isolation half(10s);
  CHECK_FALSE(half.lost(node_id(1), 3, kStart));
  CHECK_FALSE(half.lost(node_id(2), 2, kStart));
  CHECK_FALSE(half.isolated());
  CHECK(half.lost(node_id(3), 1, kStart + 9s));
  CHECK(half.since() == kStart + 9s);
  CHECK(half.found(node_id(3), 2));
  Isolation slow(10s);
  CHECK_FALSE(slow.lost(node_id(1), 3, kStart));
  CHECK_FALSE(slow.lost(node_id(2), 2, kStart + 11s));
  CHECK_FALSE(slow.lost(node_id(3), 1, kStart + 22s));
}

TEST_CASE("revival: once a second for a while, then seldom, for ever, and never in a flood") {
  const SwimConfig c = SwimConfig::lan();
  Revival revival(c, Rng(4));
  revival.add(node_id(1), false, kStart);
  std::vector<Instant> knocks;
  std::vector<Instant> redials;
  while (revival.next_deadline() < kStart + 10min) {
    const Instant now = revival.next_deadline();
    while (const auto knock = revival.pop_due(now)) {
      knocks.push_back(now);
      if (knock->redial) redials.push_back(now);
    }
  }
  const auto early = std::ranges::count_if(knocks, [](Instant at) { return at < kStart + 30s; });
  CHECK(early >= 26);
  CHECK(early <= 34);
  CHECK(knocks.size() > 110);
  CHECK(knocks.size() < 170);
  CHECK(redials.size() > 100);

  Revival many(c, Rng(5));
  for (size_t i = 0; i < 500; ++i) many.add(node_id(i), true, kStart);
  std::set<NodeId> reached;
  size_t in_all = 0;
  for (Instant now = kStart; now < kStart + 2min; now += 10ms) {
    while (const auto knock = many.pop_due(now)) {
      ++in_all;
      reached.insert(knock->id);
    }
  }
  CHECK(in_all <= 121 * Revival::kKnocksASecond);
  CHECK(reached.size() == 500);
}
