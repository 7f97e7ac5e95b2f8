#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/reconcile.h"

namespace kith::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// What one node says of itself, whole: the newest (epoch, sequence) wins.
struct Said {
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  std::vector<std::shared_ptr<const TaskRecord>> tasks;
  std::vector<RefusedRecord> refused;
};

/// A document, or the tombstone of one (null).
struct Doc {
  uint64_t version = 0;
  std::shared_ptr<const ServiceDoc> service;
};
struct Drain {
  uint64_t version = 0;
  bool drained = false;
};

struct Container {
  ContainerInfo info;
  bool starting = false;
  bool stopping = false;
  Instant due{};                ///< of the start, or of the stop
  Instant healthy_at = kNever;  ///< with a health check
};

struct Host {
  NodeId id;
  std::unique_ptr<Reconciler> reconciler;
  bool machine_up = true;
  bool agent_up = true;
  bool engine_up = true;
  bool dirty = true;
  Instant frozen_from{};
  Instant frozen_until{};
  Instant back_at{};
  Instant engine_back_at{};
  Instant quiet_since{};  ///< boot or stall
  bool synced = false;
  uint64_t epoch = 1;
  std::map<std::string, Container> containers;  ///< by task id
  std::map<std::string, TaskRecord> records;    ///< own, published
  std::map<SlotKey, RefusedRecord> refused;
  uint64_t sequence = 0;
  std::map<NodeId, std::shared_ptr<const Said>> said;
  std::map<NodeId, Instant> heard;
  std::map<NodeId, std::pair<Liveness, Instant>> mistaken;  ///< a wrong belief, and until when
  std::map<std::string, Doc> docs;
  std::map<NodeId, Drain> drains;
  std::map<SlotKey, Term> highest;  ///< term known, as of the last look
};

struct Knobs {
  size_t hosts = 4;
  Duration faults = seconds(20);
  bool faulty = true;  ///< random faults in that time
  bool edits = true;   ///< random edits of services in that time
  bool drains = true;
  bool balance = true;  ///< rebalancing moves
};

/// k nodes, each with a real Reconciler and a fake engine, in virtual time. What breaks a rule is
/// noted in `wrongs`.
class World {
 public:
  World(uint64_t seed, const Knobs& knobs);

  /// Goes on until `until`.
  void run(Instant until, bool faulty);
  /// Heals everything, and gives the moment since which each slot has run exactly once, or nothing
  /// if that did not come about within `bound`.
  std::optional<Duration> settle(Duration bound);
  [[nodiscard]] bool converged(std::string* why = nullptr) const;

  void put(Host& at, const std::string& name, std::shared_ptr<ServiceDoc> doc);
  void drain(Host& at, NodeId node, bool drained);
  static std::shared_ptr<ServiceDoc> service(const std::string& name, uint32_t replicas);
  void restart_agent(Host& host);
  /// Healthy containers of the slot, everywhere.
  [[nodiscard]] size_t healthy_copies(const SlotKey& slot) const;

  std::vector<Host> hosts;
  std::vector<std::string> wrongs;
  Instant now{};
  uint64_t starts = 0;
  uint64_t stops = 0;
  std::set<std::pair<std::string, NodeId>> hopeless;  ///< services that never start on a node

 private:
  struct Letter {
    size_t to;
    NodeId from;
    bool sync;  ///< everything known, not only the sender's own
    std::map<NodeId, std::shared_ptr<const Said>> said;
    std::map<std::string, Doc> docs;
    std::map<NodeId, Drain> drains;
  };

  void step();
  void injure();
  void edit();
  void heal();
  void tend(Host& host);
  void live(Host& host);
  void look(Host& host);
  void boot(Host& host);
  void kill_machine(Host& host);
  void stop_engine(Host& host, bool processes_live);
  void start_engine(Host& host);
  void list(Host& host);
  void tell(Host& host, const HostEvent& event);
  void carry_out(Host& host, ReconcileEffects& effects);
  void check_stop(Host& host, const TaskRecord& record);
  void check_start(Host& host, const StartTask& start);
  void send(Host& from, size_t to, bool sync);
  void receive(Host& host, const Letter& letter);
  [[nodiscard]] bool linked(size_t a, size_t b) const;
  [[nodiscard]] bool works(const Host& host) const;
  [[nodiscard]] Liveness belief(const Host& host, const NodeId& node) const;
  [[nodiscard]] Situation situation(Host& host) const;
  void place(const Host& host, const ServiceDoc& doc, Situation& view) const;
  void wrong(const std::string& what);
  [[nodiscard]] Now clock() const;
  [[nodiscard]] size_t at(const NodeId& id) const;

  Rng rng_;
  Knobs knobs_;
  bool faulty_ = false;
  std::vector<int> group_;  ///< partition, by host
  Instant group_until_{};
  std::multimap<Instant, Letter> post_;
  uint64_t version_ = 0;
  /// (asker, nonce) -> rank of who confirmed.
  std::map<std::pair<NodeId, uint64_t>, std::pair<Term, NodeId>> confirmed_;
};

}  // namespace kith::test
