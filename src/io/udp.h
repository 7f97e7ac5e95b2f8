#pragma once

#include <functional>

#include "base/bytes.h"
#include "base/ids.h"
#include "io/loop.h"

namespace kith {

/// A bound UDP socket. Datagrams are best effort: a failed or crowded-out send is only counted.
class UdpSocket {
 public:
  /// What may wait for the kernel before further datagrams are dropped.
  static constexpr size_t kMaxQueuedBytes = 256 * 1024;

  /// The view is valid during the call. An IPv4 peer of a dual-stack socket is given as IPv4.
  using Receive = std::function<void(const Endpoint& from, ByteView datagram)>;

  /// Binds and starts receiving; all datagrams waiting are delivered before other sockets and
  /// timers get their turn. `at.port` 0 takes any. Fails if the address is not on this host or
  /// the port is taken; the message names both and the mend.
  static Result<UdpSocket> open(Loop& loop, const Endpoint& at, Receive on_receive);
  UdpSocket(UdpSocket&& other) noexcept;
  UdpSocket& operator=(UdpSocket&& other) noexcept;
  ~UdpSocket();

  /// At most 65,507 bytes. `to.host` must be numeric and of the socket's family.
  void send(const Endpoint& to, ByteView datagram);

  /// With the port the kernel chose.
  [[nodiscard]] Endpoint local() const;
  /// Datagrams that this host failed to send.
  [[nodiscard]] uint64_t dropped() const;

 private:
  struct Impl;
  explicit UdpSocket(Impl* impl) : impl_(impl) {}
  Impl* impl_;
};

}  // namespace kith
