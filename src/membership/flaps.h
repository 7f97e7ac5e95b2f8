#pragma once

#include <deque>
#include <set>

#include "base/ids.h"
#include "base/instant.h"
#include "gossip/message.h"
#include "membership/config.h"
#include "membership/deadlines.h"

namespace kith {

/// How often this node itself was given up for dead and came back. The first return is free; from
/// the second within the window on, it holds itself down, and says so by `ready: false` in its own
/// info, so that all views agree. A death counts only if enough distinct members accused.
class FlapTracker {
 public:
  /// `config` must outlive this.
  explicit FlapTracker(const SwimConfig& config) : config_(config) {}

  /// Any accusation of self, however stale. True if it completed a flap.
  bool accused(const MemberRumor& rumor, Instant now);
  [[nodiscard]] bool ready_allowed(Instant now) const { return now >= held_until_; }
  [[nodiscard]] Instant held_until() const { return held_until_; }
  [[nodiscard]] size_t flaps(Instant now) const;

 private:
  static constexpr size_t kMaxAccusers = 64;
  static constexpr size_t kMaxFlaps = 64;

  const SwimConfig& config_;
  Incarnation incarnation_ = 0;  ///< the one that `accusers_` and `declared_dead_` are about
  std::set<NodeId> accusers_;
  bool declared_dead_ = false;
  bool counted_ = false;
  std::deque<Instant> flaps_;
  Instant held_until_{};
};

/// Whether rather it is this node that is cut off: more than half of the members, and at least
/// two, lost within one window.
class Isolation {
 public:
  explicit Isolation(Duration window) : window_(window) {}

  /// A member turned suspect or dead; `others_alive` without self, after that. True if this began
  /// the isolation.
  bool lost(const NodeId& id, size_t others_alive, Instant now);
  /// It is alive again. True if this ended the isolation: half of the others are here.
  bool found(const NodeId& id, size_t others_alive);
  /// It left or was forgotten, and is missed no more. True if this ended the isolation.
  bool gone(const NodeId& id, size_t others_alive);
  [[nodiscard]] bool isolated() const { return isolated_; }
  [[nodiscard]] Instant since() const { return since_; }

 private:
  bool ended(size_t others_alive);

  Duration window_;
  Deadlines<NodeId> lost_;  ///< until when each counts
  bool isolated_ = false;
  size_t others_before_ = 0;
  Instant since_{};
};

}  // namespace kith
