#pragma once

#include <string_view>

#include "state/records.h"

namespace kith {

// Docker's words.

/// `active`, `pause`, `drain`
[[nodiscard]] std::string_view availability_word(Availability availability);
/// `replicated`, `global`, `replicated-job`, `global-job`
[[nodiscard]] std::string_view mode_word(ServiceMode mode);

}  // namespace kith
