#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "io/http.h"
#include "io/stream.h"
#include "io/timer.h"

namespace kith {

class HttpConnection;

struct HttpServerLimits {
  size_t max_connections = 1024;
  Duration head_timeout = std::chrono::seconds(10);  ///< from a head's first byte to its last
  Duration idle_timeout = std::chrono::minutes(5);   ///< between two requests
  Duration body_timeout = std::chrono::seconds(60);  ///< without a byte of a body that is awaited
  uint64_t max_discard = 512ull << 20;  ///< of an unwanted body, read and dropped to stay in step
};

/// A connection that left the server: the stream, still unread past `leftover`, which are the
/// bytes already received beyond the request. Start the stream before returning to the loop.
struct HijackedStream {
  ByteStream stream;
  Bytes leftover;
};

/// One request and its answer. The handler keeps the shared_ptr for as long as it has something
/// to say; if it lets go without having answered, the client gets 500.
///
/// First choose how the body is read (in the handler or later; until then it waits in the
/// kernel): `collect`, `stream` or `raw`. None is needed to answer: an unread body is discarded.
/// Then answer once: `send`, or `begin` `write`... `end`, or `write_raw`... `end_raw`, or
/// `hijack`. All calls are no-ops once the connection is gone (`open()` is false).
class HttpExchange {
 public:
  HttpExchange(std::weak_ptr<HttpConnection> connection, HttpRequestHead request);
  ~HttpExchange();
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;

  [[nodiscard]] const HttpRequestHead& request() const { return request_; }
  [[nodiscard]] bool open() const;

  /// Gathers the body, at most `limit` bytes, and calls `then` with it; above the limit the client
  /// gets 413 and `then` is not called. Without a body `then` is called at once.
  void collect(size_t limit, std::function<void(Bytes)> then);
  /// Hands the decoded body over piece by piece.
  void stream(std::function<void(ByteView)> on_data, std::function<void()> on_end);
  /// Hands the body over as it was sent, chunk framing included; `on_end` at its last byte.
  void raw(std::function<void(ByteView)> on_data, std::function<void()> on_end);
  /// For `stream` and `raw`: stop and go on reading, so that a slow consumer slows the client.
  void pause_body();
  void resume_body();

  /// The client ended its half or broke off before the answer was complete. `gone`: nobody is
  /// left to read an answer; otherwise (a half-close, as `nc -N` does) answering still works. May
  /// come twice, the second time with `gone`.
  void on_abort(std::function<void(bool gone)> callback);
  /// After `write` or `write_raw` returned false.
  void on_drain(std::function<void()> callback);

  /// The whole answer. Content-Length is added; Content-Type too (application/json) if there is a
  /// body and the headers name none. HEAD, 204 and 304 go without the body.
  void send(int status, HttpHeaders headers, std::string body);
  void send_json(int status, std::string json) { send(status, {}, std::move(json)); }
  /// `{"message": text}`.
  void send_error(int status, std::string_view text) { send(status, {}, message_json(text)); }

  /// The head goes out at once; then `write` in chunks (to an HTTP/1.0 client until close). False
  /// from `write`: hold back until `on_drain`.
  void begin(int status, HttpHeaders headers);
  bool write(ByteView piece);
  bool write(std::string_view piece) { return write(as_bytes(piece)); }
  void end();

  /// A 1xx head from elsewhere, as it is. Not the answer.
  void write_interim(ByteView head);
  /// Bytes of the answer as they are, head included.
  bool write_raw(ByteView bytes);
  /// The raw answer is complete. `keep_alive`: its framing told the client where it ends, so the
  /// connection may carry the next request.
  void end_raw(bool keep_alive);
  /// Cuts the connection, so that the client sees an incomplete answer as such.
  void abort();

  /// Takes the connection out of the server, for upgrades. What was written before still goes out
  /// first. Nothing if the connection is gone.
  [[nodiscard]] std::optional<HijackedStream> hijack();

  /// `send`, `begin`, `write_raw` or `hijack` was called.
  [[nodiscard]] bool answered() const { return answered_; }

 private:
  friend class HttpConnection;
  [[nodiscard]] std::shared_ptr<HttpConnection> current() const;

  std::weak_ptr<HttpConnection> connection_;
  HttpRequestHead request_;
  bool answered_ = false;
  bool chunked_ = false;
  bool bodiless_ = false;
  bool complete_ = false;
  std::function<void(bool)> on_abort_;
  std::function<void()> on_drain_;
};

using ExchangePtr = std::shared_ptr<HttpExchange>;

/// Speaks HTTP/1.1 on streams that it is given. Requests of one connection are handled strictly
/// in turn. Destroying it closes every connection; exchanges still held become inert.
class HttpServer {
 public:
  using Handler = std::function<void(ExchangePtr)>;

  HttpServer(Loop& loop, Handler handler, const HttpServerLimits& limits = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Takes an accepted connection; above max_connections it is answered 503 and closed.
  void serve(ByteStream stream);
  [[nodiscard]] size_t connections() const { return connections_.size(); }

 private:
  friend class HttpConnection;
  Loop& loop_;
  std::shared_ptr<Handler> handler_;
  HttpServerLimits limits_;
  std::unordered_map<const HttpConnection*, std::shared_ptr<HttpConnection>> connections_;
};

}  // namespace kith
