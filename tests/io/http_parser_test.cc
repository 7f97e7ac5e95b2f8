#include "io/http_parser.h"

#include <doctest/doctest.h>

#include <string>

using namespace kith;

namespace {

struct Seen {
  bool head = false;
  bool done = false;
  std::string body;
  size_t left = 0;
  bool failed = false;
  ErrorCode code{};
};

/// Feeds `text` in pieces of `piece` bytes until the message is complete.
Seen feed(HttpParser& parser, std::string_view text, size_t piece) {
  Seen seen;
  std::string buffer;
  while (!seen.done) {
    if (buffer.empty() && text.empty() && !seen.head) break;
    const size_t size = std::min(piece, text.size());
    buffer += text.substr(0, size);
    text.remove_prefix(size);
    const auto step = parser.step(as_bytes(buffer));
    if (!step) {
      seen.failed = true;
      seen.code = step.error().code;
      break;
    }
    for (const ByteView part : step->body) seen.body += as_text(part);
    buffer.erase(0, step->consumed);
    const bool was_head = seen.head;
    seen.head = seen.head || step->head;
    seen.done = step->done;
    if (was_head && text.empty() && !step->done && buffer.empty()) break;
  }
  seen.left = buffer.size() + text.size();
  return seen;
}

}  // namespace

TEST_CASE("http parser: a request is found whole however its bytes are cut") {
  struct Row {
    std::string head;
    std::string body;
    std::string plain;
  };
  const Row rows[] = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", ""},
      {"POST /a?b=c HTTP/1.1\r\nContent-Length: 5\r\n\r\n", "hello", "hello"},
      {"POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "", ""},
      {"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
       "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n", "abc0123456789"},
      {"POST /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n", "{}",
       "{}"},
      {"POST /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "", ""},
  };
  for (const Row& row : rows) {
    const std::string next = "GET /next HTTP/1.1\r\n\r\n";
    const std::string all = row.head + row.body + next;
    for (size_t piece = 1; piece <= all.size(); ++piece) {
      CAPTURE(all);
      CAPTURE(piece);
      HttpParser parser(HttpParser::Kind::kRequest);
      const Seen seen = feed(parser, all, piece);
      REQUIRE(seen.done);
      CHECK(seen.body == row.plain);
      CHECK(seen.left == next.size());
      CHECK(parser.request().raw == row.head);
    }
  }
}
