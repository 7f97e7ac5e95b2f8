#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kith {

/// The one of `names` that `word` is most likely a slip of: one letter more, less or other, or two
/// neighbours swapped; in longer words two of these. Empty if none is near. The first of equals.
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& names);

}  // namespace kith
