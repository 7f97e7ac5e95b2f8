#include "gossip/replay_window.h"

#include <doctest/doctest.h>

#include <set>

#include "base/rng.h"

using namespace kith;

TEST_CASE("replay window: accepts each sequence once, in any order, within its size") {
  ReplayWindow window;
  CHECK_FALSE(window.accept(0));
  CHECK(window.accept(5));
  CHECK_FALSE(window.accept(5));
  CHECK(window.accept(3));
  CHECK_FALSE(window.accept(3));
  CHECK(window.accept(5 + ReplayWindow::kSize));
  CHECK_FALSE(window.accept(5));  // seen, and just outside
  CHECK(window.accept(6));        // the last inside
  CHECK(window.accept(UINT64_MAX));
  CHECK_FALSE(window.accept(UINT64_MAX));
  CHECK_FALSE(window.accept(7));
}

TEST_CASE("replay window: agrees with a set of everything seen") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    ReplayWindow window;
    std::set<uint64_t> seen;
    uint64_t highest = 0;
    uint64_t front = 1;
    for (int i = 0; i < 5000; ++i) {
      front += rng.below(4);
      if (rng.chance(1, 200)) front += rng.below(3 * ReplayWindow::kSize);
      const uint64_t back = rng.below(rng.chance(1, 10) ? 2 * ReplayWindow::kSize : 20);
      const uint64_t sequence = front > back ? front - back : 1;
      const bool too_old = sequence + ReplayWindow::kSize <= highest;
      const bool expected = !too_old && !seen.contains(sequence);
      REQUIRE(window.accept(sequence) == expected);
      if (expected) seen.insert(sequence);
      highest = std::max(highest, sequence);
      REQUIRE(window.highest() == highest);
    }
  }
}

TEST_CASE("replay guard: a sender is unknown until its boot is learned") {
  ReplayGuard guard;
  CHECK(guard.accept(1, 77, 1) == ReplayVerdict::kUnknownBoot);
  CHECK(guard.accept(1, 77, 1) == ReplayVerdict::kUnknownBoot);
  CHECK(guard.learn(1, 1, 77));
  CHECK(guard.accept(1, 77, 1) == ReplayVerdict::kFresh);
  CHECK(guard.accept(1, 77, 1) == ReplayVerdict::kReplay);
  CHECK(guard.accept(2, 77, 1) == ReplayVerdict::kUnknownBoot);
}

TEST_CASE("replay guard: after a restart only the new boot counts") {
  ReplayGuard guard;
  CHECK(guard.learn(1, 1, 77));
  CHECK(guard.accept(1, 77, 9) == ReplayVerdict::kFresh);
  CHECK(guard.accept(1, 78, 1) == ReplayVerdict::kUnknownBoot);
  CHECK(guard.accept(1, 77, 10) == ReplayVerdict::kFresh);  // nobody proved the new boot yet
  CHECK(guard.learn(1, 2, 78));
  CHECK(guard.accept(1, 78, 1) == ReplayVerdict::kFresh);
  CHECK(guard.accept(1, 77, 11) == ReplayVerdict::kReplay);
  CHECK(guard.counters().replayed == 1);
}

TEST_CASE("replay guard: an old alive, replayed, brings no old boot back") {
  ReplayGuard guard;
  CHECK(guard.learn(1, 5, 77));
  CHECK(guard.accept(1, 77, 1) == ReplayVerdict::kFresh);
  CHECK_FALSE(guard.learn(1, 5, 77));
  CHECK(guard.accept(1, 77, 1) == ReplayVerdict::kReplay);
  CHECK_FALSE(guard.learn(1, 5, 78));  // a clone of the same epoch
  CHECK_FALSE(guard.learn(1, 4, 76));
  CHECK(guard.accept(1, 76, 1) == ReplayVerdict::kUnknownBoot);
  CHECK(guard.accept(1, 77, 2) == ReplayVerdict::kFresh);
}

TEST_CASE("replay guard: a higher epoch of the same boot does not reopen its window") {
  ReplayGuard guard;
  CHECK(guard.learn(1, 5, 77));
  CHECK(guard.accept(1, 77, 1) == ReplayVerdict::kFresh);
  CHECK(guard.learn(1, 6, 77));
  CHECK(guard.accept(1, 77, 1) == ReplayVerdict::kReplay);
}

TEST_CASE("replay guard: remembers few past boots; older ones are unknown, not fresh") {
  ReplayGuard guard;
  for (uint64_t boot = 1; boot <= 10; ++boot) CHECK(guard.learn(1, boot, boot));
  CHECK(guard.accept(1, 10, 1) == ReplayVerdict::kFresh);
  for (uint64_t boot = 1; boot < 10; ++boot) {
    const auto expected = boot >= 10 - ReplayGuard::kMaxPastBoots ? ReplayVerdict::kReplay
                                                                  : ReplayVerdict::kUnknownBoot;
    CHECK(guard.accept(1, boot, 100) == expected);
  }
}

TEST_CASE("replay guard: a full table refuses newcomers and opens no known window") {
  ReplayGuard guard;
  for (uint64_t sender = 1; sender <= ReplayGuard::kMaxSenders; ++sender) {
    REQUIRE(guard.learn(sender, 1, sender));
  }
  CHECK(guard.accept(1, 1, 1) == ReplayVerdict::kFresh);
  CHECK_FALSE(guard.learn(1'000'000, 1, 1));
  CHECK(guard.counters().refused == 1);
  CHECK(guard.size() == ReplayGuard::kMaxSenders);
  CHECK(guard.accept(1, 1, 1) == ReplayVerdict::kReplay);
  guard.forget(2);
  CHECK(guard.learn(1'000'000, 1, 1));
}
