#include "api/event_stream.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace kith {
namespace {

constexpr Duration kEngineRetry = std::chrono::seconds(1);

/// The same question, but of what happened since `from`.
std::string asked_since(const std::string& target, WallTime from) {
  const size_t query = target.find('?');
  std::string out = target.substr(0, query) + "?since=" + std::to_string(from.ms / 1000) + '.' +
                    std::to_string(1000 + from.ms % 1000).substr(1);
  for (size_t at = query; at != std::string::npos;) {
    const size_t next = target.find('&', at + 1);
    const std::string part = target.substr(at + 1, next - at - 1);
    if (!part.empty() && !part.starts_with("since=")) out += "&" + part;
    at = next;
  }
  return out;
}

}  // namespace

class EventStreams::Stream {
 public:
  Stream(EventStreams& owner, ExchangePtr exchange, EventOptions options)
      : owner_(owner),
        exchange_(std::move(exchange)),
        options_(std::move(options)),
        deadline_(owner.loop_, [this] { finish(); }),
        engine_retry_(owner.loop_, [this] {
          ask_engine(engine_spoke_ ? asked_since(options_.engine_target, *engine_lost_)
                                   : options_.engine_target);
        }) {}

  void start() {
    exchange_->on_abort([this](bool gone) {
      if (gone) end();
    });
    exchange_->on_drain([this] { drained(); });
    exchange_->begin(200, options_.headers);
    if (options_.since)
      for (const ClusterEvent& event : owner_.cluster_.recent_events())
        if (event.at >= *options_.since) offer(event);
    const int64_t left = options_.until ? options_.until->ms - read_now().wall.ms : 0;
    const bool past = !options_.follow || (options_.until && left <= 0);
    if (!options_.engine_target.empty()) ask_engine(options_.engine_target);
    if (past) {
      // The engine ends its answer by itself.
      if (options_.engine_target.empty()) finish();
      return;
    }
    if (options_.until) deadline_.start(std::chrono::milliseconds(left));
    subscription_ = owner_.cluster_.subscribe([this](const ClusterEvent& event) { offer(event); });
  }

 private:
  void offer(const ClusterEvent& event) {
    if (ended_ || (options_.until && event.at > *options_.until)) return;
    std::string line = options_.format(event);
    if (line.empty()) return;
    line += '\n';
    if (blocked_ || !at_line_start_) {
      waiting_.push_back(std::move(line));
      if (waiting_.size() > kMaxBehind) {
        exchange_->abort();
        end();
      }
      return;
    }
    put(line);
  }

  void put(std::string_view text) {
    if (!exchange_->write(text)) {
      blocked_ = true;
      engine_.pause();
    }
  }

  void flush() {
    while (!blocked_ && at_line_start_ && !waiting_.empty() && !ended_) {
      const std::string line = std::move(waiting_.front());
      waiting_.pop_front();
      put(line);
    }
  }

  void drained() {
    blocked_ = false;
    flush();
    if (!blocked_) engine_.resume();
  }

  void ask_engine(std::string target) {
    HttpClient client(owner_.loop_, StreamAddress::local(owner_.cluster_.engine_socket()));
    HttpRequest request;
    request.target = std::move(target);
    request.headers = {{"Host", "docker"}};
    HttpClient::StreamCallbacks callbacks;
    callbacks.on_head = [this](const HttpResponseHead& head) {
      engine_ok_ = head.status == 200;
      engine_refuses_ = head.status >= 400 && head.status < 500;
      if (!engine_ok_) return;
      engine_lost_.reset();
      engine_spoke_ = true;
    };
    callbacks.on_data = [this](ByteView bytes) {
      if (!engine_ok_ || bytes.empty() || ended_) return;
      at_line_start_ = bytes.back() == '\n';
      put(as_text(bytes));
      flush();
    };
    callbacks.on_end = [this](Status) {
      if (!at_line_start_) put("\n");
      at_line_start_ = true;
      flush();
      if (!subscription_) return finish();
      // The cluster's events go on while the engine restarts, and its own follow once it is back.
      if (ended_ || engine_refuses_) return;
      if (!engine_lost_) engine_lost_ = read_now().wall;
      engine_retry_.start(kEngineRetry);
    };
    engine_ = client.stream(std::move(request), HttpLimits{}, std::move(callbacks));
    if (blocked_) engine_.pause();
  }

  void finish() {
    if (ended_) return;
    exchange_->end();
    end();
  }
  // May be called from inside any of its own callbacks: destroyed later.
  void end() {
    if (std::exchange(ended_, true)) return;
    owner_.drop_later(this);
  }

  EventStreams& owner_;
  ExchangePtr exchange_;
  EventOptions options_;
  Timer deadline_;
  Timer engine_retry_;
  std::optional<WallTime> engine_lost_;
  HttpCall engine_;
  std::unique_ptr<Cluster::Subscription> subscription_;
  std::deque<std::string> waiting_;
  bool engine_ok_ = false;
  bool engine_spoke_ = false;    ///< ever
  bool engine_refuses_ = false;  ///< it does not understand what was asked
  bool at_line_start_ = true;
  bool blocked_ = false;
  bool ended_ = false;
};

EventStreams::~EventStreams() = default;

void EventStreams::open(ExchangePtr exchange, EventOptions options) {
  if (streams_.size() >= kMaxStreams) {
    exchange->send_error(503, "too many readers of events");
    return;
  }
  streams_.push_back(std::make_shared<Stream>(*this, std::move(exchange), std::move(options)));
  streams_.back()->start();
}

void EventStreams::drop_later(const Stream* stream) {
  loop_.post([weak = std::weak_ptr<EventStreams*>(alive_), stream] {
    const auto alive = weak.lock();
    if (!alive) return;
    std::erase_if((*alive)->streams_, [&](const auto& one) { return one.get() == stream; });
  });
}

}  // namespace kith
