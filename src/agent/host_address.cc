#include "agent/host_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace kith {
namespace {

std::optional<Bytes> to_bytes(std::string_view text) {
  const std::string name(text);
  Bytes v4(4);
  if (inet_pton(AF_INET, name.c_str(), v4.data()) == 1) return v4;
  Bytes v6(16);
  if (inet_pton(AF_INET6, name.c_str(), v6.data()) == 1) return v6;
  return std::nullopt;
}

/// The source address the kernel would pick for a far destination. Connecting a datagram socket
/// sends nothing.
std::string default_route_address() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return {};
  sockaddr_in far{};
  far.sin_family = AF_INET;
  far.sin_port = htons(9);
  far.sin_addr.s_addr = htonl(0x08080808);
  sockaddr_in own{};
  socklen_t size = sizeof own;
  std::string address;
  if (connect(fd, reinterpret_cast<sockaddr*>(&far), sizeof far) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0) {
    char text[INET_ADDRSTRLEN];
    if (inet_ntop(AF_INET, &own.sin_addr, text, sizeof text) != nullptr) address = text;
  }
  close(fd);
  return address;
}

std::string listing(const std::vector<HostAddress>& all) {
  std::string text;
  for (const HostAddress& one : all)
    text += (text.empty() ? "" : ", ") + one.address + " (" + one.interface + ")";
  return text.empty() ? "none" : text;
}

}  // namespace

bool is_address(std::string_view text) {
  return to_bytes(text).has_value();
}

bool Network::contains(std::string_view address) const {
  const auto bytes = to_bytes(address);
  if (!bytes || bytes->size() != base.size()) return false;
  for (size_t bit = 0; bit < prefix; ++bit) {
    const uint8_t mask = static_cast<uint8_t>(0x80 >> (bit % 8));
    if (((*bytes)[bit / 8] & mask) != (base[bit / 8] & mask)) return false;
  }
  return true;
}

std::optional<Network> parse_network(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto base = to_bytes(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  uint8_t prefix = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  if (!base || error != std::errc{} || end != digits.data() + digits.size() ||
      prefix > base->size() * 8)
    return std::nullopt;
  return Network{*base, prefix};
}

std::vector<HostAddress> host_addresses() {
  std::vector<HostAddress> all;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return all;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || (at->ifa_flags & IFF_UP) == 0) continue;
    char text[INET6_ADDRSTRLEN];
    if (at->ifa_addr->sa_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(at->ifa_addr);
      if (inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text) != nullptr)
        all.push_back({at->ifa_name, text});
    } else if (at->ifa_addr->sa_family == AF_INET6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(at->ifa_addr);
      if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) continue;
      if (inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text) != nullptr)
        all.push_back({at->ifa_name, text});
    }
  }
  freeifaddrs(list);
  return all;
}

Result<std::string> choose_address(const std::string& wanted) {
  const auto all = host_addresses();
  if (wanted == "auto") {
    if (std::string address = default_route_address(); !address.empty()) return address;
    std::vector<HostAddress> outer;
    for (const HostAddress& one : all)
      if (one.interface != "lo" && !one.interface.starts_with("docker") &&
          !one.interface.starts_with("br-") && !one.interface.starts_with("veth"))
        outer.push_back(one);
    if (outer.size() == 1) return outer.front().address;
    return fail("node.address: auto: this host has no default route, and its addresses are " +
                listing(all) + "; name one of them");
  }
  if (const auto network = parse_network(wanted)) {
    for (const HostAddress& one : all)
      if (network->contains(one.address)) return one.address;
    return fail("node.address: no address of this host lies in " + wanted + "; it has " +
                listing(all));
  }
  for (const HostAddress& one : all)
    if (one.address == wanted) return wanted;
  return fail("node.address: " + wanted + " is not on this host; it has " + listing(all));
}

}  // namespace kith
