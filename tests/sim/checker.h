#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/host.h"
#include "state/document.h"
#include "state/persist.h"

namespace kith::sim {

class World;

/// Looks on, and calls World::violated when something does not hold.
class Checker {
 public:
  /// How often each of its questions was asked, by what it is about.
  using Counts = std::map<std::string_view, uint64_t>;

  explicit Checker(std::string name) : name_(std::move(name)) {}
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;
  virtual ~Checker() = default;
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Counts& judged() const { return judged_; }

  /// After each step of one host.
  virtual void stepped(World& world, size_t host) { (void)world, (void)host; }
  /// The agent decided to start a container.
  virtual void starting(World& world, size_t host, const StartTask& start) {
    (void)world, (void)host, (void)start;
  }
  /// Docker was told to end a container that runs.
  virtual void stopping(World& world, size_t host, const ContainerInfo& container) {
    (void)world, (void)host, (void)container;
  }
  /// An edit was acknowledged: the document as it stands there.
  virtual void acknowledged(World& world, size_t host, const Document& document) {
    (void)world, (void)host, (void)document;
  }
  /// The host's disk holds this from now on.
  virtual void persisted(World& world, size_t host, const StoreBatch& batch) {
    (void)world, (void)host, (void)batch;
  }
  /// Whatever the host's disk held is gone.
  virtual void disk_lost(World& world, size_t host) { (void)world, (void)host; }
  /// A fault, or what an agent says to people.
  virtual void told(World& world, const std::string& line) { (void)world, (void)line; }
  /// Every 50 ms of virtual time: what is dear to look at.
  virtual void now_and_then(World& world) { (void)world; }

 protected:
  void count(std::string_view about) { ++judged_[about]; }
  /// Judges: `about` is a literal; `what()` is said if it does not hold.
  template <class What>
  void expect(World& world, std::string_view about, bool holds, const What& what) {
    count(about);
    if (!holds) violated(world, what());
  }

 private:
  void violated(World& world, const std::string& what) const;

  std::string name_;
  Counts judged_;
};

// One file each.
[[nodiscard]] std::unique_ptr<Checker> check_placement();
[[nodiscard]] std::unique_ptr<Checker> check_growth();
[[nodiscard]] std::unique_ptr<Checker> check_membership();
[[nodiscard]] std::unique_ptr<Checker> check_documents();
[[nodiscard]] std::unique_ptr<Checker> check_slots();
[[nodiscard]] std::unique_ptr<Checker> check_stops();
[[nodiscard]] std::unique_ptr<Checker> check_starts();
[[nodiscard]] std::unique_ptr<Checker> check_limits();

/// One of each kind.
[[nodiscard]] std::vector<std::unique_ptr<Checker>> all_checkers();

}  // namespace kith::sim
