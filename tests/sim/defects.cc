#include "defects.h"

#include <algorithm>

namespace kith::sim {
namespace {

using namespace std::chrono_literals;
using enum FaultKind;

RunShape chaos(std::vector<FaultKind> kinds, size_t hosts = 6) {
  RunShape shape;
  shape.hosts = hosts;
  shape.length = 2min;
  shape.kinds = std::move(kinds);
  return shape;
}

const std::vector<FaultKind> kGoing = {kKill, kCrash, kFreeze, kPartition};
const std::vector<FaultKind> kApart = {kPartition, kOneWay, kLoss};

std::vector<DefectCase> all() {
  return {
      {Defect::kNoSuspicion, "no-suspicion", "membership", chaos(kGoing)},
      {Defect::kNoNewIncarnation, "no-new-incarnation", "membership", chaos({kFreeze, kPartition})},
      {Defect::kHoldDownIgnored, "hold-down-ignored", "membership", chaos({kFreeze}, 4)},
      {Defect::kTombstoneForgotten, "tombstone-forgotten", "documents", chaos(kGoing)},
      {Defect::kMergeKeepsMine, "merge-keeps-mine", "documents", chaos(kApart)},
      {Defect::kMergeByArrival, "merge-by-arrival", "documents", chaos(kApart)},
      {Defect::kNoAntiEntropy, "no-anti-entropy", "documents", chaos({kPartition, kLoss})},
      {Defect::kEditBeforeDisk, "edit-before-disk", "documents", chaos({kCrash})},
      {Defect::kFlushBehindEdit, "flush-behind-edit", "documents", chaos(kApart, 10)},
      {Defect::kEpochForgotten, "epoch-forgotten", "growth", chaos({kKill, kCrash})},
      {Defect::kEditsWithoutLimit, "edits-without-limit", "limits", chaos({kFlood})},
      {Defect::kPlacementOfSelf, "placement-of-self", "placement", chaos(kGoing)},
      {Defect::kMovesWithoutGain, "moves-without-gain", "starts", chaos({kKill, kCrash})},
      {Defect::kNoBootPause, "no-boot-pause", "starts", chaos({kKill, kCrash})},
      // Once faults are over row 1 does what row 2 did: tests/engine/plan_test.cc has it.
      {Defect::kTakeoverNever, "takeover-never", "-", chaos(usual_faults()), 0},
      {Defect::kStopUnconfirmed, "stop-unconfirmed", "stops", chaos(kApart)},
      {Defect::kConfirmAnyNonce, "confirm-any-nonce", "stops", chaos(kApart)},
      {Defect::kStopUnsynced, "stop-unsynced", "stops", chaos({kLoseDisk, kKill})},
      {Defect::kTermNotAdvanced, "term-not-advanced", "starts", chaos(kGoing)},
      {Defect::kRolloutStuck, "rollout-stuck", "slots", chaos({})},
  };
}

}  // namespace

const std::vector<DefectCase>& defect_cases() {
  static const std::vector<DefectCase> kAll = all();
  return kAll;
}

std::optional<Defect> defect_of(std::string_view name) {
  for (const DefectCase& known : defect_cases())
    if (known.name == name) return known.defect;
  return std::nullopt;
}

std::string_view name_of(Defect defect) {
  for (const DefectCase& known : defect_cases())
    if (known.defect == defect) return known.name;
  return "none";
}

bool plant(Defect defect) {
#ifdef KITH_DEFECTS
  seeded_defect = defect;
  return true;
#else
  return defect == Defect::kNone;
#endif
}

}  // namespace kith::sim
