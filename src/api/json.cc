#include "api/json.h"

#include <algorithm>
#include <cctype>

namespace kith {
namespace {

bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

// Counts before anything is built of it. What is malformed is left to the parser.
Status check_limits(std::string_view text) {
  size_t depth = 0;
  size_t values = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (c == ',' || c == '[' || c == '{') ++values;
    if (depth > kMaxJsonDepth)
      return fail(ErrorCode::kInvalid,
                  "JSON is nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
    if (values > kMaxJsonValues)
      return fail(ErrorCode::kInvalid,
                  "JSON holds more than " + std::to_string(kMaxJsonValues) + " values");
  }
  return {};
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
  if (auto limits = check_limits(text); !limits) return fail(limits.error());
  try {
    return Json::parse(text);
  } catch (const Json::exception& e) {
    // `[json.exception.parse_error.101] parse error at line 1, column 2: ...`
    std::string_view words = e.what();
    if (const size_t end = words.find("] "); end != words.npos) words.remove_prefix(end + 2);
    return fail(ErrorCode::kInvalid, "invalid JSON: " + std::string(words));
  }
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const Json* member(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const Json* found = nullptr;
  for (const auto& [name, value] : object.items()) {
    if (name == key) return &value;
    if (found == nullptr && same_letters(name, key)) found = &value;
  }
  return found;
}

std::string text_of(const Json* value) {
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

}  // namespace kith
