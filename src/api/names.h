#pragma once

#include <cstdint>
#include <string>

namespace kith {

/// A name for a service that was given none, such as `quiet_turing`, as Docker makes them up.
[[nodiscard]] std::string generated_name(uint64_t seed);

}  // namespace kith
