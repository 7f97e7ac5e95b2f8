#pragma once

#include <functional>

#include "io/loop.h"

namespace kith {

/// Calls back once or again and again; destroying it cancels. The callback may destroy the timer
/// or start it anew. Never early, and up to 2 ms late. Does not count a suspend: compare
/// `read_now()` where that matters.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_fire);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Replaces any earlier start. Zero or less fires in the next iteration.
  void start(Duration delay);
  /// First after `period`, then every `period`, which is at least 1 ms.
  void start_repeating(Duration period);
  void stop();
  [[nodiscard]] bool active() const;

 private:
  struct Impl;
  Impl* impl_;
};

}  // namespace kith
