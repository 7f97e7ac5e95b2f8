#include "agent/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <memory>
#include <nlohmann/json.hpp>

namespace kith {
namespace {

bool as_json = false;  // fixed by open_log, before any line

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void open_log(std::string_view level, bool json) {
  as_json = json;
  auto logger =
      std::make_shared<spdlog::logger>("kith", std::make_shared<spdlog::sinks::stderr_sink_st>());
  logger->set_level(spdlog::level::from_str(std::string(level)));
  logger->set_pattern(json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":%v})"
                           : "%Y-%m-%d %H:%M:%S.%e %-5l %v");
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

void log_line(LogLevel level, const std::string& text) {
  if (as_json)
    spdlog::log(
        level_of(level), "{}",
        nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  else
    spdlog::log(level_of(level), "{}", text);
}

}  // namespace kith
