#include "io/http.h"

#include "base/rng.h"
#include "fixture.h"
#include "io/http_client.h"
#include "io/http_parser.h"

using namespace kith;
using namespace kith::test;

TEST_CASE("http: targets are split and decoded") {
  struct Row {
    const char* target;
    const char* path;
    std::vector<std::pair<std::string, std::string>> query;
  };
  for (const Row& row :
       {Row{"/a", "/a", {}}, Row{"/a%20b%2", "/a b%2", {}}, Row{"/a+b", "/a+b", {}},
        Row{"/a?x=1&y&&z=a%3db+c", "/a", {{"x", "1"}, {"y", ""}, {"z", "a=b c"}}},
        Row{"http://host:1/p?q=1", "/p", {{"q", "1"}}}, Row{"http://host", "/", {}},
        Row{"/p?u=http://x/", "/p", {{"u", "http://x/"}}}, Row{"*", "*", {}}, Row{"/?", "/", {}}}) {
    CAPTURE(row.target);
    HttpRequestHead head;
    head.target = row.target;
    split_target(head);
    CHECK(head.path == row.path);
    CHECK(head.query == row.query);
  }
  const std::string odd = "a b/\xc3\xa9?&=%~";
  CHECK(percent_decode(percent_encode(odd)) == odd);
}

TEST_CASE("http: header names compare without case, and lists hold tokens") {
  HttpHeaders headers{{"Connection", "keep-alive,  Upgrade"}, {"A", "1"}, {"a", "2"}};
  CHECK(headers.get("aCCEPT").empty());
  CHECK(headers.get("a") == "1");
  CHECK(headers.has_token("connection", "upgrade"));
  CHECK_FALSE(headers.has_token("connection", "keep"));
  headers.set("A", "3");
  CHECK(headers.fields.size() == 2);
  CHECK(format_response_head(200, {}, {{"A", "x\r\nEvil: 1"}}) ==
        "HTTP/1.1 200 OK\r\nA: x  Evil: 1\r\n\r\n");
  CHECK(message_json("a \"b\"\\\n\x01") == "{\"message\":\"a \\\"b\\\"\\\\\\n\\u0001\"}\n");
}

TEST_CASE("http parser: no bytes, however damaged and cut, do harm") {
  const std::string seeds[] = {
      "POST /a?b HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
      "3;a=b\r\nabc\r\n0\r\nT: x\r\n\r\n",
      "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabcGET /",
      "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nabc",
      "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nabc",
      "CONNECT a:1 HTTP/1.1\r\n\r\n"};
  Rng rng(20);
  for (int round = 0; round < 20000; ++round) {
    CAPTURE(round);
    std::string text = seeds[rng.below(5)];
    for (uint64_t hits = rng.below(4); hits > 0; --hits) {
      text[rng.below(text.size())] = static_cast<char>(rng.below(256));
    }
    const auto kind = rng.chance(1, 2) ? HttpParser::Kind::kRequest : HttpParser::Kind::kResponse;
    HttpParser parser(kind, rng.chance(1, 8));
    std::string_view left = text;
    std::string buffer;
    bool over = false;
    for (int turns = 0; !over && (!left.empty() || turns < 3); ++turns) {
      const size_t size = std::min<size_t>(left.size(), 1 + rng.below(40));
      buffer += left.substr(0, size);
      left.remove_prefix(size);
      const auto step = parser.step(as_bytes(buffer));
      over = !step || step->done;
      if (!step) break;
      REQUIRE(step->consumed <= buffer.size());
      size_t body = 0;
      for (const ByteView piece : step->body) body += piece.size();
      CHECK(body <= step->consumed);
      buffer.erase(0, step->consumed);
    }
    (void)parser.finish();
  }
}

TEST_CASE("http: server and client speak over TCP too, and an early refusal is heard") {
  Loop loop;
  HttpServer server(loop, [](ExchangePtr exchange) {
    exchange->send(403, {{"Connection", "close"}}, "{\"message\":\"no\"}");
  });
  const auto listener = listen(loop, StreamAddress::at({"127.0.0.1", 0}),
                               [&](ByteStream stream) { server.serve(std::move(stream)); });
  HttpClient client(loop, listener.address());
  int status = 0;
  std::string body;
  const auto call = client.request(
      {.method = "POST", .target = "/load", .headers = {}, .body = std::string(20 << 20, 'x')}, {},
      [&](Result<HttpResponse> result) {
        REQUIRE_MESSAGE(result, (result ? "" : result.error().message));
        status = result->status;
        body = result->body;
      });
  CHECK(loop.run_until([&] { return status == 403; }, kPatience));
  CHECK(body == "{\"message\":\"no\"}");
}

TEST_CASE("http client: hears an answer given by a server that closes without reading") {
  Loop loop;
  const TempDir dir;
  const auto at = StreamAddress::local(dir.path("a"));
  std::vector<ByteStream> kept;
  const auto listener = listen(loop, at, [&](ByteStream stream) {
    kept.push_back(std::move(stream));
    kept.back().write(Bytes{}, {});
    kept.back().write(std::string("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"));
    loop.post([&] { loop.post([&] { kept.clear(); }); });
  });
  HttpClient client(loop, at);
  int status = 0;
  const auto call = client.request(
      {.method = "POST", .target = "/", .headers = {}, .body = std::string(20 << 20, 'x')}, {},
      [&](Result<HttpResponse> result) { status = result ? result->status : -1; });
  CHECK(loop.run_until([&] { return status != 0; }, kPatience));
  CHECK(status == 413);
}
