// The lease of the `majority` failover, before it is built: docs/architecture.md, "The models".
#include "lease.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "table.h"

namespace kith::model {

TEST_CASE("lease: never two at one instant, and a majority has it back within 50 s") {
  const uint64_t seeds = seeds_or(300);
  LeaseRun sum;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const LeaseRun run = run_lease(seed);
    if (!run.wrong.empty()) FAIL_CHECK("seed " << seed << ": " << run.wrong);
    sum.terms += run.terms;
    sum.renewals += run.renewals;
    sum.kills += run.kills;
    sum.lists += run.lists;
    sum.restarts += run.restarts;
    sum.regained_ms = std::max(sum.regained_ms, run.regained_ms);
  }
  MESSAGE(seeds << " seeds: " << sum.terms << " terms, " << sum.renewals << " renewals, "
                << sum.kills << " kills by guards, " << sum.lists << " changes of the voters, "
                << sum.restarts << " restarts; back after at most " << sum.regained_ms << " ms");
  CHECK(sum.terms > 2 * seeds);
  CHECK(sum.renewals > 20 * seeds);
  CHECK(sum.kills > seeds / 4);
  CHECK(sum.lists > seeds);
  CHECK(sum.restarts > seeds);
}

TEST_CASE("lease: a promise that was forgotten grants nothing") {
  const LeaseRun run = forgotten_promise();
  CHECK(run.wrong == "");
  CHECK(run.terms == 1);
}

TEST_CASE("lease: each seeded defect is found") {
  table<LeaseDefect>("lease", 1000, [](uint64_t seed, LeaseDefect defect) {
    return defect == LeaseDefect::kAcceptsUnpromised ? forgotten_promise(defect).wrong
                                                     : run_lease(seed, defect).wrong;
  });
}

}  // namespace kith::model
