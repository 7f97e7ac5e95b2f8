#pragma once

#include <string_view>

#include "api/cluster.h"
#include "api/error.h"
#include "api/event_stream.h"
#include "io/http_server.h"

namespace kith {

/// Where a request came in.
enum class Door : uint8_t {
  kLocal,    ///< the unix socket: whoever may open it may do anything
  kNetwork,  ///< TCP: reads only, and only for a Host that no other web site can be
};

/// kith's own API under /kith/v1/, and /metrics:
///
///   GET  status, nodes, services, tasks[?service=], containers, explain/{slot}, conflicts
///   GET  events[?since=][&follow=1]    one JSON object a line, recent ones first
///   POST leave[?keep_running=1]
///   GET  keys; POST keys (a key in base64 as body, or none for a fresh one); POST keys/rotate,
///   keys/{id}/use[?force=1]; DELETE keys/{id}[?force=1]. No answer ever holds a secret.
class NativeApi {
 public:
  NativeApi(Loop& loop, Cluster& cluster);

  /// Whether `path` is this API's to answer.
  [[nodiscard]] static bool owns(std::string_view path);
  /// Answers `exchange`, now or later.
  void handle(const ExchangePtr& exchange, Door door);

 private:
  void get(const ExchangePtr& exchange, std::string_view what);
  void tasks(const ExchangePtr& exchange, bool containers);
  void explain(const ExchangePtr& exchange, std::string_view slot);
  void events(const ExchangePtr& exchange);
  void leave(const ExchangePtr& exchange);
  void keys(const ExchangePtr& exchange, std::string_view rest);

  Cluster& cluster_;
  EventStreams events_;
};

/// `web.2`, or `web.nas` and `web.<node id>` for a global service's slot.
[[nodiscard]] Answer<SlotKey> parse_slot(std::string_view text, const Cluster& cluster);

/// Nothing if a request from the network may be answered. A page of another site that a browser
/// shows can reach this port under a name of its own, and must be told nothing: Host has to be a
/// numeric address, `localhost` or a node's name, and Origin, if any, the same host.
[[nodiscard]] Answer<void> check_network_request(const HttpRequestHead& request,
                                                 const Cluster& cluster);

}  // namespace kith
