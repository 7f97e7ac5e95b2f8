#pragma once

#include <cstdio>
#include <functional>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "base/hash.h"
#include "gossip/disseminator.h"
#include "membership/swim.h"

namespace kith::test {

using namespace std::chrono_literals;

[[nodiscard]] inline NodeId node_id(size_t i, uint64_t salt = 0) {
  NodeId id;
  for (size_t word = 0; word < 4; ++word) {
    const uint64_t h = stable_hash(std::to_string(i), salt * 4 + word);
    for (size_t b = 0; b < 8; ++b) id.key[word * 8 + b] = static_cast<uint8_t>(h >> (8 * b));
  }
  return id;
}

/// A network of Swims in virtual time, each with a real Disseminator: datagrams with latency and
/// loss, streams that retransmit, cuts by direction, freezes that queue what arrives.
class Net {
 public:
  struct Log {
    Instant at;
    size_t node;
    MemberEvent event;
  };

  Net(size_t n, const SwimConfig& config, uint64_t seed) : config_(config), rng_(seed) {
    for (size_t i = 0; i < n; ++i) {
      add("n" + std::to_string(i));
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        SwimEffects nothing;
        if (i != j) nodes_[i]->swim->hear(nodes_[j]->swim->self_rumor(), id(j), now_, nothing);
      }
      arm(i);
    }
  }

  /// A further node that knows nobody.
  size_t add(const std::string& name) {
    nodes_.push_back(std::make_unique<Node>());
    Node& node = *nodes_.back();
    node.id = node_id(nodes_.size() - 1, 1);
    node.name = name;
    start(nodes_.size() - 1, 1);
    return nodes_.size() - 1;
  }
  void start(size_t i, Epoch epoch) {
    Node& node = *nodes_[i];
    node.up = true;
    node.frozen_until = now_;
    node.inbox.clear();
    node.swim = std::make_unique<Swim>(
        SwimSelf{node.id, node.name, {"10.0.0." + std::to_string(i), 7117}, epoch, rng_.next()},
        config_, rng_.split(), now_);
    GossipConfig gossip;
    gossip.gossip_interval = config_.gossip_interval;
    gossip.retransmit_mult = config_.retransmit_factor;
    node.news = std::make_unique<Disseminator>(gossip, rng_.split());
    ++node.generation;
    arm(i);
  }
  /// A stream sync, both ways; also what a joiner does with its seed.
  void sync(size_t a, size_t b) {
    const auto roster = nodes_[a]->swim->roster();
    stream(a, b, [this, a, b, roster] {
      const auto answer = nodes_[b]->swim->roster();
      with(b, [&](Swim& s, SwimEffects& out) { s.hear_roster(roster, id(a), now_, out); });
      stream(b, a, [this, a, b, answer] {
        with(a, [&](Swim& s, SwimEffects& out) { s.hear_roster(answer, id(b), now_, out); });
      });
    });
  }
  void crash(size_t i) { nodes_[i]->up = false; }
  void freeze(size_t i, Duration d) {
    Node& node = *nodes_[i];
    node.frozen_until = std::max(node.frozen_until, now_ + d);
    at(node.frozen_until, [this, i] { wake(i); });
  }

  [[nodiscard]] Swim& swim(size_t i) { return *nodes_[i]->swim; }
  [[nodiscard]] NodeId id(size_t i) const { return nodes_[i]->id; }
  [[nodiscard]] size_t size() const { return nodes_.size(); }
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] Rng& rng() { return rng_; }
  [[nodiscard]] size_t index(const NodeId& wanted) const {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i]->id == wanted) return i;
    }
    return nodes_.size();
  }
  [[nodiscard]] MemberState state(size_t viewer, size_t subject) const {
    return nodes_[viewer]->swim->find(id(subject))->state;
  }
  /// Whether every running node but the subject holds it for this.
  [[nodiscard]] bool all_see(size_t subject, MemberState wanted) const {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (i == subject || !nodes_[i]->up) continue;
      const Member* m = nodes_[i]->swim->find(id(subject));
      if (m == nullptr || m->state != wanted) return false;
    }
    return true;
  }
  [[nodiscard]] bool all_alive() const {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i]->up && !all_see(i, MemberState::kAlive)) return false;
    }
    return true;
  }
  [[nodiscard]] size_t count(MemberEventKind kind) const {
    size_t n = 0;
    for (const Log& entry : log) n += entry.event.kind == kind;
    return n;
  }
  /// Everything that happened, as text: two runs of one seed must agree.
  [[nodiscard]] uint64_t trace() const { return trace_; }

  template <class Do>
  void with(size_t i, Do what) {
    SwimEffects out;
    what(*nodes_[i]->swim, out);
    apply(i, out);
    arm(i);
  }
  void at(Instant when, std::function<void()> what) {
    queue_.push({when, seq_++, std::move(what)});
  }
  void run(Duration d) {
    run_until([] { return false; }, d);
  }
  /// True as soon as `done` holds; false after `limit`.
  bool run_until(const std::function<bool()>& done, Duration limit) {
    const Instant end = now_ + limit;
    if (done()) return true;
    while (!queue_.empty() && queue_.top().at <= end) {
      const auto what = queue_.top().what;
      now_ = queue_.top().at;
      queue_.pop();
      what();
      if (done()) return true;
    }
    now_ = end;
    return false;
  }

  unsigned loss_percent = 0;
  std::function<bool(size_t from, size_t to)> udp_cut = [](size_t, size_t) { return false; };
  std::function<bool(size_t from, size_t to)> cut = [](size_t, size_t) { return false; };
  std::vector<Log> log;
  size_t redials = 0;
  size_t datagrams = 0;
  size_t bytes = 0;

 private:
  struct Node {
    NodeId id;
    std::string name;
    bool up = true;
    Instant frozen_until{};
    std::unique_ptr<Swim> swim;
    std::unique_ptr<Disseminator> news;
    std::vector<std::function<void()>> inbox;
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
  [[nodiscard]] Duration latency() {
    const Duration d(150'000 + rng_.below(450'000));
    return rng_.below(500) == 0 ? d + Duration(rng_.below(20'000'000)) : d;
  }
  [[nodiscard]] bool lost() { return loss_percent > 0 && rng_.below(100) < loss_percent; }

  void arrive(size_t to, Duration after, std::function<void()> what) {
    const uint64_t generation = nodes_[to]->generation;
    at(now_ + after, [this, to, generation, what = std::move(what)] {
      Node& node = *nodes_[to];
      if (!node.up || node.generation != generation) return;
      if (frozen(to)) {
        if (node.inbox.size() < 2000) node.inbox.push_back(what);
      } else {
        what();
      }
    });
  }
  void datagram(size_t from, size_t to, const Message& message, const Endpoint& address) {
    ++datagrams;
    bytes += encode(message).size() + kSealOverhead + 28;
    if (to >= nodes_.size() || cut(from, to) || udp_cut(from, to) || lost()) return;
    if (address.host != "10.0.0." + std::to_string(to)) return;
    arrive(to, latency(), [this, from, to, message] { deliver(from, to, message); });
  }
  void deliver(size_t from, size_t to, const Message& message) {
    trace_ = hash_combine(
        trace_,
        stable_hash(encode(message), static_cast<uint64_t>(now_.time_since_epoch().count())));
    with(to, [&](Swim& s, SwimEffects& out) {
      for (const Rumor& rumor : message.rumors) {
        s.hear(std::get<MemberRumor>(rumor), id(from), now_, out);
      }
      s.receive(id(from), {"10.0.0." + std::to_string(from), 7117}, message.body, now_, out);
    });
  }
  /// One way over an existing or new stream; lost segments are sent again by the kernel.
  void stream(size_t from, size_t to, std::function<void()> what) {
    if (to >= nodes_.size() || cut(from, to) || cut(to, from)) return;
    Duration d = latency() * 3;
    for (int tries = 0; lost(); ++tries) {
      if (tries == 4) return;
      d += 1s;
    }
    arrive(to, d, std::move(what));
  }
  void apply(size_t i, SwimEffects& out) {
    Node& node = *nodes_[i];
    node.news->set_cluster_size(node.swim->present_count());
    std::vector<GossipSend> gossip;
    for (const bool own : {true, false}) {
      std::vector<MemberRumor> urgent;
      for (const MemberNews& news : out.news) {
        if (news.from.none() == own && news.urgent) urgent.push_back(news.rumor);
      }
      node.news->urgent(urgent, own, now_, node.swim->peers(), gossip);
    }
    for (const SwimSend& send : out.sends) {
      Message message{send.body, 0, {}};
      for (const MemberRumor& rumor : send.rumors) message.rumors.emplace_back(rumor);
      node.news->piggyback(message, now_);
      datagram(i, index(send.to), message, send.address);
    }
    for (const GossipSend& send : gossip)
      datagram(i, index(send.to.id), send.message, send.to.address);
    for (const MemberEvent& event : out.events) log.push_back({now_, i, event});
    for (const StreamPing& ping : out.stream_pings) stream_ping(i, ping);
    for (const Redial& redial : out.redials) {
      ++redials;
      sync(i, index(redial.to));
    }
  }
  void stream_ping(size_t i, const StreamPing& ping) {
    const size_t to = index(ping.to);
    stream(i, to, [this, i, to, ping] {
      std::vector<MemberRumor> answer;
      with(to, [&](Swim& s, SwimEffects& out) {
        for (const MemberRumor& rumor : ping.rumors) s.hear(rumor, id(i), now_, out);
        answer = s.answer_for(id(i));
      });
      stream(to, i, [this, i, to, ping, answer] {
        with(i, [&](Swim& s, SwimEffects& out) {
          for (const MemberRumor& rumor : answer) s.hear(rumor, id(to), now_, out);
          s.stream_ack(id(to), ping.nonce, now_, out);
        });
      });
    });
  }
  void arm(size_t i) {
    Node& node = *nodes_[i];
    const Instant next =
        std::max(now_, std::min(node.swim->next_deadline(), node.news->next_deadline()));
    if (next == node.armed || next == kNever) return;
    node.armed = next;
    const uint64_t generation = node.generation;
    at(next, [this, i, next, generation] {
      if (nodes_[i]->armed == next && nodes_[i]->generation == generation) wake(i);
    });
  }
  void wake(size_t i) {
    Node& node = *nodes_[i];
    if (!node.up || frozen(i)) return;
    if (node.armed != kNever && node.armed < now_) node.swim->stalled(now_ - node.armed, now_);
    node.armed = kNever;
    const auto waiting = std::move(node.inbox);
    node.inbox.clear();
    for (const auto& what : waiting) what();
    with(i, [&](Swim& s, SwimEffects& out) { s.advance(now_, out); });
    std::vector<GossipSend> gossip;
    node.news->advance(now_, node.swim->peers(), gossip);
    for (const GossipSend& send : gossip)
      datagram(i, index(send.to.id), send.message, send.to.address);
    node.armed = kNever;
    arm(i);
  }

  SwimConfig config_;
  Rng rng_;
  Instant now_ = Instant{} + 1h;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::priority_queue<Event> queue_;
  uint64_t seq_ = 0;
  uint64_t trace_ = 0;
};

}  // namespace kith::test
