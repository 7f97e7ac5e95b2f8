#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.h"
#include "base/result.h"

namespace kith {

enum class ServiceMode : uint8_t { kReplicated, kGlobal, kReplicatedJob, kGlobalJob };
enum class RestartCondition : uint8_t { kNone, kOnFailure, kAny };
enum class FailureAction : uint8_t { kPause, kContinue, kRollback };
/// What happens to the slots of a dead node: the label `io.kith.failover`.
enum class Failover : uint8_t { kEager, kPinned, kManual, kMajority };

struct RestartPolicy {
  RestartCondition condition = RestartCondition::kAny;
  Duration delay = std::chrono::seconds(5);
  uint64_t max_attempts = 0;  ///< 0: no limit
  Duration window{};          ///< 0: attempts count for ever
};

/// Docker's UpdateConfig with swarmkit's defaults.
struct UpdateConfig {
  uint64_t parallelism = 1;  ///< 0: all at once
  Duration delay{};
  Duration monitor = std::chrono::seconds(5);
  FailureAction on_failure = FailureAction::kPause;
  uint64_t max_failure_ppm = 0;  ///< tolerated failures, parts per million of the slots
  bool start_first = false;
};

struct Resources {
  int64_t nano_cpus = 0;
  int64_t memory_bytes = 0;
};

struct PortSpec {
  std::string protocol = "tcp";
  uint16_t target = 0;
  uint16_t published = 0;  ///< 0: the engine picks
  bool host_mode = false;  ///< published on the task's own host only
};

struct Platform {
  std::string os;            ///< linux; empty: any
  std::string architecture;  ///< amd64 or x86_64, arm64 or aarch64; empty: any
  auto operator<=>(const Platform&) const = default;
};

struct MountSpec {
  std::string type;  ///< bind, volume, tmpfs
  std::string source;
  std::string target;
  bool read_only = false;
  std::string driver;                                 ///< volume: empty is `local`
  std::map<std::string, std::string> driver_options;  ///< volume: type=nfs and so on
};

/// The part of Docker's ServiceSpec that kith acts upon. The JSON itself is stored whole beside
/// it, so that what kith does not know survives.
struct ServiceSpec {
  std::string name;
  std::map<std::string, std::string> labels;
  ServiceMode mode = ServiceMode::kReplicated;
  uint32_t replicas = 1;  ///< replicated only; at most kMaxReplicas
  std::string image;
  std::vector<std::string> constraints;         ///< as written: `node.labels.disk == ssd`
  std::vector<Platform> platforms;              ///< that the image is for; empty: any
  std::vector<std::string> spread_preferences;  ///< descriptors: `node.labels.zone`
  uint32_t max_replicas_per_node = 0;           ///< 0: no limit
  Resources reservations;
  Resources limits;
  std::vector<PortSpec> ports;
  std::vector<MountSpec> mounts;
  RestartPolicy restart;
  UpdateConfig update;
  UpdateConfig rollback;
  Duration stop_grace = std::chrono::seconds(10);
  Failover failover = Failover::kEager;  ///< pinned where a mount or the label says so
};

constexpr uint32_t kMaxReplicas = 10'000;

/// Reads Docker's JSON, keys in any letter case, and applies Docker's defaults. kInvalid names the
/// field and its value.
[[nodiscard]] Result<ServiceSpec> parse_service_spec(std::string_view json);

/// The JSON of the task template in a canonical form, less what does not need a new container: two
/// specs with equal results share their containers.
[[nodiscard]] Result<std::string> task_template_of(std::string_view spec_json);

}  // namespace kith
