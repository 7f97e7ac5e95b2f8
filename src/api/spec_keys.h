#pragma once

#include "api/json.h"

namespace kith {

/// Spells the keys of a posted ServiceSpec as Docker does (clients send them in any letter case),
/// and drops nulls. Keys that are data (label names, driver options, sysctls) and unknown keys
/// stay as they are; of two spellings of one key the last wins, as in Go.
[[nodiscard]] Json canonical_spec(const Json& posted);

}  // namespace kith
