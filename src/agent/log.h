#pragma once

#include <string>
#include <string_view>

namespace kith {

enum class LogLevel : unsigned char { kTrace, kDebug, kInfo, kWarn, kError };

/// Before the first line. `level`: trace, debug, info, warn or error. `json`: one object a line.
void open_log(std::string_view level, bool json);

/// To standard error, with the time. Only the agent's driver logs; cores return what there is to
/// say.
void log_line(LogLevel level, const std::string& text);

}  // namespace kith
