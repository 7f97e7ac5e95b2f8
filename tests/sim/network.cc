#include "network.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace kith::sim {
namespace {

constexpr Duration kResend = std::chrono::milliseconds(200);
constexpr Duration kResendConnect = std::chrono::seconds(1);

}  // namespace

Network::Network(EventQueue& queue, NetworkUser& user, Rng rng)
    : queue_(&queue), user_(&user), rng_(rng) {}

Endpoint Network::address(size_t host) {
  return {"10.0." + std::to_string(host / 250) + "." + std::to_string(host % 250 + 1), kPort};
}

int Network::host_of(const Endpoint& address) {
  const size_t last = address.host.rfind('.');
  const size_t middle = address.host.rfind('.', last - 1);
  if (last == std::string::npos || middle == std::string::npos) return -1;
  return std::atoi(address.host.c_str() + middle + 1) * 250 +
         std::atoi(address.host.c_str() + last + 1) - 1;
}

const LinkQuality& Network::of(size_t from, size_t to) const {
  const auto at = qualities_.find({from, to});
  return at == qualities_.end() ? default_ : at->second;
}

Duration Network::transit(const LinkQuality& link) {
  const auto jitter = static_cast<uint64_t>(link.jitter.count());
  return link.delay + Duration(jitter == 0 ? 0 : static_cast<int64_t>(rng_.below(jitter)));
}

bool Network::passes(size_t from, size_t to) {
  return !is_cut(from, to) && user_->host_up(to) && user_->host_up(from) &&
         !rng_.chance(of(from, to).loss_percent, 100);
}

// --- Datagrams ---------------------------------------------------------------------------------

void Network::send(size_t from, const Endpoint& to, const Bytes& bytes) {
  ++datagrams_;
  bytes_ += bytes.size();
  if (tap) tap(from, to, bytes);
  const int host = host_of(to);
  if (host < 0) return;
  const size_t target = resident(host);
  const LinkQuality& link = of(from, target);
  const int copies = rng_.chance(link.duplicate_percent, 100) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    if (no_datagrams_.contains({from, target}) || !passes(from, target)) continue;
    queue_->after(stalled_for(from) + transit(link),
                  [this, from, target, bytes] { deliver(from, target, bytes); });
  }
}

void Network::deliver(size_t from, size_t to, Bytes bytes) {
  if (is_cut(from, to) || !user_->agent_up(to)) return;
  if (const Duration wait = stalled_for(to); wait > Duration{})
    queue_->after(wait, [this, from, to, bytes = std::move(bytes)] { deliver(from, to, bytes); });
  else
    user_->datagram(to, sender(from), std::move(bytes));
}

size_t Network::resident(int host) {
  const auto owner = static_cast<size_t>(host);
  return shared_ && shared_->first == owner && rng_.chance(1, 2) ? shared_->second : owner;
}

Endpoint Network::sender(size_t host) const {
  return address(shared_ && shared_->second == host ? shared_->first : host);
}

Duration Network::stalled_for(size_t host) const {
  const auto at = stalls_.find(host);
  return at == stalls_.end() ? Duration{} : std::max(Duration{}, at->second - queue_->now());
}

// --- Streams -----------------------------------------------------------------------------------

void Network::open(size_t from, uint64_t stream, const Endpoint& to) {
  const uint64_t id = next_++;
  Stream made;
  made.ends[0].host = from;
  made.ends[0].stream = stream;
  made.ends[0].open = true;
  const int host = host_of(to);
  made.ends[1].host = resident(std::max(host, 0));
  streams_[id] = made;
  by_end_[{from, stream}] = {id, 0};
  connect(id, queue_->now() + kConnectTime, kResendConnect);
}

void Network::connect(uint64_t id, Instant give_up, Duration pause) {
  const auto at = streams_.find(id);
  if (at == streams_.end()) return;
  const size_t from = at->second.ends[0].host;
  const size_t to = at->second.ends[1].host;
  if (!passes(from, to) || !passes(to, from)) {
    if (queue_->now() + pause > give_up) {
      queue_->at(give_up, [this, id] { fail(id, 0, "timed out"); });
      return;
    }
    queue_->after(pause, [this, id, give_up, pause] { connect(id, give_up, pause * 2); });
    return;
  }
  const Duration stalled = std::max(stalled_for(from), stalled_for(to));
  queue_->after(stalled + transit(of(from, to)), [this, id, from, to] {
    const auto found = streams_.find(id);
    if (found == streams_.end() || !found->second.ends[0].open) return;
    if (!user_->agent_up(to)) {
      queue_->after(transit(of(to, from)), [this, id] { fail(id, 0, "connection refused"); });
      return;
    }
    End& accepted = found->second.ends[1];
    accepted.stream = user_->stream_accepted(to);
    accepted.open = true;
    by_end_[{to, accepted.stream}] = {id, 1};
    queue_->after(transit(of(to, from)), [this, id] {
      const auto opened = streams_.find(id);
      if (opened == streams_.end() || !opened->second.ends[0].open) return;
      user_->stream_connected(opened->second.ends[0].host, opened->second.ends[0].stream);
    });
  });
}

void Network::write(size_t from, uint64_t stream, Bytes bytes) {
  const auto at = by_end_.find({from, stream});
  if (at == by_end_.end()) return;
  bytes_ += bytes.size();
  const auto [id, end] = at->second;
  carry(id, 1 - end, std::move(bytes), false);
}

void Network::close(size_t from, uint64_t stream) {
  const auto at = by_end_.find({from, stream});
  if (at == by_end_.end()) return;
  const auto [id, end] = at->second;
  by_end_.erase(at);
  streams_[id].ends[end].open = false;
  carry(id, 1 - end, {}, true);
}

void Network::drop_streams(size_t host, bool silent) {
  std::vector<uint64_t> mine;
  for (auto at = by_end_.lower_bound({host, 0}); at != by_end_.end() && at->first.first == host;
       ++at)
    mine.push_back(at->first.second);
  for (const uint64_t stream : mine) {
    if (!silent) {
      close(host, stream);
      continue;
    }
    const auto [id, end] = by_end_[{host, stream}];
    by_end_.erase({host, stream});
    streams_[id].ends[end].open = false;
    forget_if_closed(id);
  }
}

void Network::carry(uint64_t id, int to_end, Bytes bytes, bool end) {
  const auto at = streams_.find(id);
  if (at == streams_.end()) return;
  End& to = at->second.ends[to_end];
  const size_t from = at->second.ends[1 - to_end].host;
  Instant due = queue_->now() + stalled_for(from) + transit(of(from, to.host));
  // Worked out beforehand but for the cuts: those are looked at when it would arrive.
  for (Duration pause = kResend; rng_.chance(of(from, to.host).loss_percent, 100); pause *= 2)
    due += pause;
  to.coming.push_back({std::move(bytes), end, due, queue_->now() + kGiveUp});
  if (to.coming.size() == 1) queue_->at(due, [this, id, to_end] { try_first(id, to_end); });
}

void Network::try_first(uint64_t id, int to_end) {
  const auto at = streams_.find(id);
  if (at == streams_.end()) return;
  End& to = at->second.ends[to_end];
  const size_t from = at->second.ends[1 - to_end].host;
  if (is_cut(from, to.host) || !user_->host_up(to.host)) {
    if (queue_->now() < to.coming.front().give_up)
      queue_->after(kResend, [this, id, to_end] { try_first(id, to_end); });
    else
      fail(id, 1 - to_end, "timed out");
    return;
  }
  if (const Duration wait = stalled_for(to.host); wait > Duration{}) {
    queue_->after(wait, [this, id, to_end] { try_first(id, to_end); });
    return;
  }
  Segment segment = std::move(to.coming.front());
  to.coming.pop_front();
  if (!to.coming.empty())
    queue_->at(to.coming.front().due, [this, id, to_end] { try_first(id, to_end); });
  arrive(id, to_end, std::move(segment.bytes), segment.end);
}

void Network::arrive(uint64_t id, int to_end, Bytes bytes, bool end) {
  const auto at = streams_.find(id);
  if (at == streams_.end()) return;
  const End to = at->second.ends[to_end];
  if (!to.open) {
    forget_if_closed(id);
    if (end || !streams_.contains(id)) return;
    fail(id, 1 - to_end, "connection reset");
    return;
  }
  if (end)
    fail(id, to_end, "closed");
  else
    user_->stream_data(to.host, to.stream, std::move(bytes));
}

void Network::fail(uint64_t id, int at_end, const std::string& why) {
  const auto at = streams_.find(id);
  if (at == streams_.end()) return;
  const End end = at->second.ends[at_end];
  if (end.open) {
    at->second.ends[at_end].open = false;
    by_end_.erase({end.host, end.stream});
  }
  forget_if_closed(id);
  if (end.open) user_->stream_closed(end.host, end.stream, why);
}

void Network::forget_if_closed(uint64_t id) {
  const auto at = streams_.find(id);
  if (at != streams_.end() && !at->second.ends[0].open && !at->second.ends[1].open)
    streams_.erase(at);
}

// --- Faults ------------------------------------------------------------------------------------

void Network::set_loss(uint32_t percent) {
  default_.loss_percent = percent;
  for (auto& [hosts, link] : qualities_) link.loss_percent = percent;
}

void Network::cut(size_t a, size_t b) {
  cut_one_way(a, b);
  cut_one_way(b, a);
}

void Network::heal(size_t a, size_t b) {
  cuts_.erase({a, b});
  cuts_.erase({b, a});
}

void Network::isolate(size_t host, size_t hosts) {
  for (size_t other = 0; other < hosts; ++other)
    if (other != host) cut(host, other);
}

void Network::partition(const std::set<size_t>& side, size_t hosts) {
  for (const size_t a : side)
    for (size_t b = 0; b < hosts; ++b)
      if (!side.contains(b)) cut(a, b);
}

void Network::rejoin(const std::set<size_t>& side, size_t hosts) {
  for (const size_t a : side)
    for (size_t b = 0; b < hosts; ++b)
      if (!side.contains(b)) heal(a, b);
}

void Network::heal_all() {
  stalls_.clear();
  cuts_.clear();
  no_datagrams_.clear();
  qualities_.clear();
  default_ = {};
}

}  // namespace kith::sim
