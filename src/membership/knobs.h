#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "membership/config.h"

namespace kith {

/// A knob of SwimConfig as it stands in the YAML: durations in whole milliseconds, the unit last in
/// the name.
struct SwimKnob {
  std::string name;
  uint64_t least = 0;
  uint64_t most = 0;
  std::function<uint64_t(const SwimConfig&)> get;
  std::function<void(SwimConfig&, uint64_t)> set;
};

/// Every knob, in the order of SwimConfig.
[[nodiscard]] const std::vector<SwimKnob>& swim_knobs();

}  // namespace kith
