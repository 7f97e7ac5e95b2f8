#pragma once

// What the fuzz targets share. A target calls `must` for what has to hold of any input.

#include <cstdlib>
#include <span>

#include "base/bytes.h"

namespace kith::fuzz {

inline void must(bool holds) {
  if (!holds) std::abort();
}

/// Takes an input apart from its front; what is not there is zero, or short.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(data, size) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const uint8_t first = rest_[0];
    rest_ = rest_.subspan(1);
    return first;
  }
  /// Two bytes of length, then as many bytes: several pieces in one input.
  ByteView piece() {
    const size_t high = byte();
    const size_t length = high << 8 | byte();
    const ByteView out = rest_.first(std::min(length, rest_.size()));
    rest_ = rest_.subspan(out.size());
    return out;
  }
  [[nodiscard]] ByteView rest() const { return rest_; }

 private:
  ByteView rest_;
};

}  // namespace kith::fuzz
