#include "engine/task.h"

#include <algorithm>

namespace kith {
namespace {

constexpr Duration kDefaultDelay = RestartPolicy{}.delay;

}  // namespace

Duration Restarts::failed(const RestartPolicy& policy, Duration ran, Rng& rng) {
  if (ran >= kHealthyRun && ran >= 10 * last_delay) {
    failures = 0;
    last_delay = {};
  }
  if (policy.window > Duration{} && ran >= policy.window) attempts = 0;
  ++failures;
  if (failures == 1) return last_delay = {};

  Duration delay = kFirstBackOff;
  for (uint32_t i = 2; i < failures && delay < kMaxBackOff; ++i) delay *= 2;
  delay = std::min(delay, kMaxBackOff);
  // Docker's default of 5 s cannot be told from one that was asked for; it is no floor.
  if (policy.delay != kDefaultDelay) delay = std::max(delay, policy.delay);
  const auto tenth = static_cast<uint64_t>(delay.count() / 10);
  delay += Duration{static_cast<int64_t>(rng.below(tenth + 1))};
  return last_delay = delay;
}

bool Restarts::allowed(const RestartPolicy& policy, bool success) const {
  if (policy.condition == RestartCondition::kNone) return false;
  if (policy.condition == RestartCondition::kOnFailure && success) return false;
  return policy.max_attempts == 0 || attempts < policy.max_attempts;
}

std::string exit_words(int32_t exit_code, bool out_of_memory, std::string_view error) {
  if (!error.empty()) return std::string(error);
  if (exit_code == 0 && !out_of_memory) return {};
  std::string words = "task: non-zero exit (" + std::to_string(exit_code) + ")";
  if (out_of_memory) words += ": out of memory";
  return words;
}

std::string waiting_words(Duration wait, uint32_t failures) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  return "restarting in " + std::to_string(seconds) + " s (failure " + std::to_string(failures) +
         ")";
}

}  // namespace kith
