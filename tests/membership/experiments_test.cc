// A corner of what bench/lifeguard.py measures, so that it cannot get worse unnoticed.
#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "membership/experiments.h"
#include "membership/net.h"

using namespace kith;
using namespace kith::test;

namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

size_t all_of(const IntervalResult& r) {
  return r.at_healthy + r.at_anomalous_own + r.at_anomalous_heard;
}

}  // namespace

TEST_CASE("lifeguard: blocked members accuse the healthy far less than plain SWIM's do (V)") {
  const IntervalCell cell{32, 8, 8192ms, 64ms, Anomaly::kHeld, 120s};
  const IntervalResult plain = run_interval(cell, "plain", 1);
  const IntervalResult full = run_interval(cell, "paper", 1);
  MESSAGE("healthy called dead: plain ", all_of(plain), " of which at healthy ", plain.at_healthy,
          "; full ", all_of(full), ", ", full.at_healthy);
  CHECK(all_of(plain) > 100);
  CHECK(all_of(full) * 10 <= all_of(plain));
  CHECK(full.at_healthy <= plain.at_healthy);
}

TEST_CASE("swim: an agent that died alone is known dead sooner than a host that lost its power") {
  for (const char* config : {"lan", "edge"}) {
    const double host = median(run_deaths(5, false, 30, config, 7));
    const double agent = median(run_deaths(5, true, 30, config, 7));
    MESSAGE(std::string(config), ": host ", host, " s, agent alone ", agent, " s");
    CHECK(agent <= host - 0.15);
  }
}

TEST_CASE("swim: a refused stream makes a suspect at once, and buries nobody who answers") {
  Net net(5, SwimConfig::lan(), 3);
  net.run(2s);
  net.kill(2);
  REQUIRE(net.run_until([&] { return net.count(MemberEventKind::kSuspect) > 0; }, 2s));
  // T1 has gone by and the stream was dialled; T2 has not.
  const Instant suspected = net.now();
  CHECK(net.count(MemberEventKind::kDead) == 0);
  net.start(2, 2);
  net.with(2, [&](Swim& s, SwimEffects& out) { s.announce(net.now(), out); });
  net.sync(2, 0);
  CHECK(net.run_until([&] { return net.all_alive(); }, 1s));
  net.run(10s);
  CHECK(net.count(MemberEventKind::kDead) == 0);
  CHECK(net.now() > suspected);
}
