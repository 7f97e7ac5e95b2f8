#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

namespace kith {

/// xoshiro256** (Blackman, Vigna 2018), seeded by splitmix64. Passed in wherever chance is needed,
/// so that a seed replays a run. Not for keys or nonces. Has its own `below()`, since the standard
/// distributions differ between libraries.
class Rng {
 public:
  explicit Rng(uint64_t seed);

  [[nodiscard]] uint64_t next();
  /// Uniform in [0, bound); bound > 0.
  [[nodiscard]] uint64_t below(uint64_t bound);
  /// True with probability numerator / denominator.
  [[nodiscard]] bool chance(uint64_t numerator, uint64_t denominator) {
    return below(denominator) < numerator;
  }
  /// An independent stream, for a part that must not disturb this one's sequence.
  [[nodiscard]] Rng split() { return Rng(next()); }

  /// Fisher-Yates.
  template <class T>
  void shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace kith
