#include "lease_world.h"

#include <algorithm>

namespace kith::model {
namespace {

constexpr Millis kTick = 50;
constexpr Millis kFaults = 180'000;
constexpr Local kL = 20'000'000;
/// After the faults: a voter that has just restarted is silent for L, what it then grants to
/// somebody who does not get a majority lasts L, and asking takes a few tries.
constexpr Millis kRegain = 2 * 20'000 + 10'000;
constexpr Millis kKeeps = 30'000;

}  // namespace

LeaseWorld::LeaseWorld(uint64_t seed, LeaseDefect defect) : defect_(defect), rng_(seed) {
  const size_t hosts = 4 + rng_.below(4);
  hosts_.resize(hosts);
  group_.assign(hosts, 0);
  for (LeaseHost& host : hosts_) {
    host.rate = rng_.chance(2, 3) ? (rng_.chance(1, 2) ? 1000 : 1050)
                                  : 1000 + static_cast<int64_t>(rng_.below(51));
    host.voter.list_since = -kL;
  }
  std::set<int> first;
  const size_t count = 3 + rng_.below(std::min<size_t>(hosts - 2, 5));
  for (size_t i = 0; i < count; ++i) first.insert(static_cast<int>(i));
  lists_.push_back({first, {0, 0}});
  loss_ = rng_.below(3) * 10;
  late_ = rng_.below(3) * 4;
  gossip_ = rng_.chance(1, 2) ? 1 : 400;
  restart_ = 4 + rng_.below(40);
}

bool LeaseWorld::linked(int from, int to) const {
  if (from == to) return true;
  return group_[from] == group_[to] && !cuts_.contains({from, to});
}

void LeaseWorld::post(Letter letter) {
  if (letter.from != letter.to && rng_.chance(loss_, 100)) return;
  const int copies = rng_.chance(1, 10) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    letter.due = now_ + static_cast<Millis>(rng_.below(200));
    if (rng_.chance(late_, 100)) letter.due = now_ + static_cast<Millis>(rng_.below(40'000));
    mail_.emplace(letter.due, letter);
  }
}

void LeaseWorld::deliver(const Letter& letter) {
  LeaseHost& host = hosts_[letter.to];
  if (!host.machine || !host.agent || !linked(letter.from, letter.to)) return;
  if (now_ < host.frozen_until) {
    host.inbox.push_back(letter);
    return;
  }
  if (letter.say == Say::kPrepare)
    prepared(letter);
  else if (letter.say == Say::kPropose)
    proposed(letter);
  else
    answered(letter);
}

void LeaseWorld::step() {
  now_ += kTick;
  for (size_t i = 0; i < hosts_.size(); ++i) guard(static_cast<int>(i));
  while (!mail_.empty() && mail_.begin()->first <= now_) {
    const Letter letter = mail_.begin()->second;
    mail_.erase(mail_.begin());
    deliver(letter);
  }
  for (size_t i = 0; i < hosts_.size(); ++i) {
    LeaseHost& host = hosts_[i];
    const auto at = static_cast<int>(i);
    if (host.back_at != 0 && now_ >= host.back_at) come_back(at);
    if (!awake(host)) continue;
    // What came while it was frozen is read before any timer of its own fires.
    for (const Letter& letter : std::exchange(host.inbox, {})) deliver(letter);
    tend(at);
  }
  if (rng_.chance(1, gossip_)) gossip();
  check();
}

// --- Faults ------------------------------------------------------------------------------------

void LeaseWorld::lose_agent(int at, bool machine) {
  LeaseHost& host = hosts_[at];
  host.agent = false;
  host.inbox.clear();
  host.round.reset();
  if (machine) {
    host.machine = false;
    host.copy = Container::kNone;
  }
  const bool soon = rng_.chance(1, 2);
  host.back_at = now_ + static_cast<Millis>(500 + rng_.below(soon ? 2'000 : 30'000));
}

/// The list and the boot are on disk; what was promised and granted is not. The guard knows the
/// deadline of what still runs.
void LeaseWorld::come_back(int at) {
  LeaseHost& host = hosts_[at];
  host.back_at = 0;
  host.machine = host.agent = true;
  host.frozen_until = 0;
  host.counter = 0;
  const size_t list = host.voter.list;
  const uint64_t boot = host.voter.boot + 1;
  host.voter = {};
  host.voter.boot = boot;
  host.voter.list = list;
  host.voter.list_since = clock(at);
  host.voter.silent_until = has(LeaseDefect::kGrantsAfterRestart) ? 0 : clock(at) + kL;
  if (host.copy != Container::kNone) host.contact = host.deadline - 18'000'000;
  ++out_.restarts;
}

void LeaseWorld::injure_links() {
  cuts_.clear();
  std::fill(group_.begin(), group_.end(), 0);
  const uint64_t what = rng_.below(5);
  if (what < 2) return;
  if (what == 4) {
    for (int i = 0; i < 3; ++i)
      cuts_.insert({static_cast<int>(rng_.below(hosts_.size())),
                    static_cast<int>(rng_.below(hosts_.size()))});
    return;
  }
  for (int& group : group_) group = static_cast<int>(rng_.below(what == 2 ? 2 : 3));
}

void LeaseWorld::injure() {
  const auto at = static_cast<int>(rng_.below(hosts_.size()));
  LeaseHost& host = hosts_[at];
  if (rng_.chance(1, 150)) injure_links();
  if (rng_.chance(restart_, 10'000) && host.agent) lose_agent(at, rng_.chance(1, 2));
  if (rng_.chance(1, 300) && awake(host))
    host.frozen_until = now_ + static_cast<Millis>(rng_.below(rng_.chance(1, 2) ? 4'000 : 45'000));
  if (rng_.chance(1, 400)) host.yields_until = clock(at) + static_cast<Local>(rng_.below(kL));
  if (rng_.chance(1, 120)) change_voters();
}

/// A majority of the newest list stays, connected, and hears of it; all the others are cut off.
void LeaseWorld::begin_calm() {
  calm_at_ = now_;
  loss_ = std::min<uint64_t>(loss_, 10);
  late_ = 0;
  cuts_.clear();
  size_t newest = 0;
  for (size_t i = 1; i < lists_.size(); ++i)
    if (lists_[i].rank > lists_[newest].rank) newest = i;
  std::vector<int> order(voters(newest).begin(), voters(newest).end());
  rng_.shuffle(std::span<int>(order));
  order.resize(order.size() / 2 + 1);
  kept_ = {order.begin(), order.end()};
  for (size_t i = 0; i < hosts_.size(); ++i) {
    const auto at = static_cast<int>(i);
    group_[i] = kept_.contains(at) ? 0 : 1;
    hosts_[i].yields_until = 0;
    if (!kept_.contains(at)) continue;
    if (hosts_[i].back_at != 0) come_back(at);
    hosts_[i].frozen_until = 0;
    adopt(at, newest);
  }
}

// --- The checker -------------------------------------------------------------------------------

void LeaseWorld::wrong(const std::string& what) {
  if (out_.wrong.empty())
    out_.wrong = std::to_string(now_ / 1000) + "." + std::to_string(now_ % 1000) + " s: " + what;
}

void LeaseWorld::check() {
  std::string who;
  size_t copies = 0;
  bool kept = false;
  for (size_t i = 0; i < hosts_.size(); ++i) {
    if (hosts_[i].copy == Container::kNone) continue;
    ++copies;
    who += " " + std::to_string(i);
    const LeaseHost& host = hosts_[i];
    // What it won before the faults ended, it may yet lose: who granted it may be gone.
    const bool anew = regained_ != 0 || host.contact >= host.rate * calm_at_;
    kept =
        kept || (kept_.contains(static_cast<int>(i)) && host.copy == Container::kRunning && anew);
  }
  if (copies > 1) wrong("it runs on hosts" + who);
  if (calm_at_ == 0) return;
  if (kept && regained_ == 0) {
    regained_ = now_;
    out_.regained_ms = now_ - calm_at_;
  }
  if (regained_ == 0 && now_ > calm_at_ + kRegain) wrong("the majority does not get it back");
  if (regained_ != 0 && !kept) wrong("the majority lost it though nothing is amiss");
}

LeaseRun LeaseWorld::run() {
  while (out_.wrong.empty() && now_ < kFaults) {
    injure();
    step();
  }
  begin_calm();
  while (out_.wrong.empty() && (regained_ == 0 || now_ < regained_ + kKeeps)) step();
  return out_;
}

}  // namespace kith::model
