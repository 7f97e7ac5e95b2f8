#pragma once

#include <string>
#include <string_view>

#include "api/error.h"
#include "state/records.h"

namespace kith {

/// Of a spec, as stored. With its predecessor and the rest of its document it stays below the
/// limit of a record, 64 KiB.
constexpr size_t kMaxSpecBytes = 24 * 1024;

struct CheckedSpec {
  std::string name;
  std::string json;  ///< what to store
};

/// Checks what a client posted as a new service's spec, and normalises it: Docker's spelling of
/// every known key, nulls left out, Labels {}, a mode, Replicas 1, tcp, ingress, vip, pause,
/// stop-first. What kith does not know stays. A refusal (mostly 400) is in Docker's words where
/// Docker has any, and names the field; so is every field that asks for what kith has not. A spec
/// without a name gets `default_name`.
[[nodiscard]] Answer<CheckedSpec> check_new_service(std::string_view body,
                                                    std::string_view default_name);

/// The same for an update of `current`, whose name and mode must stay (501 otherwise).
[[nodiscard]] Answer<CheckedSpec> check_service_update(std::string_view body,
                                                       const ServiceDoc& current);

}  // namespace kith
