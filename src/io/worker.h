#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>

#include "io/loop.h"

namespace kith {

/// A thread of its own for work that blocks, such as SQLite. Jobs run one at a time, in order.
class Worker {
 public:
  static constexpr size_t kMaxJobs = 4096;

  explicit Worker(Loop& loop);
  /// Finishes every job already submitted, then joins. Results not delivered yet are dropped.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Runs `work` on the thread and hands its result to `done` on the loop. `work` must not touch
  /// what the loop's thread uses. False, and nothing happens, if kMaxJobs are waiting.
  template <class Work, class Done>
  [[nodiscard]] bool submit(Work work, Done done) {
    using R = std::invoke_result_t<Work&>;
    return enqueue([work = std::move(work), done = std::move(done)]() mutable -> Delivery {
      if constexpr (std::is_void_v<R>) {
        work();
        return std::move(done);
      } else {
        // std::function must be copyable and a result need not be.
        auto result = std::make_shared<R>(work());
        return [result, done = std::move(done)]() mutable { done(std::move(*result)); };
      }
    });
  }
  /// Jobs waiting or running.
  [[nodiscard]] size_t pending() const;

 private:
  using Delivery = std::function<void()>;
  using Job = std::function<Delivery()>;
  bool enqueue(Job job);
  void work();

  Loop& loop_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool running_job_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace kith
