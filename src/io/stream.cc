#include "io/stream.h"

#include <poll.h>
#include <uv.h>

#include <utility>

#include "io/stream_impl.h"

namespace kith {
namespace {

struct WriteRequest {
  uv_write_t request;
  Bytes bytes;
  std::function<void()> written;
};

}  // namespace

ByteStream::Impl::Impl(Loop& owner_loop, bool local)
    : loop(&owner_loop), handlers(std::make_shared<StreamHandlers>()) {
  if (local) {
    uv_pipe_init(loop->raw(), &pipe, 0);
  } else {
    uv_tcp_init(loop->raw(), &tcp);
  }
  handle.data = this;
}

void ByteStream::Impl::close() {
  closing = true;
  *self = nullptr;
  uv_close(&handle, [](uv_handle_t* closed) { delete static_cast<Impl*>(closed->data); });
}

void ByteStream::Impl::read() {
  if (closing || broken || ended || paused || !handlers->on_data) return;
  uv_read_start(
      &stream,
      [](uv_handle_t* reader, size_t, uv_buf_t* buffer) {
        const auto scratch = static_cast<Impl*>(reader->data)->loop->scratch();
        *buffer = uv_buf_init(scratch.data(), static_cast<unsigned>(scratch.size()));
      },
      [](uv_stream_t* reader, ssize_t size, const uv_buf_t* buffer) {
        static_cast<Impl*>(reader->data)->on_read(size, buffer->base);
      });
}

void ByteStream::Impl::on_read(ssize_t size, const char* data) {
  if (size == 0 || closing || broken) return;
  const auto keep = handlers;
  if (size > 0) {
    if (keep->on_data) {
      keep->on_data({reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(size)});
    }
    return;
  }
  uv_read_stop(&stream);
  if (size == UV_EOF) {
    ended = true;
    if (keep->on_end) keep->on_end();
    if (write_error != 0) break_off(writing_failed());
    return;
  }
  break_off({ErrorCode::kUnavailable, uv_words(static_cast<int>(size))});
}

Error ByteStream::Impl::writing_failed() const {
  return {ErrorCode::kUnavailable, uv_words(write_error)};
}

void ByteStream::Impl::break_off(const Error& error) {
  if (closing || broken) return;
  broken = true;
  uv_read_stop(&stream);
  const auto keep = handlers;
  if (keep->on_close) keep->on_close(error);
}

void ByteStream::Impl::on_written(int status, const std::function<void()>& written) {
  if (closing || broken) return;
  if (status < 0) {
    // What the peer said before it closed may still be waiting; its end is then the end of all.
    shut = true;
    write_error = status;
    if (ended || paused || !handlers->on_data) break_off(writing_failed());
    return;
  }
  if (written) written();
  if (closing || broken || !above_high_water) return;
  if (stream.write_queue_size > kHighWater / 2) return;
  above_high_water = false;
  const auto keep = handlers;
  if (keep->on_drain) keep->on_drain();
}

ByteStream::ByteStream(ByteStream&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)) {}

ByteStream& ByteStream::operator=(ByteStream&& other) noexcept {
  if (this != &other) {
    if (impl_ != nullptr) impl_->close();
    impl_ = std::exchange(other.impl_, nullptr);
  }
  return *this;
}

ByteStream::~ByteStream() {
  if (impl_ != nullptr) impl_->close();
}

void ByteStream::start(StreamHandlers handlers) {
  impl_->handlers = std::make_shared<StreamHandlers>(std::move(handlers));
  if (!impl_->handlers->on_data) uv_read_stop(&impl_->stream);
  impl_->read();
  if (!impl_->ended && !impl_->broken) return;
  impl_->loop->post([token = impl_->self, mine = impl_->handlers] {
    if (*token == nullptr || (*token)->handlers != mine) return;
    if ((*token)->broken) {
      if (mine->on_close) mine->on_close({ErrorCode::kUnavailable, "the connection has broken"});
    } else if (mine->on_end) {
      mine->on_end();
    }
  });
}

void ByteStream::pause() {
  impl_->paused = true;
  uv_read_stop(&impl_->stream);
}

void ByteStream::resume() {
  impl_->paused = false;
  impl_->read();
}

void ByteStream::Impl::fail_soon(Error error) {
  if (broken) return;
  broken = true;
  uv_read_stop(&stream);
  loop->post([token = self, error = std::move(error)] {
    if (*token == nullptr) return;
    const auto keep = (*token)->handlers;
    if (keep->on_close) keep->on_close(error);
  });
}

bool ByteStream::write(Bytes bytes, std::function<void()> written) {
  if (impl_->broken || impl_->shut) return false;
  if (bytes.empty() && !written) return !impl_->above_high_water;
  const size_t queued_before = impl_->stream.write_queue_size;
  if (queued_before > kMaxQueued) {
    impl_->fail_soon(
        {ErrorCode::kTooLarge, "the peer reads too slowly: " + std::to_string(queued_before) +
                                   " bytes are waiting for it"});
    return false;
  }
  auto* request = new WriteRequest{{}, std::move(bytes), std::move(written)};
  request->request.data = request;
  uv_buf_t buffer = uv_buf_init(reinterpret_cast<char*>(request->bytes.data()),
                                static_cast<unsigned>(request->bytes.size()));
  const int rc =
      uv_write(&request->request, &impl_->stream, &buffer, 1, [](uv_write_t* sent, int status) {
        const std::unique_ptr<WriteRequest> own(static_cast<WriteRequest*>(sent->data));
        static_cast<Impl*>(sent->handle->data)->on_written(status, own->written);
      });
  if (rc != 0) {
    delete request;
    impl_->fail_soon({ErrorCode::kUnavailable, uv_words(rc)});
    return false;
  }
  if (impl_->stream.write_queue_size <= kHighWater) return true;
  impl_->above_high_water = true;
  return false;
}

size_t ByteStream::queued() const {
  return impl_->stream.write_queue_size;
}

void ByteStream::shutdown() {
  if (impl_->broken || impl_->shut) return;
  impl_->shut = true;
  auto* request = new uv_shutdown_t;
  if (uv_shutdown(request, &impl_->stream, [](uv_shutdown_t* done, int) { delete done; }) != 0) {
    delete request;
  }
}

bool ByteStream::peer_gone() const {
  if (impl_->broken) return true;
  uv_os_fd_t fd = -1;
  if (uv_fileno(&impl_->handle, &fd) != 0) return true;
  pollfd query{fd, 0, 0};
  return poll(&query, 1, 0) > 0 && (query.revents & (POLLHUP | POLLERR)) != 0;
}

Endpoint ByteStream::peer() const {
  if (impl_->handle.type != UV_TCP) return {};
  sockaddr_storage storage{};
  int size = sizeof storage;
  if (uv_tcp_getpeername(&impl_->tcp, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return from_sockaddr(reinterpret_cast<const sockaddr*>(&storage));
}

}  // namespace kith
