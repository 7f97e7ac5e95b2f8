#pragma once

#include <csignal>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/instant.h"
#include "base/result.h"

struct uv_loop_s;

namespace kith {

/// Reads the host's clocks: CLOCK_BOOTTIME, which counts a suspend, and the wall clock.
/// For drivers only; a core is handed the result.
[[nodiscard]] Now read_now();

/// One event loop on one thread. Everything in src/io is built on a Loop, used only on its thread
/// (but for `post`), and destroyed before it.
class Loop {
 public:
  /// Ignores SIGPIPE in the whole process: libuv writes without MSG_NOSIGNAL.
  Loop();
  /// Runs what closing handles still need, then asserts that none was left open: an owner that
  /// outlives its loop is a bug, and is named on stderr.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Returns after `stop()`, and for no other reason.
  void run();
  /// Ends `run()` after the callbacks of this iteration. Call it from the loop's thread.
  void stop();
  /// Runs until `done()` holds, which is asked after each iteration; false once `limit` has
  /// passed. For tests and for a bounded shutdown; never from inside a callback.
  [[nodiscard]] bool run_until(const std::function<bool()>& done, Duration limit);

  /// Calls `task` from the loop, in the order of posting, never from inside this call, and not
  /// before every socket that has something waiting was read. From any thread.
  /// Tasks still queued when the loop is destroyed are dropped.
  void post(std::function<void()> task);

  [[nodiscard]] uv_loop_s* raw() const;
  /// One buffer that all handles read into: valid from a handle's allocation to the end of its
  /// read callback.
  [[nodiscard]] std::span<char> scratch();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Calls back on the loop for each of the given signals, until destroyed.
class Signals {
 public:
  Signals(Loop& loop, const std::vector<int>& numbers, std::function<void(int)> on_signal);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct Entry;
  std::vector<Entry*> entries_;
};

}  // namespace kith
