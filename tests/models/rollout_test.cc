// The rolling update without a leader: docs/architecture.md, "The models".
#include "rollout.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "table.h"

namespace kith::model {

TEST_CASE("rollout: in batches, over deaths and partitions, and it ends") {
  const uint64_t seeds = seeds_or(500);
  RolloutRun sum;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const RolloutRun run = run_rollout(seed);
    if (!run.wrong.empty()) FAIL_CHECK("seed " << seed << ": " << run.wrong);
    sum.updates += run.updates;
    sum.rollbacks += run.rollbacks;
    sum.opened += run.opened;
    sum.takeovers += run.takeovers;
    sum.failures += run.failures;
    sum.deaths += run.deaths;
    sum.ended_ms = std::max(sum.ended_ms, run.ended_ms);
  }
  MESSAGE(seeds << " seeds: " << sum.updates << " updates, " << sum.opened << " slots opened, "
                << sum.takeovers << " takeovers of slots not open, " << sum.failures
                << " failures, " << sum.rollbacks << " rollbacks, " << sum.deaths
                << " deaths; ended after at most " << sum.ended_ms << " ms");
  CHECK(sum.updates > 2 * seeds);
  CHECK(sum.opened > 4 * seeds);
  CHECK(sum.takeovers > seeds);
  CHECK(sum.rollbacks > seeds / 4);
  CHECK(sum.deaths > 2 * seeds);
}

TEST_CASE("rollout: each seeded defect is found") {
  table<RolloutDefect>("rollout", 600, [](uint64_t seed, RolloutDefect defect) {
    return run_rollout(seed, defect).wrong;
  });
}

}  // namespace kith::model
