#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "io/http_server.h"

namespace kith {

struct ForwardOptions {
  std::optional<std::string> target;  ///< instead of the request's
  HttpHeaders set_headers;            ///< replace those of the same name
  /// Instead of the request's body, for a handler that has collected it. Without it the body
  /// must not have been read: it is pumped as it comes.
  std::optional<std::string> body;

  /// Asked at the answer's head; true: the body is collected for `rewrite` instead of streamed.
  std::function<bool(const HttpResponseHead&)> wants_rewrite;
  /// May change everything; Content-Length is made to fit.
  std::function<void(HttpResponseHead&, std::string& body)> rewrite;
};

/// Forwards requests to an HTTP server on a unix socket, byte for byte in both directions at once:
/// head and chunk framing as they came, 1xx passed on, each piece when it comes. After a 101, or a
/// 200 with neither length nor chunking (Docker's attach and exec), the two connections become one
/// raw pipe that hands each half-close on. A slow reader on either side slows the other.
class HttpProxy {
 public:
  static constexpr size_t kMaxRewriteBody = 64u << 20;

  HttpProxy(Loop& loop, std::string socket_path,
            Duration connect_timeout = std::chrono::seconds(5));
  /// Cuts everything under way.
  ~HttpProxy();
  HttpProxy(const HttpProxy&) = delete;
  HttpProxy& operator=(const HttpProxy&) = delete;

  /// Answers `exchange`, which must not have been answered. If nobody answers on the socket, or
  /// it breaks off before a head: 502 with a message that names the socket and the cause. If it
  /// breaks off later, the client's connection is cut.
  void forward(ExchangePtr exchange, ForwardOptions options = {});
  /// Requests and raw pipes under way.
  [[nodiscard]] size_t active() const { return runs_.size(); }

 private:
  class Run;
  Loop& loop_;
  std::string socket_path_;
  Duration connect_timeout_;
  std::unordered_set<std::shared_ptr<Run>> runs_;
};

}  // namespace kith
