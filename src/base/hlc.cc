#include "base/hlc.h"

#include <algorithm>

namespace kith {
namespace {

constexpr int64_t kEpochMs = 1577836800000;  // 2020-01-01T00:00:00Z
constexpr uint64_t kMsBits = 42;

}  // namespace

WallTime Stamp::wall() const {
  return {static_cast<int64_t>(ms()) + kEpochMs};
}

Stamp Stamp::from_wall(WallTime wall) {
  constexpr int64_t kMax = (int64_t{1} << kMsBits) - 1;
  const int64_t ms = std::clamp<int64_t>(wall.ms - kEpochMs, 0, kMax);
  return {static_cast<uint64_t>(ms) << 16};
}

Stamp HybridClock::next(WallTime wall) {
  last_ = std::max(Stamp::from_wall(wall), Stamp{last_.value + 1});
  return last_;
}

void HybridClock::observe(Stamp seen) {
  last_ = std::max(last_, seen);
}

}  // namespace kith
