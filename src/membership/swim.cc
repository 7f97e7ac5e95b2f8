#include "membership/swim.h"

#include <algorithm>
#include <utility>

#include "base/defects.h"
#include "base/hash.h"

namespace kith {

namespace {

constexpr unsigned kCorrectionsASecond = 100;
constexpr Duration kTellDeadGap = std::chrono::milliseconds(200);
constexpr size_t kMaxForgotten = 1024;

/// The low byte of nonces that belong to no probe of the Prober.
constexpr uint64_t kLastPingMark = 0xff;
constexpr uint64_t kKnockMark = 0xfe;
constexpr uint64_t kMarkBits = 0xff;

}  // namespace

Swim::Swim(SwimSelf self, const SwimConfig& config, Rng rng, Instant now)
    : config_(config),
      rng_(rng),
      table_(self.id),
      health_(config_.max_health_multiplier),
      prober_(config_, table_, health_, rng_.split()),
      revival_(config_, rng_.split()),
      flaps_(config_),
      isolation_(config_.isolation_window),
      secret_(rng_.next()),
      next_tick_(now +
                 Duration(rng_.below(static_cast<uint64_t>(config_.probe_interval.count())))) {
  Member me;
  me.id = self.id;
  me.name = std::move(self.name);
  me.address = std::move(self.address);
  me.epoch = std::max<Epoch>(self.epoch, 1);
  me.incarnation = first_incarnation(me.epoch);
  me.boot = self.boot;
  me.since = now;
  refresh_alive(*table_.insert(std::move(me)));
}

void Swim::refresh_alive(Member& me) {
  me.alive = {};
  me.alive.claim = Claim::kAlive;
  me.alive.subject = me.id;
  me.alive.incarnation = me.incarnation;
  me.alive.epoch = me.epoch;
  me.alive.boot = me.boot;
  me.alive.name = me.name;
  me.alive.address = me.address;
}

bool Swim::restore(const MemberRumor& alive, Instant now) {
  if (alive.subject.none() || alive.address.none()) return false;
  if (const auto it = forgotten_.find(alive.subject);
      it != forgotten_.end() && alive.incarnation <= it->second)
    return false;
  Member member;
  member.id = alive.subject;
  member.name = alive.name;
  member.address = alive.address;
  member.state = MemberState::kDead;
  member.incarnation = alive.incarnation;
  member.epoch = alive.epoch;
  member.boot = alive.boot;
  member.since = now;
  member.alive = alive;
  member.unconfirmed = true;
  if (table_.insert(std::move(member)) == nullptr) return false;
  prober_.member_added(alive.subject);
  revival_.add(alive.subject, true, now);
  return true;
}

void Swim::announce(Instant, SwimEffects& out) {
  Member& me = *table_.find(table_.self());
  refresh_alive(me);
  out.news.push_back({me.alive, true, {}});
}

void Swim::update_self(std::string name, Endpoint address, Instant now, SwimEffects& out) {
  Member& me = *table_.find(table_.self());
  table_.rename(me, name);
  table_.move(me, address);
  raise_self(me.incarnation, now, out);
  check_name(me, now, out);
}

void Swim::leave(Instant now, SwimEffects& out) {
  if (leaving_) return;
  leaving_ = true;
  Member& me = *table_.find(table_.self());
  MemberRumor goodbye;
  goodbye.claim = Claim::kLeft;
  goodbye.subject = me.id;
  goodbye.incarnation = me.incarnation;
  me.accusations = {goodbye};
  table_.set_state(me, MemberState::kLeft, now);
  prober_.void_all();
  suspicions_.clear();
  suspicion_deadlines_.clear();
  out.news.push_back({goodbye, true, {}});
}

bool Swim::forget(const NodeId& id) {
  const Member* member = find(id);
  if (member == nullptr || id == table_.self()) return false;
  if (forgotten_.size() >= kMaxForgotten) forgotten_.erase(forgotten_.begin());
  forgotten_[id] = member->incarnation;
  end_suspicion(id);
  revival_.remove(id);
  prober_.member_removed(id);
  told_dead_.erase(id);
  clash_told_.erase(id);
  table_.erase(id);
  take_over_accusations(id);
  isolation_.gone(id, others_alive());
  return true;
}

void Swim::take_over_accusations(const NodeId& accuser) {
  for (const auto& [id, known] : table_.all()) {
    std::vector<MemberRumor>& held = table_.find(id)->accusations;
    const auto its = std::ranges::find(held, accuser, &MemberRumor::signer);
    if (its == held.end()) continue;
    if (std::ranges::find(held, table_.self(), &MemberRumor::signer) != held.end()) {
      held.erase(its);
    } else {
      its->accuser = table_.self();
      its->signature = {};
    }
  }
}

// --- Datagrams ---------------------------------------------------------------------------------

void Swim::receive(const NodeId& from, const Endpoint& address, const Body& body, Instant now,
                   SwimEffects& out) {
  if (from == table_.self()) return;
  if (const auto* ping = std::get_if<Ping>(&body)) {
    out.sends.push_back({from, address, Ack{ping->nonce}, answer_for(from)});
    accusers_to_answer_.erase(from);
    return;
  }
  if (const auto* ack = std::get_if<Ack>(&body)) return acked(from, ack->nonce, now, out);
  if (const auto* request = std::get_if<PingReq>(&body)) {
    prober_.relay(from, address, *request, now, out);
  } else if (const auto* nack = std::get_if<Nack>(&body)) {
    prober_.nack(from, nack->nonce);
  } else if (const auto* request_to_confirm = std::get_if<Confirm>(&body)) {
    confirm(request_to_confirm->target, now, out);
  }
  const Member* member = find(from);
  if (member == nullptr || member->present() || member->accusations.empty()) return;
  // It speaks and does not know that it was given up.
  const auto [it, first] = told_dead_.try_emplace(from, now);
  if (!first && now - it->second < kTellDeadGap) return;
  it->second = now;
  out.sends.push_back({from, address, Gossip{}, member->accusations});
}

std::vector<MemberRumor> Swim::answer_for(const NodeId& to) const {
  std::vector<MemberRumor> rumors;
  const Member* member = find(to);
  // Who is not here in my view may not know me either.
  const bool stranger = member == nullptr || !member->present();
  if (!leaving_ && (stranger || accusers_to_answer_.contains(to))) {
    rumors.push_back(self().alive);
  }
  if (member != nullptr && (stranger || config_.tell_accused)) {
    rumors.insert(rumors.end(), member->accusations.begin(), member->accusations.end());
  }
  return rumors;
}

void Swim::stream_ack(const NodeId& from, uint64_t nonce, Instant now, SwimEffects& out) {
  acked(from, nonce, now, out);
}

void Swim::stream_refused(const NodeId& to, uint64_t nonce, Instant now, SwimEffects& out) {
  if (prober_.asked_by_stream(to, nonce)) accuse(to, Claim::kSuspect, now, out);
}

uint64_t Swim::marked_nonce(const NodeId& id, uint64_t mark) const {
  const auto it = suspicions_.find(id);
  const auto start = it == suspicions_.end() ? Instant{} : it->second.began();
  const auto salt = static_cast<uint64_t>(start.time_since_epoch().count());
  return (stable_hash(id.key, hash_combine(secret_, salt)) & ~kMarkBits) | mark;
}

void Swim::acked(const NodeId& from, uint64_t nonce, Instant now, SwimEffects& out) {
  Member* member = table_.find(from);
  NodeId living = from;
  const uint64_t mark = nonce & kMarkBits;
  if (mark == kLastPingMark || mark == kKnockMark) {
    if (nonce != marked_nonce(from, mark)) return;
  } else {
    const Prober::Success success = prober_.ack(from, nonce, now, out);
    if (success.answer == Prober::Answer::kNone) return;
    living = success.target;
    member = table_.find(living);
    if (member == nullptr) return;
    if (success.answer == Prober::Answer::kDirect) {
      measured(*member, success);
      member->stream_only = false;
    } else if (success.answer == Prober::Answer::kStream) {
      member->stream_only = true;
    }
  }
  if (const auto it = suspicions_.find(living); it != suspicions_.end()) {
    it->second.proof_of_life(now);
    suspicion_deadlines_.set(living, it->second.next_deadline());
  }
  if (member != nullptr && member->unconfirmed) {
    const MemberRumor alive = member->alive;
    adopt(*member, alive, now, out);
  }
}

void Swim::measured(Member& member, const Prober::Success& success) {
  const Duration rtt = success.rtt;
  if (!member.rtt) {
    member.rtt = rtt;
  } else if (success.late || rtt < *member.rtt) {
    member.rtt = (*member.rtt * 9 + rtt) / 10;
  } else {
    member.rtt = (*member.rtt * 7 + rtt * 3) / 10;
  }
  prober_.measured(rtt);
}

// --- What goes out -----------------------------------------------------------------------------

void Swim::tell(const NodeId& to, std::vector<MemberRumor> rumors, SwimEffects& out) {
  const Member* member = find(to);
  if (member == nullptr || to == table_.self()) return;
  out.sends.push_back({to, member->address, Gossip{}, std::move(rumors)});
}

bool Swim::take_correction(Instant now) {
  if (now - corrections_window_ >= std::chrono::seconds(1)) {
    corrections_window_ = now;
    corrections_ = 0;
  }
  return corrections_++ < kCorrectionsASecond;
}

void Swim::correct(const Member& member, const NodeId& to, Instant now, SwimEffects& out) {
  if (!config_.tell_accused || to.none() || to == member.id) return;
  if (member.state != MemberState::kAlive) return;
  if (member.alive.incarnation != member.incarnation || !take_correction(now)) return;
  tell(to, {member.alive}, out);
}

void Swim::accuse(const NodeId& id, Claim claim, Instant now, SwimEffects& out) {
  const Member* member = find(id);
  if (leaving_ || member == nullptr || !member->present() || id == table_.self()) return;
  MemberRumor rumor;
  rumor.claim = claim;
  rumor.subject = id;
  rumor.incarnation = member->incarnation;
  rumor.accuser = table_.self();
  hear(rumor, {}, now, out);
}

void Swim::call_confirmers(const Member& suspect, const NodeId& first_accuser, bool own,
                           Instant now, SwimEffects& out) {
  const uint64_t seed = stable_hash(suspect.id.key);
  std::vector<std::pair<uint64_t, const Member*>> ring;
  for (const auto& [id, member] : table_.all()) {
    if (id == suspect.id || id == first_accuser || member.state != MemberState::kAlive) continue;
    ring.emplace_back(stable_hash(id.key, seed), &member);
  }
  const size_t k = std::min<size_t>(config_.confirmers, ring.size());
  std::partial_sort(ring.begin(), ring.begin() + static_cast<std::ptrdiff_t>(k), ring.end(),
                    [](const auto& a, const auto& b) {
                      return a.first != b.first ? a.first < b.first : a.second->id < b.second->id;
                    });
  for (size_t i = 0; i < k; ++i) {
    const Member& confirmer = *ring[i].second;
    if (confirmer.id == table_.self()) {
      if (!own) confirm(suspect.id, now, out);
    } else if (own) {
      out.sends.push_back({confirmer.id, confirmer.address, Confirm{suspect.id, suspect.address},
                           suspect.accusations});
    }
  }
}

void Swim::confirm(const NodeId& suspect, Instant now, SwimEffects& out) {
  const Member* member = find(suspect);
  if (leaving_ || member == nullptr || member->state != MemberState::kSuspect) return;
  for (const MemberRumor& accusation : member->accusations) {
    if (accusation.accuser == table_.self()) return;
  }
  const auto [it, first] = confirmed_.try_emplace(suspect, member->incarnation);
  if (!first && it->second == member->incarnation) return;
  it->second = member->incarnation;
  prober_.probe(suspect, now, out);
}

void Swim::lost(const NodeId& id, Instant now, SwimEffects& out) {
  if (isolation_.lost(id, others_alive(), now)) {
    out.events.push_back({MemberEventKind::kIsolated, table_.self(), {}, now});
  }
}

void Swim::found(const NodeId& id, Instant now, SwimEffects& out) {
  if (isolation_.found(id, others_alive())) {
    out.events.push_back({MemberEventKind::kReunited, table_.self(), {}, now});
  }
}

// --- Time --------------------------------------------------------------------------------------

void Swim::stalled(Duration lag, Instant now) {
  if (lag < config_.stall_threshold) return;
  prober_.void_all();
  if (lag >= config_.direct_timeout_min + config_.indirect_timeout) health_.worse(1);
  for (auto& [id, suspicion] : suspicions_) {
    suspicion.extend(lag, now);
    suspicion_deadlines_.set(id, suspicion.next_deadline());
  }
}

void Swim::advance(Instant now, SwimEffects& out) {
  std::vector<NodeId> failed;
  prober_.advance(now, out, failed);
  const Claim verdict = defective(Defect::kNoSuspicion) ? Claim::kDead : Claim::kSuspect;
  for (const NodeId& id : failed) accuse(id, verdict, now, out);
  if (leaving_) return;
  advance_suspicions(now, out);
  if (now >= next_tick_) {
    prober_.probe_next(now, out);
    schedule_tick(now);
  }
  knock_at_the_dead(now, out);
}

Instant Swim::next_deadline() const {
  const Instant probes = prober_.next_deadline();
  if (leaving_) return probes;
  return std::min({probes, suspicion_deadlines_.next(), next_tick_, revival_.next_deadline()});
}

void Swim::schedule_tick(Instant now) {
  const Duration interval = health_.scale(config_.interval(table_.present()));
  next_tick_ = now + interval * static_cast<int>(970 + rng_.below(61)) / 1000;
}

void Swim::advance_suspicions(Instant now, SwimEffects& out) {
  while (const auto id = suspicion_deadlines_.pop_due(now)) {
    Suspicion& suspicion = suspicions_.at(*id);
    const auto step = suspicion.step(now);
    if (step == Suspicion::Step::kDeclareDead) {
      accuse(*id, Claim::kDead, now, out);
      continue;
    }
    if (step == Suspicion::Step::kLastPing) {
      last_ping(*find(*id), suspicion.first_last_ping(), out);
    }
    suspicion_deadlines_.set(*id, suspicion.next_deadline());
  }
}

void Swim::last_ping(const Member& suspect, bool first, SwimEffects& out) {
  const uint64_t nonce = marked_nonce(suspect.id, kLastPingMark);
  out.sends.push_back({suspect.id, suspect.address, Ping{nonce}, suspect.accusations});
  if (first && config_.stream_ping) {
    out.stream_pings.push_back({suspect.id, suspect.address, nonce, suspect.accusations});
  }
}

void Swim::knock_at_the_dead(Instant now, SwimEffects& out) {
  while (const auto knock = revival_.pop_due(now)) {
    const Member& member = *find(knock->id);
    const uint64_t nonce = marked_nonce(member.id, kKnockMark);
    out.sends.push_back({member.id, member.address, Ping{nonce}, member.accusations});
    if (knock->redial) out.redials.push_back({member.id, member.address});
  }
}

}  // namespace kith
