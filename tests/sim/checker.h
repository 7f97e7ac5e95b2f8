#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace kith::sim {

class World;

/// Looks on, and calls World::violated when something does not hold.
class Checker {
 public:
  virtual ~Checker() = default;
  /// After each step of one host.
  virtual void stepped(World& world, size_t host) { (void)world, (void)host; }
  /// Every 50 ms of virtual time: what is dear to look at.
  virtual void now_and_then(World& world) { (void)world; }
};

/// One of each kind.
[[nodiscard]] std::vector<std::unique_ptr<Checker>> all_checkers();

}  // namespace kith::sim
