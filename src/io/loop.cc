#include "io/loop.h"

#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <thread>
#include <utility>

namespace kith {
namespace {

constexpr size_t kScratchBytes = 64 * 1024;

int64_t clock_ns(clockid_t clock) {
  timespec value{};
  clock_gettime(clock, &value);
  return int64_t{value.tv_sec} * 1'000'000'000 + value.tv_nsec;
}

}  // namespace

Now read_now() {
  return {Instant(Duration(clock_ns(CLOCK_BOOTTIME))),
          WallTime{clock_ns(CLOCK_REALTIME) / 1'000'000}};
}

struct Loop::Impl {
  uv_loop_t loop;
  // Posts from other threads. Not a uv_async_t: its sender wakes the loop before it is done, and
  // the loop spins until it is; a loop of real-time priority that took the sender's processor spins
  // long.
  int wake_fd = -1;
  uv_poll_t wake;
  uv_check_t after;   // runs what was posted, once every waiting socket was read
  uv_idle_t no_wait;  // active while something is posted: the poll does not block then
  std::thread::id thread = std::this_thread::get_id();
  std::array<char, kScratchBytes> scratch;
  std::mutex mutex;
  std::vector<std::function<void()>> posted;

  void run_posted() {
    std::vector<std::function<void()>> batch;
    {
      const std::lock_guard lock(mutex);
      batch.swap(posted);
    }
    uv_idle_stop(&no_wait);
    for (auto& task : batch) {
      task();
      task = nullptr;
    }
  }
};

Loop::Loop() : impl_(new Impl) {
  std::signal(SIGPIPE, SIG_IGN);
  // Out of descriptors or memory before anything began: there is nothing to fall back to.
  if (uv_loop_init(&impl_->loop) != 0) std::abort();
  impl_->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (impl_->wake_fd < 0) std::abort();
  if (uv_poll_init(&impl_->loop, &impl_->wake, impl_->wake_fd) != 0) std::abort();
  uv_poll_start(&impl_->wake, UV_READABLE, [](uv_poll_t* handle, int, int) {
    eventfd_t count = 0;
    int fd = -1;
    if (uv_fileno(reinterpret_cast<uv_handle_t*>(handle), &fd) == 0) (void)eventfd_read(fd, &count);
  });
  uv_idle_init(&impl_->loop, &impl_->no_wait);
  uv_check_init(&impl_->loop, &impl_->after);
  impl_->after.data = impl_.get();
  uv_check_start(&impl_->after,
                 [](uv_check_t* handle) { static_cast<Impl*>(handle->data)->run_posted(); });
}

Loop::~Loop() {
  // What a task holds may own handles, and be told of its end by posting.
  for (bool more = true; more;) {
    std::vector<std::function<void()>> dropped;
    {
      const std::lock_guard lock(impl_->mutex);
      dropped.swap(impl_->posted);
    }
    more = !dropped.empty();
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->wake), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->after), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->no_wait), nullptr);
  bool leaked = false;
  uv_walk(
      &impl_->loop,
      [](uv_handle_t* handle, void* arg) {
        if (uv_is_closing(handle)) return;
        std::fprintf(stderr, "loop: a %s handle outlives its loop\n",
                     uv_handle_type_name(uv_handle_get_type(handle)));
        *static_cast<bool*>(arg) = true;
      },
      &leaked);
  if (leaked) std::abort();
  uv_run(&impl_->loop, UV_RUN_DEFAULT);
  close(impl_->wake_fd);
  [[maybe_unused]] const int rc = uv_loop_close(&impl_->loop);
  assert(rc == 0);
}

void Loop::run() {
  uv_run(&impl_->loop, UV_RUN_DEFAULT);
}

void Loop::stop() {
  uv_stop(&impl_->loop);
}

bool Loop::run_until(const std::function<bool()>& done, Duration limit) {
  bool late = false;
  uv_timer_t* timer = new uv_timer_t;
  uv_timer_init(&impl_->loop, timer);
  timer->data = &late;
  uv_update_time(&impl_->loop);
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(limit).count();
  uv_timer_start(
      timer, [](uv_timer_t* handle) { *static_cast<bool*>(handle->data) = true; },
      ms > 0 ? static_cast<uint64_t>(ms) : 0, 0);
  while (!late && !done()) uv_run(&impl_->loop, UV_RUN_ONCE);
  uv_close(reinterpret_cast<uv_handle_t*>(timer),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_timer_t*>(handle); });
  return done();
}

void Loop::post(std::function<void()> task) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->posted.push_back(std::move(task));
  }
  if (std::this_thread::get_id() == impl_->thread) {
    uv_idle_start(&impl_->no_wait, [](uv_idle_t*) {});
  } else {
    (void)eventfd_write(impl_->wake_fd, 1);
  }
}

uv_loop_s* Loop::raw() const {
  return &impl_->loop;
}

std::span<char> Loop::scratch() {
  return impl_->scratch;
}

struct Signals::Entry {
  uv_signal_t handle;
  std::shared_ptr<std::function<void(int)>> on_signal;
};

Signals::Signals(Loop& loop, const std::vector<int>& numbers, std::function<void(int)> on_signal) {
  const auto shared = std::make_shared<std::function<void(int)>>(std::move(on_signal));
  for (const int number : numbers) {
    auto* entry = new Entry;
    entry->on_signal = shared;
    uv_signal_init(loop.raw(), &entry->handle);
    entry->handle.data = entry;
    uv_signal_start(
        &entry->handle,
        [](uv_signal_t* handle, int signal) {
          const auto keep = static_cast<Entry*>(handle->data)->on_signal;
          (*keep)(signal);
        },
        number);
    entries_.push_back(entry);
  }
}

Signals::~Signals() {
  for (Entry* entry : entries_) {
    uv_close(reinterpret_cast<uv_handle_t*>(&entry->handle),
             [](uv_handle_t* handle) { delete static_cast<Entry*>(handle->data); });
  }
}

}  // namespace kith
