#pragma once

#include <algorithm>

#include "base/instant.h"

namespace kith {

/// Local health (Lifeguard section IV-A): how far this node doubts itself before it doubts others.
/// Grows with probes that failed though the helpers' nacks are missing too, with refutations of
/// one's own and with stalls; shrinks with each probe that succeeds.
class Awareness {
 public:
  /// `max_multiplier` >= 1.
  explicit Awareness(unsigned max_multiplier) : max_(max_multiplier - 1) {}

  void worse(unsigned by) { score_ = std::min(max_, score_ + std::min(by, max_)); }
  void better() { score_ -= score_ > 0 ? 1 : 0; }
  /// 1 when well; what interval, T1 and T2 are multiplied by.
  [[nodiscard]] unsigned multiplier() const { return score_ + 1; }
  [[nodiscard]] Duration scale(Duration d) const { return d * multiplier(); }

 private:
  unsigned max_;
  unsigned score_ = 0;
};

}  // namespace kith
