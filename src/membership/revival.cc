#include "membership/revival.h"

#include <algorithm>

namespace kith {

namespace {
constexpr Duration kSecond = std::chrono::seconds(1);
constexpr unsigned kKnocksARedial = 5;  // while knocking once a second
constexpr Duration kHurry = std::chrono::milliseconds(300);
}  // namespace

Duration Revival::jittered(Duration d) {
  return d * static_cast<int>(90 + rng_.below(21)) / 100;
}

void Revival::add(const NodeId& dead, bool at_once, Instant now) {
  Entry entry{now, config_.dead_ping_interval, at_once ? 0U : 1U};
  dead_[dead] = entry;
  deadlines_.set(dead, at_once ? now : now + jittered(entry.pause));
}

void Revival::remove(const NodeId& id) {
  dead_.erase(id);
  deadlines_.erase(id);
}

void Revival::hurry(Instant now) {
  for (auto& [id, entry] : dead_) {
    entry = {now, config_.dead_ping_interval, 0};
    const Instant soon = now + Duration(rng_.below(static_cast<uint64_t>(kHurry.count())));
    deadlines_.set(id, std::min(soon, deadlines_.all().at(id)));
  }
}

bool Revival::take_token(Instant now) {
  if (now - window_start_ >= kSecond) {
    window_start_ = now;
    knocks_in_window_ = 0;
  }
  if (knocks_in_window_ >= kKnocksASecond) return false;
  ++knocks_in_window_;
  return true;
}

std::optional<Revival::Knock> Revival::pop_due(Instant now) {
  while (const auto id = deadlines_.pop_due(now)) {
    Entry& entry = dead_.at(*id);
    if (!take_token(now)) {  // its turn comes by chance among those that wait
      deadlines_.set(*id, now + jittered(kSecond));
      continue;
    }
    const bool fresh = now - entry.since < config_.dead_ping_period;
    if (!fresh) entry.pause = std::min(2 * entry.pause, config_.dead_ping_max);
    const Knock knock{*id, !fresh || entry.knocks % kKnocksARedial == 0};
    ++entry.knocks;
    // So many that a round of all takes longer: then the round is the pause.
    const Duration round = kSecond * static_cast<int64_t>(dead_.size()) / kKnocksASecond;
    deadlines_.set(*id, now + jittered(std::max(entry.pause, round)));
    return knock;
  }
  return std::nullopt;
}

}  // namespace kith
