#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "engine/host.h"
#include "event_queue.h"

namespace kith::sim {

/// How long this host's engine takes for what.
struct EnginePace {
  Duration answer = std::chrono::milliseconds(5);
  Duration start_least = std::chrono::milliseconds(150);
  Duration start_spread = std::chrono::milliseconds(250);
  Duration stop_least = std::chrono::milliseconds(20);
  Duration stop_spread = std::chrono::milliseconds(200);
};

/// One host's Docker and its containers. They live on while the agent is away; a host's crash ends
/// them. An image named `missing...` cannot be had.
class FakeEngine {
 public:
  struct Container {
    ContainerInfo info;
    bool created = false;  ///< seen by a list; else its start is under way
    uint64_t step = 0;     ///< what was begun for it; anything older is void
    bool stopping = false;
  };
  using Listener = std::function<void(HostEvent event)>;

  /// `changed`: something runs or does not any more. `stopping`: before a running one is ended by
  /// its agent.
  FakeEngine(EventQueue& queue, Rng rng, std::function<void()> changed,
             std::function<void(const ContainerInfo&)> stopping);

  // --- The agent's side ------------------------------------------------------------------------
  /// An agent connects: EngineUp follows if the engine runs.
  void attach(Listener listener);
  /// It died: starts under way come about half, whole, or not.
  void detach();
  void run(const HostCommand& command);

  // --- Faults ----------------------------------------------------------------------------------
  /// The host's power goes: all that runs ends. What existed is still there, exited.
  void crash();
  void stop_engine();
  void start_engine();
  /// The container's process ends by itself.
  void exit(const std::string& task_id, int32_t code);
  /// Somebody removes it by hand.
  void vanish(const std::string& task_id);
  /// Of one that runs.
  void set_health(const std::string& task_id, Health health);
  /// While it is not empty, each start fails with it after its container was created.
  void set_start_fault(std::string error) { start_fault_ = std::move(error); }
  [[nodiscard]] EnginePace& pace() { return pace_; }

  [[nodiscard]] const std::map<std::string, Container>& containers() const { return containers_; }
  /// Task ids of what runs now, of one slot.
  [[nodiscard]] std::vector<const ContainerInfo*> running() const;
  [[nodiscard]] uint64_t starts() const { return starts_; }
  /// Grows whenever what runs may have changed.
  [[nodiscard]] uint64_t changes() const { return changes_; }

 private:
  void changed();
  void tell(HostEvent event);
  void announce();
  void start(const StartTask& command);
  void stop(const StopTask& command);
  void remove(const std::string& task_id);
  void list();
  /// Does `action` after `wait` unless the container was begun anew or is gone by then.
  void later(const std::string& task_id, Duration wait, std::function<void(Container&)> action);
  void run_now(Container& container);
  [[nodiscard]] Duration between(Duration least, Duration spread);

  EventQueue* queue_;
  Rng rng_;
  std::function<void()> changed_;
  std::function<void(const ContainerInfo&)> stopping_;
  EnginePace pace_;
  Listener listener_;
  uint64_t attachment_ = 0;
  bool up_ = true;
  std::map<std::string, Container> containers_;
  uint64_t next_id_ = 1;
  uint64_t next_step_ = 1;
  uint64_t starts_ = 0;
  uint64_t changes_ = 0;
  std::string start_fault_;
};

}  // namespace kith::sim
