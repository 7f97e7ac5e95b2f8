#pragma once

// msgpack, for the sources of this folder only: packing into Bytes, and reading without trust.

#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <msgpack.hpp>

#include "base/bytes.h"
#include "base/ids.h"

namespace kith::wire {

class Buffer {
 public:
  void write(const char* data, size_t size) {
    bytes_.insert(bytes_.end(), reinterpret_cast<const uint8_t*>(data),
                  reinterpret_cast<const uint8_t*>(data) + size);
  }
  [[nodiscard]] Bytes take() { return std::move(bytes_); }
  [[nodiscard]] size_t size() const { return bytes_.size(); }

 private:
  Bytes bytes_;
};

using Packer = msgpack::packer<Buffer>;

inline void pack_bytes(Packer& to, ByteView bytes) {
  to.pack_bin(static_cast<uint32_t>(bytes.size()));
  to.pack_bin_body(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<uint32_t>(bytes.size()));
}
inline void pack_text(Packer& to, std::string_view text) {
  to.pack_str(static_cast<uint32_t>(text.size()));
  to.pack_str_body(text.data(), static_cast<uint32_t>(text.size()));
}
/// No node is an empty byte string.
inline void pack_node(Packer& to, const NodeId& node) {
  pack_bytes(to, node.none() ? ByteView{} : ByteView(node.key));
}

constexpr size_t kMaxDepth = 8;

/// Whether `bytes` is exactly one msgpack object, nested no deeper than kMaxDepth, with as many
/// elements as it says. Allocates nothing.
[[nodiscard]] bool well_formed(ByteView bytes);

/// Nothing unless `bytes` is well formed. What is allocated is a small multiple of its length.
inline std::optional<msgpack::object_handle> parse(ByteView bytes) {
  if (!well_formed(bytes)) return std::nullopt;
  const size_t most = bytes.size();
  try {
    size_t offset = 0;
    msgpack::object_handle handle =
        msgpack::unpack(reinterpret_cast<const char*>(bytes.data()), bytes.size(), offset, nullptr,
                        nullptr, msgpack::unpack_limit(most, most, most, most, most, kMaxDepth));
    if (offset != bytes.size()) return std::nullopt;
    return handle;
  } catch (const msgpack::unpack_error&) {
    return std::nullopt;
  } catch (const std::bad_alloc&) {
    return std::nullopt;
  }
}

// Each reads one object of exactly that type; false leaves `out` as it was.

template <class T>
requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) bool read(const msgpack::object& from,
                                                                      T& out) {
  if (from.type == msgpack::type::POSITIVE_INTEGER) {
    if (from.via.u64 > static_cast<uint64_t>(std::numeric_limits<T>::max())) return false;
    out = static_cast<T>(from.via.u64);
    return true;
  }
  if constexpr (std::is_signed_v<T>) {
    if (from.type != msgpack::type::NEGATIVE_INTEGER) return false;
    if (from.via.i64 < static_cast<int64_t>(std::numeric_limits<T>::min())) return false;
    out = static_cast<T>(from.via.i64);
    return true;
  }
  return false;
}
inline bool read(const msgpack::object& from, bool& out) {
  if (from.type != msgpack::type::BOOLEAN) return false;
  out = from.via.boolean;
  return true;
}
inline bool read(const msgpack::object& from, std::string& out) {
  if (from.type != msgpack::type::STR) return false;
  out.assign(from.via.str.ptr, from.via.str.size);
  return true;
}
inline bool read(const msgpack::object& from, Bytes& out) {
  if (from.type != msgpack::type::BIN) return false;
  const auto* data = reinterpret_cast<const uint8_t*>(from.via.bin.ptr);
  out.assign(data, data + from.via.bin.size);
  return true;
}
template <size_t kSize>
bool read(const msgpack::object& from, std::array<uint8_t, kSize>& out) {
  if (from.type != msgpack::type::BIN || from.via.bin.size != kSize) return false;
  std::memcpy(out.data(), from.via.bin.ptr, kSize);
  return true;
}
inline bool read(const msgpack::object& from, NodeId& out) {
  if (from.type == msgpack::type::BIN && from.via.bin.size == 0) {
    out = {};
    return true;
  }
  return read(from, out.key);
}
inline bool read(const msgpack::object& from, std::vector<uint64_t>& out) {
  if (from.type != msgpack::type::ARRAY) return false;
  std::vector<uint64_t> read_list(from.via.array.size);
  for (size_t i = 0; i < read_list.size(); ++i)
    if (!read(from.via.array.ptr[i], read_list[i])) return false;
  out = std::move(read_list);
  return true;
}
inline bool read(const msgpack::object& from, std::map<std::string, std::string>& out) {
  if (from.type != msgpack::type::MAP) return false;
  std::map<std::string, std::string> read_map;
  for (const msgpack::object_kv& pair : from.via.map) {
    std::string key;
    std::string value;
    if (!read(pair.key, key) || !read(pair.val, value)) return false;
    read_map.insert_or_assign(std::move(key), std::move(value));
  }
  out = std::move(read_map);
  return true;
}
template <class T>
requires std::is_enum_v<T>
bool read_enum(const msgpack::object& from, T& out, T last) {
  uint8_t value = 0;
  if (!read(from, value) || value > static_cast<uint8_t>(last)) return false;
  out = static_cast<T>(value);
  return true;
}

/// The elements of an array, read one after the other; more than are read are let be.
class Elements {
 public:
  explicit Elements(const msgpack::object& from) {
    if (from.type == msgpack::type::ARRAY)
      array_ = &from.via.array;
    else
      good_ = false;
  }
  template <class T>
  Elements& operator>>(T& out) {
    if (const msgpack::object* element = next(); element != nullptr) good_ = read(*element, out);
    return *this;
  }
  /// Null, and no longer good, past the end.
  const msgpack::object* next() {
    if (good_ && at_ < array_->size) return &array_->ptr[at_++];
    good_ = false;
    return nullptr;
  }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] size_t left() const { return good_ ? array_->size - at_ : 0; }

 private:
  const msgpack::object_array* array_ = nullptr;
  size_t at_ = 0;
  bool good_ = true;
};

}  // namespace kith::wire
