#include "api/event_stream.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace kith {

class EventStreams::Stream {
 public:
  Stream(EventStreams& owner, ExchangePtr exchange, EventOptions options)
      : owner_(owner),
        exchange_(std::move(exchange)),
        options_(std::move(options)),
        deadline_(owner.loop_, [this] { finish(); }) {}

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
    if (!options_.engine_target.empty()) ask_engine();
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

  void ask_engine() {
    HttpClient client(owner_.loop_, StreamAddress::local(owner_.cluster_.engine_socket()));
    HttpRequest request;
    request.target = options_.engine_target;
    request.headers = {{"Host", "docker"}};
    HttpClient::StreamCallbacks callbacks;
    callbacks.on_head = [this](const HttpResponseHead& head) { engine_ok_ = head.status == 200; };
    callbacks.on_data = [this](ByteView bytes) {
      if (!engine_ok_ || bytes.empty() || ended_) return;
      at_line_start_ = bytes.back() == '\n';
      put(as_text(bytes));
      flush();
    };
    callbacks.on_end = [this](Status) {
      // A restart of the engine does not end the cluster's events; its own resume at the next ask.
      if (!at_line_start_) put("\n");
      at_line_start_ = true;
      flush();
      if (!subscription_) finish();
    };
    engine_ = client.stream(std::move(request), HttpLimits{}, std::move(callbacks));
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
  HttpCall engine_;
  std::unique_ptr<Cluster::Subscription> subscription_;
  std::deque<std::string> waiting_;
  bool engine_ok_ = false;
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
