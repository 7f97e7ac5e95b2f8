#include "rollout.h"

#include <algorithm>
#include <bit>

#include "rollout_world.h"

namespace kith::model {
namespace {

constexpr Millis kDeadAfter = 3'000;
constexpr Millis kMonitor = 5'000;
constexpr Millis kDeadline = 15'000;
constexpr Millis kBackOff = 2'000;

[[nodiscard]] constexpr Slots bit(size_t slot) {
  return Slots{1} << slot;
}
[[nodiscard]] size_t count(Slots slots) {
  return static_cast<size_t>(std::popcount(slots));
}

}  // namespace

const char* name_of(RolloutDefect defect) {
  constexpr const char* kNames[] = {"none",
                                    "a takeover runs the new spec",
                                    "stable is forgotten at a death",
                                    "failures are forgotten at a death",
                                    "copies counted, not slots",
                                    "stable at any generation",
                                    "stable without the monitor",
                                    "previous: an update that had not ended",
                                    "a takeover in a rollback runs what failed",
                                    "rollback stamped by its writer",
                                    "rollback names its writer",
                                    "rollback with the next stamp",
                                    "a rollback is rolled back",
                                    "no progress deadline",
                                    "last arrival wins"};
  return kNames[static_cast<size_t>(defect)];
}

bool RolloutWorld::too_many(Slots failed) const {
  return on_failure_ != OnFailure::kContinue && count(failed) > tolerated_;
}

bool RolloutWorld::ended_well(const Doc& doc, const Rollout& rollout) const {
  if (doc.created()) return true;
  return !too_many(rollout.failed) && ((rollout.stable | rollout.failed) & all()) == all();
}

bool RolloutWorld::dead(size_t at, size_t other) const {
  const RolloutHost& host = hosts_[at];
  if (at == other) return false;
  return now_ - host.heard[other] > kDeadAfter || now_ < host.mistaken_until[other];
}

/// What this host goes by; by the rule, all that it was ever told.
Rollout RolloutWorld::rollout_of(size_t at, const Stamp& doc) const {
  const Known& known = hosts_[at].known;
  const auto kept = known.rollouts.find(doc);
  Rollout rollout = kept == known.rollouts.end() ? Rollout{} : kept->second;
  Rollout visible;
  for (size_t other = 0; other < hosts_.size(); ++other) {
    if (dead(at, other)) continue;
    for (size_t slot = 0; slot < slots_; ++slot) {
      const Task& task = known.said[other].tasks[slot];
      if (task.phase == Phase::kNone || task.doc != doc) continue;
      if (task.stable) visible.stable |= bit(slot);
      if (task.phase == Phase::kFailed) visible.failed |= bit(slot);
    }
  }
  if (has(RolloutDefect::kStableForgotten)) rollout.stable = visible.stable;
  if (has(RolloutDefect::kFailuresForgotten)) rollout.failed = visible.failed;
  if (has(RolloutDefect::kAnyGeneration))
    for (const auto& [stamp, other] : known.rollouts) rollout.stable |= other.stable;
  return rollout;
}

size_t RolloutWorld::copies_stable(size_t at, const Stamp& doc) const {
  size_t copies = 0;
  for (size_t other = 0; other < hosts_.size(); ++other)
    for (size_t slot = 0; slot < slots_; ++slot) {
      const Task& task = hosts_[at].known.said[other].tasks[slot];
      copies += task.stable && task.doc == doc ? 1 : 0;
    }
  return copies;
}

bool RolloutWorld::open(size_t at, size_t slot) const {
  const Doc& doc = hosts_[at].known.doc;
  if (doc.created()) return true;
  const Rollout rollout = rollout_of(at, doc.stamp);
  if ((rollout.stable & bit(slot)) != 0 && !has(RolloutDefect::kAnyGeneration)) return true;
  if (too_many(rollout.failed)) return false;
  if (has(RolloutDefect::kCountsCopies)) return copies_stable(at, doc.stamp) >= count(before(slot));
  return ((rollout.stable | rollout.failed) & before(slot)) == before(slot);
}

bool RolloutWorld::is_target(size_t at, size_t slot) const {
  std::vector<size_t> alive;
  for (size_t other = 0; other < hosts_.size(); ++other)
    if (!dead(at, other)) alive.push_back(other);
  return alive[slot * 7 % alive.size()] == at;
}

// --- A host's part -----------------------------------------------------------------------------

void RolloutWorld::begin(size_t at, size_t slot) {
  RolloutHost& host = hosts_[at];
  const Doc& doc = host.known.doc;
  Copy& copy = host.copies[slot];
  const bool opened = open(at, slot) || has(RolloutDefect::kTakeoverRunsNew);
  const bool again = copy.task.phase == Phase::kFailed && copy.task.doc == doc.stamp;
  const bool replaces = copy.task.phase != Phase::kNone && !again;
  Task task{Phase::kStarting, doc.settled, {}, false};
  if (opened || again) {
    task.spec = doc.spec;
    task.doc = doc.stamp;
    if (replaces || task.spec != doc.settled) check_start(at, slot, task);
  } else {
    check_takeover(at, slot, task.spec);
  }
  if (!again) copy.opened = now_;
  copy.task = task;
  copy.since = now_;
  const bool stuck = specs_[static_cast<size_t>(task.spec)] == Quality::kStuck;
  copy.due = stuck ? INT64_MAX : now_ + 500 + static_cast<Millis>(rng_.below(1'500));
}

void RolloutWorld::fail(size_t at, size_t slot) {
  Copy& copy = hosts_[at].copies[slot];
  copy.task.phase = Phase::kFailed;
  copy.since = now_;
  copy.due = now_ + kBackOff;
  copy.opened = now_;
  ++out_.failures;
  if (copy.task.doc == Stamp{} || copy.task.stable) return;
  // What has been stable may fail later: that is no failure of the update.
  Rollout& kept = hosts_[at].known.rollouts[copy.task.doc];
  if ((kept.stable & bit(slot)) != 0) return;
  kept.failed |= bit(slot);
  happened(copy.task.doc, {0, bit(slot)});
}

/// The phases of what runs here.
void RolloutWorld::grow(size_t at, size_t slot) {
  RolloutHost& host = hosts_[at];
  Copy& copy = host.copies[slot];
  Task& task = copy.task;
  const Doc& doc = host.known.doc;
  if (task.phase == Phase::kStarting) {
    const bool late = now_ - copy.since > kDeadline && !has(RolloutDefect::kNoDeadline);
    if (late) return fail(at, slot);
    if (now_ < copy.due) return;
    const bool bad = fails(at, task.spec);
    task.phase = Phase::kRunning;
    copy.since = now_;
    copy.due = bad ? now_ + static_cast<Millis>(rng_.below(kMonitor - 1'000)) : INT64_MAX;
  }
  if (task.phase != Phase::kRunning) return;
  if (now_ >= copy.due) return fail(at, slot);
  // What runs the spec that is asked for fits, whatever it was started by.
  if (task.doc != doc.stamp && task.spec == doc.spec) {
    task.doc = doc.stamp;
    task.stable = false;
  }
  const bool long_enough = now_ - copy.since >= kMonitor;
  if (task.stable || (!long_enough && !has(RolloutDefect::kStableAtStart))) return;
  task.stable = true;
  if (task.doc == Stamp{}) return;
  host.known.rollouts[task.doc].stable |= bit(slot);
  if (long_enough) happened(task.doc, {bit(slot), 0});
}

void RolloutWorld::tend_slot(size_t at, size_t slot) {
  RolloutHost& host = hosts_[at];
  Copy& copy = host.copies[slot];
  const Doc& doc = host.known.doc;
  bool elsewhere = false;  // some copy is present
  bool drop = false;
  for (size_t other = 0; other < hosts_.size(); ++other) {
    if (other == at || dead(at, other)) continue;
    const Phase phase = host.known.said[other].tasks[slot].phase;
    if (phase == Phase::kNone) continue;
    elsewhere = true;
    const bool runs = copy.task.phase == Phase::kRunning;
    drop = drop || (phase == Phase::kRunning && !runs) ||
           ((phase == Phase::kRunning) == runs && other < at);
  }
  if (copy.task.phase == Phase::kNone) {
    if (!elsewhere && is_target(at, slot)) begin(at, slot);
    return;
  }
  if (drop) {
    copy = {};
    return;
  }
  grow(at, slot);
  if (copy.task.phase == Phase::kFailed) {
    if (now_ >= copy.due) begin(at, slot);
  } else if (copy.task.spec != doc.spec && open(at, slot)) {
    begin(at, slot);
  }
}

/// Written by whoever sees that too much failed: a function of what failed, and of nothing else.
void RolloutWorld::maybe_roll_back(size_t at) {
  const Doc failed = hosts_[at].known.doc;
  if (on_failure_ != OnFailure::kRollback || failed.created()) return;
  if (failed.rollback && !has(RolloutDefect::kRollsBackRollback)) return;
  if (!too_many(rollout_of(at, failed.stamp).failed)) return;
  Doc doc{failed.stamp, failed.generation + 1, failed.settled, failed.settled, true};
  ++doc.stamp.step;
  if (has(RolloutDefect::kRollbackOneLater)) {
    doc.stamp.step = 0;
    ++doc.stamp.logical;
  }
  if (has(RolloutDefect::kRollbackTakesBack)) doc.settled = failed.spec;
  if (has(RolloutDefect::kRollbackByOwnClock))
    doc.stamp.wall = std::max(failed.stamp.wall, now_ + hosts_[at].clock_ahead);
  if (has(RolloutDefect::kRollbackSigned)) doc.stamp.author = static_cast<int>(at);
  check_rollback(failed, doc);
  hosts_[at].known.doc = doc;
}

/// Somebody asks for another spec, at this host.
void RolloutWorld::update(size_t at) {
  Known& known = hosts_[at].known;
  const Doc& doc = known.doc;
  const Millis wall = std::max(doc.stamp.wall, now_ + hosts_[at].clock_ahead);
  const uint32_t logical = wall == doc.stamp.wall ? doc.stamp.logical + 1 : 0;
  const bool settled = ended_well(doc, rollout_of(at, doc.stamp));
  Doc next{{wall, logical, static_cast<int>(at)},
           doc.generation + 1,
           static_cast<int>(specs_.size()),
           settled || has(RolloutDefect::kPreviousUnsettled) ? doc.spec : doc.settled,
           false};
  const uint64_t kind = rng_.below(10);
  specs_.push_back(kind < 5   ? Quality::kGood
                   : kind < 7 ? Quality::kFlaky
                   : kind < 9 ? Quality::kBad
                              : Quality::kStuck);
  edits_.push_back(next);
  ++out_.updates;
  known.doc = next;
}

void RolloutWorld::take(size_t at, size_t from, const Known& news) {
  RolloutHost& host = hosts_[at];
  Known& known = host.known;
  host.heard[from] = now_;
  if (news.doc > known.doc || has(RolloutDefect::kLastArrivalWins)) known.doc = news.doc;
  for (const auto& [stamp, rollout] : news.rollouts) {
    known.rollouts[stamp].stable |= rollout.stable;
    known.rollouts[stamp].failed |= rollout.failed;
  }
  for (size_t other = 0; other < hosts_.size(); ++other) {
    const Said& said = news.said[other];
    Said& mine = known.said[other];
    if (other != at && std::pair(said.epoch, said.sequence) > std::pair(mine.epoch, mine.sequence))
      mine = said;
  }
}

void RolloutWorld::tend(size_t at) {
  RolloutHost& host = hosts_[at];
  if (now_ < host.quiet_until) return;
  maybe_roll_back(at);
  for (size_t slot = 0; slot < slots_; ++slot) tend_slot(at, slot);
  Said& own = host.known.said[at];
  ++own.sequence;
  for (size_t slot = 0; slot < slots_; ++slot) own.tasks[slot] = host.copies[slot].task;
}

RolloutRun run_rollout(uint64_t seed, RolloutDefect defect) {
  return RolloutWorld(seed, defect).run();
}

}  // namespace kith::model
