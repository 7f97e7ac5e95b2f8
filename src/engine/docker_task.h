#pragma once

// What DockerHost knows of one task: for its own sources only.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "engine/container_spec.h"
#include "engine/docker_host.h"

namespace kith {

struct DockerHost::Task {
  /// Ended tasks whose container is still there are kKnown. A place among the parallel starts is
  /// held in kStarting alone: a slow pull keeps nobody waiting.
  enum class Phase : uint8_t { kKnown, kWaiting, kPulling, kStarting, kRunning, kStopping };

  explicit Task(Loop& loop, std::function<void()> on_retry) : retry(loop, std::move(on_retry)) {}

  std::string id;
  Phase phase = Phase::kKnown;
  StartTask start;
  ContainerSpec spec;
  std::string container;  ///< its id, or its name until the engine has said the id; empty: none
  uint32_t pid = 0;
  uint64_t process_start = 0;                 ///< of /proc/<pid>/stat: a pid may be given anew
  std::optional<Duration> stop_after_answer;  ///< the grace of a stop that awaits create or start
  Duration grace{};
  Duration retry_pause{};
  int32_t exit_code = 0;
  bool out_of_memory = false;
  bool exited_early = false;  ///< ended before its start was answered
  bool image_pulled = false;
  bool told_gone = false;  ///< by TaskGone; its container is still to be removed
  HttpCall call;
  Timer retry;

  // A pull.
  std::string line;
  std::string pull_error;
  std::map<std::string, uint32_t> layers;  ///< percent done
  Instant progress_told;
};

/// What happens while it is under way outdates what the engine has answered before.
struct DockerHost::Listing {
  std::deque<std::string> to_inspect;
  std::map<std::string, HttpCall> inspecting;
  std::map<std::string, ContainerInfo> found;  ///< by container id
  std::set<std::string> vague;                 ///< of these, only what the list says is known
  std::map<std::string, int32_t> ended;        ///< containers and their exit codes
  std::map<std::string, Health> health;        ///< what became of it meanwhile
  std::set<std::string> removed;               ///< containers
  std::set<std::string> started;               ///< containers, by this host: `found` is newer
  HttpCall call;
};

/// In ticks since boot; 0 if there is no such process, or only its zombie.
[[nodiscard]] uint64_t process_start_time(uint32_t pid);
constexpr Duration kMaxGrace = std::chrono::hours(24 * 365);  ///< of what an engine says
/// What a container inspection says; kInvalid if it is not one of ours.
[[nodiscard]] Result<ContainerInfo> container_info(const std::string& inspected);
constexpr size_t kMaxWords = 1'000;  ///< bytes of others' text: it travels in records
/// Without line ends; what is longer than kMaxWords ends in ` ...`, never within a character.
[[nodiscard]] std::string one_line(std::string text);
/// The engine's own words in an error answer, on one line.
[[nodiscard]] std::string engine_words(const HttpResponse& response);

}  // namespace kith
