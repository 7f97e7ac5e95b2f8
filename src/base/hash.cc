#include "base/hash.h"

#include <array>

#include <xxhash.h>

namespace kith {

uint64_t stable_hash(ByteView bytes, uint64_t seed) {
  return XXH64(bytes.data(), bytes.size(), seed);
}

uint64_t stable_hash(std::string_view text, uint64_t seed) {
  return XXH64(text.data(), text.size(), seed);
}

uint64_t hash_combine(uint64_t a, uint64_t b) {
  std::array<uint8_t, 16> bytes{};
  for (size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<uint8_t>(a >> (8 * i));
    bytes[8 + i] = static_cast<uint8_t>(b >> (8 * i));
  }
  return XXH64(bytes.data(), bytes.size(), 0);
}

}  // namespace kith
