#include "gossip/replay_window.h"

#include <algorithm>

namespace kith {

bool ReplayWindow::accept(uint64_t sequence) {
  if (sequence == 0) return false;
  if (sequence > highest_) {
    const uint64_t ahead = sequence - highest_;
    if (ahead >= kSize) {
      seen_.reset();
    } else {
      for (uint64_t s = highest_ + 1; s <= sequence; ++s) seen_.reset(s % kSize);
    }
    highest_ = sequence;
  } else if (highest_ - sequence >= kSize || seen_.test(sequence % kSize)) {
    return false;
  }
  seen_.set(sequence % kSize);
  return true;
}

ReplayVerdict ReplayGuard::accept(uint64_t sender, uint64_t boot, uint64_t sequence) {
  const auto it = senders_.find(sender);
  if (it == senders_.end()) {
    ++counters_.unknown_boot;
    return ReplayVerdict::kUnknownBoot;
  }
  Sender& known = it->second;
  if (boot != known.boot) {
    const auto& past = known.past_boots;
    if (std::find(past.begin(), past.end(), boot) != past.end()) {
      ++counters_.replayed;
      return ReplayVerdict::kReplay;
    }
    ++counters_.unknown_boot;
    return ReplayVerdict::kUnknownBoot;
  }
  if (!known.window.accept(sequence)) {
    ++counters_.replayed;
    return ReplayVerdict::kReplay;
  }
  ++counters_.fresh;
  return ReplayVerdict::kFresh;
}

bool ReplayGuard::learn(uint64_t sender, Epoch epoch, uint64_t boot) {
  const auto it = senders_.find(sender);
  if (it == senders_.end()) {
    if (senders_.size() >= kMaxSenders) {
      ++counters_.refused;
      return false;
    }
    senders_.emplace(sender, Sender{epoch, boot, {}, {}});
    return true;
  }
  Sender& known = it->second;
  if (epoch <= known.epoch) return false;
  known.epoch = epoch;
  if (boot == known.boot) return true;  // the epoch moved within a boot: its window still holds
  known.past_boots.push_back(known.boot);
  if (known.past_boots.size() > kMaxPastBoots) known.past_boots.erase(known.past_boots.begin());
  known.boot = boot;
  known.window = {};
  return true;
}

}  // namespace kith
