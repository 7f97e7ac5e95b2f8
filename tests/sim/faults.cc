#include "faults.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/rng.h"

namespace kith::sim {
namespace {

constexpr std::array<std::string_view, kFaultKinds> kNames = {
    "edit", "kill",    "crash",     "freeze", "stall",    "partition", "oneway",
    "loss", "reorder", "link",      "clock",  "full",     "losedisk",  "clone",
    "exit", "vanish",  "unhealthy", "engine", "slowpull", "badstart",  "flood"};

constexpr size_t kHostsOfOnePace = 10;  ///< more hosts, more faults at a time
constexpr size_t kMaxPace = 4;
constexpr size_t kFirstEdits = 4;
constexpr uint64_t kScheduleSalt = 0x5c4ed01e;

}  // namespace

std::string_view name_of(FaultKind kind) {
  return kNames[static_cast<size_t>(kind)];
}

std::optional<FaultKind> fault_kind(std::string_view name) {
  const auto at = std::find(kNames.begin(), kNames.end(), name);
  if (at == kNames.end()) return std::nullopt;
  return static_cast<FaultKind>(at - kNames.begin());
}

std::vector<FaultKind> usual_faults() {
  std::vector<FaultKind> kinds;
  for (size_t i = 0; i < kFaultKinds; ++i) {
    const auto kind = static_cast<FaultKind>(i);
    if (kind != FaultKind::kEdit && kind != FaultKind::kClone) kinds.push_back(kind);
  }
  return kinds;
}

std::vector<Fault> draw_schedule(const ScheduleShape& shape) {
  Rng rng(shape.seed ^ kScheduleSalt);
  std::vector<Fault> all;
  Duration at{};
  const size_t pace = std::clamp<size_t>(shape.hosts / kHostsOfOnePace, 1, kMaxPace);
  while (true) {
    Fault fault;
    fault.number = all.size();
    const bool first = fault.number < kFirstEdits;
    const auto gap = std::chrono::microseconds((200'000 + rng.below(4'000'000)) / pace);
    if (!first) at += gap;
    if (at >= shape.length) return all;
    fault.at = at;
    const bool edit = rng.chance(1, 3) || first;
    const uint64_t kind = rng.below(std::max<size_t>(shape.kinds.size(), 1));
    fault.kind = edit || shape.kinds.empty() ? FaultKind::kEdit : shape.kinds[kind];
    fault.host = rng.below(shape.hosts);
    fault.other = rng.below(shape.hosts);
    fault.lasts = std::chrono::milliseconds(100 + rng.below(30'000));
    fault.draw = rng.next();
    all.push_back(fault);
  }
}

}  // namespace kith::sim
