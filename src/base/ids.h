#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace kith {

/// A node's Ed25519 public key. All zero means "no node".
struct NodeId {
  std::array<uint8_t, 32> key{};
  // By `key`, of which the first word settles nearly all: maps by node are everywhere.
  bool operator==(const NodeId& other) const {
    return short_id() == other.short_id() && key == other.key;
  }
  std::strong_ordering operator<=>(const NodeId& other) const {
    const uint64_t mine = short_id();
    const uint64_t its = other.short_id();
    return mine != its ? mine <=> its : key <=> other.key;
  }
  [[nodiscard]] bool none() const { return *this == NodeId{}; }
  /// The first eight bytes, big-endian: what stands on the wire and in logs. Zero for none.
  [[nodiscard]] uint64_t short_id() const {
    uint64_t value = 0;
    std::memcpy(&value, key.data(), sizeof value);
    return std::endian::native == std::endian::big ? value : __builtin_bswap64(value);
  }
  /// As Docker's clients see it: 25 characters of base 36, derived from the key.
  [[nodiscard]] std::string docker_id() const;
  [[nodiscard]] std::string hex() const { return to_hex(key); }
  [[nodiscard]] static std::optional<NodeId> from_hex(std::string_view text);
};

/// 25 lowercase base-36 characters made of a hash of `seed`, as Swarm's ids look.
[[nodiscard]] std::string docker_id_from(ByteView seed);

/// An address a datagram or stream goes to or came from. `host` is numeric, IPv4 or IPv6 without
/// brackets.
struct Endpoint {
  std::string host;
  uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
  [[nodiscard]] bool none() const { return host.empty(); }
  /// `10.0.0.1:7117` or `[fd00::1]:7117`.
  [[nodiscard]] std::string text() const;
};

/// One place in a service: `index` counts from 1 for replicated services; a global service has
/// one slot a node, with index 0 and that node's id.
struct SlotKey {
  std::string service;
  uint32_t index = 0;
  NodeId node;
  auto operator<=>(const SlotKey&) const = default;
  /// `web.2`, or `web.<docker id of the node>` for a global slot.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] uint64_t hash() const;
};

}  // namespace kith
