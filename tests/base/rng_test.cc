#include "base/rng.h"

#include <array>

#include <doctest/doctest.h>

using namespace kith;

TEST_CASE("rng: a seed replays, another seed differs") {
  Rng a(7);
  Rng b(7);
  Rng c(8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const uint64_t x = a.next();
    CHECK(x == b.next());
    differs |= x != c.next();
  }
  CHECK(differs);
}

TEST_CASE("rng: below is uniform enough to pass a chi-square test") {
  Rng rng(1);
  constexpr size_t kBins = 7;
  constexpr int kDraws = 70000;
  std::array<int, kBins> bins{};
  for (int i = 0; i < kDraws; ++i) ++bins[rng.below(kBins)];
  double chi = 0;
  for (int count : bins) chi += (count - 10000.0) * (count - 10000.0) / 10000.0;
  CHECK(chi < 22.5);  // 6 degrees of freedom, p = 0.001
}
