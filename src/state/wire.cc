#include "state/wire.h"

#include <array>

namespace kith::wire {
namespace {

/// What one object's head says: how long it is, what it holds.
struct Head {
  bool good = false;
  size_t size = 0;      ///< head and, of what holds no objects, content
  size_t children = 0;  ///< objects that follow; of a map both keys and values
};

/// `width` bytes at `at`, big-endian; false past the end.
bool number(ByteView bytes, size_t at, size_t width, uint64_t& out) {
  if (bytes.size() < at + width) return false;
  out = 0;
  for (size_t i = 0; i < width; ++i) out = out << 8 | bytes[at + i];
  return true;
}

Head sized(ByteView bytes, size_t width, size_t extra) {
  uint64_t length = 0;
  if (!number(bytes, 1, width, length)) return {};
  return {true, 1 + width + extra + static_cast<size_t>(length), 0};
}

Head holding(ByteView bytes, size_t width, size_t a_pair) {
  uint64_t count = 0;
  if (!number(bytes, 1, width, count)) return {};
  return {true, 1 + width, static_cast<size_t>(count) * a_pair};
}

// The format: github.com/msgpack/msgpack/blob/master/spec.md
Head head_of(ByteView bytes) {
  const uint8_t tag = bytes[0];
  if (tag <= 0x7f || tag >= 0xe0) return {true, 1, 0};
  if (tag <= 0x8f) return {true, 1, size_t{2} * (tag & 0x0fU)};
  if (tag <= 0x9f) return {true, 1, size_t{tag & 0x0fU}};
  if (tag <= 0xbf) return {true, 1 + size_t{tag & 0x1fU}, 0};
  switch (tag) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
      return {true, 1, 0};
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return sized(bytes, size_t{1} << (tag - 0xc4), 0);
    case 0xc7:
    case 0xc8:
    case 0xc9:
      return sized(bytes, size_t{1} << (tag - 0xc7), 1);
    case 0xca:
      return {true, 5, 0};
    case 0xcb:
      return {true, 9, 0};
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
      return {true, 1 + (size_t{1} << (tag - 0xcc)), 0};
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
      return {true, 1 + (size_t{1} << (tag - 0xd0)), 0};
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
      return {true, 2 + (size_t{1} << (tag - 0xd4)), 0};
    case 0xd9:
    case 0xda:
    case 0xdb:
      return sized(bytes, size_t{1} << (tag - 0xd9), 0);
    case 0xdc:
    case 0xdd:
      return holding(bytes, size_t{2} << (tag - 0xdc), 1);
    case 0xde:
    case 0xdf:
      return holding(bytes, size_t{2} << (tag - 0xde), 2);
    default:
      return {};
  }
}

}  // namespace

bool well_formed(ByteView bytes) {
  std::array<size_t, kMaxDepth> missing{};  // objects still to come, at each depth
  size_t depth = 0;
  while (!bytes.empty()) {
    const Head head = head_of(bytes);
    if (!head.good || head.size > bytes.size()) return false;
    bytes = bytes.subspan(head.size);
    if (head.children != 0) {
      if (depth == kMaxDepth || head.children > bytes.size()) return false;
      missing[depth++] = head.children;
      continue;
    }
    while (depth > 0 && --missing[depth - 1] == 0) --depth;
    if (depth == 0) return bytes.empty();
  }
  return false;
}

}  // namespace kith::wire
