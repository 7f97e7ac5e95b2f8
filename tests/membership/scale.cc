#include "membership/scale.h"

#include <cmath>
#include <functional>
#include <memory>
#include <queue>
#include <variant>
#include <vector>

#include "membership/net.h"

namespace kith::test {

namespace {

class Clock {
 public:
  void at(Instant when, std::function<void()> what) {
    queue_.push({when, next_++, std::move(what)});
  }
  [[nodiscard]] Instant now() const { return now_; }
  /// False once nothing is left to do before `end`.
  bool step(Instant end) {
    if (queue_.empty() || queue_.top().at > end) return false;
    const Event event = queue_.top();
    queue_.pop();
    now_ = event.at;
    event.what();
    return true;
  }

 private:
  struct Event {
    Instant at;
    uint64_t number;
    std::function<void()> what;
    bool operator<(const Event& o) const { return at != o.at ? at > o.at : number > o.number; }
  };
  std::priority_queue<Event> queue_;
  Instant now_ = Instant{} + 1h;
  uint64_t next_ = 0;
};

Duration latency(Rng& rng) {
  return Duration(150'000 + rng.below(450'000));
}

Endpoint address_of(size_t i) {
  return {"10." + std::to_string(i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
              std::to_string(i % 256),
          7117};
}

MemberRumor alive(size_t i) {
  MemberRumor r;
  r.subject = node_id(i, 1);
  r.incarnation = first_incarnation(1);
  r.epoch = 1;
  r.boot = i + 1;
  r.name = "n" + std::to_string(i);
  r.address = address_of(i);
  return r;
}

size_t wire_size(const Body& body) {
  return encode(Message{body, 0, {}}).size() + kSealOverhead + 28;
}

/// Few whole members among many that only ping and answer.
class Few {
 public:
  Few(size_t members, size_t whole, uint64_t seed)
      : rng_(seed), members_(members), config_(SwimConfig::lan()) {
    for (size_t i = 0; i < members; ++i) ids_[node_id(i, 1)] = i;
    for (size_t i = 0; i < whole; ++i) {
      const MemberRumor me = alive(i);
      whole_.push_back(std::make_unique<Swim>(SwimSelf{me.subject, me.name, me.address, 1, me.boot},
                                              config_, rng_.split(), clock_.now()));
      SwimEffects nothing;
      for (size_t j = 0; j < members; ++j) {
        if (j != i) whole_[i]->hear(alive(j), me.subject, clock_.now(), nothing);
      }
      arm(i);
    }
    for (size_t i = whole; i < members; ++i) {
      clock_.at(clock_.now() + after_a_while(true), [this, i] { ping_somebody(i); });
    }
  }
  Load run(Duration time) {
    const Instant warm = clock_.now() + 10s;
    while (clock_.step(warm)) {
    }
    datagrams_ = bytes_ = 0;
    while (clock_.step(warm + time)) {
    }
    const double by =
        static_cast<double>(whole_.size()) * std::chrono::duration<double>(time).count();
    return {static_cast<double>(datagrams_) / by, static_cast<double>(bytes_) / by};
  }

 private:
  Duration after_a_while(bool first) {
    const auto whole = static_cast<uint64_t>(config_.interval(members_).count());
    return Duration(first ? rng_.below(whole) : whole * 97 / 100 + rng_.below(whole * 6 / 100));
  }
  void ping_somebody(size_t i) {
    const size_t to = rng_.below(members_);
    if (to < whole_.size() && to != i) receive(i, to, Ping{rng_.next()});
    clock_.at(clock_.now() + after_a_while(false), [this, i] { ping_somebody(i); });
  }
  void receive(size_t from, size_t to, const Body& body) {
    clock_.at(clock_.now() + latency(rng_), [this, from, to, body] {
      SwimEffects out;
      whole_[to]->receive(node_id(from, 1), address_of(from), body, clock_.now(), out);
      apply(to, out);
    });
  }
  void apply(size_t i, const SwimEffects& out) {
    for (const SwimSend& send : out.sends) {
      ++datagrams_;
      bytes_ += wire_size(send.body);
      const size_t to = ids_.at(send.to);
      if (to < whole_.size()) {
        receive(i, to, send.body);
      } else if (const auto* ping = std::get_if<Ping>(&send.body)) {
        const Ack ack{ping->nonce};
        clock_.at(clock_.now() + latency(rng_), [this, i, to, ack] { receive(to, i, ack); });
      }
    }
    arm(i);
  }
  void arm(size_t i) {
    const Instant next = std::max(clock_.now(), whole_[i]->next_deadline());
    clock_.at(next, [this, i, next] {
      if (whole_[i]->next_deadline() > next) return;
      SwimEffects out;
      whole_[i]->advance(clock_.now(), out);
      apply(i, out);
    });
  }

  Clock clock_;
  Rng rng_;
  size_t members_;
  SwimConfig config_;
  std::map<NodeId, size_t> ids_;
  std::vector<std::unique_ptr<Swim>> whole_;
  uint64_t datagrams_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace

Load load_of_all(size_t members, unsigned loss_percent, Duration time, uint64_t seed) {
  Net net(members, SwimConfig::lan(), seed);
  net.loss_percent = loss_percent;
  net.run(10s);
  const size_t datagrams = net.datagrams;
  const size_t bytes = net.bytes;
  net.run(time);
  const double by = static_cast<double>(members) * std::chrono::duration<double>(time).count();
  return {static_cast<double>(net.datagrams - datagrams) / by,
          static_cast<double>(net.bytes - bytes) / by};
}

Load load_of_some(size_t members, size_t whole, Duration time, uint64_t seed) {
  return Few(members, std::min(members, whole), seed).run(time);
}

Spread spread_of_news(size_t members, unsigned loss_percent, bool urgent, uint64_t seed) {
  const SwimConfig config = SwimConfig::lan();
  GossipConfig gossip;
  gossip.gossip_interval = config.gossip_interval;
  gossip.gossip_fanout = config.gossip_fan_out;
  gossip.retransmit_mult = config.retransmit_factor;
  gossip.urgent_fanout = config.urgent_fan_out;
  Clock clock;
  Rng rng(seed);
  std::vector<Peer> peers;
  std::map<NodeId, size_t> ids;
  std::vector<std::unique_ptr<Disseminator>> nodes;
  for (size_t i = 0; i < members; ++i) {
    peers.push_back({node_id(i, 1), address_of(i)});
    ids[peers.back().id] = i;
    nodes.push_back(std::make_unique<Disseminator>(gossip, rng.split()));
    nodes.back()->set_cluster_size(members);
  }
  const MemberRumor news = alive(members);
  std::vector<bool> knows(members, false);
  const Instant began = clock.now();
  Spread spread;
  uint64_t sent = 0;
  std::function<void(size_t, bool)> hear;
  std::function<void(size_t)> tick;
  const auto carry = [&](const std::vector<GossipSend>& sends) {
    for (const GossipSend& send : sends) {
      ++sent;
      const size_t to = ids.at(send.to.id);
      if (rng.chance(loss_percent, 100)) continue;
      clock.at(clock.now() + latency(rng), [&hear, to] { hear(to, false); });
    }
  };
  tick = [&](size_t i) {
    std::vector<GossipSend> sends;
    nodes[i]->advance(clock.now(), peers, sends);
    carry(sends);
    const Instant next = nodes[i]->next_deadline();
    if (next != kNever) clock.at(std::max(next, clock.now()), [&tick, i] { tick(i); });
  };
  hear = [&](size_t i, bool own) {
    if (knows[i]) return;
    knows[i] = true;
    ++spread.reached;
    const double at = std::chrono::duration<double>(clock.now() - began).count();
    if (2 * spread.reached >= members && spread.half < 0) spread.half = at;
    if (spread.reached == members) spread.all = at;
    if (urgent) {
      std::vector<GossipSend> sends;
      nodes[i]->urgent(std::span<const MemberRumor>(&news, 1), own, clock.now(), peers, sends);
      carry(sends);
    } else {
      nodes[i]->spread(news, clock.now());
    }
    // Each member's ticks have a phase of their own.
    const Duration phase(rng.below(static_cast<uint64_t>(gossip.gossip_interval.count())));
    clock.at(clock.now() + phase, [&tick, i] { tick(i); });
  };
  hear(0, true);
  while (clock.step(began + 60s)) {
  }
  spread.datagrams = static_cast<double>(sent) / static_cast<double>(members);
  return spread;
}

unsigned rounds_by_theory(size_t members, double fan_out, unsigned loss_percent) {
  const auto n = static_cast<double>(members);
  const double told = fan_out * (100.0 - loss_percent) / 100;
  double knows = 1;
  unsigned rounds = 0;
  while (n - knows >= 0.5 && rounds < 1000) {
    knows += (n - knows) * (1 - std::pow(1 - 1 / n, told * knows));
    ++rounds;
  }
  return rounds;
}

}  // namespace kith::test
