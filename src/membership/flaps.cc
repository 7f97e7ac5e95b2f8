#include "membership/flaps.h"

#include <algorithm>

#include "base/defects.h"

namespace kith {

bool FlapTracker::accused(const MemberRumor& rumor, Instant now) {
  if (rumor.claim != Claim::kSuspect && rumor.claim != Claim::kDead) return false;
  if (rumor.incarnation < incarnation_) return false;
  if (rumor.incarnation > incarnation_) {
    incarnation_ = rumor.incarnation;
    accusers_.clear();
    declared_dead_ = false;
    counted_ = false;
  }
  declared_dead_ |= rumor.claim == Claim::kDead;
  if (accusers_.size() < kMaxAccusers) accusers_.insert(rumor.accuser);
  if (counted_ || !declared_dead_ || accusers_.size() < config_.flap_accusers) return false;
  counted_ = true;
  while (!flaps_.empty() && now - flaps_.front() > config_.flap_window) flaps_.pop_front();
  if (flaps_.size() < kMaxFlaps) flaps_.push_back(now);
  if (flaps_.size() >= 2 && !defective(Defect::kHoldDownIgnored)) {
    Duration hold = config_.hold_down_first;
    for (size_t n = 2; n < flaps_.size() && hold < config_.hold_down_max; ++n) hold *= 2;
    held_until_ = now + std::min(hold, config_.hold_down_max);
  }
  return true;
}

size_t FlapTracker::flaps(Instant now) const {
  return static_cast<size_t>(
      std::ranges::count_if(flaps_, [&](Instant at) { return now - at <= config_.flap_window; }));
}

bool Isolation::lost(const NodeId& id, size_t others_alive, Instant now) {
  while (lost_.pop_due(now)) {
  }
  lost_.set(id, now + window_);
  const size_t others = others_alive + lost_.size();
  if (isolated_) {
    others_before_ = std::max(others_before_, others);
    return false;
  }
  if (lost_.size() < 2 || 2 * lost_.size() <= others) return false;
  isolated_ = true;
  others_before_ = others;
  since_ = now;
  return true;
}

bool Isolation::found(const NodeId& id, size_t others_alive) {
  lost_.erase(id);
  return ended(others_alive);
}

bool Isolation::gone(const NodeId& id, size_t others_alive) {
  lost_.erase(id);
  if (others_before_ > 0) --others_before_;
  return ended(others_alive);
}

bool Isolation::ended(size_t others_alive) {
  if (!isolated_ || 2 * others_alive < others_before_) return false;
  isolated_ = false;
  return true;
}

}  // namespace kith
