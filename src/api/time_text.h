#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/instant.h"

namespace kith {

/// RFC 3339 in UTC with milliseconds: `2026-11-24T01:22:19.123Z`. 0 is Go's zero time,
/// `0001-01-01T00:00:00Z`, which Docker's clients take for "never".
[[nodiscard]] std::string rfc3339(WallTime at);

/// As Docker's `since` and `until` come: seconds since 1970 with an optional fraction, RFC 3339 in
/// UTC, or a span before `now` such as `10m` or `1h30m`. Nothing if it is none of these.
[[nodiscard]] std::optional<WallTime> parse_time(std::string_view text, WallTime now);

/// As Docker's clients say how long ago: `3 seconds`, `About a minute`, `2 weeks`.
[[nodiscard]] std::string human_duration(int64_t seconds);

}  // namespace kith
