#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

#include "base/bytes.h"

namespace kith {

/// Readies libsodium (picks the processor's best code). Cheap and safe to repeat.
void init_crypto();

using Secret = std::array<uint8_t, 32>;

/// BLAKE2b-256 of `domain` and `parts`, keyed with `key` if that is not empty. Every part is
/// preceded by its length, so no two different lists hash alike.
[[nodiscard]] Secret keyed_hash(ByteView key, std::string_view domain,
                                std::initializer_list<ByteView> parts);

/// Big-endian, as everything on the wire.
void put_u64(uint8_t* to, uint64_t value);
[[nodiscard]] uint64_t get_u64(const uint8_t* from);
[[nodiscard]] std::array<uint8_t, 8> u64_bytes(uint64_t value);

}  // namespace kith
