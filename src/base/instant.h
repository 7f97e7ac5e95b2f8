#pragma once

#include <chrono>
#include <cstdint>

namespace kith {

using Duration = std::chrono::nanoseconds;

/// The clock behind `Instant`. It has no `now()`: code that asks for the time does not compile;
/// the driver reads the host's monotonic clock once a wake-up and passes it in.
struct InjectedClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<InjectedClock>;
  static constexpr bool is_steady = true;
};

/// A monotonic point in time. Instants of two hosts, or of two runs, cannot be compared.
using Instant = InjectedClock::time_point;

constexpr Instant kNever = Instant::max();

/// Milliseconds since 1970 on some host's wall clock: for people and for stamps, never for timers.
struct WallTime {
  int64_t ms = 0;
  auto operator<=>(const WallTime&) const = default;
};

/// Both clocks as the driver read them at one wake-up.
struct Now {
  Instant mono;
  WallTime wall;
};

}  // namespace kith
