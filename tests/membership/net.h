#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "gossip/disseminator.h"
#include "membership/swim.h"

namespace kith::test {

using namespace std::chrono_literals;

[[nodiscard]] NodeId node_id(size_t i, uint64_t salt = 0);

/// A network of Swims in virtual time, each with a real Disseminator: datagrams with latency and
/// loss, streams that retransmit, cuts by direction, and four ways to be out of order: the host's
/// power gone, its agent alone gone, its process stopped, its messages held.
class Net {
 public:
  struct Log {
    Instant at;
    size_t node;
    MemberEvent event;
  };

  /// `acquainted`: all know all from the start.
  Net(size_t n, const SwimConfig& config, uint64_t seed, bool acquainted = true);

  // --- Nodes -----------------------------------------------------------------------------------
  /// A further node that knows nobody.
  size_t add(const std::string& name);
  void start(size_t i, Epoch epoch);
  /// A stream sync, both ways; also what a joiner does with its seed.
  void sync(size_t a, size_t b);

  // --- Faults ----------------------------------------------------------------------------------
  /// The power goes: nothing answers.
  void crash(size_t i);
  /// The agent alone goes: the host refuses its streams.
  void kill(size_t i);
  /// The process stops, its timers with it; what arrives waits, and is read before any timer.
  void freeze(size_t i, Duration d);
  /// Blocked just before each send and just after each receive, while its timers go on (Lifeguard
  /// section V). What waited is read one message in 50 us, what it would send goes out at once.
  void hold(size_t i, Duration d);
  unsigned loss_percent = 0;
  std::function<bool(size_t from, size_t to)> udp_cut = [](size_t, size_t) { return false; };
  std::function<bool(size_t from, size_t to)> cut = [](size_t, size_t) { return false; };

  // --- Looking ---------------------------------------------------------------------------------
  [[nodiscard]] Swim& swim(size_t i) { return *nodes_[i]->swim; }
  [[nodiscard]] NodeId id(size_t i) const { return nodes_[i]->id; }
  [[nodiscard]] size_t size() const { return nodes_.size(); }
  [[nodiscard]] bool up(size_t i) const { return nodes_[i]->up; }
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] Rng& rng() { return rng_; }
  /// size() for a stranger.
  [[nodiscard]] size_t index(const NodeId& wanted) const;
  [[nodiscard]] MemberState state(size_t viewer, size_t subject) const;
  /// Whether every running node but the subject holds it for this.
  [[nodiscard]] bool all_see(size_t subject, MemberState wanted) const;
  [[nodiscard]] bool all_alive() const;
  [[nodiscard]] size_t count(MemberEventKind kind) const;
  /// Everything that happened, as a number: two runs of one seed must agree.
  [[nodiscard]] uint64_t trace() const { return trace_; }
  std::vector<Log> log;
  size_t redials = 0;
  size_t datagrams = 0;
  size_t bytes = 0;
  size_t stream_pings = 0;

  // --- Time ------------------------------------------------------------------------------------
  template <class Do>
  void with(size_t i, Do what) {
    SwimEffects out;
    what(*nodes_[i]->swim, out);
    apply(i, out);
    arm(i);
  }
  void at(Instant when, std::function<void()> what);
  void run(Duration d);
  /// True as soon as `done` holds; false after `limit`.
  bool run_until(const std::function<bool()>& done, Duration limit);

 private:
  static constexpr size_t kMaxInbox = 2000;
  static constexpr Duration kReading = std::chrono::microseconds(50);

  struct Node {
    NodeId id;
    std::string name;
    bool up = true;
    bool powered = true;
    Instant frozen_until{};
    Instant held_until{};
    bool reading = false;  ///< what waited while its messages were held
    std::unique_ptr<Swim> swim;
    std::unique_ptr<Disseminator> news;
    std::deque<std::function<void()>> inbox;
    std::vector<std::function<void()>> outbox;
    Instant armed = kNever;
    uint64_t generation = 0;
  };
  struct Event {
    Instant at;
    uint64_t seq;
    std::function<void()> what;
    bool operator<(const Event& o) const { return at != o.at ? at > o.at : seq > o.seq; }
  };

  [[nodiscard]] bool frozen(size_t i) const { return nodes_[i]->frozen_until > now_; }
  [[nodiscard]] bool held(size_t i) const { return nodes_[i]->held_until > now_; }
  [[nodiscard]] Duration latency();
  [[nodiscard]] bool lost() { return loss_percent > 0 && rng_.below(100) < loss_percent; }
  void arrive(size_t to, Duration after, std::function<void()> what);
  void release(size_t i);
  void read_on(size_t i, uint64_t generation);
  void leave(size_t from, std::function<void()> what);
  void datagram(size_t from, size_t to, const Message& message, const Endpoint& address);
  void deliver(size_t from, size_t to, const Message& message, uint64_t hash);
  void stream(size_t from, size_t to, std::function<void()> what,
              std::function<void()> refused = {});
  void apply(size_t i, SwimEffects& out);
  void stream_ping(size_t i, const StreamPing& ping);
  void arm(size_t i);
  void wake(size_t i);

  SwimConfig config_;
  Rng rng_;
  Instant now_ = Instant{} + 1h;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<NodeId, size_t> by_id_;
  std::priority_queue<Event> queue_;
  uint64_t seq_ = 0;
  uint64_t trace_ = 0;
};

}  // namespace kith::test
