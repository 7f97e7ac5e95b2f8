// Two agents on copies of one data_dir: the elder stays, the other ends, and neither does so for
// the memory of one that is long dead.
#include <optional>

#include <doctest/doctest.h>

#include "membership/net.h"

using namespace kith;
using namespace kith::test;

namespace {

constexpr Instant kStart = Instant{} + 1h;

struct Agent {
  Agent(Epoch epoch, uint64_t boot)
      : swim({node_id(0), "m0", {"10.0.0.0", 7117}, epoch, boot}, SwimConfig::lan(), Rng(boot),
             kStart) {}
  /// What this agent says of itself, when told that.
  std::optional<MemberRumor> told(const MemberRumor& alive) {
    SwimEffects out;
    swim.hear(alive, node_id(9), kStart, out);
    for (const MemberEvent& event : out.events) {
      if (event.kind != MemberEventKind::kIdentityClash) continue;
      ++(event.by == node_id(0) ? ended : said);
    }
    if (out.news.empty()) return std::nullopt;
    return out.news.back().rumor;
  }
  Swim swim;
  size_t ended = 0;
  size_t said = 0;
};

}  // namespace

TEST_CASE(
    "swim: of two agents with one identity the one that began later ends, the elder says so") {
  struct Row {
    Epoch elder_epoch;
    uint64_t elder_boot;
    Epoch newer_epoch;
    uint64_t newer_boot;
  };
  // The last: both began in one epoch; the lower boot stays.
  for (const Row& row : {Row{3, 50, 4, 7}, Row{3, 7, 4, 50}, Row{3, 7, 3, 50}}) {
    Agent elder(row.elder_epoch, row.elder_boot);
    Agent newer(row.newer_epoch, row.newer_boot);
    auto said = elder.told(newer.swim.self_rumor());
    for (int i = 0; said && i < 10; ++i) {
      said = i % 2 == 0 ? newer.told(*said) : elder.told(*said);
    }
    CHECK(newer.ended == 1);
    CHECK(elder.ended == 0);
    CHECK(elder.said == 1);
    CHECK(elder.swim.self().incarnation > newer.swim.self().incarnation);
  }
}

TEST_CASE("swim: who hears only the memory of its own later starts goes on, in a new epoch") {
  Agent once(5, 50);
  Agent copy(6, 7);
  const auto as_elder = once.told(copy.swim.self_rumor());  // that one met a copy in its time
  REQUIRE(as_elder);
  for (const MemberRumor& memory : {once.swim.self_rumor(), *as_elder}) {
    Agent restored(2, 99);
    restored.told(memory);
    restored.told(memory);  // however many remember it
    CHECK(restored.ended == 0);
    CHECK(restored.said == 0);
    CHECK(restored.swim.self().epoch > memory.epoch);
  }
}
