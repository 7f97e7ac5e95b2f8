#pragma once

#include <sys/socket.h>
#include <string>

#include "base/ids.h"
#include "base/result.h"

namespace kith {

/// Where a byte stream goes: a TCP endpoint or a unix socket's path.
struct StreamAddress {
  Endpoint tcp;
  std::string path;  ///< if not empty, it is this

  [[nodiscard]] static StreamAddress at(Endpoint endpoint) { return {std::move(endpoint), {}}; }
  [[nodiscard]] static StreamAddress local(std::string path) { return {{}, std::move(path)}; }
  [[nodiscard]] bool is_local() const { return !path.empty(); }
  /// `/run/docker.sock` or `10.0.0.1:7117`.
  [[nodiscard]] std::string text() const { return is_local() ? path : tcp.text(); }
};

/// Fails if `endpoint.host` is not a numeric address.
[[nodiscard]] Result<sockaddr_storage> to_sockaddr(const Endpoint& endpoint);
/// IPv4-mapped IPv6 becomes IPv4. None for other families.
[[nodiscard]] Endpoint from_sockaddr(const sockaddr* address);

/// libuv's words for one of its error numbers, for instance `connection refused`.
[[nodiscard]] std::string uv_words(int error);
/// A sentence for a failed bind or listen that says what to change.
[[nodiscard]] Error bind_error(const Endpoint& at, const char* protocol, int error);

}  // namespace kith
