#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/instant.h"
#include "base/rng.h"
#include "state/records.h"

namespace kith {

/// Where a task of this node stands; the record tells others the same in Swarm's words.
enum class TaskPhase : uint8_t {
  kWaiting,     ///< for its predecessor on this host to be gone
  kStarting,    ///< StartTask sent
  kRunning,     ///< the container runs
  kBackingOff,  ///< takes the place of one that failed, from `due` on; not started yet
  kLeading,     ///< told to stop at `due`: the news spreads first
  kStopping,    ///< StopTask sent
};

/// One task of this node until it has ended.
struct Task {
  TaskRecord record;
  TaskPhase phase = TaskPhase::kWaiting;
  Instant due = kNever;            ///< kBackingOff, kLeading
  Instant running_since = kNever;  ///< first moment healthy; kNever: not yet
  std::string spec_json;           ///< what StartTask gets
  Duration grace = std::chrono::seconds(10);
  Duration monitor = std::chrono::seconds(5);
  std::vector<std::string> asked;  ///< whom the current ask went to
  bool overlaps = false;           ///< start-first: does not wait for its predecessor
  /// kBackingOff after an exit whose service was not known yet: the policy is asked when it is.
  std::optional<bool> after_success;
  bool dirty = true;  ///< the record is not published as it stands
};

/// Ended for good, and its container is still there: the proof of that after a restart.
struct KeptTask {
  std::string id;
  std::string service_id;
  Term term = 0;
};

/// How often a slot failed on this host lately, and how long to wait for the next try.
struct Restarts {
  uint32_t failures = 0;        ///< in a row
  uint32_t start_failures = 0;  ///< in a row, of the same generation
  uint64_t attempts = 0;        ///< restarts, as max_attempts counts them
  Duration last_delay{};

  /// Counts one failure after a run of `ran` (zero: it never ran) and gives the wait: none after
  /// the first, then 1 s doubling up to kMaxBackOff, each within a tenth; not below the policy's
  /// delay from the second on if the service sets one. A run of ten times the last wait, and of a
  /// minute at least, counts as a new beginning.
  Duration failed(const RestartPolicy& policy, Duration ran, Rng& rng);
  /// Whether the policy allows one more start after an exit.
  [[nodiscard]] bool allowed(const RestartPolicy& policy, bool success) const;
};

constexpr Duration kMaxBackOff = std::chrono::minutes(5);
constexpr Duration kFirstBackOff = std::chrono::seconds(1);
constexpr Duration kHealthyRun = std::chrono::seconds(60);
constexpr size_t kMaxHistory = 5;          ///< ended tasks a slot shown in `service ps`
constexpr uint32_t kMaxStartFailures = 3;  ///< then the node refuses the slot

/// Swarm's words: `task: non-zero exit (1)`; empty for success.
[[nodiscard]] std::string exit_words(int32_t exit_code, bool out_of_memory, std::string_view error);
/// `restarting in 8 s (failure 4)`
[[nodiscard]] std::string waiting_words(Duration wait, uint32_t failures);

}  // namespace kith
