#include "membership/probe.h"

#include <algorithm>

namespace kith {

namespace {

// The low byte of a nonce says which of the probe's questions it is.
constexpr uint64_t kWhich = 0xff;
constexpr uint64_t kFirstPing = 0x01;
constexpr uint64_t kFirstRequest = 0x40;
constexpr uint64_t kLastRequest = 0x7f;
constexpr uint64_t kByStream = 0x80;

}  // namespace

Prober::Prober(const SwimConfig& config, const MemberTable& table, Awareness& health, Rng rng)
    : config_(config), table_(table), health_(health), rng_(rng) {}

void Prober::probe_next(Instant now, SwimEffects& out) {
  for (size_t tried = 0; tried < order_.size(); ++tried) {
    if (next_in_order_ >= order_.size()) {
      rng_.shuffle(std::span<NodeId>(order_));
      next_in_order_ = 0;
    }
    const NodeId id = order_[next_in_order_++];
    const Member* member = table_.find(id);
    if (member != nullptr && member->present()) return probe(id, now, out);
  }
}

void Prober::probe(const NodeId& target, Instant now, SwimEffects& out) {
  const Member* member = table_.find(target);
  if (member == nullptr || probes_.size() - relays_ >= kMaxProbes) return;
  const uint64_t base = fresh_nonce();
  Probe& probe = probes_[base];
  probe.target = target;
  probe.address = member->address;
  probe.direct_pings = std::min<unsigned>(config_.direct_pings, kMaxPingsAProbe);
  probe.began = now;
  probe.direct = direct_timeout(member);
  ping(base, probe, now, out);
}

void Prober::relay(const NodeId& origin, const Endpoint& origin_address, const PingReq& request,
                   Instant now, SwimEffects& out) {
  if (relays_ >= kMaxRelays || origin.none() || request.target == table_.self()) return;
  const Member* member = table_.find(request.target);
  const uint64_t base = fresh_nonce();
  Probe& probe = probes_[base];
  ++relays_;
  probe.target = request.target;
  probe.address = member != nullptr ? member->address : request.target_address;
  probe.direct_pings = config_.direct_pings > 1 ? 2 : 1;
  probe.began = now;
  probe.direct = direct_timeout(member) * 4 / 5;  // the nack must be back before T2 is over
  probe.origin = origin;
  probe.origin_address = origin_address;
  probe.origin_nonce = request.nonce;
  ping(base, probe, now, out);
}

uint64_t Prober::fresh_nonce() {
  uint64_t base = 0;
  while (base == 0 || probes_.contains(base)) base = rng_.next() & ~kWhich;
  return base;
}

void Prober::ping(uint64_t base, Probe& probe, Instant now, SwimEffects& out) {
  const Member* member = table_.find(probe.target);
  SwimSend send{probe.target, probe.address, Ping{base | (kFirstPing + probe.pings)}, {}};
  if (member != nullptr && config_.tell_accused) {
    send.rumors = member->accusations;  // Lifeguard section IV-C, buddy
  }
  out.sends.push_back(std::move(send));
  probe.sent[probe.pings++] = now;
  const int of = static_cast<int>(probe.direct_pings);
  deadlines_.set(base, probe.began + probe.direct * static_cast<int>(probe.pings) / of);
}

void Prober::ask_helpers(uint64_t base, Probe& probe, SwimEffects& out) {
  const auto fit = [&](const Member& m, bool again) {
    return m.state == MemberState::kAlive && m.id != probe.target &&
           (again || std::ranges::find(probe.helpers, m.id) == probe.helpers.end());
  };
  auto helpers =
      table_.draw(config_.indirect_peers, rng_, [&](const Member& m) { return fit(m, false); });
  if (helpers.empty()) {
    helpers =
        table_.draw(config_.indirect_peers, rng_, [&](const Member& m) { return fit(m, true); });
  }
  for (const Member* helper : helpers) {
    const uint64_t which = std::min(kFirstRequest + probe.asked, kLastRequest);
    out.sends.push_back(
        {helper->id, helper->address, PingReq{base | which, probe.target, probe.address}, {}});
    probe.helpers.push_back(helper->id);
    ++probe.asked;
  }
}

void Prober::begin_indirect(uint64_t base, Probe& probe, Instant now, SwimEffects& out) {
  probe.indirect = true;
  probe.began = now;
  const Member* member = table_.find(probe.target);
  const Duration t1 = direct_timeout(member) / health_.multiplier();
  probe.ends =
      now + health_.scale(std::max(config_.indirect_timeout, t1 * config_.indirect_multiple));
  if (config_.stream_ping) {
    StreamPing by_stream{probe.target, probe.address, base | kByStream, {}};
    if (member != nullptr && config_.tell_accused) by_stream.rumors = member->accusations;
    out.stream_pings.push_back(std::move(by_stream));
  }
}

void Prober::next_round(uint64_t base, Probe& probe, SwimEffects& out) {
  ask_helpers(base, probe, out);
  ++probe.rounds;
  const int of = static_cast<int>(config_.indirect_rounds);
  const Duration whole = probe.ends - probe.began;
  // The second of two rounds after 0.4 x T2.
  deadlines_.set(base, probe.rounds < config_.indirect_rounds
                           ? probe.began + whole * 4 * static_cast<int>(probe.rounds) / (5 * of)
                           : probe.ends);
}

void Prober::advance(Instant now, SwimEffects& out, std::vector<NodeId>& failed) {
  while (const auto base = deadlines_.pop_due(now)) {
    Probe& probe = probes_.at(*base);
    if (!probe.indirect && probe.pings < probe.direct_pings) {
      ping(*base, probe, now, out);
    } else if (probe.is_relay()) {
      if (config_.nacks) {
        out.sends.push_back({probe.origin, probe.origin_address, Nack{probe.origin_nonce}, {}});
      }
      end(*base);
    } else if (!probe.indirect) {
      begin_indirect(*base, probe, now, out);
      next_round(*base, probe, out);
    } else if (probe.rounds < config_.indirect_rounds) {
      next_round(*base, probe, out);
    } else {
      const unsigned missed = probe.asked - std::min(probe.asked, probe.nacks);
      health_.worse(probe.asked == 0 ? 1 : std::min(missed, config_.indirect_peers));
      failed.push_back(probe.target);
      end(*base);
    }
  }
}

Prober::Success Prober::ack(const NodeId& from, uint64_t nonce, Instant now, SwimEffects& out) {
  const auto it = probes_.find(nonce & ~kWhich);
  if (it == probes_.end()) return {};
  const Probe& probe = it->second;
  const uint64_t which = nonce & kWhich;
  Success success;
  success.target = probe.target;
  if (which >= kFirstPing && which < kFirstPing + probe.pings && from == probe.target) {
    success.answer = Answer::kDirect;
    success.rtt = now - probe.sent[which - kFirstPing];
    success.late = probe.indirect;
  } else if (which >= kFirstRequest && which <= kLastRequest &&
             std::ranges::find(probe.helpers, from) != probe.helpers.end()) {
    success.answer = Answer::kIndirect;
  } else if (which == kByStream && probe.indirect && from == probe.target) {
    success.answer = Answer::kStream;
  } else {
    return {};
  }
  if (probe.is_relay()) {
    out.sends.push_back({probe.origin, probe.origin_address, Ack{probe.origin_nonce}, {}});
    success.answer = Answer::kNone;
  } else {
    health_.better();
  }
  end(it->first);
  return success;
}

void Prober::nack(const NodeId& from, uint64_t nonce) {
  const auto it = probes_.find(nonce & ~kWhich);
  if (it == probes_.end()) return;
  if (std::ranges::find(it->second.helpers, from) != it->second.helpers.end()) ++it->second.nacks;
}

bool Prober::asked_by_stream(const NodeId& target, uint64_t nonce) const {
  const auto it = probes_.find(nonce & ~kWhich);
  return it != probes_.end() && (nonce & kWhich) == kByStream && it->second.indirect &&
         it->second.target == target;
}

void Prober::end(uint64_t base) {
  const auto it = probes_.find(base);
  if (it == probes_.end()) return;
  if (it->second.is_relay()) --relays_;
  deadlines_.erase(base);
  probes_.erase(it);
}

void Prober::void_all() {
  probes_.clear();
  deadlines_.clear();
  relays_ = 0;
}

void Prober::member_added(const NodeId& id) {
  const size_t at = rng_.below(order_.size() + 1);
  order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(at), id);
  if (at < next_in_order_) ++next_in_order_;
}

void Prober::member_removed(const NodeId& id) {
  const auto it = std::ranges::find(order_, id);
  if (it == order_.end()) return;
  if (static_cast<size_t>(it - order_.begin()) < next_in_order_) --next_in_order_;
  order_.erase(it);
}

void Prober::measured(Duration rtt) {
  any_rtt_ = any_rtt_ ? (*any_rtt_ * 9 + rtt) / 10 : rtt;
}

Duration Prober::direct_timeout(const Member* target) const {
  std::optional<Duration> rtt = target != nullptr ? target->rtt : std::nullopt;
  if (!rtt) rtt = any_rtt_;
  const Duration t1 = rtt ? std::clamp(*rtt * config_.rtt_multiple, config_.direct_timeout_min,
                                       config_.direct_timeout_max)
                          : config_.direct_timeout_max;
  return health_.scale(t1);
}

}  // namespace kith
