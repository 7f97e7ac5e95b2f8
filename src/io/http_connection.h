#pragma once

#include <functional>
#include <memory>

#include "io/http_parser.h"
#include "io/http_server.h"

namespace kith {

/// One client of an HttpServer. Alternates between reading a head, and an exchange: the request's
/// body and its answer, which may overlap; the exchange is over when both are complete. Everything
/// that moves it forward happens in `pump`, which is never entered twice.
class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(HttpServer& server, ByteStream stream);

  void start();
  /// Answers 503 and closes, whatever the client says.
  void refuse();
  /// Ends at once and tells the exchange.
  void drop();

  // For HttpExchange; each is called only while it is the current one.
  [[nodiscard]] bool serves(const HttpExchange* exchange) const { return exchange == current_; }
  void collect(size_t limit, std::function<void(Bytes)> then);
  void deliver(bool raw, std::function<void(ByteView)> on_data, std::function<void()> on_end);
  void pause_body(bool paused);
  void told_to_continue() { continued_ = true; }
  /// Adds `Connection` to `headers` and settles whether the connection goes on.
  void decide_keep_alive(HttpHeaders& headers);
  bool write(std::string_view bytes);
  bool write(ByteView bytes);
  void answer_complete(bool keep_alive);
  /// The exchange was let go of without an answer: 500.
  void abandon();
  [[nodiscard]] HijackedStream hijack();

 private:
  enum class BodyMode { kUndecided, kCollect, kStream, kRaw, kDiscard };
  enum class TimerKind { kNone, kIdle, kHead, kBody, kLinger };
  struct Sink {
    std::function<void(ByteView)> on_data;
    std::function<void()> on_end;
    std::function<void(Bytes)> then;
  };

  void on_data(ByteView bytes);
  void on_end();
  void on_timer();

  void pump();
  void pump_soon();
  [[nodiscard]] bool advance();
  [[nodiscard]] bool advance_head();
  [[nodiscard]] bool advance_body();
  void take_body(const HttpParser::Step& step, ByteView raw);
  void finish_exchange();
  void arm_timer(bool progress);

  [[nodiscard]] ByteView rest() const { return ByteView(input_).subspan(consumed_); }
  [[nodiscard]] ExchangePtr exchange() const { return exchange_.lock(); }
  void begin_exchange();
  void send_continue();
  void fail_request(int status, std::string_view message);
  void close_gracefully();
  void notify_abort(bool gone);

  HttpServer* server_;  // nullptr once dropped
  Loop& loop_;
  ByteStream stream_;
  Timer timer_;
  TimerKind timer_kind_ = TimerKind::kNone;

  Bytes input_;
  size_t consumed_ = 0;  // of input_
  std::unique_ptr<HttpParser> parser_;

  const HttpExchange* current_ = nullptr;
  std::weak_ptr<HttpExchange> exchange_;
  BodyMode body_mode_ = BodyMode::kUndecided;
  std::shared_ptr<Sink> sink_;
  Bytes collected_;
  size_t collect_limit_ = 0;
  uint64_t discarded_ = 0;
  bool body_done_ = false;
  bool body_begun_ = false;
  bool body_paused_ = false;
  bool continued_ = false;
  bool body_may_never_come_ = false;
  bool answer_done_ = false;
  bool keep_alive_ = true;

  bool client_ended_ = false;
  bool half_close_told_ = false;
  bool pumping_ = false;
  bool lingering_ = false;
  bool flushed_ = false;
  size_t linger_queued_ = 0;
};

}  // namespace kith
