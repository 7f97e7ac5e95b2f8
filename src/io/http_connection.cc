#include "io/http_connection.h"

#include <utility>

namespace kith {
namespace {

// Of pipelined requests, received while an earlier one is being answered.
constexpr size_t kMaxBacklog = 128 * 1024;
constexpr Duration kLinger = std::chrono::seconds(2);
constexpr Duration kLingerWhileWriting = std::chrono::seconds(10);

}  // namespace

HttpConnection::HttpConnection(HttpServer& server, ByteStream stream)
    : server_(&server),
      loop_(server.loop_),
      stream_(std::move(stream)),
      timer_(server.loop_, [this] { on_timer(); }),
      parser_(std::make_unique<HttpParser>(HttpParser::Kind::kRequest)) {}

void HttpConnection::start() {
  stream_.start({.on_data = [this](ByteView bytes) { on_data(bytes); },
                 .on_end = [this] { on_end(); },
                 .on_close =
                     [this](const Error&) {
                       const auto self = shared_from_this();
                       drop();
                     },
                 .on_drain =
                     [this] {
                       const auto self = shared_from_this();
                       const auto held = exchange();
                       const auto callback = held ? held->on_drain_ : nullptr;
                       if (callback) callback();
                       pump();
                     }});
  arm_timer(false);
}

void HttpConnection::refuse() {
  start();
  fail_request(503, "too many connections");
}

void HttpConnection::on_data(ByteView bytes) {
  if (lingering_) return;
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  pump();
}

void HttpConnection::on_end() {
  const auto self = shared_from_this();
  client_ended_ = true;
  if (lingering_) {
    if (flushed_ || stream_.peer_gone()) drop();
    return;
  }
  if (stream_.peer_gone()) {
    drop();
  } else if (current_ == nullptr) {
    close_gracefully();  // answers may still be queued
  } else {
    pump();
  }
}

void HttpConnection::pump() {
  if (pumping_ || server_ == nullptr || lingering_) return;
  const auto self = shared_from_this();
  pumping_ = true;
  bool progress = false;
  while (server_ != nullptr && !lingering_ && advance()) progress = true;
  pumping_ = false;
  if (server_ == nullptr || lingering_) return;
  input_.erase(input_.begin(), input_.begin() + static_cast<ptrdiff_t>(consumed_));
  consumed_ = 0;
  const bool full = input_.size() > kMaxBacklog;
  if (full || (body_paused_ && !body_done_)) {
    stream_.pause();
  } else {
    stream_.resume();
  }
  arm_timer(progress);
}

void HttpConnection::pump_soon() {
  if (pumping_) return;
  loop_.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->pump();
  });
}

bool HttpConnection::advance() {
  if (current_ == nullptr) return advance_head();
  if (!body_done_) {
    if (answer_done_ && (client_ended_ || body_may_never_come_)) {
      close_gracefully();
      return false;
    }
    if (answer_done_ && body_mode_ != BodyMode::kDiscard) {
      body_mode_ = BodyMode::kDiscard;
      body_paused_ = false;
      sink_ = nullptr;
    }
    return advance_body();
  }
  if (!answer_done_) {
    if (client_ended_ && !std::exchange(half_close_told_, true)) notify_abort(false);
    return false;
  }
  finish_exchange();
  return true;
}

bool HttpConnection::advance_head() {
  // Who does not read answers gets no more of them.
  if (rest().empty() || stream_.queued() > ByteStream::kHighWater) return false;
  const auto step = parser_->step(rest());
  if (!step) {
    const bool large = step.error().code == ErrorCode::kTooLarge;
    fail_request(large ? 431 : 400, (large ? "" : "malformed request: ") + step.error().message);
    return false;
  }
  consumed_ += step->consumed;
  if (!step->head) return false;
  begin_exchange();
  return true;
}

void HttpConnection::begin_exchange() {
  const auto held = std::make_shared<HttpExchange>(weak_from_this(), parser_->request());
  const HttpRequestHead& request = held->request();
  current_ = held.get();
  exchange_ = held;
  body_mode_ = BodyMode::kUndecided;
  collected_.clear();
  discarded_ = 0;
  half_close_told_ = body_begun_ = body_paused_ = continued_ = answer_done_ = body_may_never_come_ =
      false;
  keep_alive_ = request.keep_alive;
  body_done_ = false;
  if (!request.has_body()) {
    const auto step = parser_->step({});
    body_done_ = step && step->done;
  }
  const auto handler = server_->handler_;
  (*handler)(held);
}

bool HttpConnection::advance_body() {
  if (body_mode_ == BodyMode::kUndecided || body_paused_) return false;
  if (rest().empty()) {
    if (client_ended_) drop();
    return false;
  }
  const auto bytes = rest();
  const auto step = parser_->step(bytes);
  if (!step) {
    fail_request(400, "malformed request body: " + step.error().message);
    return false;
  }
  body_begun_ = true;
  consumed_ += step->consumed;
  body_done_ = step->done;
  take_body(*step, bytes.first(step->consumed));
  return true;
}

void HttpConnection::take_body(const HttpParser::Step& step, ByteView raw) {
  const auto sink = sink_;
  const auto held = exchange();
  switch (body_mode_) {
    case BodyMode::kCollect:
      for (const ByteView piece : step.body) {
        if (collected_.size() + piece.size() > collect_limit_) {
          body_mode_ = BodyMode::kDiscard;
          sink_ = nullptr;
          collected_ = {};
          if (held) held->send_error(413, "the request body is too large");
          return;
        }
        collected_.insert(collected_.end(), piece.begin(), piece.end());
      }
      if (body_done_) {
        sink_ = nullptr;
        sink->then(std::exchange(collected_, {}));
      }
      return;
    case BodyMode::kStream:
      for (const ByteView piece : step.body) {
        if (sink_ == sink && sink->on_data) sink->on_data(piece);
      }
      break;
    case BodyMode::kRaw:
      if (sink->on_data && !raw.empty()) sink->on_data(raw);
      break;
    default:
      discarded_ += raw.size();
      if (server_ != nullptr && discarded_ > server_->limits_.max_discard) {
        answer_done_ ? close_gracefully() : drop();
      }
      return;
  }
  if (body_done_ && sink_ == sink) {
    sink_ = nullptr;
    if (sink->on_end) sink->on_end();
  }
}

void HttpConnection::finish_exchange() {
  current_ = nullptr;
  exchange_.reset();
  sink_ = nullptr;
  timer_kind_ = TimerKind::kNone;
  if (!keep_alive_ || client_ended_) {
    close_gracefully();
    return;
  }
  parser_ = std::make_unique<HttpParser>(HttpParser::Kind::kRequest);
}

void HttpConnection::collect(size_t limit, std::function<void(Bytes)> then) {
  if (body_mode_ != BodyMode::kUndecided) return;
  if (body_done_) {
    then({});
    return;
  }
  const auto held = exchange();
  if (held->request().content_length.value_or(0) > limit) {
    held->send_error(413, "the request body is too large: at most " + std::to_string(limit) +
                              " bytes are taken here");
    return;
  }
  body_mode_ = BodyMode::kCollect;
  collect_limit_ = limit;
  sink_ = std::make_shared<Sink>(Sink{{}, {}, std::move(then)});
  send_continue();
  pump_soon();
}

void HttpConnection::deliver(bool raw, std::function<void(ByteView)> on_data,
                             std::function<void()> on_end) {
  if (body_mode_ != BodyMode::kUndecided) return;
  if (body_done_) {
    if (on_end) on_end();
    return;
  }
  body_mode_ = raw ? BodyMode::kRaw : BodyMode::kStream;
  sink_ = std::make_shared<Sink>(Sink{std::move(on_data), std::move(on_end), {}});
  if (!raw) send_continue();
  pump_soon();
}

void HttpConnection::send_continue() {
  const auto held = exchange();
  if (continued_ || held->answered_ || !held->request().expects_continue) return;
  continued_ = true;
  if (rest().empty()) write("HTTP/1.1 100 Continue\r\n\r\n");
}

void HttpConnection::pause_body(bool paused) {
  if (body_paused_ == paused) return;
  body_paused_ = paused;
  // Without this the backlog would fill first; the kernel's buffer is enough of one.
  if (paused) {
    stream_.pause();
  } else {
    pump_soon();
  }
}

bool HttpConnection::write(std::string_view bytes) {
  return stream_.write(bytes);
}

bool HttpConnection::write(ByteView bytes) {
  return stream_.write(Bytes(bytes.begin(), bytes.end()));
}

void HttpConnection::decide_keep_alive(HttpHeaders& headers) {
  const auto held = exchange();
  // A client that was not told to go on may send its body or may not.
  body_may_never_come_ = !body_done_ && !body_begun_ && !continued_ && rest().empty() &&
                         held->request().expects_continue;
  keep_alive_ = keep_alive_ && !client_ended_ && !body_may_never_come_ &&
                !headers.has_token("Connection", "close");
  headers.remove("Connection");
  if (!keep_alive_) {
    headers.add("Connection", "close");
  } else if (held->request().minor == 0) {
    headers.add("Connection", "keep-alive");
  }
}

void HttpConnection::answer_complete(bool keep_alive) {
  keep_alive_ = keep_alive_ && keep_alive;
  answer_done_ = true;
  if (const auto held = exchange()) {
    held->complete_ = true;
    held->on_abort_ = nullptr;
    held->on_drain_ = nullptr;
  }
  pump_soon();
}

void HttpConnection::abandon() {
  HttpHeaders headers{{"Content-Type", "application/json"}, {"Connection", "close"}};
  const std::string body = message_json("the request was dropped without an answer");
  headers.add("Content-Length", std::to_string(body.size()));
  write(format_response_head(500, {}, headers) + body);
  answer_complete(false);
}

HijackedStream HttpConnection::hijack() {
  const auto self = shared_from_this();
  const auto left = rest();
  HijackedStream taken{std::move(stream_), Bytes(left.begin(), left.end())};
  taken.stream.start({});
  taken.stream.resume();
  const auto held = exchange();
  held->on_abort_ = nullptr;
  held->on_drain_ = nullptr;
  current_ = nullptr;
  sink_ = nullptr;
  timer_.stop();
  std::exchange(server_, nullptr)->connections_.erase(this);
  return taken;
}

void HttpConnection::notify_abort(bool gone) {
  const auto held = exchange();
  if (!held || current_ == nullptr) return;
  const auto callback = held->on_abort_;
  if (gone) {
    current_ = nullptr;
    held->on_abort_ = nullptr;
    held->on_drain_ = nullptr;
  }
  if (callback) callback(gone);
}

void HttpConnection::drop() {
  if (server_ == nullptr) return;
  const auto self = shared_from_this();
  std::exchange(server_, nullptr)->connections_.erase(this);
  timer_.stop();
  stream_ = {};
  const auto sink = std::exchange(sink_, nullptr);  // may hold the exchange: ends with this call
  notify_abort(true);
  current_ = nullptr;
}

void HttpConnection::fail_request(int status, std::string_view message) {
  const auto held = exchange();
  if (current_ == nullptr || (held && !held->answered_)) {
    HttpHeaders headers{{"Content-Type", "application/json"}, {"Connection", "close"}};
    const std::string body = message_json(message);
    headers.add("Content-Length", std::to_string(body.size()));
    write(format_response_head(status, {}, headers) + body);
  }
  const auto sink = std::exchange(sink_, nullptr);
  notify_abort(true);
  current_ = nullptr;
  if (server_ != nullptr) close_gracefully();
}

// Closing with bytes unread resets a TCP connection, and the client may never see its answer.
void HttpConnection::close_gracefully() {
  if (lingering_) return;
  lingering_ = true;
  current_ = nullptr;
  sink_ = nullptr;
  input_ = {};
  consumed_ = 0;
  stream_.write({}, [this] {
    const auto self = shared_from_this();
    flushed_ = true;
    if (client_ended_) drop();
  });
  stream_.shutdown();
  stream_.resume();
  linger_queued_ = stream_.queued();
  timer_kind_ = TimerKind::kLinger;
  timer_.start(linger_queued_ > 0 ? kLingerWhileWriting : kLinger);
}

void HttpConnection::arm_timer(bool progress) {
  TimerKind wanted = TimerKind::kNone;
  if (current_ == nullptr) {
    wanted = parser_->begun() ? TimerKind::kHead : TimerKind::kIdle;
  } else if (!body_done_ && !body_paused_ && body_mode_ != BodyMode::kUndecided &&
             body_mode_ != BodyMode::kRaw) {
    wanted = TimerKind::kBody;
  }
  if (wanted == timer_kind_ && !(progress && wanted == TimerKind::kBody)) return;
  timer_kind_ = wanted;
  const HttpServerLimits& limits = server_->limits_;
  switch (wanted) {
    case TimerKind::kIdle:
      timer_.start(limits.idle_timeout);
      break;
    case TimerKind::kHead:
      timer_.start(limits.head_timeout);
      break;
    case TimerKind::kBody:
      timer_.start(limits.body_timeout);
      break;
    default:
      timer_.stop();
      break;
  }
}

void HttpConnection::on_timer() {
  const auto self = shared_from_this();
  switch (timer_kind_) {
    case TimerKind::kHead:
      fail_request(408, "the request's head did not arrive in time");
      break;
    case TimerKind::kBody:
      fail_request(408, "the request's body did not arrive in time");
      break;
    case TimerKind::kLinger:
      // A large answer to a slow reader goes on for as long as it moves.
      if (!flushed_ && stream_.queued() < linger_queued_) {
        linger_queued_ = stream_.queued();
        timer_.start(kLingerWhileWriting);
        break;
      }
      drop();
      break;
    default:
      drop();
      break;
  }
}

}  // namespace kith
