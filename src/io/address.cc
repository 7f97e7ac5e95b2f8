#include "io/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <uv.h>

#include <array>
#include <cstring>

namespace kith {

Result<sockaddr_storage> to_sockaddr(const Endpoint& endpoint) {
  sockaddr_storage storage{};
  if (uv_ip4_addr(endpoint.host.c_str(), endpoint.port, reinterpret_cast<sockaddr_in*>(&storage)) ==
      0) {
    return storage;
  }
  if (uv_ip6_addr(endpoint.host.c_str(), endpoint.port,
                  reinterpret_cast<sockaddr_in6*>(&storage)) == 0) {
    return storage;
  }
  return fail(ErrorCode::kInvalid, "\"" + endpoint.host + "\" is not a numeric address");
}

Endpoint from_sockaddr(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN + 1> text{};
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    uv_ip4_name(v4, text.data(), text.size());
    return {text.data(), ntohs(v4->sin_port)};
  }
  if (address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      std::memcpy(&v4.sin_addr, &v6->sin6_addr.s6_addr[12], 4);
      uv_ip4_name(&v4, text.data(), text.size());
    } else {
      uv_ip6_name(v6, text.data(), text.size());
    }
    return {text.data(), ntohs(v6->sin6_port)};
  }
  return {};
}

std::string uv_words(int error) {
  return uv_strerror(error);
}

Error bind_error(const Endpoint& at, const char* protocol, int error) {
  const std::string what = std::string(protocol) + " " + at.text() + ": ";
  switch (error) {
    case UV_EADDRINUSE:
      return {ErrorCode::kConflict, what + "port " + std::to_string(at.port) +
                                        " is already taken by another program; stop that program "
                                        "or choose another port"};
    case UV_EADDRNOTAVAIL:
      return {ErrorCode::kInvalid, what + "the address " + at.host +
                                       " is not on this host; choose one that `ip addr` shows"};
    case UV_EACCES:
      return {ErrorCode::kFailed, what + "not allowed to take port " + std::to_string(at.port) +
                                      "; run as root or choose a port above 1023"};
    default:
      return {ErrorCode::kFailed, what + uv_words(error)};
  }
}

}  // namespace kith
