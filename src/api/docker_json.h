#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/cluster.h"

namespace kith {

/// The cluster in Docker's JSON. Times are RFC 3339, lists never null, optional objects left out:
/// one bad field fails a client's whole list.

[[nodiscard]] std::string node_json(const NodeEntry& node);
[[nodiscard]] std::string nodes_json(std::span<const NodeEntry> nodes);

struct ServiceView {
  bool defaults = false;  ///< insertDefaults: fill in what Swarm does when nothing is asked for
  bool status = false;    ///< add ServiceStatus
};
/// `tasks` may hold other services' too.
[[nodiscard]] std::string service_json(const ServiceEntry& service,
                                       std::span<const TaskRecord> tasks, WallTime now,
                                       ServiceView view);
[[nodiscard]] std::string services_json(std::span<const ServiceEntry> services,
                                        std::span<const TaskRecord> tasks, WallTime now,
                                        ServiceView view);

/// Tasks of services that are not in `services` show without the body of their spec.
[[nodiscard]] std::string tasks_json(std::span<const TaskRecord> tasks,
                                     std::span<const ServiceEntry> services);
[[nodiscard]] std::string task_json(const TaskRecord& task, std::span<const ServiceEntry> services);

/// The `Swarm` part of /info.
[[nodiscard]] std::string swarm_info_json(const StatusReport& status,
                                          std::span<const NodeEntry> nodes);
/// GET /swarm: what ansible and Portainer read of it.
[[nodiscard]] std::string swarm_json(const StatusReport& status);

/// The engine's answer to /info with its `Swarm` replaced. `engine` is the last one it gave; while
/// the engine is down, or never answered (empty), what is known of this node stands in for it.
[[nodiscard]] std::string info_json(std::string_view engine, bool engine_up,
                                    const StatusReport& status, std::span<const NodeEntry> nodes);
/// The engine's /version with kith among its components; of `self` alone if `engine` is empty.
[[nodiscard]] std::string version_json(std::string_view engine, const NodeEntry& self);

/// One line of /events, without the newline. Only node and service events have Docker's shape.
[[nodiscard]] std::string event_json(const ClusterEvent& event);

/// `{"ID": ...}`
[[nodiscard]] std::string id_json(std::string_view id);

}  // namespace kith
