#pragma once

#include <string_view>
#include <vector>

#include "api/cluster.h"
#include "api/error.h"

namespace kith {

// Docker's rule for a name in a URL: the full id, else the exact name, else a prefix of the id.
// 404 `service nope not found`; 400 `service 0 is ambiguous (2 matches found)`. The pointers are
// into the vector handed in.

[[nodiscard]] Answer<const ServiceEntry*> find_service(const std::vector<ServiceEntry>& services,
                                                       std::string_view key);
/// `self` is this node.
[[nodiscard]] Answer<const NodeEntry*> find_node(const std::vector<NodeEntry>& nodes,
                                                 std::string_view key);
/// Also by container id.
[[nodiscard]] Answer<const TaskRecord*> find_task(const std::vector<TaskRecord>& tasks,
                                                  std::string_view key);

}  // namespace kith
