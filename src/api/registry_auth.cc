#include "api/registry_auth.h"

#include <algorithm>
#include <cctype>

#include "engine/container_spec.h"

namespace kith {
namespace {

// Of Docker's base64 of `{}`, in its two alphabets and with or without a newline in it.
bool says_nothing(std::string_view header) {
  return header.empty() || header == "e30=" || header == "e30" || header == "e30K" ||
         header == "bnVsbA==";
}

bool base64(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("+/-_=").find(c) != std::string_view::npos;
  });
}

}  // namespace

Answer<std::string> registry_auth_in(const std::string& header) {
  if (says_nothing(header)) return std::string();
  if (!base64(header)) return refuse(400, "X-Registry-Auth: must be base64 of JSON");
  if (header.size() > kMaxRegistryAuth)
    return refuse(400, "X-Registry-Auth: longer than " + std::to_string(kMaxRegistryAuth) +
                           " bytes; kith keeps it with the service's spec");
  return header;
}

std::string registry_auth_of(std::string_view spec_json) {
  const auto spec = parse_json(spec_json);
  return spec ? text_of(member(*spec, kRegistryAuthField)) : std::string();
}

std::string with_registry_auth(std::string spec_json, const std::string& auth) {
  auto spec = parse_json(spec_json);
  if (!spec || !spec->is_object()) return spec_json;
  const bool had = spec->contains(kRegistryAuthField);
  if (!had && auth.empty()) return spec_json;
  hide_registry_auth(*spec);
  if (!auth.empty()) (*spec)[std::string(kRegistryAuthField)] = auth;
  return dump(*spec);
}

void hide_registry_auth(Json& spec) {
  if (spec.is_object()) spec.erase(std::string(kRegistryAuthField));
}

}  // namespace kith
