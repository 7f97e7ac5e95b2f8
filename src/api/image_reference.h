#pragma once

#include <string_view>

namespace kith {

/// Whether Docker would take this for an image's name: `[domain[:port]/]path[:tag][@digest]`, the
/// path in lower case. The grammar of distribution's `reference` package, as normalised for Docker
/// Hub; 64 hex digits alone are an id and no name.
[[nodiscard]] bool valid_image_reference(std::string_view text);

}  // namespace kith
