#pragma once

#include <cstdint>
#include <string>

namespace kith::model {

/// What an implementation of the rolling update may get wrong; `kNone` is the rule.
enum class RolloutDefect : uint8_t {
  kNone,
  kTakeoverRunsNew,     ///< a takeover of a slot that is not open runs the new spec
  kStableForgotten,     ///< what was stable counts only while its node is not dead
  kFailuresForgotten,   ///< ... and so do failures
  kCountsCopies,        ///< as many copies as there are earlier slots, whichever they are
  kAnyGeneration,       ///< stable under some earlier generation will do
  kStableAtStart,       ///< without timing the monitor
  kPreviousUnsettled,   ///< the previous spec is that of an update that had not ended
  kRollbackTakesBack,   ///< a takeover in a rollback runs the spec that failed
  kRollbackByOwnClock,  ///< a rollback is stamped by whoever writes it
  kRollbackSigned,      ///< ... or names its writer
  kRollbackOneLater,    ///< ... or has the next stamp, which an edit may have too
  kRollsBackRollback,   ///< a rollback that fails is rolled back
  kNoDeadline,          ///< a start that never ends is waited for
  kLastArrivalWins,     ///< documents in the order in which they come
  kCount
};

[[nodiscard]] const char* name_of(RolloutDefect defect);

struct RolloutRun {
  std::string wrong;       ///< of the first rule broken: what, and when; empty: none was
  uint64_t updates = 0;    ///< by people
  uint64_t rollbacks = 0;  ///< different ones
  uint64_t opened = 0;     ///< slots, by the batches
  uint64_t takeovers = 0;  ///< that ran the settled spec since their slot was not open
  uint64_t failures = 0;
  uint64_t deaths = 0;
  int64_t ended_ms = 0;  ///< after the faults
};

/// The rolling update of docs/architecture.md for one service on 3 to 5 hosts: two minutes of
/// edits and faults, then none.
[[nodiscard]] RolloutRun run_rollout(uint64_t seed, RolloutDefect defect = RolloutDefect::kNone);

}  // namespace kith::model
