#include "membership/net.h"

#include <utility>

#include "base/hash.h"

namespace kith::test {

namespace {

std::string host_of(size_t i) {
  return "10.0.0." + std::to_string(i);
}

}  // namespace

NodeId node_id(size_t i, uint64_t salt) {
  NodeId id;
  for (size_t word = 0; word < 4; ++word) {
    const uint64_t h = stable_hash(std::to_string(i), salt * 4 + word);
    for (size_t b = 0; b < 8; ++b) id.key[word * 8 + b] = static_cast<uint8_t>(h >> (8 * b));
  }
  return id;
}

// --- Nodes -------------------------------------------------------------------------------------

Net::Net(size_t n, const SwimConfig& config, uint64_t seed, bool acquainted)
    : config_(config), rng_(seed) {
  for (size_t i = 0; i < n; ++i) add("n" + std::to_string(i));
  if (!acquainted) return;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      SwimEffects nothing;
      if (i != j) nodes_[i]->swim->hear(nodes_[j]->swim->self_rumor(), id(j), now_, nothing);
    }
    arm(i);
  }
}

size_t Net::add(const std::string& name) {
  const size_t i = nodes_.size();
  nodes_.push_back(std::make_unique<Node>());
  Node& node = *nodes_.back();
  node.id = node_id(i, 1);
  node.name = name;
  by_id_[node.id] = i;
  start(i, 1);
  return i;
}

void Net::start(size_t i, Epoch epoch) {
  Node& node = *nodes_[i];
  node.up = true;
  node.powered = true;
  node.frozen_until = now_;
  node.held_until = now_;
  node.reading = false;
  node.inbox.clear();
  node.outbox.clear();
  node.swim =
      std::make_unique<Swim>(SwimSelf{node.id, node.name, {host_of(i), 7117}, epoch, rng_.next()},
                             config_, rng_.split(), now_);
  GossipConfig gossip;
  gossip.gossip_interval = config_.gossip_interval;
  gossip.gossip_fanout = config_.gossip_fan_out;
  gossip.retransmit_mult = config_.retransmit_factor;
  gossip.urgent_fanout = config_.urgent_fan_out;
  node.news = std::make_unique<Disseminator>(gossip, rng_.split());
  ++node.generation;
  arm(i);
}

void Net::sync(size_t a, size_t b) {
  const auto roster = nodes_[a]->swim->roster();
  stream(a, b, [this, a, b, roster] {
    const auto answer = nodes_[b]->swim->roster();
    with(b, [&](Swim& s, SwimEffects& out) { s.hear_roster(roster, id(a), now_, out); });
    stream(b, a, [this, a, b, answer] {
      with(a, [&](Swim& s, SwimEffects& out) { s.hear_roster(answer, id(b), now_, out); });
    });
  });
}

// --- Faults ------------------------------------------------------------------------------------

void Net::crash(size_t i) {
  nodes_[i]->up = false;
  nodes_[i]->powered = false;
}

void Net::kill(size_t i) {
  nodes_[i]->up = false;
}

void Net::freeze(size_t i, Duration d) {
  Node& node = *nodes_[i];
  node.frozen_until = std::max(node.frozen_until, now_ + d);
  at(node.frozen_until, [this, i] { wake(i); });
}

void Net::hold(size_t i, Duration d) {
  Node& node = *nodes_[i];
  node.held_until = std::max(node.held_until, now_ + d);
  at(node.held_until, [this, i] { release(i); });
}

void Net::release(size_t i) {
  Node& node = *nodes_[i];
  if (!node.up || held(i)) return;
  const auto waiting = std::move(node.outbox);
  node.outbox.clear();
  for (const auto& send : waiting) send();
  if (node.reading || node.inbox.empty()) return;
  node.reading = true;
  read_on(i, node.generation);
}

void Net::read_on(size_t i, uint64_t generation) {
  Node& node = *nodes_[i];
  if (!node.up || node.generation != generation) return;
  if (held(i) || node.inbox.empty()) {
    node.reading = false;
    return;
  }
  const auto what = std::move(node.inbox.front());
  node.inbox.pop_front();
  what();
  at(now_ + kReading, [this, i, generation] { read_on(i, generation); });
}

// --- Looking -----------------------------------------------------------------------------------

size_t Net::index(const NodeId& wanted) const {
  const auto it = by_id_.find(wanted);
  return it == by_id_.end() ? nodes_.size() : it->second;
}

MemberState Net::state(size_t viewer, size_t subject) const {
  return nodes_[viewer]->swim->find(id(subject))->state;
}

bool Net::all_see(size_t subject, MemberState wanted) const {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (i == subject || !nodes_[i]->up) continue;
    const Member* m = nodes_[i]->swim->find(id(subject));
    if (m == nullptr || m->state != wanted) return false;
  }
  return true;
}

bool Net::all_alive() const {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i]->up && !all_see(i, MemberState::kAlive)) return false;
  }
  return true;
}

size_t Net::count(MemberEventKind kind) const {
  size_t n = 0;
  for (const Log& entry : log) n += entry.event.kind == kind;
  return n;
}

// --- Time --------------------------------------------------------------------------------------

void Net::at(Instant when, std::function<void()> what) {
  queue_.push({when, seq_++, std::move(what)});
}

void Net::run(Duration d) {
  run_until([] { return false; }, d);
}

bool Net::run_until(const std::function<bool()>& done, Duration limit) {
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

void Net::arm(size_t i) {
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

void Net::wake(size_t i) {
  Node& node = *nodes_[i];
  if (!node.up || frozen(i)) return;
  if (node.armed != kNever && node.armed < now_) node.swim->stalled(now_ - node.armed, now_);
  node.armed = kNever;
  if (!held(i) && !node.reading) {
    const auto waiting = std::move(node.inbox);
    node.inbox.clear();
    for (const auto& what : waiting) what();
  }
  with(i, [&](Swim& s, SwimEffects& out) { s.advance(now_, out); });
  std::vector<GossipSend> gossip;
  node.news->advance(now_, node.swim->peers(), gossip);
  for (const GossipSend& send : gossip)
    datagram(i, index(send.to.id), send.message, send.to.address);
  node.armed = kNever;
  arm(i);
}

// --- What travels ------------------------------------------------------------------------------

Duration Net::latency() {
  const Duration d(150'000 + rng_.below(450'000));
  return rng_.below(500) == 0 ? d + Duration(rng_.below(20'000'000)) : d;
}

void Net::arrive(size_t to, Duration after, std::function<void()> what) {
  const uint64_t generation = nodes_[to]->generation;
  at(now_ + after, [this, to, generation, what = std::move(what)] {
    Node& node = *nodes_[to];
    if (!node.up || node.generation != generation) return;
    if (frozen(to) || held(to) || node.reading) {
      if (node.inbox.size() < kMaxInbox) node.inbox.push_back(what);
    } else {
      what();
    }
  });
}

/// Now, or once what `from` sends is no longer held.
void Net::leave(size_t from, std::function<void()> what) {
  if (held(from)) {
    nodes_[from]->outbox.push_back(std::move(what));
  } else {
    what();
  }
}

void Net::datagram(size_t from, size_t to, const Message& message, const Endpoint& address) {
  const Bytes encoded = encode(message);
  ++datagrams;
  bytes += encoded.size() + kSealOverhead + 28;
  if (to >= nodes_.size() || address.host != host_of(to)) return;
  const uint64_t hash = stable_hash(encoded);
  leave(from, [this, from, to, hash, message = std::make_shared<const Message>(message)] {
    if (cut(from, to) || udp_cut(from, to) || lost()) return;
    arrive(to, latency(), [this, from, to, hash, message] { deliver(from, to, *message, hash); });
  });
}

void Net::deliver(size_t from, size_t to, const Message& message, uint64_t hash) {
  const auto when = static_cast<uint64_t>(now_.time_since_epoch().count());
  trace_ = hash_combine(trace_, hash_combine(hash, when));
  with(to, [&](Swim& s, SwimEffects& out) {
    for (const Rumor& rumor : message.rumors) {
      s.hear(std::get<MemberRumor>(rumor), id(from), now_, out);
    }
    s.receive(id(from), {host_of(from), 7117}, message.body, now_, out);
  });
}

/// One way over an existing or new stream; lost segments are sent again by the kernel.
void Net::stream(size_t from, size_t to, std::function<void()> what,
                 std::function<void()> refused) {
  if (to >= nodes_.size()) return;
  leave(from, [this, from, to, what = std::move(what), refused = std::move(refused)] {
    if (cut(from, to) || cut(to, from)) return;
    const Node& target = *nodes_[to];
    if (!target.up) {
      if (target.powered && refused) arrive(from, latency() * 2, refused);
      return;
    }
    Duration d = latency() * 3;
    for (int tries = 0; lost(); ++tries) {
      if (tries == 4) return;
      d += 1s;
    }
    arrive(to, d, what);
  });
}

void Net::apply(size_t i, SwimEffects& out) {
  Node& node = *nodes_[i];
  node.news->set_cluster_size(node.swim->present_count());
  for (const MemberNews& news : out.news) {
    if (!news.urgent) node.news->spread(news.rumor, now_);
  }
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

void Net::stream_ping(size_t i, const StreamPing& ping) {
  ++stream_pings;
  const size_t to = index(ping.to);
  const auto answered = [this, i, to, ping] {
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
  };
  stream(i, to, answered, [this, i, ping] {
    with(i, [&](Swim& s, SwimEffects& out) { s.stream_refused(ping.to, ping.nonce, now_, out); });
  });
}

}  // namespace kith::test
