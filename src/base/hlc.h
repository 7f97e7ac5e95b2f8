#pragma once

#include <compare>
#include <cstdint>

#include "base/instant.h"

namespace kith {

/// A stamp of the hybrid logical clock (Kulkarni et al. 2014): 42 bits of milliseconds since
/// 2020-01-01, then 16 bits of logical count. Totally ordered; zero is before everything.
struct Stamp {
  uint64_t value = 0;
  auto operator<=>(const Stamp&) const = default;
  [[nodiscard]] uint64_t ms() const { return value >> 16; }
  [[nodiscard]] WallTime wall() const;
  [[nodiscard]] static Stamp from_wall(WallTime wall);
};

/// Makes stamps that grow, whatever the wall clock does. What is observed from others is folded in,
/// so an edit is always later than what it edits.
class HybridClock {
 public:
  /// `floor`: the last persisted stamp; nothing earlier is ever given.
  explicit HybridClock(Stamp floor = {}) : last_(floor) {}

  /// Strictly greater than every stamp given or observed so far.
  [[nodiscard]] Stamp next(WallTime wall);
  /// Call only with stamps that were accepted.
  void observe(Stamp seen);
  [[nodiscard]] Stamp last() const { return last_; }

 private:
  Stamp last_;
};

}  // namespace kith
