#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/defects.h"
#include "faults.h"
#include "world.h"

namespace kith::sim {

/// A run, as a command line names it.
struct RunShape {
  uint64_t seed = 1;
  size_t hosts = 10;
  size_t drawn_for = 0;  ///< hosts that the schedule is drawn for; 0: `hosts`
  Duration length = std::chrono::minutes(3);
  Duration calm = std::chrono::minutes(2);
  std::vector<FaultKind> kinds = usual_faults();
  Defect defect = Defect::kNone;            ///< planted in the product
  std::optional<std::vector<size_t>> only;  ///< of the schedule, by number; none: all of it
};

/// The part of the schedule that is played.
[[nodiscard]] std::vector<Fault> schedule_of(const RunShape& shape);
/// What replays it.
[[nodiscard]] std::string command_line(const RunShape& shape);

/// Hosts that find each other, the schedule played on them, and calm. `world` was made of the
/// shape's seed and hosts. Ends early at the first thing that does not hold, if asked to. When the
/// chaos began.
Duration play(World& world, const RunShape& shape, bool stop_at_violation = false);

}  // namespace kith::sim
