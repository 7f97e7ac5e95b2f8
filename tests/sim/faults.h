#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.h"

namespace kith::sim {

/// What may befall a cluster. Names, for a command line: name_of.
enum class FaultKind : uint8_t {
  kEdit,       ///< somebody creates, changes or removes a service
  kKill,       ///< the agent's process ends at once; it is started again later
  kCrash,      ///< the power goes; what was not acknowledged by the disk is there or not
  kFreeze,     ///< SIGSTOP: the whole process rests
  kStall,      ///< the process goes on, but sends and receives nothing until later (Lifeguard, V-B)
  kPartition,  ///< some hosts against the others
  kOneWay,     ///< what one host sends to one other does not arrive
  kLoss,       ///< every link loses and doubles datagrams
  kReorder,    ///< every link delays by up to 80 ms, each datagram by another time
  kLink,       ///< one direction between two hosts is slow, loses, doubles
  kClock,      ///< a wall clock jumps, and back
  kFull,       ///< the disk takes nothing
  kLoseDisk,   ///< the agent ends and begins anew with an empty disk
  kClone,      ///< a host is started with a copy of another's data_dir
  kExit,       ///< a container's process ends by itself
  kVanish,     ///< somebody removes a container behind the agent's back
  kUnhealthy,  ///< a container's health check fails for a while
  kEngine,     ///< Docker stops, and with it what it runs
  kSlowPull,   ///< a start takes up to 20 s longer
  kBadStart,   ///< every start on the host fails
  kFlood,      ///< a client hands in more edits at once than may wait
};
constexpr size_t kFaultKinds = 21;

[[nodiscard]] std::string_view name_of(FaultKind kind);
[[nodiscard]] std::optional<FaultKind> fault_kind(std::string_view name);
/// All but edits and clones. Two agents of one identity are told of, and stopped, by a person.
[[nodiscard]] std::vector<FaultKind> usual_faults();

/// One thing that goes wrong. What it needs of chance it holds itself, so that leaving another out
/// changes nothing here.
struct Fault {
  size_t number = 0;  ///< in the schedule as drawn
  Duration at{};      ///< since the chaos began
  Duration lasts{};
  FaultKind kind = FaultKind::kEdit;
  size_t host = 0;
  size_t other = 0;
  uint64_t draw = 0;  ///< whatever else it has to choose
};

struct ScheduleShape {
  uint64_t seed = 0;
  size_t hosts = 10;
  Duration length{};
  std::vector<FaultKind> kinds = usual_faults();
};

/// In the order of their times; a third are edits. A shorter length gives the beginning of the
/// longer one.
[[nodiscard]] std::vector<Fault> draw_schedule(const ScheduleShape& shape);

}  // namespace kith::sim
