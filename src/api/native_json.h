#pragma once

#include <span>
#include <string>
#include <vector>

#include "api/cluster.h"

namespace kith {

// kith's own view of the cluster as JSON, for `/kith/v1/` and the commands. Times are RFC 3339.

[[nodiscard]] std::string status_json(const StatusReport& status, std::span<const NodeEntry> nodes,
                                      size_t services);
[[nodiscard]] std::string native_nodes_json(std::span<const NodeEntry> nodes);
[[nodiscard]] std::string native_services_json(std::span<const ServiceEntry> services,
                                               std::span<const TaskRecord> tasks, WallTime now);
/// `containers` leaves out tasks that have none.
[[nodiscard]] std::string native_tasks_json(std::span<const TaskRecord> tasks,
                                            std::span<const ServiceEntry> services,
                                            std::span<const NodeEntry> nodes, bool containers);
[[nodiscard]] std::string explanation_json(const Explanation& explanation);
[[nodiscard]] std::string conflicts_json(std::span<const ConflictEntry> conflicts);
[[nodiscard]] std::string keys_json(std::span<const KeyEntry> keys);
[[nodiscard]] std::string key_json(const std::string& id);
/// Without a newline.
[[nodiscard]] std::string native_event_json(const ClusterEvent& event);

/// `ready`, `suspect`, `dead`, `left`, `engine down`, `witness`, `held down`.
[[nodiscard]] std::string node_state(const NodeEntry& node);

}  // namespace kith
