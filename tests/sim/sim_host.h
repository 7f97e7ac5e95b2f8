#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/node.h"
#include "fake_disk.h"
#include "fake_engine.h"
#include "network.h"

namespace kith::sim {

/// A host's clocks against virtual time.
struct Clocks {
  Duration boot_offset{};      ///< of its monotonic clock: those of two hosts cannot be compared
  int64_t drift_ppm = 0;       ///< its monotonic clock runs faster by this
  int64_t wall_offset_ms = 0;  ///< its wall clock is ahead by this

  [[nodiscard]] Now read(Instant virtual_now) const;
  /// When this host's clock will not be before `mono` any more.
  [[nodiscard]] Instant when(Instant mono) const;
};

/// Told what a host's agent gives off.
class HostObserver {
 public:
  virtual ~HostObserver() = default;
  virtual void event(size_t host, const ClusterEvent& event) = 0;
  virtual void edit_done(size_t host, uint64_t edit, const Result<std::string>& outcome) = 0;
  /// The node took something in and acted on it.
  virtual void stepped(size_t host) = 0;
  /// The agent decided to start a container.
  virtual void starting(size_t host, const StartTask& start) = 0;
  /// Docker was told to end a container that runs.
  virtual void stopping(size_t host, const ContainerInfo& container) = 0;
  /// The disk holds this from now on.
  virtual void persisted(size_t host, const StoreBatch& batch) = 0;
  virtual void disk_lost(size_t host) = 0;
  /// It asked to be ended.
  virtual void stopped(size_t host, const std::string& why) = 0;
};

/// One host: its disk, its Docker, its agent while that runs, and a driver for the Node that keeps
/// the order of calls as the real one does. Timers have the resolution of a millisecond.
class SimHost {
 public:
  /// What a socket of a frozen process holds; more is lost.
  static constexpr size_t kMaxDatagramsHeld = 512;

  SimHost(size_t index, EventQueue& queue, Network& network, HostObserver& observer, Rng rng);

  [[nodiscard]] size_t index() const { return index_; }
  [[nodiscard]] const NodeId& id() const { return identity_.id(); }
  [[nodiscard]] const Identity& identity() const { return identity_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool up() const { return up_; }
  [[nodiscard]] bool agent_up() const { return node_ != nullptr; }
  [[nodiscard]] bool frozen() const { return frozen_since_.has_value(); }
  /// Only while agent_up().
  [[nodiscard]] Node& node() const { return *node_; }
  /// It runs on a copy of another's disk.
  [[nodiscard]] bool is_clone() const { return clone_; }
  [[nodiscard]] FakeDisk& disk() { return disk_; }
  [[nodiscard]] const FakeDisk& disk() const { return disk_; }
  [[nodiscard]] FakeEngine& engine() { return engine_; }
  [[nodiscard]] const FakeEngine& engine() const { return engine_; }
  [[nodiscard]] Clocks& clocks() { return clocks_; }
  [[nodiscard]] Now now() const { return clocks_.read(queue_->now()); }
  [[nodiscard]] Epoch epoch() const { return epoch_; }
  /// How many agents have run here.
  [[nodiscard]] uint64_t lives() const { return life_; }
  /// How many it has had.
  [[nodiscard]] size_t identities() const { return identities_; }
  /// By timers.
  [[nodiscard]] uint64_t wakeups() const { return wakeups_; }

  /// By the agent's configuration.
  std::vector<Endpoint> seeds;
  /// What it says its address is; none: the one it has.
  std::optional<Endpoint> address;
  SwimConfig swim = SwimConfig::lan();
  std::map<std::string, std::string> labels;
  /// Shared between all hosts of a world, for speed alone: NodeSetup.
  std::shared_ptr<VerifyCache> verified;
  std::shared_ptr<PlacementMemory> placements;

  void start_agent(const ClusterKey& key);
  /// kill -9: its streams are closed by the kernel, containers run on.
  void kill_agent();
  /// The power goes, and comes back without the agent.
  void crash();
  void boot();
  /// While the agent is away: what it kept is gone, its identity with it.
  void lose_disk();
  /// Ends the agent; from here on its disk is a copy of the other's, identity and all.
  void become(const SimHost& other);
  /// SIGSTOP and, later, SIGCONT: what arrives waits.
  void freeze();
  void thaw();

  uint64_t edit(Edit edit);
  void leave(bool keep_running);

  // From the network.
  void datagram(const Endpoint& from, Bytes bytes);
  uint64_t accept();
  void connected(uint64_t stream);
  void data(uint64_t stream, Bytes bytes);
  void closed(uint64_t stream, const std::string& why);

 private:
  using Input = std::function<void(Node&, Now, NodeEffects&)>;
  void take(Input input);
  void wake();
  void turn();
  void carry_out(NodeEffects effects);
  void arm();
  void end_agent(bool silent);

  size_t index_;
  EventQueue* queue_;
  Network* network_;
  HostObserver* observer_;
  Rng rng_;
  std::string name_;
  Identity identity_;
  size_t identities_ = 1;
  FakeDisk disk_;
  FakeEngine engine_;
  Clocks clocks_;
  bool up_ = true;
  bool clone_ = false;
  std::optional<Instant> frozen_since_;
  Epoch epoch_ = 0;
  std::unique_ptr<Node> node_;
  uint64_t life_ = 0;  ///< of the agent's process
  uint64_t next_accepted_ = 2;
  std::deque<Input> held_;  ///< while frozen
  size_t datagrams_held_ = 0;
  Instant armed_ = kNever;  ///< by the host's own clock
  uint64_t timer_ = 0;
  uint64_t wakeups_ = 0;
};

}  // namespace kith::sim
