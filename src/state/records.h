#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hlc.h"
#include "base/ids.h"
#include "base/instant.h"
#include "base/result.h"
#include "gossip/shared_ring.h"
#include "state/service_spec.h"

namespace kith {

using Generation = uint64_t;
using Term = uint64_t;

/// `service/<name>`: what somebody asked for. Serialised as one JSON object; fields written by a
/// newer version are kept in `unknown` and written back.
struct ServiceDoc {
  std::string id;  ///< 25 characters of base 36, as Docker's clients know it
  std::string name;
  Generation generation = 1;  ///< grows with each change that needs new containers
  std::string spec_json;      ///< Docker's ServiceSpec, whole
  std::string previous_json;  ///< the spec before the last update; empty before the first
  Generation previous_generation = 0;
  WallTime created;
  WallTime updated;
  bool rolled_back = false;          ///< the last update was a rollback
  std::map<uint32_t, NodeId> homes;  ///< pinned slots: where each lives
  ServiceSpec spec;                  ///< parsed from spec_json; never serialised
  std::string unknown;               ///< JSON object of fields this version does not know
};

enum class Availability : uint8_t { kActive, kPause, kDrain };

/// `roster/<node id, hex>`: a node that was admitted, and what an operator says of it.
struct RosterDoc {
  NodeId node;
  std::string name;     ///< as last seen, for when the node is away
  std::string address;  ///< host:port, as last seen: where to dial it
  Availability availability = Availability::kActive;
  std::map<std::string, std::string> labels;  ///< added by an operator; win over the node's own
  Admission admission;                        ///< of who came in after the last rotation
  std::string unknown;
};

[[nodiscard]] std::string service_key(std::string_view name);
[[nodiscard]] std::string roster_key(const NodeId& node);

[[nodiscard]] std::string to_json(const ServiceDoc& doc);
[[nodiscard]] Result<ServiceDoc> service_from_json(std::string_view json);
[[nodiscard]] std::string to_json(const RosterDoc& doc);
[[nodiscard]] Result<RosterDoc> roster_from_json(std::string_view json);

// What a node says of itself: signed by it, never on disk, newest (epoch, sequence) wins.

struct EngineInfo {
  bool present = true;  ///< false: a witness, `engine: none`
  bool up = false;
  std::string error;  ///< why it is not up
  std::string version;
  std::string api_version;
  std::string os;                             ///< linux
  std::string architecture;                   ///< x86_64
  std::map<std::string, std::string> labels;  ///< the engine's own: engine.labels.*
};

/// `node/<node>/info`
struct NodeInfo {
  NodeId node;
  std::string name;
  std::string version;       ///< of kith
  std::string host_address;  ///< numeric, without port
  bool ready = true;         ///< false: held down after flapping; gates new placement only
  std::map<std::string, std::string> labels;  ///< node.labels of its own configuration
  int64_t nano_cpus = 0;
  int64_t memory_bytes = 0;
  uint32_t weight = 1;           ///< share of the ring
  uint64_t inventory_epoch = 0;  ///< the epoch whose tasks it has listed whole; 0: not yet
  // Of the key ring that it has on disk; 0 and none from a version that shares no ring.
  uint64_t key = 0;            ///< id of its primary
  std::vector<uint64_t> keys;  ///< ids of all
  uint64_t ring = 0;           ///< SharedRing::digest
  EngineInfo engine;
};

/// Swarm's, in Swarm's order.
enum class TaskState : uint8_t {
  kNew,
  kPending,
  kAssigned,
  kAccepted,
  kPreparing,
  kReady,
  kStarting,
  kRunning,
  kComplete,
  kShutdown,
  kFailed,
  kRejected,
  kRemove,
  kOrphaned,
};
[[nodiscard]] std::string_view to_string(TaskState state);

enum class Health : uint8_t { kNone, kStarting, kHealthy, kUnhealthy };

/// "Your lower copy may go: mine stays" in answer to one ask.
struct Confirmation {
  NodeId asker;
  uint64_t nonce = 0;
};

/// `node/<node>/task/<task id>`: one copy of a slot on one node, or what became of it.
struct TaskRecord {
  std::string id;  ///< 25 characters of base 36
  SlotKey slot;
  std::string service_id;
  Generation generation = 0;
  Term term = 0;
  NodeId node;
  TaskState state = TaskState::kNew;
  TaskState desired = TaskState::kRunning;  ///< running, shutdown, or complete for jobs
  std::string image;
  std::string message;  ///< `started`, `pulling 3 of 7 layers`
  std::string error;    ///< one line, the engine's or the registry's words
  std::string container_id;
  uint32_t pid = 0;
  int32_t exit_code = 0;
  Health health = Health::kNone;
  bool backing_off = false;  ///< failed, waiting to restart in place: still counts as present
  bool moving = false;       ///< its node starts it by an allowed move, handback or drain
  bool stable = false;       ///< ran through the update monitor time at this generation
  uint32_t failures = 0;     ///< of this slot on this node in a row
  uint64_t ask = 0;          ///< nonzero: asks a higher copy to confirm under this nonce
  std::vector<Confirmation> confirmations;
  WallTime created;
  WallTime since;               ///< of the last change of `state`
  std::vector<PortSpec> ports;  ///< as really published, host mode
};

/// `node/<node>/refused/<slot>`: this node cannot run this generation of the slot.
struct RefusedRecord {
  NodeId node;
  SlotKey slot;
  std::string service_id;
  Generation generation = 0;
  std::string reason;
};

[[nodiscard]] std::string node_info_key(const NodeId& node);
[[nodiscard]] std::string task_key(const NodeId& node, std::string_view task_id);
[[nodiscard]] std::string refused_key(const NodeId& node, const SlotKey& slot);

// msgpack maps; unknown fields are skipped (the signed bytes travel on as they came).
[[nodiscard]] Bytes encode(const NodeInfo& info);
[[nodiscard]] Bytes encode(const TaskRecord& task);
[[nodiscard]] Bytes encode(const RefusedRecord& refused);
[[nodiscard]] Result<NodeInfo> decode_node_info(ByteView bytes);
[[nodiscard]] Result<TaskRecord> decode_task(ByteView bytes);
[[nodiscard]] Result<RefusedRecord> decode_refused(ByteView bytes);

}  // namespace kith
