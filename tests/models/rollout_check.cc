#include <algorithm>
#include <bit>

#include "rollout_world.h"

namespace kith::model {

void RolloutWorld::wrong(const std::string& what) {
  if (out_.wrong.empty())
    out_.wrong = std::to_string(now_ / 1000) + "." + std::to_string(now_ % 1000) + " s: " + what;
}

void RolloutWorld::happened(const Stamp& stamp, const Rollout& news) {
  Rollout& truth = truth_[stamp];
  truth.stable |= news.stable;
  truth.failed |= news.failed;
  const auto edit = std::ranges::find(edits_, stamp, &Doc::stamp);
  // A failure before it was stable elsewhere need not be known to who goes by what was stable.
  const Rollout seen{truth.stable, truth.failed & ~truth.stable};
  if (edit != edits_.end() && ended_well(*edit, seen)) proven_.insert(edit->spec);
}

/// A slot opens only once each slot of an earlier batch was stable, or failed within what is
/// tolerated; and not by who was told of more failures than that.
void RolloutWorld::check_start(size_t at, size_t slot, const Task& task) {
  const Doc& doc = hosts_[at].known.doc;
  if (doc.created()) return;
  const Rollout truth = truth_[task.doc];
  const Slots me = Slots{1} << slot;
  if ((truth.stable & me) != 0) return;
  const Slots earlier = before(slot);
  if (((truth.stable | truth.failed) & earlier) != earlier)
    wrong("slot " + std::to_string(slot) + " opens before an earlier batch is through");
  if (too_many(truth.failed & ~truth.stable & earlier))
    wrong("slot " + std::to_string(slot) + " opens over too many failures");
  const auto told = hosts_[at].known.rollouts.find(task.doc);
  const bool first = (opened_[task.doc] & me) == 0;
  if (first && told != hosts_[at].known.rollouts.end() && too_many(told->second.failed))
    wrong("slot " + std::to_string(slot) + " opens where too many failures are known");
  opened_[task.doc] |= me;
  if (first) ++out_.opened;
}

/// What is started instead has been proven, and does not go back behind what this host was told.
void RolloutWorld::check_takeover(size_t at, size_t slot, int spec) {
  ++out_.takeovers;
  if (!proven_.contains(spec))
    wrong("a takeover runs spec " + std::to_string(spec) + ", which is not proven");
  const Known& known = hosts_[at].known;
  const auto told = known.rollouts.find(known.doc.stamp);
  if (told != known.rollouts.end() && (told->second.stable & (Slots{1} << slot)) != 0)
    wrong("slot " + std::to_string(slot) + " goes back, though it was stable");
}

void RolloutWorld::check_rollback(const Doc& failed, const Doc& doc) {
  if (failed.rollback) wrong("a rollback is rolled back");
  const auto [at, fresh] = rolled_back_.emplace(failed.stamp, doc);
  if (fresh) ++out_.rollbacks;
  if (at->second != doc) wrong("two hosts write different rollbacks");
}

/// All hold the last edit or the rollback of it; it is through or pauses; each slot runs once.
bool RolloutWorld::ended(std::string& why) const {
  const Doc& doc = hosts_[0].known.doc;
  const Doc& last = *std::max_element(edits_.begin(), edits_.end());
  const auto back = rolled_back_.find(last.stamp);
  const bool is_last = doc == last || (back != rolled_back_.end() && doc == back->second);
  if (!is_last) return why = "the last edit is lost", false;
  for (const RolloutHost& host : hosts_)
    if (host.known.doc != doc) return why = "documents differ", false;
  const auto truth = truth_.find(doc.stamp);
  const Rollout rollout = truth == truth_.end() ? Rollout{} : truth->second;
  const bool paused = too_many(rollout.failed);
  if (paused && on_failure_ == OnFailure::kRollback && !doc.rollback)
    return why = "it is not rolled back", false;
  if (!paused && !ended_well(doc, rollout)) return why = "a batch stays shut", false;
  for (size_t slot = 0; slot < slots_; ++slot) {
    size_t copies = 0;
    for (const RolloutHost& host : hosts_) {
      const Task& task = host.copies[slot].task;
      if (task.phase == Phase::kNone) continue;
      ++copies;
      if (!paused && task.spec != doc.spec) return why = "an old spec still runs", false;
    }
    if (copies != 1) return why = "a slot runs not once", false;
  }
  return true;
}

}  // namespace kith::model
