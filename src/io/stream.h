#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "io/address.h"
#include "io/loop.h"

namespace kith {

/// What a ByteStream tells its owner. Any of them may destroy the stream or replace its handlers.
struct StreamHandlers {
  /// The view is valid during the call.
  std::function<void(ByteView)> on_data;
  /// The peer has ended its half. Writing still works until `shutdown()`.
  std::function<void()> on_end;
  /// The connection broke, or the write limit was passed. Nothing else is called after it; what
  /// was queued is lost. Not called for the owner's own destruction.
  std::function<void(const Error&)> on_close;
  /// After a write that returned false: the queue is short again.
  std::function<void()> on_drain;
};

/// A connected TCP or unix socket. Destroying it closes at once and drops what is queued.
class ByteStream {
 public:
  /// Above it `write` asks the caller to wait, and `on_drain` comes at half of it.
  static constexpr size_t kHighWater = 256 * 1024;
  /// A write while this much is queued breaks the connection.
  static constexpr size_t kMaxQueued = 64 * 1024 * 1024;

  ByteStream() = default;
  ByteStream(ByteStream&& other) noexcept;
  ByteStream& operator=(ByteStream&& other) noexcept;
  ~ByteStream();
  /// False once moved from or default-made; then call nothing else.
  [[nodiscard]] explicit operator bool() const { return impl_ != nullptr; }

  /// Replaces the handlers and reads, or stops reading if there is no `on_data`. If the peer has
  /// ended or the connection broken already, the new handlers are told in a later iteration.
  void start(StreamHandlers handlers);
  /// No more `on_data` until `resume()`; the peer's end is not noticed either.
  void pause();
  void resume();

  /// Queues `bytes`, in order. False: above kHighWater, hold back until `on_drain`. `written` is
  /// called when the kernel has taken them all, and not at all if the stream ends before.
  bool write(Bytes bytes, std::function<void()> written = {});
  bool write(std::string_view text) { return write(Bytes(text.begin(), text.end())); }
  [[nodiscard]] size_t queued() const;
  /// Ends this half once everything queued is written. No writes after it.
  void shutdown();

  /// The peer has closed both halves (known for unix sockets only, and also after both halves
  /// have been ended in turn). Ask it in `on_end` to tell a hang-up from a half-close.
  [[nodiscard]] bool peer_gone() const;
  /// The peer's address; none for unix sockets.
  [[nodiscard]] Endpoint peer() const;

 private:
  friend struct StreamAccess;
  struct Impl;
  explicit ByteStream(Impl* impl) : impl_(impl) {}
  Impl* impl_ = nullptr;
};

/// A connection being made. Destroying it cancels, and the callback is not called.
class Connecting {
 public:
  using Done = std::function<void(Result<ByteStream>)>;

  Connecting() = default;
  Connecting(Connecting&&) noexcept = default;
  Connecting& operator=(Connecting&& other) noexcept;
  ~Connecting();

 private:
  friend Connecting connect(Loop&, const StreamAddress&, Duration, Done);
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// Calls `done` once, never from inside this call; it may destroy the Connecting. Errors name the
/// address and the cause; kUnavailable if nobody answers there or `timeout` passes.
[[nodiscard]] Connecting connect(Loop& loop, const StreamAddress& to, Duration timeout,
                                 Connecting::Done done);

struct ListenOptions {
  int backlog = 128;
  /// Permissions of a unix socket's file, set before anyone can connect.
  unsigned mode = 0660;
};

/// Accepts connections until destroyed, when a unix socket's file is removed too.
class Listener {
 public:
  using Accept = std::function<void(ByteStream)>;

  /// A unix socket's file that nobody answers on is replaced; one that somebody answers on, or
  /// that is no socket, is refused by name (kConflict). TCP port 0 takes any.
  static Result<Listener> open(Loop& loop, const StreamAddress& at, ListenOptions options,
                               Accept on_accept);
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();

  /// With the port the kernel chose; the path if local.
  [[nodiscard]] StreamAddress address() const;

 private:
  struct Impl;
  explicit Listener(Impl* impl) : impl_(impl) {}
  Impl* impl_;
};

}  // namespace kith
