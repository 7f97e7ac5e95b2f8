#pragma once

#include <uv.h>

#include <memory>

#include "io/stream.h"

namespace kith {

/// The handle and its state: outlives the ByteStream until libuv has closed the handle, so that a
/// callback can always look whether its owner has gone.
struct ByteStream::Impl {
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  };
  Loop* loop = nullptr;
  void* user = nullptr;                      // a Listener's own state
  std::shared_ptr<StreamHandlers> handlers;  // a copy is held while one of them runs
  bool closing = false;                      // the owner has gone
  bool broken = false;                       // on_close was called or is due
  bool paused = false;
  bool ended = false;  // the peer's half
  bool shut = false;   // our half
  bool above_high_water = false;
  int write_error = 0;
  // For work that is posted: reads nullptr once the owner has gone.
  std::shared_ptr<Impl*> self = std::make_shared<Impl*>(this);

  Impl(Loop& loop, bool local);
  void close();
  void read();
  void fail_soon(Error error);
  void on_read(ssize_t size, const char* data);
  void on_written(int status, const std::function<void()>& written);
  [[nodiscard]] Error writing_failed() const;
  void break_off(const Error& error);
};

/// Lets the sources beside it make and open streams.
struct StreamAccess {
  static ByteStream wrap(ByteStream::Impl* impl) { return ByteStream(impl); }
  using Impl = ByteStream::Impl;
};

}  // namespace kith
