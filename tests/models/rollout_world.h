#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "rollout.h"

namespace kith::model {

/// True milliseconds since the world began.
using Millis = int64_t;
/// A set of slots, by bit.
using Slots = uint32_t;

constexpr int kNobody = -1;
constexpr size_t kMaxHosts = 5;
constexpr size_t kMaxSlots = 8;

struct Stamp {
  int64_t wall = 0;
  uint32_t logical = 0;
  int author = kNobody;
  int step = 0;  ///< 1: the rollback of the document with this stamp
  auto operator<=>(const Stamp&) const = default;
};

struct Doc {
  Stamp stamp;
  uint64_t generation = 1;
  int spec = 0;     ///< the task template, by number
  int settled = 0;  ///< the last one whose rollout has ended well
  bool rollback = false;
  auto operator<=>(const Doc&) const = default;
  [[nodiscard]] bool created() const { return generation == 1; }
};

/// rollout/<service>/<generation>: joined by union.
struct Rollout {
  Slots stable = 0;
  Slots failed = 0;
};

enum class Phase : uint8_t { kNone, kStarting, kRunning, kFailed };

struct Task {
  Phase phase = Phase::kNone;
  int spec = 0;
  Stamp doc;  ///< that it was started by or found to fit; none: a takeover of a slot not open
  bool stable = false;
};

/// A host's record of its own tasks.
struct Said {
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  std::array<Task, kMaxSlots> tasks;
};

/// What hosts tell each other.
struct Known {
  Doc doc;
  std::map<Stamp, Rollout> rollouts;
  std::array<Said, kMaxHosts> said;
};

struct Copy {
  Task task;
  Millis since = 0;   ///< of its phase
  Millis due = 0;     ///< of the phase's end; of a running one: of its failure
  Millis opened = 0;  ///< its first start
};

enum class Quality : uint8_t { kGood, kFlaky, kBad, kStuck };
enum class OnFailure : uint8_t { kPause, kContinue, kRollback };

struct RolloutHost {
  bool up = true;
  Millis back_at = 0;
  Millis quiet_until = 0;    ///< boot pause
  Millis trouble_until = 0;  ///< its engine fails most starts
  Millis clock_ahead = 0;
  Known known;
  std::array<Copy, kMaxSlots> copies;
  std::array<Millis, kMaxHosts> heard{};
  std::array<Millis, kMaxHosts> mistaken_until{};  ///< taken for dead
};

struct RolloutLetter {
  size_t from = 0;
  size_t to = 0;
  std::shared_ptr<const Known> known;
};

class RolloutWorld {
 public:
  RolloutWorld(uint64_t seed, RolloutDefect defect);
  RolloutRun run();

 private:
  [[nodiscard]] bool has(RolloutDefect defect) const { return defect_ == defect; }
  [[nodiscard]] Slots all() const { return (Slots{1} << slots_) - 1; }
  [[nodiscard]] Slots before(size_t slot) const {
    return (Slots{1} << slot / parallelism_ * parallelism_) - 1;
  }
  [[nodiscard]] bool too_many(Slots failed) const;
  [[nodiscard]] bool ended_well(const Doc& doc, const Rollout& rollout) const;

  // The rule.
  [[nodiscard]] bool dead(size_t at, size_t other) const;
  [[nodiscard]] Rollout rollout_of(size_t at, const Stamp& doc) const;
  [[nodiscard]] size_t copies_stable(size_t at, const Stamp& doc) const;
  [[nodiscard]] bool open(size_t at, size_t slot) const;
  [[nodiscard]] bool is_target(size_t at, size_t slot) const;
  void tend(size_t at);
  void tend_slot(size_t at, size_t slot);
  void grow(size_t at, size_t slot);
  void begin(size_t at, size_t slot);
  void fail(size_t at, size_t slot);
  void maybe_roll_back(size_t at);
  void update(size_t at);
  void take(size_t at, size_t from, const Known& news);

  // The world.
  void step();
  void injure();
  void talk(size_t at);
  void lose(size_t at);
  void come_back(size_t at);
  [[nodiscard]] bool fails(size_t at, int spec);

  // The checkers; what they hold a host to is what it was ever told.
  void happened(const Stamp& doc, const Rollout& news);
  void check_start(size_t at, size_t slot, const Task& task);
  void check_takeover(size_t at, size_t slot, int spec);
  void check_rollback(const Doc& failed, const Doc& doc);
  [[nodiscard]] bool ended(std::string& why) const;
  void wrong(const std::string& what);

  RolloutDefect defect_;
  Rng rng_;
  Millis now_ = 0;
  bool faulty_ = true;
  size_t slots_ = 0;
  size_t parallelism_ = 1;
  size_t tolerated_ = 0;
  OnFailure on_failure_{};
  uint64_t loss_ = 0;
  std::vector<RolloutHost> hosts_;
  std::vector<int> group_;
  std::vector<Quality> specs_;
  std::multimap<Millis, RolloutLetter> mail_;
  // Truth.
  std::map<Stamp, Rollout> truth_;
  std::map<Stamp, Slots> opened_;
  std::set<int> proven_{0};  ///< specs whose rollout ended well at some time
  std::vector<Doc> edits_;
  std::map<Stamp, Doc> rolled_back_;  ///< by the stamp of what failed
  RolloutRun out_;
};

}  // namespace kith::model
