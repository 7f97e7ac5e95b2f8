#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/cluster.h"
#include "api/engine_memory.h"
#include "api/error.h"
#include "api/event_stream.h"
#include "io/http_proxy.h"
#include "io/http_server.h"

namespace kith {

/// Of what is posted to kith itself; what is passed to the engine has no limit.
constexpr size_t kMaxApiBody = 4u << 20;

/// Docker's Engine API: Swarm's endpoints answered for the whole cluster, everything else passed
/// to the local engine byte for byte. Lives on the loop's thread; `cluster` must outlive it.
class DockerApi {
 public:
  DockerApi(Loop& loop, Cluster& cluster);
  DockerApi(const DockerApi&) = delete;
  DockerApi& operator=(const DockerApi&) = delete;

  /// Answers `exchange`, now or later.
  void handle(ExchangePtr exchange);

 private:
  /// A request taken apart: what follows the version prefix, by segments.
  struct Call {
    ExchangePtr exchange;
    std::vector<std::string> path;
    [[nodiscard]] const std::string& method() const { return exchange->request().method; }
    [[nodiscard]] bool get() const { return method() == "GET" || method() == "HEAD"; }
    [[nodiscard]] std::string_view segment(size_t index) const {
      return index < path.size() ? std::string_view(path[index]) : std::string_view();
    }
    [[nodiscard]] std::string query(std::string_view key) const;
  };
  using Body = std::function<void(std::string)>;

  // docker_routes.cc: who answers.
  bool route(const Call& call);
  bool route_swarm(const Call& call);
  bool route_networks(const Call& call);
  bool route_objects(const Call& call);
  void forward(const ExchangePtr& exchange, ForwardOptions options = {});

  // docker_api.cc: the host's own answers.
  void ping(const Call& call);
  void version(const Call& call);
  void info(const Call& call);
  void events(const Call& call);
  void distribution(const Call& call);
  void create_network(const Call& call);
  void swarm_network(const Call& call);

  // docker_cluster.cc: the cluster's.
  void nodes(const Call& call);
  void update_node(const Call& call, const NodeEntry& node);
  void remove_node(const Call& call, const NodeEntry& node);
  void services(const Call& call);
  void list_services(const Call& call);
  void create_service(const Call& call);
  void update_service(const Call& call, const ServiceEntry& service);
  void tasks(const Call& call);

  void collect(const Call& call, Body then);
  void reply(const ExchangePtr& exchange, int status, std::string json) const;
  void reply(const ExchangePtr& exchange, const ApiError& error) const;
  [[nodiscard]] HttpHeaders headers() const;

  Loop& loop_;
  Cluster& cluster_;
  EngineMemory engine_;
  EventStreams events_;
  HttpProxy proxy_;
  uint64_t generated_names_ = 0;
};

}  // namespace kith
