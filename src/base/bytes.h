#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kith {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;

[[nodiscard]] inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
[[nodiscard]] inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

[[nodiscard]] std::string to_hex(ByteView bytes);
/// Nothing unless `text` is an even number of hexadecimal digits.
[[nodiscard]] std::optional<Bytes> from_hex(std::string_view text);

/// Standard alphabet, padded.
[[nodiscard]] std::string to_base64(ByteView bytes);
/// Standard or URL alphabet, padding optional; nothing if any other character occurs.
[[nodiscard]] std::optional<Bytes> from_base64(std::string_view text);

}  // namespace kith
