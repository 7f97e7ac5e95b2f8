#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/cluster.h"

namespace kith {

/// What Docker calls ServiceStatus.
struct ServiceCounts {
  uint64_t running = 0;
  uint64_t desired = 0;
  uint64_t completed = 0;
};

/// What Docker calls UpdateStatus.
struct UpdateReport {
  std::string state;  ///< updating, completed, paused, rollback_started, ...
  std::string message;
  WallTime started;
  WallTime completed;  ///< 0: not yet
};

/// What is wanted of a task now: `remove` once its service is gone or scaled below its slot, else
/// what its own record says.
[[nodiscard]] TaskState desired_state(const TaskRecord& task, const ServiceDoc* service);

/// Gives `desired` shutdown to each copy on its way beside a healthy one of its slot and
/// generation: two nodes that disagreed for a moment both began one, and this one gives way (row 3
/// of the plan). With `moves` also to one that is to take over in a planned move. For a client that
/// waits until a service has converged: it takes the least advanced of the copies that are to run,
/// and would report a failure.
void mark_surplus(std::vector<TaskRecord>& tasks, bool moves);

/// `tasks` may hold other services' too.
[[nodiscard]] ServiceCounts count_tasks(const ServiceDoc& service,
                                        std::span<const TaskRecord> tasks);

/// How the last update of `service` goes, seen from its task records. Nothing before the first
/// update, and nothing after one that needed no new containers (a scale, a label), as in Swarm. It
/// is complete once every slot runs at the service's generation and did so through the monitor
/// time, and not in the first two seconds: a client that polls must see it begin.
[[nodiscard]] std::optional<UpdateReport> update_report(const ServiceDoc& service,
                                                        std::span<const TaskRecord> tasks,
                                                        WallTime now);

}  // namespace kith
