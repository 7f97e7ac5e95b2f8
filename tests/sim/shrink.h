#pragma once

#include <functional>
#include <string>

#include "runs.h"

namespace kith::sim {

struct ShrinkLimits {
  size_t runs = 300;
  double seconds = 600;
};

/// A smaller run in which the same checker finds fault: first less time, then fewer faults (delta
/// debugging: Zeller and Hildebrandt 2002), then fewer hosts. `said` is told of each step.
[[nodiscard]] Outcome shrink(Outcome failed, const ShrinkLimits& limits,
                             const std::function<void(const std::string&)>& said);

}  // namespace kith::sim
