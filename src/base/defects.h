#pragma once

#include <cstdint>

namespace kith {

/// Mistakes that the simulator plants, one at a time, to see that its checkers find them
/// (tests/sim/defects.cc). Only a build with -Ddefects=true can be given one; in every other
/// `defective` is false at compile time and nothing is left of the branch.
enum class Defect : uint8_t {
  kNone,
  kNoSuspicion,         ///< a failed probe is a death
  kNoNewIncarnation,    ///< a refutation under the number that was accused
  kHoldDownIgnored,     ///< who flaps stays ready
  kTombstoneForgotten,  ///< a removal leaves nothing behind for long
  kMergeKeepsMine,      ///< of two concurrent edits the one that is here stays
  kMergeByArrival,      ///< ... the one that comes last wins
  kNoAntiEntropy,       ///< only rumors carry news
  kEditBeforeDisk,      ///< acknowledged before it is stored
  kFlushBehindEdit,     ///< what was merged meanwhile is written over an edit
  kEpochForgotten,      ///< not on disk before it is used
  kEditsWithoutLimit,   ///< as many wait as are handed in
  kPlacementOfSelf,     ///< who computes shows in the result
  kMovesWithoutGain,    ///< rebalancing does not ask what a move is good for
  kNoBootPause,         ///< row 0 is left out
  kTakeoverNever,       ///< row 2 is left out
  kStopUnconfirmed,     ///< row 5 stops because another runs
  kConfirmAnyNonce,     ///< row 5 takes an old confirmation for its own
  kStopUnsynced,        ///< row 7 takes what it has not heard of yet for removed
  kTermNotAdvanced,     ///< a start under the highest term known
  kRolloutStuck,        ///< an update does not go beyond its third batch
};

#ifdef KITH_DEFECTS
extern Defect seeded_defect;
[[nodiscard]] inline bool defective(Defect defect) {
  return seeded_defect == defect;
}
#else
[[nodiscard]] constexpr bool defective(Defect) {
  return false;
}
#endif

}  // namespace kith
