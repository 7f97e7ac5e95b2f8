#pragma once

#include <functional>
#include <memory>
#include <string>

#include "io/http.h"
#include "io/stream.h"

namespace kith {

struct HttpRequest {
  std::string method = "GET";
  std::string target;  ///< already percent-encoded
  HttpHeaders headers;
  std::string body;  ///< Content-Length is added if there is one, or if the method is POST or PUT
};

struct HttpResponse {
  int status = 0;
  HttpHeaders headers;
  std::string body;
};

struct HttpLimits {
  Duration connect_timeout = std::chrono::seconds(5);
  /// Of `request`: until the answer is complete. Of `stream`: until its head is there.
  Duration timeout = std::chrono::seconds(30);
  /// Of `stream`, once its head is there: between two pieces of its body; zero: no limit. It does
  /// not run while the stream is paused.
  Duration silence{};
  size_t max_body = 64u << 20;  ///< of `request` only
};

/// One request under way. Destroying it cancels it: the connection is closed and nothing is
/// called any more.
class HttpCall {
 public:
  HttpCall() = default;
  HttpCall(HttpCall&&) noexcept = default;
  HttpCall& operator=(HttpCall&& other) noexcept;
  ~HttpCall();
  void cancel();
  /// Of a stream: stop and go on reading.
  void pause();
  void resume();

 private:
  friend class HttpClient;
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// HTTP/1.1 to one address, a connection a request. Callbacks are never called from inside
/// `request` or `stream`, and may destroy the HttpCall and the client. 1xx answers are skipped.
/// Every status is an answer; an Error means there was none, or not a whole one: kUnavailable if
/// nobody answers at the address or a timeout passes, kTooLarge above max_body.
class HttpClient {
 public:
  struct StreamCallbacks {
    std::function<void(const HttpResponseHead&)> on_head;
    std::function<void(ByteView)> on_data;
    /// Once, at the end. Ok if the body was complete.
    std::function<void(Status)> on_end;
  };

  HttpClient(Loop& loop, StreamAddress address) : loop_(loop), address_(std::move(address)) {}

  [[nodiscard]] HttpCall request(HttpRequest request, const HttpLimits& limits,
                                 std::function<void(Result<HttpResponse>)> done);
  /// No limit of size once the head is there, nor of time but `silence`.
  [[nodiscard]] HttpCall stream(HttpRequest request, const HttpLimits& limits,
                                StreamCallbacks callbacks);
  [[nodiscard]] const StreamAddress& address() const { return address_; }

 private:
  Loop& loop_;
  StreamAddress address_;
};

}  // namespace kith
