#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "chaos.h"

namespace kith::sim {

/// What came of a run.
struct Outcome {
  RunShape shape;
  std::vector<World::Violation> violations;
  /// By "checker: what it judged", how often.
  std::map<std::string, uint64_t> judged;
  uint64_t steps = 0;
  uint64_t digest = 0;
  double took_s = 0;
  Duration chaos_at{};  ///< when the chaos began, in the world's time
  [[nodiscard]] bool failed() const { return !violations.empty(); }
};

/// In this process. `history`: a node or a slot to follow; its lines go to `lines`.
[[nodiscard]] Outcome run(const RunShape& shape, bool stop_at_violation = true,
                          const std::string& history = {},
                          std::vector<std::string>* lines = nullptr);

/// Each in a process of its own, as many at a time as there are cores: one that crashes has failed,
/// and takes nobody along. Told of each as it ends; `done` answers whether to go on. In the order
/// of `shapes`; those that were not run any more have no seconds.
[[nodiscard]] std::vector<Outcome> run_all(const std::vector<RunShape>& shapes,
                                           const std::function<bool(const Outcome&)>& done);

/// Adds up what was judged.
void add(std::map<std::string, uint64_t>& sum, const std::map<std::string, uint64_t>& more);

}  // namespace kith::sim
