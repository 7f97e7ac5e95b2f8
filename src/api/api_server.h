#pragma once

#include <memory>
#include <optional>
#include <string>

#include "api/cluster.h"
#include "api/docker_api.h"
#include "api/native_api.h"
#include "base/result.h"
#include "io/http_server.h"
#include "io/stream.h"

namespace kith {

struct ApiConfig {
  std::string socket = "/run/kith/docker.sock";
  std::string group = "docker";    ///< of the socket's file, if the host has such a group
  std::optional<Endpoint> listen;  ///< reads of the native API over TCP; nothing: off
};

/// Both APIs on the unix socket, and reads of kith's own on TCP. Destroying it cuts every client
/// and removes the socket. `loop` and `cluster` must outlive it.
class ApiServer {
 public:
  /// Makes the socket's folder if it is missing. Fails if one of the addresses cannot be had; the
  /// message names it and the mend.
  [[nodiscard]] static Result<std::unique_ptr<ApiServer>> open(Loop& loop, Cluster& cluster,
                                                               const ApiConfig& config);
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  [[nodiscard]] size_t connections() const {
    return local_server_.connections() + network_server_.connections();
  }
  /// Where TCP really listens; nothing if it is off.
  [[nodiscard]] std::optional<Endpoint> network_address() const;

 private:
  ApiServer(Loop& loop, Cluster& cluster);
  Status listen(Loop& loop, const ApiConfig& config);

  DockerApi docker_;
  NativeApi native_;
  HttpServer local_server_;
  HttpServer network_server_;
  std::optional<Listener> local_;
  std::optional<Listener> network_;
};

/// The id of a group in /etc/group, read without NSS, which a static program must not touch.
[[nodiscard]] std::optional<unsigned> group_id(const std::string& name);

}  // namespace kith
