#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/defects.h"
#include "chaos.h"

namespace kith::sim {

/// A mistake, whose business it is to find it, and in what it shows.
struct DefectCase {
  Defect defect = Defect::kNone;
  std::string_view name;
  std::string_view checker;
  RunShape shape;
  size_t seeds = 20;  ///< within which it must be found
};

/// Every one that there is.
[[nodiscard]] const std::vector<DefectCase>& defect_cases();
[[nodiscard]] std::optional<Defect> defect_of(std::string_view name);
[[nodiscard]] std::string_view name_of(Defect defect);

/// False: this build holds none.
[[nodiscard]] bool plant(Defect defect);

}  // namespace kith::sim
