#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/instant.h"
#include "state/records.h"

namespace kith::sim {

class World;

/// How long an update may leave a slot at what ran before. It goes in fixed batches: one is due
/// when all before it have run through the monitor time, the delay, and a stop and a start.
class RolloutBound {
 public:
  /// Every 50 ms: what runs, and since when.
  void look(World& world);
  /// Of the slots of `service` that run an image that is not asked for, those that an update which
  /// goes on has come to by now; `settled`: the last edit, or when the last fault ended.
  [[nodiscard]] std::set<SlotKey> overdue(World& world, const ServiceDoc& service,
                                          Instant settled) const;

 private:
  struct Copy {
    SlotKey slot;
    std::string service_id;
    std::string image;
    Instant since;  ///< it runs
  };
  struct Host {
    uint64_t changes = 0;
    std::map<std::string, Copy> copies;  ///< by task
  };
  std::vector<Host> hosts_;
};

}  // namespace kith::sim
