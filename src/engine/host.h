#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/instant.h"
#include "state/records.h"

namespace kith {

/// The seam between deciding and doing: the reconciler emits commands, whatever runs containers
/// (Docker, or the simulator's fake) answers with events. Commands to one task are carried out in
/// order; a command to a task that is gone is answered by TaskGone.

/// Makes sure of the image (pulling only when it is absent or the spec says always), creates the
/// container with its labels, and starts it. Answered by TaskProgress..., then TaskFailed or, once
/// it runs, TaskProgress{kRunning}.
struct StartTask {
  std::string task_id;
  SlotKey slot;
  std::string service_id;
  Generation generation = 0;
  Term term = 0;
  std::string spec_json;  ///< Docker's ServiceSpec of that generation
  std::string node_name;  ///< for {{.Node.Hostname}}
  NodeId node;
};

/// SIGTERM (or the spec's stop signal), `grace`, SIGKILL, then removal of the container. Answered
/// by TaskGone, which does not wait for the removal. Also cancels a start under way.
struct StopTask {
  std::string task_id;
  Duration grace{};
};

/// Removes what is left of a task that ended by itself. Answered by TaskGone.
struct RemoveTask {
  std::string task_id;
};

/// Asks for an Inventory.
struct ListTasks {};

using HostCommand = std::variant<StartTask, StopTask, RemoveTask, ListTasks>;

enum class ContainerStatus : uint8_t { kCreated, kRunning, kPaused, kExited };

/// A container of ours, by its labels.
struct ContainerInfo {
  std::string container_id;
  std::string task_id;
  SlotKey slot;
  std::string service_id;
  Generation generation = 0;
  Term term = 0;
  std::string image;
  ContainerStatus status = ContainerStatus::kCreated;
  Health health = Health::kNone;
  int32_t exit_code = 0;
  uint32_t pid = 0;
  WallTime created;
  WallTime started;
  std::vector<PortSpec> ports;
  /// Between SIGTERM and SIGKILL, as it was created with; none: not said, or not known.
  std::optional<Duration> grace = {};
};

struct TaskProgress {
  std::string task_id;
  TaskState state = TaskState::kPreparing;  ///< preparing, ready, starting or running
  std::string message;
  std::string container_id;
  uint32_t pid = 0;
  Health health = Health::kNone;
  std::vector<PortSpec> ports;
};

/// The start did not come about; nothing of the task is left behind.
struct TaskFailed {
  std::string task_id;
  TaskState phase = TaskState::kPreparing;  ///< where it failed
  std::string error;                        ///< one line, the engine's or the registry's words
};

/// The container ended without having been asked to. It still exists.
struct TaskExited {
  std::string task_id;
  int32_t exit_code = 0;
  bool out_of_memory = false;
  std::string error;
};

struct TaskHealth {
  std::string task_id;
  Health health = Health::kNone;
};

/// No process of the task is left on this host, nor anything that another task could miss: its
/// ports are free. A container that is left is being removed, and nothing more is told of it. Told
/// once a task.
struct TaskGone {
  std::string task_id;
  int32_t exit_code = 0;
};

struct EngineUp {
  EngineInfo info;
  int64_t nano_cpus = 0;
  int64_t memory_bytes = 0;
  std::string name;  ///< the host's name as the engine knows it
};
/// Unreachable. `running` are the tasks whose processes were seen to be still alive.
struct EngineDown {
  std::string reason;
  std::vector<std::string> running;
};

/// Every container of ours on this host; what is not in it does not exist, or is being removed and
/// its TaskGone was told.
struct Inventory {
  std::vector<ContainerInfo> containers;
};

using HostEvent = std::variant<TaskProgress, TaskFailed, TaskExited, TaskHealth, TaskGone, EngineUp,
                               EngineDown, Inventory>;

}  // namespace kith
