#include "io/udp.h"

#include <netinet/in.h>
#include <uv.h>

#include <cstring>
#include <memory>
#include <utility>

#include "io/address.h"

namespace kith {
namespace {

constexpr int kReceiveBufferBytes = 1 << 20;

struct SendRequest {
  uv_udp_send_t request;
  Bytes bytes;
};

}  // namespace

struct UdpSocket::Impl {
  uv_udp_t handle;
  Loop* loop = nullptr;
  Receive on_receive;
  bool closing = false;
  int family = AF_INET;
  uint64_t dropped = 0;

  void close() {
    closing = true;
    uv_close(reinterpret_cast<uv_handle_t*>(&handle),
             [](uv_handle_t* closed) { delete static_cast<Impl*>(closed->data); });
  }
};

Result<UdpSocket> UdpSocket::open(Loop& loop, const Endpoint& at, Receive on_receive) {
  const auto address = to_sockaddr(at);
  if (!address) return fail(address.error());
  auto* impl = new Impl;
  impl->loop = &loop;
  impl->on_receive = std::move(on_receive);
  impl->family = address->ss_family;
  uv_udp_init(loop.raw(), &impl->handle);
  impl->handle.data = impl;
  int rc = uv_udp_bind(&impl->handle, reinterpret_cast<const sockaddr*>(&*address), 0);
  if (rc == 0) {
    rc = uv_udp_recv_start(
        &impl->handle,
        [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
          const auto scratch = static_cast<Impl*>(handle->data)->loop->scratch();
          *buffer = uv_buf_init(scratch.data(), static_cast<unsigned>(scratch.size()));
        },
        [](uv_udp_t* handle, ssize_t size, const uv_buf_t* buffer, const sockaddr* from,
           unsigned flags) {
          auto* self = static_cast<Impl*>(handle->data);
          // Nothing waiting (no sender), an ICMP error, or a datagram longer than 64 KiB.
          if (from == nullptr || size < 0 || (flags & UV_UDP_PARTIAL) != 0) return;
          if (self->closing) return;
          self->on_receive(from_sockaddr(from), {reinterpret_cast<const uint8_t*>(buffer->base),
                                                 static_cast<size_t>(size)});
        });
  }
  if (rc != 0) {
    impl->close();
    return fail(bind_error(at, "UDP", rc));
  }
  // Bursts are lost in the default buffer; less than asked for is still good.
  int wanted = kReceiveBufferBytes;
  uv_recv_buffer_size(reinterpret_cast<uv_handle_t*>(&impl->handle), &wanted);
  return UdpSocket(impl);
}

UdpSocket::UdpSocket(UdpSocket&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)) {}

UdpSocket& UdpSocket::operator=(UdpSocket&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}

UdpSocket::~UdpSocket() {
  if (impl_ != nullptr) impl_->close();
}

void UdpSocket::send(const Endpoint& to, ByteView datagram) {
  auto address = to_sockaddr(to);
  if (address && impl_->family == AF_INET6 && address->ss_family == AF_INET) {
    address = to_sockaddr({"::ffff:" + to.host, to.port});
  }
  if (!address || address->ss_family != impl_->family) {
    ++impl_->dropped;
    return;
  }
  const auto* target = reinterpret_cast<const sockaddr*>(&*address);
  auto* data = const_cast<char*>(reinterpret_cast<const char*>(datagram.data()));
  uv_buf_t buffer = uv_buf_init(data, static_cast<unsigned>(datagram.size()));
  const int rc = uv_udp_try_send(&impl_->handle, &buffer, 1, target);
  if (rc >= 0) return;
  if (rc != UV_EAGAIN ||
      uv_udp_get_send_queue_size(&impl_->handle) + datagram.size() > kMaxQueuedBytes) {
    ++impl_->dropped;
    return;
  }
  auto* request = new SendRequest{{}, Bytes(datagram.begin(), datagram.end())};
  request->request.data = request;
  buffer.base = reinterpret_cast<char*>(request->bytes.data());
  if (uv_udp_send(&request->request, &impl_->handle, &buffer, 1, target,
                  [](uv_udp_send_t* sent, int status) {
                    // The handle's own Impl is alive until its close callback, which comes later.
                    if (status < 0) ++static_cast<Impl*>(sent->handle->data)->dropped;
                    delete static_cast<SendRequest*>(sent->data);
                  }) != 0) {
    ++impl_->dropped;
    delete request;
  }
}

Endpoint UdpSocket::local() const {
  sockaddr_storage storage{};
  int size = sizeof storage;
  uv_udp_getsockname(&impl_->handle, reinterpret_cast<sockaddr*>(&storage), &size);
  return from_sockaddr(reinterpret_cast<const sockaddr*>(&storage));
}

uint64_t UdpSocket::dropped() const {
  return impl_->dropped;
}

}  // namespace kith
