#include "membership/suspicion.h"

#include <algorithm>
#include <cmath>

namespace kith {

namespace {
Duration timeout_of(Duration min, Duration max, unsigned confirmations, unsigned wanted) {
  if (wanted == 0) return min;
  const double share = std::log(confirmations + 1.0) / std::log(wanted + 1.0);
  // Whole microseconds: the last bits of log() may differ between libraries.
  const auto shorter = std::chrono::microseconds(
      std::llround(static_cast<double>((max - min).count()) / 1e3 * share));
  return std::max(min, max - std::chrono::duration_cast<Duration>(shorter));
}
}  // namespace

Suspicion::Suspicion(const SwimConfig& config, size_t members, Instant now)
    : min_(config.suspicion_min),
      max_(config.suspicion_min * config.suspicion_max_factor),
      window_(config.last_ping_window),
      last_pings_(config.last_pings),
      wanted_(members <= 2
                  ? 0
                  : static_cast<unsigned>(std::min<size_t>(config.confirmations, members - 2))),
      began_(now),
      start_(now),
      not_before_(now) {
  plan(now);
}

Duration Suspicion::timeout(const SwimConfig& config, unsigned confirmations, unsigned wanted) {
  return timeout_of(config.suspicion_min, config.suspicion_min * config.suspicion_max_factor,
                    confirmations, wanted);
}

void Suspicion::confirm(Instant now) {
  if (!wants_more()) return;
  ++confirmations_;
  plan(now);
}

void Suspicion::hurry(Instant now) {
  if (!wants_more()) return;
  confirmations_ = wanted_;
  plan(now);
}

bool Suspicion::ripe(Instant now) const {
  return now >= start_ + min_ - window_ && (now >= not_before_ || now >= start_ + max_);
}

void Suspicion::extend(Duration lag, Instant now) {
  start_ += lag;
  plan(now);
}

void Suspicion::proof_of_life(Instant now) {
  not_before_ = now + 2 * window_;  // a pause first: not a ping for every ack
  plan(now);
}

void Suspicion::plan(Instant now) {
  end_ = std::max(
      {start_ + timeout_of(min_, max_, confirmations_, wanted_), now + window_, not_before_});
  pings_ = 0;
}

Instant Suspicion::ping_at(unsigned n) const {
  return end_ - window_ * static_cast<int>(last_pings_ - n) / static_cast<int>(last_pings_);
}

Suspicion::Step Suspicion::step(Instant now) {
  if (now >= end_) {
    if (pings_ == last_pings_) return Step::kDeclareDead;
    plan(now);  // woke too late to have asked: ask first
  }
  if (pings_ < last_pings_ && now >= ping_at(pings_)) {
    ++pings_;
    return Step::kLastPing;
  }
  return Step::kNothing;
}

Instant Suspicion::next_deadline() const {
  return pings_ < last_pings_ ? std::min(end_, ping_at(pings_)) : end_;
}

}  // namespace kith
