#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace kith {

/// XXH64: specified bit for bit, so equal on every node, architecture and version. Placement and
/// digests lean on that: changing it is a change of the wire version.
[[nodiscard]] uint64_t stable_hash(ByteView bytes, uint64_t seed = 0);
[[nodiscard]] uint64_t stable_hash(std::string_view text, uint64_t seed = 0);

/// Mixes two hashes; order matters.
[[nodiscard]] uint64_t hash_combine(uint64_t a, uint64_t b);

}  // namespace kith
