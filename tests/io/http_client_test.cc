#include "io/http_client.h"

#include <optional>

#include "fixture.h"

using namespace kith;
using namespace kith::test;
using std::chrono::milliseconds;

namespace {

/// Says what it is told to everyone who connects, and keeps what it hears.
struct ScriptedServer {
  std::string answer;
  bool close_after = false;
  std::string heard;
  std::vector<ByteStream> streams;
  Listener listener;

  ScriptedServer(Loop& loop, const StreamAddress& at, std::string says, bool closes)
      : answer(std::move(says)),
        close_after(closes),
        listener(listen(loop, at, [this](ByteStream stream) {
          streams.push_back(std::move(stream));
          auto& kept = streams.back();
          kept.start({.on_data = [this](ByteView bytes) { heard += as_text(bytes); },
                      .on_end = {},
                      .on_close = {},
                      .on_drain = {}});
          kept.write(answer);
          if (close_after) kept.shutdown();
        })) {
    streams.reserve(16);
  }
};

struct Outcome {
  bool called = false;
  Error error;
  HttpResponse response;
};

Outcome ask(Loop& loop, const StreamAddress& at, HttpRequest request, HttpLimits limits = {}) {
  Outcome outcome;
  HttpClient client(loop, at);
  const auto call = client.request(std::move(request), limits, [&](Result<HttpResponse> result) {
    outcome.called = true;
    if (result) {
      outcome.response = std::move(*result);
    } else {
      outcome.error = result.error();
    }
  });
  CHECK_FALSE(outcome.called);
  REQUIRE(loop.run_until([&] { return outcome.called; }, kPatience));
  return outcome;
}

}  // namespace

TEST_CASE("http client: reads answers by length, in chunks, up to the close, and without a body") {
  Loop loop;
  const TempDir dir;
  struct Row {
    const char* method;
    std::string answer;
    int status;
    std::string body;
  };
  for (const Row& row :
       {Row{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
        Row{"GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            200, "hello"},
        Row{"GET", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello"},
        Row{"GET",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
            "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
            404, "no"},
        Row{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, ""},
        Row{"DELETE", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""}}) {
    CAPTURE(row.answer);
    ScriptedServer server(loop, StreamAddress::local(dir.path("a")), row.answer,
                          row.answer.find("1.0") != std::string::npos);
    const auto outcome = ask(loop, StreamAddress::local(dir.path("a")),
                             {.method = row.method, .target = "/x", .headers = {}, .body = {}});
    CHECK(outcome.error.message.empty());
    CHECK(outcome.response.status == row.status);
    CHECK(outcome.response.body == row.body);
  }
}

TEST_CASE("http client: faults name the address and the cause") {
  Loop loop;
  const TempDir dir;
  const auto at = StreamAddress::local(dir.path("a"));
  const auto nobody = ask(loop, at, {});
  CHECK(nobody.error.code == ErrorCode::kUnavailable);
  CHECK(nobody.error.message.find(at.path) != std::string::npos);
  struct Row {
    std::string answer;
    ErrorCode code;
    std::string words;
  };
  for (const Row& row :
       {Row{"", ErrorCode::kUnavailable, "without an answer"},
        Row{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", ErrorCode::kUnavailable, "middle"},
        Row{"HTTP/1.1 200 OK\r\nConte", ErrorCode::kUnavailable, "middle"},
        Row{"SSH-2.0-OpenSSH\r\n", ErrorCode::kUnavailable, "not HTTP"},
        Row{"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + std::string(500, 'x'),
            ErrorCode::kTooLarge, "longer than 100 bytes"}}) {
    CAPTURE(row.answer);
    ScriptedServer server(loop, at, row.answer, true);
    HttpLimits limits;
    limits.max_body = 100;
    const auto outcome =
        ask(loop, at, {.method = "GET", .target = "/", .headers = {}, .body = {}}, limits);
    CHECK(outcome.error.code == row.code);
    CHECK(outcome.error.message.find(row.words) != std::string::npos);
    CHECK(outcome.error.message.find(at.path) != std::string::npos);
  }
  ScriptedServer silent(loop, at, "HTTP/1.1 200 OK\r\n", false);
  HttpLimits limits;
  limits.timeout = milliseconds(50);
  const auto late =
      ask(loop, at, {.method = "GET", .target = "/", .headers = {}, .body = {}}, limits);
  CHECK(late.error.code == ErrorCode::kUnavailable);
  CHECK(late.error.message.find("no answer within 50 ms") != std::string::npos);
}

TEST_CASE("http client: a request is sent whole, with a length and a host") {
  Loop loop;
  const TempDir dir;
  TestServer server(loop, dir.path("a"), [](ExchangePtr exchange) {
    exchange->collect(64u << 20, [exchange](Bytes body) {
      const auto& request = exchange->request();
      exchange->send(200, {{"X-Host", request.headers.get("host")}},
                     request.method + " " + request.target + " " + std::to_string(body.size()));
    });
  });
  const auto outcome = ask(
      loop, StreamAddress::local(dir.path("a")),
      {.method = "POST", .target = "/a?b=c", .headers = {}, .body = std::string(30 << 20, 'x')});
  CHECK(outcome.response.body == "POST /a?b=c 31457280");
  CHECK(outcome.response.headers.get("x-host") == "localhost");
}

TEST_CASE("http client: a stream gives head, pieces and end; cancelling silences it") {
  Loop loop;
  const TempDir dir;
  ExchangePtr held;
  bool aborted = false;
  TestServer server(loop, dir.path("a"), [&](ExchangePtr exchange) {
    exchange->on_abort([&](bool) { aborted = true; });
    exchange->begin(200, {});
    held = std::move(exchange);
  });
  HttpClient client(loop, StreamAddress::local(dir.path("a")));
  std::string heard;
  int status = 0;
  bool ended = false;
  HttpCall call;
  const auto begin = [&] {
    heard.clear();
    status = 0;
    ended = false;
    call = client.stream({.method = "GET", .target = "/events", .headers = {}, .body = {}}, {},
                         {.on_head = [&](const HttpResponseHead& head) { status = head.status; },
                          .on_data = [&](ByteView bytes) { heard += as_text(bytes); },
                          .on_end =
                              [&](Status result) {
                                CHECK(result);
                                ended = true;
                              }});
    REQUIRE(loop.run_until([&] { return status == 200; }, kPatience));
  };
  begin();
  held->write("one");
  REQUIRE(loop.run_until([&] { return heard == "one"; }, kPatience));
  held->write("two");
  held->end();
  REQUIRE(loop.run_until([&] { return ended; }, kPatience));
  CHECK(heard == "onetwo");
  begin();
  call.cancel();
  CHECK(loop.run_until([&] { return aborted; }, kPatience));
  CHECK_FALSE(ended);
}

TEST_CASE("http client: a callback may destroy the call") {
  Loop loop;
  const TempDir dir;
  ScriptedServer server(loop, StreamAddress::local(dir.path("a")),
                        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false);
  HttpClient client(loop, StreamAddress::local(dir.path("a")));
  auto call = std::make_unique<HttpCall>();
  SUBCASE("whole") {
    *call = client.request({}, {}, [&](Result<HttpResponse>) { call.reset(); });
  }
  SUBCASE("head") {
    *call = client.stream({}, {},
                          {.on_head = [&](const HttpResponseHead&) { call.reset(); },
                           .on_data = [&](ByteView) { FAIL("called after its end"); },
                           .on_end = {}});
  }
  SUBCASE("data") {
    *call = client.stream({}, {},
                          {.on_head = {},
                           .on_data = [&](ByteView) { call.reset(); },
                           .on_end = [&](Status) { FAIL("called after its end"); }});
  }
  CHECK(loop.run_until([&] { return !call; }, kPatience));
}

TEST_CASE("http client: a stream that falls silent ends, one that is paused does not") {
  Loop loop;
  const TempDir dir;
  const auto at = StreamAddress::local(dir.path("a"));
  ScriptedServer server(loop, at, "HTTP/1.1 200 OK\r\n\r\nfirst", false);
  std::string heard;
  std::optional<Status> ended;
  HttpLimits limits;
  limits.silence = milliseconds(300);
  HttpClient client(loop, at);
  HttpCall call = client.stream({}, limits,
                                {.on_head = {},
                                 .on_data = [&](ByteView bytes) { heard += as_text(bytes); },
                                 .on_end = [&](Status status) { ended = std::move(status); }});
  REQUIRE(loop.run_until([&] { return heard == "first"; }, kPatience));
  call.pause();
  CHECK_FALSE(loop.run_until([&] { return ended.has_value(); }, milliseconds(600)));
  call.resume();
  REQUIRE(loop.run_until([&] { return ended.has_value(); }, kPatience));
  REQUIRE_FALSE(*ended);
  CHECK(ended->error().message.find("nothing more came for 300 ms") != std::string::npos);
}
