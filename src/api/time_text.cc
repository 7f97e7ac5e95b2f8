#include "api/time_text.h"

#include <charconv>
#include <chrono>
#include <cstdio>

namespace kith {
namespace {

constexpr int64_t kMsADay = 86'400'000;

std::optional<int64_t> number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
  return value;
}

// `.25` -> 250
std::optional<int64_t> fraction_ms(std::string_view digits) {
  int64_t ms = 0;
  int64_t unit = 100;
  for (const char c : digits) {
    if (c < '0' || c > '9') return {};
    ms += (c - '0') * unit;
    unit /= 10;
  }
  return ms;
}

std::optional<WallTime> parse_unix(std::string_view text) {
  const size_t dot = text.find('.');
  const auto seconds = number(text.substr(0, dot));
  if (!seconds || *seconds < 0 || *seconds > 253'402'300'799) return {};
  const auto ms = dot == text.npos ? 0 : fraction_ms(text.substr(dot + 1));
  if (!ms) return {};
  return WallTime{*seconds * 1000 + *ms};
}

std::optional<WallTime> parse_rfc3339(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':' || text.back() != 'Z')
    return {};
  const auto year = number(text.substr(0, 4));
  const auto month = number(text.substr(5, 2));
  const auto day = number(text.substr(8, 2));
  const auto hour = number(text.substr(11, 2));
  const auto minute = number(text.substr(14, 2));
  const auto second = number(text.substr(17, 2));
  if (!year || !month || !day || !hour || !minute || !second) return {};
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return {};
  std::optional<int64_t> ms = 0;
  if (text[19] == '.') ms = fraction_ms(text.substr(20, text.size() - 21));
  if (!ms || (text[19] != '.' && text.size() != 20)) return {};
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return WallTime{days * kMsADay + ((*hour * 60 + *minute) * 60 + *second) * 1000 + *ms};
}

std::optional<WallTime> parse_span(std::string_view text, WallTime now) {
  int64_t total = 0;
  while (!text.empty()) {
    const size_t digits = text.find_first_not_of("0123456789");
    if (digits == text.npos || digits == 0) return {};
    const auto count = number(text.substr(0, digits));
    if (!count || *count > 1'000'000'000) return {};
    int64_t unit = 0;
    size_t letters = 1;
    switch (text[digits]) {
      case 'h':
        unit = 3'600'000;
        break;
      case 'm':
        unit = 60'000;
        break;
      case 's':
        unit = 1'000;
        break;
      default:
        return {};
    }
    if (text.substr(digits, 2) == "ms") unit = 1, letters = 2;
    total += *count * unit;
    text.remove_prefix(digits + letters);
  }
  return WallTime{now.ms - total};
}

}  // namespace

std::string rfc3339(WallTime at) {
  if (at.ms <= 0) return "0001-01-01T00:00:00Z";
  const int64_t days = at.ms / kMsADay;
  const int64_t rest = at.ms % kMsADay;
  const std::chrono::year_month_day date{
      std::chrono::sys_days(std::chrono::days(static_cast<int>(days)))};
  char out[64];
  std::snprintf(out, sizeof out, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(rest / 3'600'000),
                static_cast<int>(rest / 60'000 % 60), static_cast<int>(rest / 1000 % 60),
                static_cast<int>(rest % 1000));
  return out;
}

std::optional<WallTime> parse_time(std::string_view text, WallTime now) {
  if (text.empty()) return {};
  if (auto at = parse_unix(text)) return at;
  if (auto at = parse_rfc3339(text)) return at;
  return parse_span(text, now);
}

std::string human_duration(int64_t seconds) {
  const auto many = [](int64_t count, const char* unit) {
    return std::to_string(count) + " " + unit;
  };
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return many(seconds, "seconds");
  const int64_t minutes = seconds / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return many(minutes, "minutes");
  const int64_t hours = (seconds + 1800) / 3600;
  if (hours == 1) return "About an hour";
  if (hours < 48) return many(hours, "hours");
  if (hours < 24 * 7 * 2) return many(hours / 24, "days");
  if (hours < 24 * 30 * 2) return many(hours / 24 / 7, "weeks");
  if (hours < 24 * 365 * 2) return many(hours / 24 / 30, "months");
  return many(hours / 24 / 365, "years");
}

}  // namespace kith
