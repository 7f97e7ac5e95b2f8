#include "io/http_client.h"

#include <utility>

#include "io/http_parser.h"
#include "io/timer.h"

namespace kith {

/// Held by the HttpCall; what runs here holds itself meanwhile.
struct HttpCall::Impl : std::enable_shared_from_this<HttpCall::Impl> {
  Impl(Loop& loop, StreamAddress to, const HttpLimits& call_limits)
      : address(std::move(to)), limits(call_limits), timer(loop, [this] { on_timeout(); }) {}

  StreamAddress address;
  std::string method;
  std::string bytes;  // of the request
  HttpLimits limits;
  bool collects = false;
  HttpClient::StreamCallbacks callbacks;
  std::function<void(Result<HttpResponse>)> done;

  Timer timer;
  Connecting connecting;
  ByteStream stream;
  std::unique_ptr<HttpParser> parser;
  HttpResponse response;
  bool finished = false;
  bool paused = false;
  bool streaming = false;  // the head was told

  void start(Loop& loop);
  void on_connected(ByteStream connected);
  void on_data(ByteView bytes);
  void on_body(ByteView piece);
  void on_end();
  void on_timeout();
  void watch_silence();
  void finish(Status status);
  void stop();
  Error trouble(const std::string& what) const {
    return {ErrorCode::kUnavailable, address.text() + ": " + what};
  }
};

namespace {

std::string format_request(const HttpRequest& request, const StreamAddress& address) {
  HttpHeaders headers;
  if (request.headers.find("Host") == nullptr) {
    headers.add("Host", address.is_local() ? "localhost" : address.tcp.text());
  }
  for (const auto& [name, value] : request.headers.fields) headers.add(name, value);
  headers.set("Connection", "close");
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    headers.set("Content-Length", std::to_string(request.body.size()));
  }
  return format_request_head(request.method, request.target, headers) + request.body;
}

}  // namespace

void HttpCall::Impl::start(Loop& loop) {
  timer.start(limits.timeout);
  connecting = connect(loop, address, limits.connect_timeout, [this](Result<ByteStream> connected) {
    const auto self = shared_from_this();
    if (connected) {
      on_connected(std::move(*connected));
    } else {
      finish(fail(connected.error()));
    }
  });
}

void HttpCall::Impl::on_connected(ByteStream connected) {
  stream = std::move(connected);
  parser = std::make_unique<HttpParser>(HttpParser::Kind::kResponse, method == "HEAD");
  stream.start({.on_data = [this](ByteView received) { on_data(received); },
                .on_end = [this] { on_end(); },
                .on_close =
                    [this](const Error& error) {
                      const auto self = shared_from_this();
                      finish(fail(trouble(error.message)));
                    },
                .on_drain = {}});
  if (paused) stream.pause();
  stream.write(bytes);
  bytes = {};
}

void HttpCall::Impl::on_data(ByteView received) {
  const auto self = shared_from_this();
  bool again = true;
  while (!finished && again) {
    const auto step = parser->step(received);
    if (!step) {
      finish(fail(trouble("its answer is not HTTP: " + step.error().message)));
      return;
    }
    received = received.subspan(step->consumed);
    again = !received.empty();
    if (step->head) {
      again = true;
      if (parser->response().status < 200 && parser->response().status != 101) {
        const auto rest = parser->step({});
        parser = std::make_unique<HttpParser>(HttpParser::Kind::kResponse, method == "HEAD");
        again = rest && !received.empty();
        continue;
      }
      if (collects) {
        response.status = parser->response().status;
        response.headers = parser->response().headers;
      } else {
        timer.stop();
        streaming = true;
        watch_silence();
        if (callbacks.on_head) callbacks.on_head(parser->response());
      }
    }
    for (const ByteView piece : step->body) {
      if (!finished) on_body(piece);
    }
    if (step->done) finish({});
  }
}

void HttpCall::Impl::on_body(ByteView piece) {
  if (!collects) {
    watch_silence();
    if (callbacks.on_data) callbacks.on_data(piece);
    return;
  }
  if (response.body.size() + piece.size() > limits.max_body) {
    finish(fail(ErrorCode::kTooLarge, address.text() + ": its answer is longer than " +
                                          std::to_string(limits.max_body) + " bytes"));
    return;
  }
  response.body += as_text(piece);
}

void HttpCall::Impl::on_end() {
  const auto self = shared_from_this();
  if (parser->finish()) {
    finish({});
  } else {
    finish(fail(trouble(parser->begun() ? "it broke off in the middle of its answer"
                                        : "it closed the connection without an answer")));
  }
}

void HttpCall::Impl::watch_silence() {
  if (streaming && !paused && limits.silence > Duration{}) timer.start(limits.silence);
}

void HttpCall::Impl::on_timeout() {
  const auto self = shared_from_this();
  const Duration limit = streaming ? limits.silence : limits.timeout;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  finish(fail(trouble(streaming ? "nothing more came for " + std::to_string(ms) + " ms"
                                : "no answer within " + std::to_string(ms) + " ms")));
}

void HttpCall::Impl::stop() {
  finished = true;
  timer.stop();
  connecting = {};
  stream = {};
}

void HttpCall::Impl::finish(Status status) {
  if (finished) return;
  stop();
  // Moved out, so that what they captured ends with this call and not with the HttpCall.
  const auto on_done = std::exchange(done, nullptr);
  const auto on_stream_end = callbacks.on_end;
  if (!collects) {
    if (on_stream_end) on_stream_end(std::move(status));
  } else if (status) {
    on_done(std::move(response));
  } else {
    on_done(fail(status.error()));
  }
}

HttpCall& HttpCall::operator=(HttpCall&& other) noexcept {
  if (this != &other) {
    cancel();
    impl_ = std::move(other.impl_);
  }
  return *this;
}

HttpCall::~HttpCall() {
  cancel();
}

void HttpCall::cancel() {
  if (const auto impl = std::exchange(impl_, nullptr)) impl->stop();
}

void HttpCall::pause() {
  if (!impl_ || impl_->finished) return;
  impl_->paused = true;
  if (impl_->streaming) impl_->timer.stop();
  if (impl_->stream) impl_->stream.pause();
}

void HttpCall::resume() {
  if (!impl_ || impl_->finished) return;
  impl_->paused = false;
  impl_->watch_silence();
  if (impl_->stream) impl_->stream.resume();
}

HttpCall HttpClient::request(HttpRequest request, const HttpLimits& limits,
                             std::function<void(Result<HttpResponse>)> done) {
  HttpCall call;
  call.impl_ = std::make_shared<HttpCall::Impl>(loop_, address_, limits);
  call.impl_->method = request.method;
  call.impl_->bytes = format_request(request, address_);
  call.impl_->collects = true;
  call.impl_->done = std::move(done);
  call.impl_->start(loop_);
  return call;
}

HttpCall HttpClient::stream(HttpRequest request, const HttpLimits& limits,
                            StreamCallbacks callbacks) {
  HttpCall call;
  call.impl_ = std::make_shared<HttpCall::Impl>(loop_, address_, limits);
  call.impl_->method = request.method;
  call.impl_->bytes = format_request(request, address_);
  call.impl_->callbacks = std::move(callbacks);
  call.impl_->start(loop_);
  return call;
}

}  // namespace kith
