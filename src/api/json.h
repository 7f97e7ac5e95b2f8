#pragma once

// Heavy: for the .cc files of src/api and src/cli alone.
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/instant.h"
#include "base/result.h"

namespace kith {

/// Keeps the order of keys, so that a stored spec reads back as it was written.
using Json = nlohmann::ordered_json;

// Looking a key up is linear and printing is recursive, hence both limits.
constexpr size_t kMaxJsonDepth = 64;
constexpr size_t kMaxJsonValues = 8192;

/// kInvalid on garbage, on what is not UTF-8, and past the limits above. Never throws.
[[nodiscard]] Result<Json> parse_json(std::string_view text);
/// Never throws; what is not UTF-8 is replaced.
[[nodiscard]] std::string dump(const Json& value);

/// The member called `key` in any letter case, as Go's decoder reads it; null if there is none, or
/// `object` is no object. The exact spelling wins.
[[nodiscard]] const Json* member(const Json& object, std::string_view key);
/// Empty unless it is a string.
[[nodiscard]] std::string text_of(const Json* value);

}  // namespace kith
