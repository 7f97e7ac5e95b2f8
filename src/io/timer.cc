#include "io/timer.h"

#include <uv.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace kith {

struct Timer::Impl {
  uv_timer_t handle;
  std::function<void()> on_fire;
};

Timer::Timer(Loop& loop, std::function<void()> on_fire) : impl_(new Impl) {
  impl_->on_fire = std::move(on_fire);
  uv_timer_init(loop.raw(), &impl_->handle);
  impl_->handle.data = impl_;
}

Timer::~Timer() {
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->handle),
           [](uv_handle_t* handle) { delete static_cast<Impl*>(handle->data); });
}

namespace {

// libuv counts whole milliseconds from a clock it rounds down: one more, or it may be early.
uint64_t to_ms(Duration delay) {
  if (delay <= Duration::zero()) return 0;
  return static_cast<uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(delay).count()) + 1;
}

}  // namespace

void Timer::start(Duration delay) {
  uv_update_time(impl_->handle.loop);
  // The callback may destroy the Timer: Impl and its function live until the handle has closed.
  uv_timer_start(
      &impl_->handle, [](uv_timer_t* handle) { static_cast<Impl*>(handle->data)->on_fire(); },
      to_ms(delay), 0);
}

void Timer::start_repeating(Duration period) {
  uv_update_time(impl_->handle.loop);
  const auto ms =
      std::max<int64_t>(std::chrono::ceil<std::chrono::milliseconds>(period).count(), 1);
  uv_timer_start(
      &impl_->handle, [](uv_timer_t* handle) { static_cast<Impl*>(handle->data)->on_fire(); },
      static_cast<uint64_t>(ms), static_cast<uint64_t>(ms));
}

void Timer::stop() {
  uv_timer_stop(&impl_->handle);
}

bool Timer::active() const {
  return uv_is_active(reinterpret_cast<uv_handle_t*>(&impl_->handle));
}

}  // namespace kith
