#pragma once

// Reading JSON without trust, for the sources of this folder only.

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace kith::json_read {

using Json = nlohmann::json;

constexpr size_t kMaxJsonDepth = 64;

/// Nothing unless `text` is an object, nested no deeper than kMaxJsonDepth: what is deeper could
/// overflow the stack when written.
std::optional<Json> parse_object(std::string_view text);

/// One line, keys sorted; bytes that are not UTF-8 are replaced.
std::string write(const Json& json);

/// Keeps the first fault that a reader met.
struct Fault {
  std::string message;
  void add(const std::string& path, const Json& value, std::string_view why);
  [[nodiscard]] bool any() const { return !message.empty(); }
};

/// An object or any other value, or nothing, with the path it was found at. Keys match in any
/// letter case; null is nothing. Reading the wrong type is a fault and leaves `out` as it was.
class Value {
 public:
  Value(const Json* json, std::string path, Fault& fault)
      : json_(json != nullptr && json->is_null() ? nullptr : json),
        path_(std::move(path)),
        fault_(&fault) {}

  [[nodiscard]] bool present() const { return json_ != nullptr; }
  [[nodiscard]] const Json* json() const { return json_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] Value operator[](std::string_view key) const;

  bool read(std::string& out) const;
  bool read(bool& out) const;
  bool read(std::map<std::string, std::string>& out) const;
  bool read_double(double& out) const;
  template <class T>
  bool read_number(T& out, int64_t least, int64_t most) const {
    int64_t value = 0;
    if (!read_integer(value, least, most)) return false;
    out = static_cast<T>(value);
    return true;
  }
  /// Calls `each(Value)` for the elements of an array.
  template <class Each>
  void for_each(Each&& each) const {
    if (json_ == nullptr) return;
    if (!json_->is_array()) return refuse("must be a list");
    for (size_t i = 0; i < json_->size(); ++i)
      each(Value(&(*json_)[i], path_ + "[" + std::to_string(i) + "]", *fault_));
  }
  void refuse(std::string_view why) const {
    static const Json kNothing;
    fault_->add(path_, json_ == nullptr ? kNothing : *json_, why);
  }

 private:
  bool read_integer(int64_t& out, int64_t least, int64_t most) const;

  const Json* json_;
  std::string path_;
  Fault* fault_;
};

}  // namespace kith::json_read
