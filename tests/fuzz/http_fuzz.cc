// HTTP as the server and as the client reads it. The first byte picks which, and how long the
// pieces are: whatever they are, the same messages must come out as of one piece.

#include <optional>
#include <string>

#include "fuzz.h"
#include "io/http_parser.h"

using namespace kith;
using fuzz::must;

namespace {

struct Seen {
  std::string text;  ///< of heads and bodies, in order
  bool failed = false;
};

std::string head_of(const HttpParser& parser, HttpParser::Kind kind) {
  std::string out;
  if (kind == HttpParser::Kind::kRequest) {
    const HttpRequestHead& head = parser.request();
    must(head.raw.size() <= kMaxHttpHead);
    out = head.method + " " + head.target + " " + head.path + (head.has_body() ? " body" : "");
    for (const auto& [name, value] : head.query) out += "?" + name + "=" + value;
    for (const auto& [name, value] : head.headers.fields) out += "\n" + name + ": " + value;
  } else {
    const HttpResponseHead& head = parser.response();
    must(head.raw.size() <= kMaxHttpHead);
    out = std::to_string(head.status) + " " + head.reason;
    for (const auto& [name, value] : head.headers.fields) out += "\n" + name + ": " + value;
  }
  return out + "\n\n";
}

/// All messages in `bytes`, given in pieces of `step` bytes.
Seen read(ByteView bytes, HttpParser::Kind kind, bool no_body, size_t step) {
  Seen seen;
  std::optional<HttpParser> parser;
  parser.emplace(kind, no_body);
  size_t end = 0;
  size_t at = 0;
  while (at < bytes.size() || end < bytes.size()) {
    if (at == end) end = std::min(end + step, bytes.size());
    const auto taken = parser->step(bytes.subspan(at, end - at));
    if (!taken) {
      seen.failed = true;
      return seen;
    }
    must(taken->consumed <= end - at);
    at += taken->consumed;
    if (taken->head) seen.text += head_of(*parser, kind);
    for (const ByteView piece : taken->body) seen.text += as_text(piece);
    bool done = taken->done;
    if (taken->head && !done) {
      const auto more = parser->step({});
      if (!more) {
        seen.failed = true;
        return seen;
      }
      done = more->done;
    }
    if (done) {
      seen.text += "|";
      parser.emplace(kind, no_body);
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView bytes = ByteView(data, size).subspan(1);
  const auto kind = (data[0] & 1) == 0 ? HttpParser::Kind::kRequest : HttpParser::Kind::kResponse;
  const bool no_body = (data[0] & 2) != 0;
  const size_t step = size_t{1} + (data[0] >> 2);
  const Seen whole = read(bytes, kind, no_body, std::max<size_t>(bytes.size(), 1));
  const Seen pieces = read(bytes, kind, no_body, step);
  must(whole.failed == pieces.failed);
  if (!whole.failed) must(whole.text == pieces.text);
  (void)percent_encode(percent_decode(as_text(bytes), true));
  (void)message_json(as_text(bytes));
  return 0;
}
