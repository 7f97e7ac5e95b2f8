#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "api/cluster.h"
#include "io/http_client.h"
#include "io/http_server.h"
#include "io/loop.h"
#include "io/timer.h"

namespace kith {

/// What one reader of events gets.
struct EventOptions {
  HttpHeaders headers;
  /// One line without its newline; empty: this reader does not want the event.
  std::function<std::string(const ClusterEvent&)> format;
  std::optional<WallTime> since;  ///< recent events from then on come first; nothing: none do
  std::optional<WallTime> until;  ///< ends the answer then; may be in the past
  bool follow = true;             ///< false: ends after the recent ones
  std::string engine_target;      ///< if not empty, the engine's own answer is merged in by lines
};

/// Answers that go on for as long as something happens. A reader that falls kMaxBehind events
/// behind is cut off, so that it can tell. Destroying it ends them all.
class EventStreams {
 public:
  static constexpr size_t kMaxStreams = 128;
  static constexpr size_t kMaxBehind = 1024;

  EventStreams(Loop& loop, Cluster& cluster) : loop_(loop), cluster_(cluster) {}
  ~EventStreams();
  EventStreams(const EventStreams&) = delete;
  EventStreams& operator=(const EventStreams&) = delete;

  /// Answers `exchange`; 503 above kMaxStreams.
  void open(ExchangePtr exchange, EventOptions options);
  [[nodiscard]] size_t size() const { return streams_.size(); }

 private:
  class Stream;
  void drop_later(const Stream* stream);

  Loop& loop_;
  Cluster& cluster_;
  std::list<std::shared_ptr<Stream>> streams_;
  std::shared_ptr<EventStreams*> alive_ = std::make_shared<EventStreams*>(this);
};

}  // namespace kith
