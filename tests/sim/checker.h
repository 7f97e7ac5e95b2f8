#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "engine/host.h"
#include "state/document.h"

namespace kith::sim {

class World;

/// Looks on, and calls World::violated when something does not hold.
class Checker {
 public:
  virtual ~Checker() = default;
  /// After each step of one host.
  virtual void stepped(World& world, size_t host) { (void)world, (void)host; }
  /// Docker was told to end a container that runs.
  virtual void stopping(World& world, size_t host, const ContainerInfo& container) {
    (void)world, (void)host, (void)container;
  }
  /// An edit was acknowledged: the document as it stands there.
  virtual void acknowledged(World& world, size_t host, const Document& document) {
    (void)world, (void)host, (void)document;
  }
  /// Every 50 ms of virtual time: what is dear to look at.
  virtual void now_and_then(World& world) { (void)world; }
};

// One file each.
[[nodiscard]] std::unique_ptr<Checker> check_placement();
[[nodiscard]] std::unique_ptr<Checker> check_growth();
[[nodiscard]] std::unique_ptr<Checker> check_membership();
[[nodiscard]] std::unique_ptr<Checker> check_documents();
[[nodiscard]] std::unique_ptr<Checker> check_slots();
[[nodiscard]] std::unique_ptr<Checker> check_stops();
[[nodiscard]] std::unique_ptr<Checker> check_limits();

/// One of each kind.
[[nodiscard]] std::vector<std::unique_ptr<Checker>> all_checkers();

}  // namespace kith::sim
