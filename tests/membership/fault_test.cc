#include <doctest/doctest.h>

#include "membership/net.h"

using namespace kith;
using namespace kith::test;

namespace {

size_t deaths_of(const Net& net, const NodeId& id) {
  size_t n = 0;
  for (const auto& entry : net.log) {
    n += entry.event.kind == MemberEventKind::kDead && entry.event.node == id;
  }
  return n;
}

}  // namespace

TEST_CASE("swim: a suspect that refutes stays alive (SWIM section 4.2)") {
  Net net(5, SwimConfig::lan(), 1);
  net.run(2s);
  const Incarnation before = net.swim(1).self().incarnation;
  MemberRumor lie;
  lie.claim = Claim::kSuspect;
  lie.subject = net.id(1);
  lie.incarnation = before;
  lie.accuser = net.id(0);
  net.with(2, [&](Swim& s, SwimEffects& out) { s.hear(lie, net.id(0), net.now(), out); });
  CHECK(net.state(2, 1) == MemberState::kSuspect);
  CHECK(net.run_until([&] { return net.all_alive() && net.swim(1).self().incarnation > before; },
                      500ms));
  net.run(5s);
  CHECK(net.all_see(1, MemberState::kAlive));
  CHECK(net.count(MemberEventKind::kDead) == 0);
  CHECK(net.count(MemberEventKind::kRefuted) >= 1);
}

TEST_CASE("swim: a cut in one direction between two members is bridged by the others (SWIM 3.1)") {
  for (const bool both : {false, true}) {
    Net net(5, SwimConfig::lan(), 2);
    net.cut = [both](size_t a, size_t b) {
      return (a == 0 && b == 1) || (both && a == 1 && b == 0);
    };
    net.run(120s);
    CHECK(net.count(MemberEventKind::kDead) == 0);
    CHECK(net.count(MemberEventKind::kSuspect) == 0);
  }
}

TEST_CASE("swim: a member whose datagrams are blocked is kept by its stream, and marked") {
  Net net(5, SwimConfig::lan(), 3);
  net.run(2s);
  net.udp_cut = [](size_t a, size_t b) { return a == 4 || b == 4; };
  net.run(60s);
  CHECK(net.count(MemberEventKind::kDead) == 0);
  CHECK(net.swim(0).find(net.id(4))->stream_only);
  CHECK_FALSE(net.swim(0).find(net.id(3))->stream_only);
  net.udp_cut = [](size_t, size_t) { return false; };
  net.run(10s);
  CHECK_FALSE(net.swim(0).find(net.id(4))->stream_only);

  SwimConfig without = SwimConfig::lan();
  without.stream_ping = false;
  Net other(5, without, 3);
  other.udp_cut = [](size_t a, size_t b) { return a == 4 || b == 4; };
  other.run(10s);
  CHECK(deaths_of(other, other.id(4)) > 0);
}

TEST_CASE("swim: 50 freezes of 0.8 s are never called dead, and the frozen accuse nobody") {
  for (const size_t n : {2, 3, 5, 20}) {
    Net net(n, SwimConfig::lan(), 4);
    net.run(2s);
    for (int i = 0; i < 50; ++i) {
      net.freeze(net.rng().below(n), 800ms);
      net.run(1s + Duration(net.rng().below(2'000'000'000)));
    }
    net.run(3s);
    CHECK(net.count(MemberEventKind::kDead) == 0);
    CHECK(net.all_alive());
  }
}

TEST_CASE("swim: the frozen accuse nobody on waking") {
  Net net(5, SwimConfig::lan(), 5);
  net.run(2s);
  for (int i = 0; i < 20; ++i) {
    net.freeze(1, 800ms);
    net.run(5s);
  }
  for (const auto& entry : net.log) {
    if (entry.event.kind == MemberEventKind::kSuspect) CHECK(entry.event.node == net.id(1));
  }
}

TEST_CASE("swim: freezes of 3 s are called dead at most once each, and heal") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Net net(5, SwimConfig::lan(), 100 + seed);
    net.run(2s + Duration(net.rng().below(1'000'000'000)));
    net.freeze(2, 3s);
    net.run(3s);
    CHECK(net.run_until([&] { return net.all_alive(); }, 2s));
    net.run(10s);
    CHECK(net.all_alive());
    for (const auto& entry : net.log) {
      if (entry.event.kind == MemberEventKind::kDead) CHECK(entry.event.node == net.id(2));
    }
    for (size_t viewer = 0; viewer < 5; ++viewer) {
      size_t times = 0;
      for (const auto& entry : net.log) {
        times += entry.node == viewer && entry.event.kind == MemberEventKind::kDead;
      }
      CHECK(times <= 1);
    }
  }
}

TEST_CASE("swim: stalls up to B - 0.2 s are never called dead, longer ones are") {
  const auto deaths = [](Duration stall) {
    Net net(5, SwimConfig::lan(), 6);
    net.run(2s);
    for (int i = 0; i < 40; ++i) {
      net.freeze(net.rng().below(5), stall);
      net.run(stall + 4s + Duration(net.rng().below(1'000'000'000)));
    }
    CHECK(net.all_alive());
    return net.count(MemberEventKind::kDead);
  };
  CHECK(deaths(1s) == 0);
  CHECK(deaths(2s) > 0);
}

TEST_CASE("swim: a minute's freeze is a death; after waking every view agrees") {
  Net net(5, SwimConfig::lan(), 21);
  net.run(2s);
  net.freeze(0, 1min);
  net.run(10s);
  CHECK(net.all_see(0, MemberState::kDead));
  net.run(50s);
  CHECK(net.run_until([&] { return net.all_alive(); }, 3s));
  for (const auto& entry : net.log) {
    if (entry.event.kind == MemberEventKind::kDead) CHECK(entry.event.node == net.id(0));
  }
}

TEST_CASE("swim: the first return is free, from the second flap on a node holds itself down") {
  Net net(5, SwimConfig::lan(), 22);
  net.run(2s);
  const auto flap = [&] {
    net.freeze(2, 4s);
    net.run(9s);
    CHECK(net.all_alive());
  };
  flap();
  CHECK(net.swim(2).ready_allowed(net.now()));
  flap();
  CHECK_FALSE(net.swim(2).ready_allowed(net.now()));
  CHECK(net.swim(2).ready_allowed(net.now() + 20s));
  CHECK(net.swim(1).ready_allowed(net.now()));
}

TEST_CASE("swim: a data directory from a backup takes an epoch that nobody has seen") {
  Net net(4, SwimConfig::lan(), 23);
  net.run(2s);
  for (Epoch epoch = 2; epoch <= 5; ++epoch) {
    net.crash(3);
    net.start(3, epoch);
    net.sync(3, 0);
    net.run(1s);
  }
  CHECK(net.swim(0).find(net.id(3))->epoch == 5);
  net.crash(3);
  net.run(5s);
  net.start(3, 2);  // the backup is three starts old
  net.sync(3, 1);
  CHECK(net.run_until([&] { return net.all_alive(); }, 3s));
  CHECK(net.swim(3).self().epoch == 6);
  CHECK(net.count(MemberEventKind::kEpochRaised) >= 1);
  net.run(10s);
  CHECK(net.all_alive());
}

TEST_CASE("swim: a whole cluster that restarts at once comes together from its rosters") {
  Net net(6, SwimConfig::lan(), 24);
  net.run(2s);
  std::vector<MemberRumor> roster;
  for (size_t i = 0; i < 6; ++i) roster.push_back(net.swim(i).self_rumor());
  for (size_t i = 0; i < 6; ++i) net.crash(i);
  net.run(10s);
  for (size_t i = 0; i < 6; ++i) {
    net.start(i, 2);
    for (const MemberRumor& alive : roster) net.swim(i).restore(alive, net.now());
    net.with(i, [&](Swim& s, SwimEffects& out) { s.announce(net.now(), out); });
  }
  const auto together = [&] {
    if (!net.all_alive()) return false;
    for (size_t i = 0; i < 6; ++i) {
      for (const auto& [id, member] : net.swim(i).members()) {
        if (member.epoch != 2) return false;
      }
    }
    return true;
  };
  CHECK(net.run_until(together, 2s));
  CHECK(net.count(MemberEventKind::kDead) == 0);
  CHECK(net.count(MemberEventKind::kIdentityClash) == 0);
}

TEST_CASE("swim: loss alone makes no false deaths") {
  struct Row {
    SwimConfig config;
    unsigned loss;
    Duration for_;
  };
  for (const Row& row : {Row{SwimConfig::lan(), 10, 20min}, Row{SwimConfig::edge(), 25, 20min}}) {
    for (const size_t n : {5, 20}) {
      Net net(n, row.config, 6);
      net.loss_percent = row.loss;
      net.run(row.for_ / (n == 20 ? 4 : 1));
      CHECK(net.count(MemberEventKind::kDead) == 0);
      MESSAGE("n=", n, " loss ", row.loss, "%: suspect events ",
              net.count(MemberEventKind::kSuspect));
    }
  }
}

TEST_CASE("swim: two halves that gave each other up meet again, however long they were apart") {
  for (const Duration apart : {Duration(10s), Duration(5min)}) {
    Net net(5, SwimConfig::lan(), 7);
    net.run(2s);
    net.cut = [](size_t a, size_t b) { return (a < 2) != (b < 2); };
    net.run(apart);
    CHECK(net.state(0, 4) == MemberState::kDead);
    CHECK(net.state(4, 0) == MemberState::kDead);
    CHECK(net.state(0, 1) == MemberState::kAlive);
    CHECK(net.state(3, 4) == MemberState::kAlive);
    CHECK(net.swim(0).isolated());
    CHECK_FALSE(net.swim(4).isolated());
    net.cut = [](size_t, size_t) { return false; };
    CHECK(net.run_until([&] { return net.all_alive(); }, 7s));
    CHECK_FALSE(net.swim(0).isolated());
    const size_t deaths = net.count(MemberEventKind::kDead);
    net.run(30s);
    CHECK(net.all_alive());
    CHECK(net.count(MemberEventKind::kDead) == deaths);
  }
}

TEST_CASE("swim: a half of one, and a cluster of two, meet again too") {
  for (const size_t n : {2, 4}) {
    Net net(n, SwimConfig::lan(), 8);
    net.run(2s);
    net.cut = [](size_t a, size_t b) { return (a == 0) != (b == 0); };
    net.run(3min);
    CHECK(net.state(0, 1) == MemberState::kDead);
    net.cut = [](size_t, size_t) { return false; };
    CHECK(net.run_until([&] { return net.all_alive(); }, 7s));
  }
}

TEST_CASE("swim: the dead are knocked at and dialled for ever") {
  Net net(3, SwimConfig::lan(), 9);
  net.run(2s);
  net.crash(2);
  net.run(1h);
  const size_t before = net.redials;
  net.run(1min);
  CHECK(net.redials - before >= 10);
  net.start(2, 2);
  net.sync(2, 0);
  CHECK(net.run_until([&] { return net.all_alive(); }, 5s));
}

TEST_CASE("swim: who leaves is not dead, not dialled, and may come back") {
  Net net(5, SwimConfig::lan(), 10);
  net.run(2s);
  net.with(3, [&](Swim& s, SwimEffects& out) { s.leave(net.now(), out); });
  CHECK(net.run_until([&] { return net.all_see(3, MemberState::kLeft); }, 1s));
  net.crash(3);
  net.run(60s);
  CHECK(net.all_see(3, MemberState::kLeft));
  CHECK(net.count(MemberEventKind::kDead) == 0);
  CHECK(net.redials == 0);
  CHECK(net.swim(0).present_count() == 4);
  net.start(3, 2);
  net.sync(3, 0);
  CHECK(net.run_until([&] { return net.all_alive(); }, 2s));
}

TEST_CASE("swim: a restart within the suspicion is no death; its new epoch is known to all") {
  Net net(5, SwimConfig::lan(), 11);
  net.run(2s);
  net.crash(1);
  net.run(300ms);
  net.start(1, 2);
  net.with(1, [&](Swim& s, SwimEffects& out) { s.announce(net.now(), out); });
  net.sync(1, 3);
  CHECK(net.run_until(
      [&] {
        for (size_t i = 0; i < 5; ++i) {
          const Member* m = net.swim(i).find(net.id(1));
          if (m == nullptr || m->epoch != 2 || m->state != MemberState::kAlive) return false;
        }
        return true;
      },
      2s));
  CHECK(net.count(MemberEventKind::kDead) == 0);
}

TEST_CASE("swim: a restarted node finds its cluster from the persisted roster alone") {
  Net net(5, SwimConfig::lan(), 12);
  net.run(2s);
  std::vector<MemberRumor> roster;
  for (size_t i = 0; i < 5; ++i) {
    if (i != 2) roster.push_back(net.swim(i).self_rumor());
  }
  net.crash(2);
  net.run(20s);
  CHECK(net.all_see(2, MemberState::kDead));
  net.start(2, 2);
  for (const MemberRumor& alive : roster) CHECK(net.swim(2).restore(alive, net.now()));
  CHECK_FALSE(net.swim(2).restore(roster[0], net.now()));
  CHECK(net.swim(2).present_count() == 1);
  net.with(2, [&](Swim& s, SwimEffects& out) { s.announce(net.now(), out); });
  CHECK(net.run_until([&] { return net.all_alive(); }, 2s));
}

TEST_CASE("swim: a roster that tells of a death brings no member of one's own roster back") {
  Net net(5, SwimConfig::lan(), 14);
  net.run(2s);
  std::vector<MemberRumor> roster;
  for (size_t i = 0; i < 4; ++i) roster.push_back(net.swim(i).self_rumor());
  net.crash(3);
  net.crash(4);
  net.run(20s);
  REQUIRE(net.all_see(3, MemberState::kDead));
  net.log.clear();
  net.start(4, 2);
  for (const MemberRumor& alive : roster) CHECK(net.swim(4).restore(alive, net.now()));
  net.sync(4, 0);
  const auto met = [&] { return net.swim(4).find(net.id(0))->state == MemberState::kAlive; };
  REQUIRE(net.run_until(met, 1s));
  net.run(5s);
  CHECK(net.swim(4).find(net.id(3))->state == MemberState::kDead);
  for (const auto& entry : net.log)
    CHECK_FALSE((entry.event.node == net.id(3) && entry.event.kind == MemberEventKind::kJoined));
}

TEST_CASE("swim: newcomers that know one seed are soon known to all, and learn who is dead") {
  Net net(3, SwimConfig::lan(), 13);
  net.run(2s);
  net.crash(2);
  net.run(5s);
  const Instant began = net.now();
  for (int i = 0; i < 10; ++i) net.sync(net.add("late" + std::to_string(i)), 0);
  CHECK(net.run_until([&] { return net.all_alive(); }, 2s));
  MESSAGE("10 joined in ", std::chrono::duration<double>(net.now() - began).count(), " s");
  CHECK(net.state(7, 2) == MemberState::kDead);
  net.run(5s);
  for (const auto& entry : net.log) {
    if (entry.node >= 3) CHECK(entry.event.kind != MemberEventKind::kSuspect);
  }
}

TEST_CASE("swim: two members with one name are both kept, and told") {
  Net net(3, SwimConfig::lan(), 14);
  net.run(1s);
  const size_t twin = net.add("n1");
  net.sync(twin, 0);
  net.run(2s);
  CHECK(net.all_alive());
  CHECK(net.swim(0).members().size() == 4);
  size_t clashes = 0;
  for (const auto& entry : net.log) {
    if (entry.event.kind != MemberEventKind::kNameClash || entry.node != 0) continue;
    ++clashes;
    CHECK(entry.event.node == net.id(twin));
    CHECK(entry.event.by == net.id(1));
  }
  CHECK(clashes == 1);
}

TEST_CASE("swim: half of twenty crash at once, and half of twenty are cut off") {
  Net net(20, SwimConfig::lan(), 15);
  net.run(2s);
  for (size_t i = 0; i < 10; ++i) net.crash(i);
  CHECK(net.run_until(
      [&] {
        for (size_t i = 0; i < 10; ++i) {
          if (!net.all_see(i, MemberState::kDead)) return false;
        }
        return true;
      },
      20s));
  net.run(30s);
  for (size_t i = 10; i < 20; ++i) CHECK(net.all_see(i, MemberState::kAlive));

  Net cut(20, SwimConfig::lan(), 16);
  cut.run(2s);
  cut.cut = [](size_t a, size_t b) { return a % 2 != b % 2; };
  cut.run(60s);
  cut.cut = [](size_t, size_t) { return false; };
  CHECK(cut.run_until([&] { return cut.all_alive(); }, 8s));
}

TEST_CASE("swim: a deaf node says that it is isolated") {
  Net net(5, SwimConfig::lan(), 17);
  net.run(2s);
  net.cut = [](size_t, size_t to) { return to == 4; };
  net.run(10s);
  CHECK(net.swim(4).isolated());
  CHECK_FALSE(net.swim(0).isolated());
  net.cut = [](size_t, size_t) { return false; };
  CHECK(net.run_until([&] { return net.all_alive() && !net.swim(4).isolated(); }, 7s));
}

TEST_CASE("swim: a seed replays bit for bit, another differs") {
  const auto run = [](uint64_t seed) {
    Net net(7, SwimConfig::lan(), seed);
    net.loss_percent = 15;
    net.run(5s);
    net.crash(3);
    net.freeze(4, 2s);
    net.run(20s);
    return net.trace();
  };
  CHECK(run(18) == run(18));
  CHECK(run(18) != run(19));
}

TEST_CASE("swim: an idle member sends what the simulation says, about 600 bytes a second") {
  Net net(5, SwimConfig::lan(), 20);
  net.run(20s);
  const size_t bytes = net.bytes;
  const size_t datagrams = net.datagrams;
  net.run(100s);
  const double rate = static_cast<double>(net.bytes - bytes) / 500;
  MESSAGE(rate, " bytes/s, ", static_cast<double>(net.datagrams - datagrams) / 500, " packets/s");
  CHECK(rate < 750);
}
