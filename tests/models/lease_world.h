#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "lease.h"

namespace kith::model {

/// True milliseconds since the world began.
using Millis = int64_t;
/// Microseconds on one host's own clock (CLOCK_BOOTTIME).
using Local = int64_t;

struct Ballot {
  uint64_t counter = 0;
  int host = -1;
  uint64_t boot = 0;
  auto operator<=>(const Ballot&) const = default;
};

enum class Say : uint8_t { kPrepare, kPromise, kRefuse, kPropose, kAccepted };

struct Letter {
  Millis due = 0;
  int from = 0;
  int to = 0;
  Say say{};
  Ballot ballot;
  size_t list = 0;       ///< index into the lists: who is asked, or who answers, holds this one
  uint64_t boot = 0;     ///< of the voter whose promise this answers or is
  uint64_t counter = 0;  ///< the highest that the voter knows
};

struct VoterList {
  std::set<int> voters;
  std::pair<uint64_t, uint64_t>
      rank;  ///< its number, then (by the last writer only) the writer's stamp
};

/// What a voter holds in memory only, and the list, which is on disk.
struct Voter {
  uint64_t boot = 1;
  Local silent_until = 0;
  Ballot promised;
  int holder = -1;
  Local expires = 0;
  size_t list = 0;
  Local list_since = 0;
};

struct Round {
  Ballot ballot;
  size_t list = 0;
  Local asked = 0;
  Local sent = 0;
  Local proposed = -1;
  std::map<int, uint64_t> promises;  ///< the boots of who promised
  std::set<int> accepts;
  size_t replies = 0;  ///< of this phase, repeated ones too
};

enum class Container : uint8_t { kNone, kRunning, kStopping };

struct LeaseHost {
  int64_t rate = 1000;  ///< its microseconds in a true millisecond
  bool machine = true;
  bool agent = true;
  Millis frozen_until = 0;
  Millis back_at = 0;
  Voter voter;
  std::optional<Round> round;
  uint64_t counter = 0;
  Local next_try = 0;
  Local yields_until = 0;  ///< drained: it does not ask
  Container copy = Container::kNone;
  Local contact = 0;          ///< what the lease is timed from
  Local ends = 0;             ///< of a container that was told to stop
  Local deadline = 0;         ///< the guard's
  std::vector<Letter> inbox;  ///< while frozen
};

class LeaseWorld {
 public:
  LeaseWorld(uint64_t seed, LeaseDefect defect);
  LeaseRun run();
  LeaseRun play_forgotten_promise();

 private:
  [[nodiscard]] bool has(LeaseDefect defect) const { return defect_ == defect; }
  [[nodiscard]] Local clock(int host) const { return hosts_[host].rate * now_; }
  [[nodiscard]] bool awake(const LeaseHost& host) const {
    return host.machine && host.agent && now_ >= host.frozen_until;
  }
  [[nodiscard]] bool linked(int from, int to) const;
  [[nodiscard]] const std::set<int>& voters(size_t list) const { return lists_[list].voters; }
  [[nodiscard]] size_t majority(size_t list) const;
  [[nodiscard]] bool same_list(size_t a, size_t b) const {
    return a == b || has(LeaseDefect::kMixesLists);
  }

  void step();
  void post(Letter letter);
  void deliver(const Letter& letter);
  // The voter's part.
  void expire(int at);
  void prepared(const Letter& letter);
  void proposed(const Letter& letter);
  // The part of who asks.
  void ask(int at);
  void send_round(int at);
  void answered(const Letter& letter);
  void won(int at, const Round& round);
  void tend(int at);
  void guard(int at);
  // The voters' list.
  void gossip();
  void change_voters();
  void adopt(int at, size_t list);
  // Faults.
  void injure();
  void injure_links();
  void lose_agent(int at, bool machine);
  void come_back(int at);
  void begin_calm();
  void check();
  void wrong(const std::string& what);

  LeaseDefect defect_;
  Rng rng_;
  Millis now_ = 0;
  Millis calm_at_ = 0;
  std::vector<LeaseHost> hosts_;
  std::vector<VoterList> lists_;
  std::multimap<Millis, Letter> mail_;
  std::vector<int> group_;              ///< by host: who is with whom
  std::set<std::pair<int, int>> cuts_;  ///< one way
  uint64_t loss_ = 0;                   ///< percent
  uint64_t late_ = 0;                   ///< percent of letters that come seconds late
  uint64_t gossip_ = 1;                 ///< a host tells another of its list once in so many steps
  uint64_t restart_ = 0;                ///< how often agents die, of 10,000 steps
  std::set<int> kept_;                  ///< the majority that is left after the faults
  Millis regained_ = 0;
  LeaseRun out_;
};

}  // namespace kith::model
