#pragma once

#include <span>
#include <string>

#include "api/cluster.h"

namespace kith {

/// Prometheus text format, version 0.0.4.
[[nodiscard]] std::string metrics_text(const StatusReport& status, std::span<const NodeEntry> nodes,
                                       std::span<const ServiceEntry> services,
                                       std::span<const TaskRecord> tasks);

}  // namespace kith
