#pragma once

#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "io/http.h"

namespace kith {

/// Finds the parts of one HTTP/1.x message in bytes that come piecemeal, over llhttp. For the
/// next message, make a new one and feed it what the last step left.
class HttpParser {
 public:
  enum class Kind { kRequest, kResponse };
  struct Step {
    size_t consumed = 0;         ///< of the bytes given; the rest must be given again
    bool head = false;           ///< the head is complete, and the step ended with it
    bool done = false;           ///< the message is complete, and the step ended with it
    std::vector<ByteView> body;  ///< decoded pieces, views into the bytes given
  };

  /// `no_body`: the answer to a HEAD, whatever its headers say.
  explicit HttpParser(Kind kind, bool no_body = false);
  ~HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  /// After a step that ended with the head, call it again even if no bytes are left: a message
  /// without a body is done by that. kTooLarge: the head passed kMaxHttpHead; else kInvalid.
  /// Neither parser nor bytes are of use after an error.
  Result<Step> step(ByteView bytes);
  /// The peer will send no more. True if the message is complete thereby: it had begun, and its
  /// body goes up to the end of the connection.
  [[nodiscard]] bool finish();

  /// At least a byte of the message has come.
  [[nodiscard]] bool begun() const;
  /// Complete once a step said `head`.
  [[nodiscard]] const HttpRequestHead& request() const;
  [[nodiscard]] const HttpResponseHead& response() const;
  /// The body, if any, goes up to the end of the connection.
  [[nodiscard]] bool until_close() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kith
