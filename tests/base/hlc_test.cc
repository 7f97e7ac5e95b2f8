#include "base/hlc.h"

#include <doctest/doctest.h>

using namespace kith;

TEST_CASE("hlc: stamps grow although the wall clock stands or goes back") {
  HybridClock clock;
  const Stamp first = clock.next(WallTime{1700000000000});
  const Stamp second = clock.next(WallTime{1700000000000});
  const Stamp third = clock.next(WallTime{1600000000000});
  CHECK(first < second);
  CHECK(second < third);
  CHECK(first.wall() == WallTime{1700000000000});
}

TEST_CASE("hlc: what is observed is earlier than what is given next") {
  HybridClock clock;
  const Stamp seen = Stamp::from_wall(WallTime{1800000000000});
  clock.observe(seen);
  CHECK(clock.next(WallTime{1700000000000}) > seen);
}

TEST_CASE("hlc: never before the floor it was restarted with") {
  const Stamp floor = Stamp::from_wall(WallTime{1800000000000});
  CHECK(HybridClock(floor).next(WallTime{1}) > floor);
}
