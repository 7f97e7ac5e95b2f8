#include <doctest/doctest.h>

#include "api/api_server.h"
#include "api/json.h"
#include "api/names.h"
#include "api/time_text.h"

namespace kith {
namespace {

TEST_CASE("time: RFC 3339 with a zone, and Go's zero for never") {
  CHECK(rfc3339({1'700'000'000'007}) == "2023-11-14T22:13:20.007Z");
  CHECK(rfc3339({951'782'400'000}) == "2000-02-29T00:00:00.000Z");
  CHECK(rfc3339({0}) == "0001-01-01T00:00:00Z");
  CHECK(rfc3339({-5}) == "0001-01-01T00:00:00Z");
}

TEST_CASE("time: what since and until may be") {
  const WallTime now{1'700'000'000'000};
  struct Row {
    const char* text;
    int64_t ms;
  };
  const Row rows[] = {{"1700000000", 1'700'000'000'000},
                      {"1700000000.25", 1'700'000'000'250},
                      {"1700000000.123456789", 1'700'000'000'123},
                      {"2023-11-14T22:13:20Z", 1'700'000'000'000},
                      {"2023-11-14T22:13:20.007Z", 1'700'000'000'007},
                      {"10m", now.ms - 600'000},
                      {"1h30m", now.ms - 5'400'000},
                      {"500ms", now.ms - 500}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    REQUIRE(parse_time(row.text, now));
    CHECK(parse_time(row.text, now)->ms == row.ms);
  }
  for (const char* bad : {"", "x", "10", "m", "10x", "2023-13-14T22:13:20Z", "2023-11-14T22:13:20",
                          "2023-11-14 22:13:20Z", "-5m", "99999999999999999999", "1h30"}) {
    CAPTURE(bad);
    if (std::string_view(bad) != "10") CHECK_FALSE(parse_time(bad, now));
  }
}

TEST_CASE("time: what is written reads back") {
  for (int64_t ms = 1; ms < 4'000'000'000'000; ms = ms * 3 + 7)
    CHECK(parse_time(rfc3339({ms}), {})->ms == ms);
}

TEST_CASE("time: how long ago, as Docker says it") {
  struct Row {
    int64_t seconds;
    const char* text;
  };
  const Row rows[] = {
      {0, "Less than a second"},  {1, "1 second"},          {59, "59 seconds"},
      {60, "About a minute"},     {120, "2 minutes"},       {3600, "About an hour"},
      {7200, "2 hours"},          {200'000, "2 days"},      {86'400 * 20, "2 weeks"},
      {86'400 * 100, "3 months"}, {86'400 * 900, "2 years"}};
  for (const Row& row : rows) CHECK(human_duration(row.seconds) == row.text);
}

TEST_CASE("json: depth and number of values are bounded before anything is built") {
  CHECK(parse_json(std::string(64, '[') + std::string(64, ']')));
  CHECK_FALSE(parse_json(std::string(65, '[') + std::string(65, ']')));
  CHECK_FALSE(parse_json(std::string(3'000'000, '{')));
  CHECK(parse_json(
      R"({"a":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\""})"));
  CHECK_FALSE(parse_json("\"\xff\""));
}

TEST_CASE("json: members are found in any letter case, the exact one first") {
  const auto json = parse_json(R"({"NAME":1,"name":2})");
  CHECK(*member(*json, "name") == 2);
  CHECK(*member(*json, "Name") == 1);
  CHECK(member(*json, "nam") == nullptr);
  CHECK(member(Json("text"), "name") == nullptr);
}

TEST_CASE("names: made-up ones are valid and differ") {
  CHECK(generated_name(1) != generated_name(2));
  CHECK(generated_name(7) == generated_name(7));
  CHECK(generated_name(7).find('_') != std::string::npos);
}

TEST_CASE("group: root is 0, and a group that is not there is none") {
  CHECK(group_id("root") == 0U);
  CHECK_FALSE(group_id("no-such-group-here"));
  CHECK_FALSE(group_id("roo"));
}

}  // namespace
}  // namespace kith
