#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "base/instant.h"

namespace kith::sim {

/// Virtual time: what is to happen when. Of two things due at one instant, the one that was put in
/// first happens first, so a run is a function of its seed.
class EventQueue {
 public:
  using Action = std::function<void()>;

  [[nodiscard]] Instant now() const { return now_; }
  void at(Instant when, Action action);
  void after(Duration wait, Action action) { at(now_ + wait, std::move(action)); }
  /// When the next thing happens; kNever if nothing waits.
  [[nodiscard]] Instant next() const;
  /// Does the next thing, unless it is due later than `limit`: then only the clock goes there.
  bool step(Instant limit);
  [[nodiscard]] uint64_t steps() const { return steps_; }

 private:
  struct Event {
    Instant when;
    uint64_t order = 0;
    Action action;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.when != b.when ? a.when > b.when : a.order > b.order;
    }
  };
  Instant now_{std::chrono::hours(1)};
  uint64_t order_ = 0;
  uint64_t steps_ = 0;
  std::priority_queue<Event, std::vector<Event>, Later> events_;
};

}  // namespace kith::sim
