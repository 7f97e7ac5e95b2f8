// A corner of what bench/load.py measures.
#include <algorithm>

#include <doctest/doctest.h>

#include "membership/scale.h"

using namespace kith;
using namespace kith::test;
using namespace std::chrono_literals;

TEST_CASE("swim: what a member sends does not depend on how many there are (SWIM section 3)") {
  const Load forty = load_of_all(40, 0, 20s, 1);
  const Load sampled = load_of_some(40, 40, 20s, 1);
  const Load many = load_of_some(2000, 8, 60s, 1);
  MESSAGE("datagrams a second: ", forty.datagrams, " of 40; sampled ", sampled.datagrams, "; ",
          many.datagrams, " of 2000");
  CHECK(sampled.datagrams == doctest::Approx(forty.datagrams).epsilon(0.05));
  CHECK(many.datagrams == doctest::Approx(forty.datagrams).epsilon(0.1));
  CHECK(many.bytes == doctest::Approx(forty.bytes).epsilon(0.1));
}

TEST_CASE("gossip: news reaches all in O(log n) rounds, with loss too") {
  for (const unsigned loss : {0U, 25U}) {
    for (const size_t n : {10, 100, 1000}) {
      const Spread spread = spread_of_news(n, loss, false, 3);
      CHECK(spread.reached == n);
      CHECK(spread.all <= 0.1 * (2 + rounds_by_theory(n, 3, loss)));
    }
  }
  CHECK(spread_of_news(1000, 0, true, 3).half < 0.01);
  CHECK(spread_of_news(1000, 0, true, 3).all < 0.3);
}
