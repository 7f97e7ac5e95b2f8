#include "rollout_world.h"

#include <algorithm>
#include <bit>

namespace kith::model {
namespace {

constexpr Millis kTick = 200;
constexpr Millis kFaults = 120'000;
/// Each batch may wait for its deadline, or its last retry, and its monitor, and a rollback goes
/// through them again.
constexpr Millis kEnds = 2 * kMaxSlots * 25'000;

}  // namespace

RolloutWorld::RolloutWorld(uint64_t seed, RolloutDefect defect) : defect_(defect), rng_(seed) {
  hosts_.resize(3 + rng_.below(kMaxHosts - 2));
  group_.assign(hosts_.size(), 0);
  slots_ = 3 + rng_.below(kMaxSlots - 2);
  parallelism_ = 1 + rng_.below(3);
  tolerated_ = rng_.below(3);
  constexpr OnFailure kChoice[] = {OnFailure::kPause, OnFailure::kPause, OnFailure::kContinue,
                                   OnFailure::kRollback, OnFailure::kRollback};
  on_failure_ = kChoice[rng_.below(5)];
  loss_ = rng_.below(3) * 15;
  specs_.push_back(Quality::kGood);
  for (RolloutHost& host : hosts_) {
    host.clock_ahead = static_cast<Millis>(rng_.below(rng_.chance(1, 4) ? 60'000 : 2'000));
    host.known.said[static_cast<size_t>(&host - hosts_.data())].epoch = 1;
  }
  edits_.emplace_back();
}

bool RolloutWorld::fails(size_t at, int spec) {
  if (now_ < hosts_[at].trouble_until && rng_.chance(2, 3)) return true;
  const Quality quality = specs_[static_cast<size_t>(spec)];
  return quality == Quality::kBad || (quality == Quality::kFlaky && rng_.chance(1, 3));
}

void RolloutWorld::talk(size_t at) {
  const size_t to = rng_.below(hosts_.size());
  if (to == at || rng_.chance(1, 2) || rng_.chance(loss_, 100)) return;
  const Millis wait = rng_.chance(1, 25) ? 20'000 : 600;
  const auto late = static_cast<Millis>(rng_.below(faulty_ ? static_cast<uint64_t>(wait) : 300));
  mail_.emplace(now_ + late, RolloutLetter{at, to, std::make_shared<Known>(hosts_[at].known)});
}

void RolloutWorld::step() {
  now_ += kTick;
  while (!mail_.empty() && mail_.begin()->first <= now_) {
    const RolloutLetter letter = mail_.begin()->second;
    mail_.erase(mail_.begin());
    if (hosts_[letter.to].up && group_[letter.from] == group_[letter.to])
      take(letter.to, letter.from, *letter.known);
  }
  for (size_t at = 0; at < hosts_.size(); ++at) {
    RolloutHost& host = hosts_[at];
    if (host.back_at != 0 && now_ >= host.back_at) come_back(at);
    if (!host.up) continue;
    tend(at);
    talk(at);
  }
}

void RolloutWorld::lose(size_t at) {
  RolloutHost& host = hosts_[at];
  host.up = false;
  host.copies = {};
  host.back_at = now_ + 1'000 + static_cast<Millis>(rng_.below(30'000));
  ++out_.deaths;
}

/// Documents are on disk; what others said of themselves is not.
void RolloutWorld::come_back(size_t at) {
  RolloutHost& host = hosts_[at];
  host.back_at = 0;
  host.up = true;
  host.quiet_until = now_ + 3'000;
  const uint64_t epoch = host.known.said[at].epoch + 1;
  host.known.said = {};
  host.known.said[at].epoch = epoch;
  host.heard.fill(now_);
}

void RolloutWorld::injure() {
  const size_t at = rng_.below(hosts_.size());
  RolloutHost& host = hosts_[at];
  if (rng_.chance(1, 120) && host.up) {
    update(at);
    const size_t other = rng_.below(hosts_.size());  // somebody else at the same time
    if (rng_.chance(1, 3) && other != at && hosts_[other].up) update(other);
  }
  if (rng_.chance(1, 100) && host.up) lose(at);
  if (rng_.chance(1, 100)) host.trouble_until = now_ + static_cast<Millis>(rng_.below(20'000));
  if (rng_.chance(1, 60)) {
    const size_t other = rng_.below(hosts_.size());
    host.mistaken_until[other] = now_ + static_cast<Millis>(rng_.below(8'000));
  }
  if (rng_.chance(1, 100)) {
    const bool part = rng_.chance(1, 2);
    for (int& group : group_) group = part ? static_cast<int>(rng_.below(2)) : 0;
  }
}

RolloutRun RolloutWorld::run() {
  while (out_.wrong.empty() && now_ < kFaults) {
    injure();
    step();
  }
  faulty_ = false;
  loss_ = 0;
  std::fill(group_.begin(), group_.end(), 0);
  for (size_t at = 0; at < hosts_.size(); ++at) {
    hosts_[at].trouble_until = 0;
    if (!hosts_[at].up) come_back(at);
  }
  std::string why = "?";
  while (out_.wrong.empty() && !ended(why)) {
    step();
    if (now_ > kFaults + kEnds) wrong("it does not end: " + why);
  }
  out_.ended_ms = now_ - kFaults;
  return out_;
}

}  // namespace kith::model
