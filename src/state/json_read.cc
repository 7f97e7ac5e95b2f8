#include "state/json_read.h"

#include <algorithm>

namespace kith::json_read {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_but_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

bool too_deep(std::string_view text) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

}  // namespace

std::optional<Json> parse_object(std::string_view text) {
  if (too_deep(text)) return std::nullopt;
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  return json;
}

std::string write(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void Fault::add(const std::string& path, const Json& value, std::string_view why) {
  constexpr size_t kMaxShown = 80;
  if (any()) return;
  std::string shown = write(value);
  if (shown.size() > kMaxShown) shown = shown.substr(0, kMaxShown) + "...";
  message = path + ": " + shown + ": " + std::string(why);
}

Value Value::operator[](std::string_view key) const {
  const std::string path = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  if (json_ == nullptr) return {nullptr, path, *fault_};
  if (!json_->is_object()) {
    refuse("must be an object");
    return {nullptr, path, *fault_};
  }
  if (const auto exact = json_->find(std::string(key)); exact != json_->end())
    return {&*exact, path, *fault_};
  for (auto at = json_->begin(); at != json_->end(); ++at) {
    if (equal_but_case(at.key(), key)) return {&*at, path, *fault_};
  }
  return {nullptr, path, *fault_};
}

bool Value::read(std::string& out) const {
  if (json_ == nullptr) return false;
  if (!json_->is_string()) return refuse("must be a text"), false;
  out = json_->get_ref<const std::string&>();
  return true;
}

bool Value::read(bool& out) const {
  if (json_ == nullptr) return false;
  if (!json_->is_boolean()) return refuse("must be true or false"), false;
  out = json_->get<bool>();
  return true;
}

bool Value::read(std::map<std::string, std::string>& out) const {
  if (json_ == nullptr) return false;
  if (!json_->is_object()) return refuse("must be an object"), false;
  std::map<std::string, std::string> map;
  for (auto at = json_->begin(); at != json_->end(); ++at) {
    if (!at->is_string()) return refuse("its values must be texts"), false;
    map[at.key()] = at->get<std::string>();
  }
  out = std::move(map);
  return true;
}

bool Value::read_double(double& out) const {
  if (json_ == nullptr) return false;
  if (!json_->is_number()) return refuse("must be a number"), false;
  out = json_->get<double>();
  return true;
}

bool Value::read_integer(int64_t& out, int64_t least, int64_t most) const {
  if (json_ == nullptr) return false;
  if (!json_->is_number_integer()) return refuse("must be a whole number"), false;
  const bool over = json_->is_number_unsigned() &&
                    json_->get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()};
  const int64_t value = over ? 0 : json_->get<int64_t>();
  if (over || value < least || value > most) {
    refuse("must be from " + std::to_string(least) + " to " + std::to_string(most));
    return false;
  }
  out = value;
  return true;
}

}  // namespace kith::json_read
