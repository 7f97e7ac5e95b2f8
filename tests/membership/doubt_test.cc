// Another's verdict is no proof: who was cut off itself comes back with verdicts on everybody.
#include <string>

#include <doctest/doctest.h>

#include "membership/net.h"

using namespace kith;
using namespace kith::test;

namespace {

struct Views {
  size_t wrong = 0;  ///< deaths of others, in the views of others than node 0
  bool agree = false;
};

/// Node 0 loses all for 20 s, and comes back.
Views after(const SwimConfig& config, bool held, uint64_t seed) {
  Net net(20, config, seed);
  net.run(2s);
  if (held) {
    net.hold(0, 20s);
    net.run(20s);
  } else {
    net.cut = [](size_t from, size_t to) { return (from == 0) != (to == 0); };
    net.run(20s);
    net.cut = [](size_t, size_t) { return false; };
  }
  Views views;
  views.agree = net.run_until([&] { return net.all_alive(); }, 8s);
  net.run(5s);
  for (const Net::Log& entry : net.log) {
    views.wrong += entry.event.kind == MemberEventKind::kDead && entry.node != 0 &&
                   entry.event.node != net.id(0);
  }
  return views;
}

}  // namespace

TEST_CASE("swim: who was cut off and comes back with its verdicts buries nobody in other views") {
  SwimConfig trusting = SwimConfig::lan();
  trusting.doubt_deaths = false;
  for (const bool held : {true, false}) {
    size_t trusted = 0;
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      const Views views = after(SwimConfig::lan(), held, seed);
      CHECK(views.wrong == 0);
      CHECK(views.agree);
      trusted += after(trusting, held, seed).wrong;
    }
    MESSAGE(std::string(held ? "held: " : "cut off: "), trusted, " wrong deaths without doubt");
    if (held) CHECK(trusted > 0);
  }
}

TEST_CASE("swim: a verdict is believed once its subject had the time to refute here") {
  const auto rumor = [](const Net& net, Claim claim, size_t accuser) {
    MemberRumor r;
    r.claim = claim;
    r.subject = net.id(4);
    r.incarnation = first_incarnation(1);
    r.accuser = net.id(accuser);
    return r;
  };
  const auto heard = [&](Duration suspect_for) {
    Net net(5, SwimConfig::lan(), 9);
    net.crash(4);
    if (suspect_for > Duration(0)) {
      net.with(0, [&](Swim& s, SwimEffects& out) {
        s.hear(rumor(net, Claim::kSuspect, 1), net.id(1), net.now(), out);
      });
    }
    const Instant now = net.now() + suspect_for;
    SwimEffects out;
    net.swim(0).hear(rumor(net, Claim::kDead, 1), net.id(1), now, out);
    return net.state(0, 4);
  };
  CHECK(heard(Duration(0)) == MemberState::kSuspect);
  CHECK(heard(400ms) == MemberState::kSuspect);
  CHECK(heard(460ms) == MemberState::kDead);
}

TEST_CASE("swim: who heard of a death but of no suspicion finds out for itself, within Smin") {
  Net net(5, SwimConfig::lan(), 10);
  net.run(2s);
  net.crash(4);
  MemberRumor verdict;
  verdict.claim = Claim::kDead;
  verdict.subject = net.id(4);
  verdict.incarnation = first_incarnation(1);
  verdict.accuser = net.id(1);
  net.with(0, [&](Swim& s, SwimEffects& out) { s.hear(verdict, net.id(1), net.now(), out); });
  CHECK(net.state(0, 4) == MemberState::kSuspect);
  CHECK(net.run_until([&] { return net.state(0, 4) == MemberState::kDead; },
                      SwimConfig::lan().suspicion_min));
}
