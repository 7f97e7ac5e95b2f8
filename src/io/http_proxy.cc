#include "io/http_proxy.h"

#include <utility>

#include "io/http_parser.h"
#include "io/stream_pipe.h"

namespace kith {

/// One request on its way. Lives in the proxy's set until the answer is complete, or the raw pipe
/// it became has ended.
class HttpProxy::Run : public std::enable_shared_from_this<HttpProxy::Run> {
 public:
  Run(HttpProxy& proxy, ExchangePtr exchange, ForwardOptions options)
      : proxy_(&proxy), exchange_(std::move(exchange)), options_(std::move(options)) {}

  void start();
  /// Ends everything at once; the client's connection is cut if its answer is incomplete.
  void cut();

 private:
  void on_connected(ByteStream connected);
  void send_body();
  void on_upstream(ByteView bytes);
  [[nodiscard]] bool take_step(ByteView& bytes);
  [[nodiscard]] bool on_head(ByteView rest);
  void on_upstream_end();
  void on_upstream_close(const std::string& cause);
  void on_client_abort(bool gone);
  void pass_on(ByteView bytes);
  void answer_complete(bool framed);
  void become_pipe(ByteView early);
  void refuse(const std::string& cause);
  void leave();

  [[nodiscard]] std::unique_ptr<HttpParser> new_parser() const {
    return std::make_unique<HttpParser>(HttpParser::Kind::kResponse,
                                        exchange_->request().method == "HEAD");
  }

  HttpProxy* proxy_;  // nullptr once left
  ExchangePtr exchange_;
  ForwardOptions options_;
  Connecting connecting_;
  ByteStream upstream_;
  std::unique_ptr<HttpParser> parser_;
  std::unique_ptr<StreamPipe> pipe_;
  bool head_seen_ = false;
  bool head_passed_ = false;
  bool client_ended_ = false;
  bool rewriting_ = false;
  std::string rewritten_body_;
};

namespace {

std::string head_to_send(const HttpRequestHead& request, const ForwardOptions& options) {
  if (!options.target && !options.body && options.set_headers.fields.empty()) return request.raw;
  HttpHeaders headers = request.headers;
  for (const auto& [name, value] : options.set_headers.fields) headers.set(name, value);
  if (options.body) {
    headers.remove("Transfer-Encoding");
    headers.remove("Expect");
    headers.set("Content-Length", std::to_string(options.body->size()));
  }
  return format_request_head(request.method, options.target.value_or(request.target), headers);
}

}  // namespace

void HttpProxy::Run::start() {
  exchange_->on_abort([this](bool gone) { on_client_abort(gone); });
  connecting_ = connect(proxy_->loop_, StreamAddress::local(proxy_->socket_path_),
                        proxy_->connect_timeout_, [this](Result<ByteStream> connected) {
                          const auto self = shared_from_this();
                          if (connected) {
                            on_connected(std::move(*connected));
                          } else {
                            refuse(connected.error().message);
                          }
                        });
}

void HttpProxy::Run::on_connected(ByteStream connected) {
  upstream_ = std::move(connected);
  parser_ = new_parser();
  upstream_.start({.on_data = [this](ByteView bytes) { on_upstream(bytes); },
                   .on_end = [this] { on_upstream_end(); },
                   .on_close = [this](const Error& error) { on_upstream_close(error.message); },
                   .on_drain = [this] { exchange_->resume_body(); }});
  exchange_->on_drain([this] {
    if (upstream_) upstream_.resume();
  });
  upstream_.write(head_to_send(exchange_->request(), options_));
  if (options_.body) {
    upstream_.write(std::string_view(*options_.body));
    options_.body.reset();
  } else {
    send_body();
  }
  if (client_ended_) upstream_.shutdown();
}

void HttpProxy::Run::send_body() {
  // Held weakly: the exchange keeps these for as long as it likes.
  exchange_->raw(
      [weak = weak_from_this()](ByteView bytes) {
        const auto self = weak.lock();
        if (!self || !self->upstream_) return;
        if (!self->upstream_.write(Bytes(bytes.begin(), bytes.end()))) {
          self->exchange_->pause_body();
        }
      },
      {});
}

void HttpProxy::Run::on_upstream(ByteView bytes) {
  const auto self = shared_from_this();
  while (take_step(bytes)) {
  }
}

bool HttpProxy::Run::take_step(ByteView& bytes) {
  const auto step = parser_->step(bytes);
  if (!step) {
    on_upstream_close("its answer is not HTTP: " + step.error().message);
    return false;
  }
  const ByteView taken = bytes.first(step->consumed);
  bytes = bytes.subspan(step->consumed);
  if (step->head) return on_head(bytes);
  if (!head_seen_) return false;  // the parser keeps what it has of it
  if (rewriting_) {
    for (const ByteView piece : step->body) rewritten_body_ += as_text(piece);
    if (rewritten_body_.size() > kMaxRewriteBody) {
      refuse("its answer is longer than " + std::to_string(kMaxRewriteBody) + " bytes");
      return false;
    }
  } else if (!taken.empty()) {
    pass_on(taken);
  }
  if (step->done) {
    answer_complete(true);
    return false;
  }
  return proxy_ != nullptr && !bytes.empty();
}

/// Whether to go on with `rest`, what came behind the head.
bool HttpProxy::Run::on_head(ByteView rest) {
  const HttpResponseHead& head = parser_->response();
  if (head.status < 200 && head.status != 101) {
    exchange_->write_interim(as_bytes(head.raw));
    parser_ = new_parser();
    return proxy_ != nullptr && !rest.empty();
  }
  head_seen_ = head_passed_ = true;
  if (head.status == 101 || (head.status == 200 && parser_->until_close())) {
    become_pipe(rest);
    return false;
  }
  if (options_.rewrite && options_.wants_rewrite && options_.wants_rewrite(head)) {
    rewriting_ = true;
    head_passed_ = false;
  } else {
    pass_on(as_bytes(head.raw));
  }
  return proxy_ != nullptr;  // also without bytes: the answer may have no body
}

void HttpProxy::Run::pass_on(ByteView bytes) {
  if (!exchange_->write_raw(bytes) && upstream_) upstream_.pause();
}

void HttpProxy::Run::answer_complete(bool framed) {
  const auto self = shared_from_this();
  if (rewriting_) {
    HttpResponseHead head = parser_->response();
    options_.rewrite(head, rewritten_body_);
    head.headers.remove("Transfer-Encoding");
    head.headers.remove("Content-Length");
    exchange_->send(head.status, std::move(head.headers), std::move(rewritten_body_));
  } else {
    exchange_->end_raw(framed && parser_->response().keep_alive);
  }
  leave();
}

void HttpProxy::Run::become_pipe(ByteView early) {
  const auto self = shared_from_this();
  auto taken = exchange_->hijack();
  if (!taken) {
    leave();
    return;
  }
  taken->stream.write(parser_->response().raw);
  taken->stream.write(Bytes(early.begin(), early.end()));
  upstream_.write(std::move(taken->leftover));
  upstream_.resume();
  pipe_ = std::make_unique<StreamPipe>(std::move(taken->stream), std::move(upstream_),
                                       [this] { leave(); });
  pipe_->start();
}

void HttpProxy::Run::on_upstream_end() {
  const auto self = shared_from_this();
  if (parser_->finish()) {
    answer_complete(false);
  } else {
    on_upstream_close("it broke off in the middle of an answer");
  }
}

void HttpProxy::Run::on_upstream_close(const std::string& cause) {
  const auto self = shared_from_this();
  if (head_passed_) {
    cut();
  } else {
    refuse(cause);
  }
}

void HttpProxy::Run::refuse(const std::string& cause) {
  const auto self = shared_from_this();
  const std::string& path = proxy_->socket_path_;
  const bool named = cause.find(path) != std::string::npos;
  exchange_->send_error(502, named ? cause : path + ": " + cause);
  leave();
}

void HttpProxy::Run::on_client_abort(bool gone) {
  const auto self = shared_from_this();
  if (gone) {
    leave();
    return;
  }
  // The server behind decides what a half-closed client means.
  client_ended_ = true;
  if (upstream_) upstream_.shutdown();
}

void HttpProxy::Run::cut() {
  const auto self = shared_from_this();
  exchange_->abort();
  leave();
}

void HttpProxy::Run::leave() {
  if (proxy_ == nullptr) return;
  const auto self = shared_from_this();
  std::exchange(proxy_, nullptr)->runs_.erase(self);
  exchange_->on_abort({});
  exchange_->on_drain({});
  connecting_ = {};
  upstream_ = {};
  // The pipe is still in its callback perhaps: it goes with this Run.
}

HttpProxy::HttpProxy(Loop& loop, std::string socket_path, Duration connect_timeout)
    : loop_(loop), socket_path_(std::move(socket_path)), connect_timeout_(connect_timeout) {}

HttpProxy::~HttpProxy() {
  while (!runs_.empty()) {
    const auto run = *runs_.begin();
    run->cut();
  }
}

void HttpProxy::forward(ExchangePtr exchange, ForwardOptions options) {
  if (!exchange->open() || exchange->answered()) return;
  const auto run = std::make_shared<Run>(*this, std::move(exchange), std::move(options));
  runs_.insert(run);
  run->start();
}

}  // namespace kith
