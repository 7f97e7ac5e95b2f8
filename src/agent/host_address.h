#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace kith {

/// True for a numeric IPv4 or IPv6 address.
[[nodiscard]] bool is_address(std::string_view text);

struct Network {
  Bytes base;          ///< 4 or 16 bytes
  uint8_t prefix = 0;  ///< bits
  [[nodiscard]] bool contains(std::string_view address) const;
};
/// `10.0.0.0/24`, `fd00::/8`.
[[nodiscard]] std::optional<Network> parse_network(std::string_view text);

struct HostAddress {
  std::string interface;
  std::string address;
};
/// Every address of this host that is up, without link-local ones.
[[nodiscard]] std::vector<HostAddress> host_addresses();

/// Resolves `node.address`: `auto` is the source address of the default route, or the only address
/// there is; a network picks the one inside it. The message names what this host has.
[[nodiscard]] Result<std::string> choose_address(const std::string& wanted);

}  // namespace kith
