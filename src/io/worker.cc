#include "io/worker.h"

namespace kith {

Worker::Worker(Loop& loop) : loop_(loop), thread_([this] { work(); }) {}

Worker::~Worker() {
  *alive_ = false;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

bool Worker::enqueue(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() >= kMaxJobs) return false;
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

size_t Worker::pending() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size() + (running_job_ ? 1 : 0);
}

void Worker::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    running_job_ = true;
    lock.unlock();
    // `alive_` is read and written on the loop's thread only; here it is merely carried.
    loop_.post([alive = alive_, delivery = job()] {
      if (*alive && delivery) delivery();
    });
    job = nullptr;
    lock.lock();
    running_job_ = false;
  }
}

}  // namespace kith
