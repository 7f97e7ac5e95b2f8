#include "base/ids.h"

#include <algorithm>

#include "base/hash.h"

namespace kith {

std::string NodeId::docker_id() const {
  return docker_id_from(key);
}

std::optional<NodeId> NodeId::from_hex(std::string_view text) {
  const auto bytes = kith::from_hex(text);
  if (!bytes || bytes->size() != 32) return std::nullopt;
  NodeId id;
  std::copy(bytes->begin(), bytes->end(), id.key.begin());
  return id;
}

std::string docker_id_from(ByteView seed) {
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  constexpr size_t kLength = 25;
  constexpr size_t kDigitsAWord = 12;  // 36^12 < 2^64
  std::string out;
  for (uint64_t round = 0; out.size() < kLength; ++round) {
    uint64_t word = stable_hash(seed, 0x6b697468 + round);
    for (size_t i = 0; i < kDigitsAWord && out.size() < kLength; ++i, word /= 36)
      out += kDigits[word % 36];
  }
  return out;
}

std::string Endpoint::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string SlotKey::text() const {
  return service + "." + (node.none() ? std::to_string(index) : node.docker_id());
}

uint64_t SlotKey::hash() const {
  const uint64_t place = node.none() ? index : stable_hash(node.key);
  return hash_combine(stable_hash(service), place);
}

}  // namespace kith
