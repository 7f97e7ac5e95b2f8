#pragma once

#include <string>
#include <string_view>

#include "api/error.h"
#include "api/json.h"

namespace kith {

// The registry's credentials (`docker service create --with-registry-auth`) travel with the spec,
// so that every host can pull, under a field that no answer shows. It stands beside the task
// template: new credentials alone restart nothing.

/// Fits into a record beside two specs.
constexpr size_t kMaxRegistryAuth = 4 * 1024;

/// What the X-Registry-Auth of a request says; empty for none, which clients also send as `{}`.
[[nodiscard]] Answer<std::string> registry_auth_in(const std::string& header);
[[nodiscard]] std::string registry_auth_of(std::string_view spec_json);
/// The spec with these credentials, or without any.
[[nodiscard]] std::string with_registry_auth(std::string spec_json, const std::string& auth);
void hide_registry_auth(Json& spec);

}  // namespace kith
