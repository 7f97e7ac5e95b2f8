// What is said of members: each claim judged by its incarnation, believed, passed on, or answered.
#include <algorithm>

#include "base/defects.h"
#include "membership/swim.h"

namespace kith {

namespace {

constexpr Epoch epoch_of(Incarnation incarnation) {
  return incarnation >> 32;
}
constexpr Incarnation last_incarnation(Epoch epoch) {
  return first_incarnation(epoch + 1) - 1;
}
constexpr Duration kClashGap = std::chrono::seconds(10);

// Of a copied data_dir the later start has the higher epoch, so who hears of a later epoch of its
// own began before. But what it hears may be the memory of one that is long dead (a data_dir from a
// backup), so nobody stops at the first word: the elder says that it is one, the other asks once
// more, and stops if it is answered. Bits of the incarnation, in an epoch taken for the purpose.
constexpr Incarnation kElder = Incarnation{1} << 31;
constexpr Incarnation kAsked = Incarnation{1} << 30;

/// Whether a claim about `claimed` can be true of a member last known at `known`.
bool plausible(Incarnation known, Incarnation claimed, uint64_t epochs = kMaxEpochJump) {
  if (claimed <= known) return true;
  if (epoch_of(claimed) == epoch_of(known)) return claimed - known <= kMaxIncarnationJump;
  return epoch_of(claimed) - epoch_of(known) <= epochs;
}

/// Whether the accused can still deny it. Measured from its own last word, not from what others
/// claimed since: else a liar climbs in steps to where the accused would not follow.
bool deniable(const Member& member, Incarnation claimed) {
  return plausible(member.alive.incarnation, claimed, kMaxAccusedEpochJump);
}

bool well_formed(const MemberRumor& alive) {
  return !alive.subject.none() && epoch_of(alive.incarnation) == alive.epoch && alive.epoch > 0 &&
         !alive.address.none() && alive.name.size() <= kMaxNodeName;
}

bool accused_by(const Member& member, const NodeId& accuser) {
  return std::ranges::any_of(member.accusations,
                             [&](const MemberRumor& r) { return r.accuser == accuser; });
}

}  // namespace

void Swim::hear(const MemberRumor& rumor, const NodeId& from, Instant now, SwimEffects& out) {
  switch (rumor.claim) {
    case Claim::kAlive:
      return hear_alive(rumor, from, now, out);
    case Claim::kSuspect:
      return hear_suspect(rumor, from, now, out);
    case Claim::kDead:
      return hear_dead(rumor, from, now, out);
    case Claim::kLeft:
      return hear_left(rumor, from, now, out);
  }
}

// --- Alive -------------------------------------------------------------------------------------

void Swim::hear_alive(const MemberRumor& rumor, const NodeId& from, Instant now, SwimEffects& out) {
  if (!well_formed(rumor)) return;
  if (rumor.subject == table_.self()) return own_alive_heard(rumor, now, out);
  if (const auto it = forgotten_.find(rumor.subject); it != forgotten_.end()) {
    if (rumor.incarnation <= it->second) return;
    forgotten_.erase(it);
  }
  Member* member = table_.find(rumor.subject);
  if (member == nullptr) {
    add_member(rumor, from, now, out);
    return;
  }
  if (member->epoch == rumor.epoch && member->boot != rumor.boot) {
    Instant& told = clash_told_.try_emplace(member->id, now - 2 * kClashGap).first->second;
    if (now - told >= kClashGap) {
      told = now;
      out.events.push_back({MemberEventKind::kIdentityClash, member->id, {}, now});
    }
  }
  if (member->incarnation == rumor.incarnation && !member->unconfirmed) {
    // Of an accused member only the number was known; now there is its word to pass on.
    if (member->alive.incarnation < rumor.incarnation) member->alive = rumor;
    return;
  }
  if (rumor.incarnation < member->incarnation) return;
  if (!plausible(member->incarnation, rumor.incarnation)) return;
  adopt(*member, rumor, now, out);
  out.news.push_back({rumor, true, from});
}

bool Swim::add_member(const MemberRumor& alive, const NodeId& from, Instant now, SwimEffects& out) {
  Member fresh;
  fresh.id = alive.subject;
  fresh.name = alive.name;
  fresh.address = alive.address;
  fresh.incarnation = alive.incarnation;
  fresh.epoch = alive.epoch;
  fresh.boot = alive.boot;
  fresh.since = now;
  fresh.alive = alive;
  const Member* member = table_.insert(std::move(fresh));
  if (member == nullptr) return false;
  prober_.member_added(member->id);
  out.events.push_back({MemberEventKind::kJoined, member->id, {}, now});
  out.news.push_back({alive, true, from});
  check_name(*member, now, out);
  return true;
}

void Swim::adopt(Member& member, const MemberRumor& alive, Instant now, SwimEffects& out) {
  const MemberState old = member.state;
  const Instant since = member.since;
  const bool renamed = member.name != alive.name;
  const bool moved = member.address != alive.address;
  const bool restarted = member.epoch < alive.epoch;
  const bool unconfirmed = member.unconfirmed;
  end_suspicion(member.id);
  revival_.remove(member.id);
  told_dead_.erase(member.id);
  member.accusations.clear();
  member.unconfirmed = false;
  member.incarnation = alive.incarnation;
  member.epoch = alive.epoch;
  member.boot = alive.boot;
  member.alive = alive;
  table_.touch();
  if (restarted && moved && member.present()) {
    // Its agent may still run where it was: then this is a copy, and that one must hear of it.
    out.sends.push_back({member.id, member.address, Gossip{}, {alive}});
  }
  table_.rename(member, alive.name);
  table_.move(member, alive.address);
  const auto tell = [&](MemberEventKind kind) {
    out.events.push_back({kind, member.id, {}, since});
  };
  if (old != MemberState::kAlive) {
    table_.set_state(member, MemberState::kAlive, now);
    if (unconfirmed) {
      tell(MemberEventKind::kJoined);
    } else {
      tell(old == MemberState::kSuspect ? MemberEventKind::kRefuted : MemberEventKind::kReturned);
    }
    if (old == MemberState::kDead && !unconfirmed) revival_.hurry(now);
    found(member.id, now, out);
  } else if (restarted) {
    tell(MemberEventKind::kRestarted);
  }
  if (moved) tell(MemberEventKind::kMoved);
  if (renamed) tell(MemberEventKind::kRenamed);
  if (renamed || old == MemberState::kDead || old == MemberState::kLeft) {
    check_name(member, now, out);
  }
}

void Swim::check_name(const Member& member, Instant now, SwimEffects& out) {
  if (const auto other = table_.namesake(member)) {
    out.events.push_back({MemberEventKind::kNameClash, member.id, *other, now});
  }
}

void Swim::own_alive_heard(const MemberRumor& rumor, Instant now, SwimEffects& out) {
  const Member& me = self();
  if (rumor.boot == me.boot || rumor.epoch < me.epoch) return;  // mine, or of an earlier start
  if (leaving_) return;
  const bool elder_spoke = (rumor.incarnation & kElder) != 0;
  if (elder_spoke && (me.incarnation & kAsked) != 0) {
    out.events.push_back({MemberEventKind::kIdentityClash, me.id, me.id, now});
    return;
  }
  // It will speak, if it lives. If not, this data_dir is one from before it: nobody would take two
  // boots of one epoch for one node.
  if (!elder_spoke && rumor.epoch == me.epoch && rumor.boot < me.boot)
    return raise_self(last_incarnation(rumor.epoch), now, out);
  if ((rumor.incarnation & kAsked) != 0 && (!own_clash_ || now - *own_clash_ >= kClashGap)) {
    own_clash_ = now;
    out.events.push_back({MemberEventKind::kIdentityClash, me.id, {}, now});
  }
  const Incarnation fresh = first_incarnation(rumor.epoch + 1);
  raise_self(fresh + (elder_spoke ? kAsked : kElder) - 1, now, out);
}

// --- Suspect -----------------------------------------------------------------------------------

void Swim::hear_suspect(const MemberRumor& rumor, const NodeId& from, Instant now,
                        SwimEffects& out) {
  if (rumor.subject == table_.self()) return accused(rumor, from, now, out);
  Member* member = table_.find(rumor.subject);
  if (member == nullptr || !table_.find(rumor.accuser) || rumor.accuser == rumor.subject) return;
  if (leaving_) return;
  if (rumor.incarnation < member->incarnation) return correct(*member, from, now, out);
  if (!member->present() || !deniable(*member, rumor.incarnation)) return;
  if (member->state == MemberState::kAlive || rumor.incarnation > member->incarnation) {
    member->incarnation = rumor.incarnation;
    table_.touch();
    return begin_suspicion(*member, rumor, from, now, out);
  }
  // Lifeguard section IV-B: only an accuser not heard before, and no more than K, shortens it.
  Suspicion& suspicion = suspicions_.at(member->id);
  if (!suspicion.wants_more() || accused_by(*member, rumor.accuser)) return;
  member->accusations.push_back(rumor);
  suspicion.confirm(now);
  suspicion_deadlines_.set(member->id, suspicion.next_deadline());
  out.news.push_back({rumor, false, from});  // it has until Smin: the tick is soon enough
}

void Swim::begin_suspicion(Member& member, const MemberRumor& rumor, const NodeId& from,
                           Instant now, SwimEffects& out) {
  const bool own = from.none();
  member.accusations = {rumor};
  end_suspicion(member.id);
  const Suspicion& suspicion =
      suspicions_.emplace(member.id, Suspicion(config_, table_.present(), now)).first->second;
  suspicion_deadlines_.set(member.id, suspicion.next_deadline());
  if (member.state == MemberState::kAlive) {
    out.events.push_back({MemberEventKind::kSuspect, member.id, rumor.accuser, member.since});
    table_.set_state(member, MemberState::kSuspect, now);
    lost(member.id, now, out);
  }
  out.news.push_back({rumor, true, from});
  // The sooner it hears, the sooner it refutes.
  if (own && config_.tell_accused) tell(member.id, {rumor}, out);
  call_confirmers(member, rumor.accuser, own, now, out);
}

void Swim::end_suspicion(const NodeId& id) {
  suspicions_.erase(id);
  suspicion_deadlines_.erase(id);
  confirmed_.erase(id);
}

// --- Dead, left --------------------------------------------------------------------------------

void Swim::hear_dead(const MemberRumor& rumor, const NodeId& from, Instant now, SwimEffects& out) {
  if (rumor.subject == table_.self()) return accused(rumor, from, now, out);
  Member* member = table_.find(rumor.subject);
  if (member == nullptr || !table_.find(rumor.accuser) || rumor.accuser == rumor.subject) return;
  if (leaving_) return;
  if (rumor.incarnation < member->incarnation) return correct(*member, from, now, out);
  if (!deniable(*member, rumor.incarnation)) return;
  if (!member->present()) {
    if (member->unconfirmed) bury(*member, rumor, MemberState::kDead, now);
    return;
  }
  if (doubted(*member, rumor, from, now, out)) return;
  const Instant since = member->since;
  const bool was_suspect = member->state == MemberState::kSuspect;
  bury(*member, rumor, MemberState::kDead, now);
  out.events.push_back(
      {MemberEventKind::kDead, member->id, rumor.accuser, was_suspect ? since : now});
  out.news.push_back({rumor, true, from});
  lost(member->id, now, out);
}

/// Another's verdict on a member that had no time here to refute: one more accusation.
bool Swim::doubted(Member& member, const MemberRumor& verdict, const NodeId& from, Instant now,
                   SwimEffects& out) {
  if (!config_.doubt_deaths || from.none()) return false;
  if (member.state == MemberState::kAlive || verdict.incarnation > member.incarnation) {
    member.incarnation = verdict.incarnation;
    table_.touch();
    begin_suspicion(member, verdict, from, now, out);
  } else {
    if (suspicions_.at(member.id).ripe(now)) return false;
    const auto same = std::ranges::find(member.accusations, verdict.accuser, &MemberRumor::accuser);
    if (same == member.accusations.end()) {
      if (suspicions_.at(member.id).wants_more()) member.accusations.push_back(verdict);
    } else {
      *same = verdict;
    }
  }
  Suspicion& suspicion = suspicions_.at(member.id);
  suspicion.hurry(now);
  suspicion_deadlines_.set(member.id, suspicion.next_deadline());
  return true;
}

void Swim::hear_left(const MemberRumor& rumor, const NodeId& from, Instant now, SwimEffects& out) {
  if (rumor.subject == table_.self()) return accused(rumor, from, now, out);
  Member* member = table_.find(rumor.subject);
  if (member == nullptr || member->state == MemberState::kLeft) return;
  if (rumor.incarnation < member->incarnation) return correct(*member, from, now, out);
  if (!plausible(member->incarnation, rumor.incarnation)) return;
  const Instant since = member->since;
  bury(*member, rumor, MemberState::kLeft, now);
  out.events.push_back({MemberEventKind::kLeft, member->id, member->id, since});
  out.news.push_back({rumor, true, from});
  if (isolation_.gone(member->id, others_alive())) {
    out.events.push_back({MemberEventKind::kReunited, table_.self(), {}, now});
  }
}

void Swim::bury(Member& member, const MemberRumor& verdict, MemberState state, Instant now) {
  end_suspicion(member.id);
  if (state == MemberState::kLeft) {
    revival_.remove(member.id);
  } else if (!member.unconfirmed) {
    revival_.add(member.id, false, now);
  }
  member.incarnation = verdict.incarnation;
  member.accusations = {verdict};
  member.unconfirmed = false;
  member.stream_only = false;
  table_.set_state(member, state, now);
}

// --- Of self -----------------------------------------------------------------------------------

void Swim::accused(const MemberRumor& rumor, const NodeId& from, Instant now, SwimEffects& out) {
  if (leaving_) return;
  const Member& me = self();
  // A start that forgot its epochs learns them at once, from whoever remembers; never again.
  if (!plausible(me.incarnation, rumor.incarnation,
                 caught_up_ ? kMaxAccusedEpochJump : kMaxEpochJump))
    return;
  flaps_.accused(rumor, now);
  if (config_.tell_accused && accusers_to_answer_.size() < kMaxAccusersToAnswer) {
    accusers_to_answer_.insert(from);
  }
  if (rumor.incarnation < me.incarnation) return correct(me, from, now, out);
  health_.worse(1);
  // Accused in an epoch I do not remember: begin one that nobody has seen.
  const Epoch epoch = epoch_of(rumor.incarnation);
  if (epoch > me.epoch) caught_up_ = true;
  raise_self(epoch > me.epoch ? last_incarnation(epoch) : rumor.incarnation, now, out);
  if (!config_.tell_accused) return;
  tell(from, {me.alive}, out);
  if (rumor.accuser != from) tell(rumor.accuser, {me.alive}, out);
}

void Swim::raise_self(Incarnation above, Instant now, SwimEffects& out) {
  Member& me = *table_.find(table_.self());
  me.incarnation = std::max(me.incarnation, above);
  if (!defective(Defect::kNoNewIncarnation)) ++me.incarnation;
  table_.touch();
  if (epoch_of(me.incarnation) != me.epoch) {
    me.epoch = epoch_of(me.incarnation);
    out.events.push_back({MemberEventKind::kEpochRaised, me.id, {}, now});
  }
  announce(now, out);
}

// --- A peer's whole table ----------------------------------------------------------------------

std::vector<MemberRumor> Swim::roster() const {
  std::vector<MemberRumor> rumors;
  for (const auto& [id, member] : table_.all()) {
    if (member.unconfirmed) continue;
    rumors.push_back(member.alive);
    rumors.insert(rumors.end(), member.accusations.begin(), member.accusations.end());
  }
  // One that was removed while it was away does not know why nobody takes its word: it hears here
  // what it was held for, and comes back by a newer incarnation.
  for (const auto& [id, incarnation] : forgotten_) {
    MemberRumor verdict;
    verdict.claim = Claim::kDead;
    verdict.subject = id;
    verdict.incarnation = incarnation;
    verdict.accuser = table_.self();
    rumors.push_back(verdict);
  }
  return rumors;
}

void Swim::hear_roster(std::span<const MemberRumor> rumors, const NodeId& from, Instant now,
                       SwimEffects& out) {
  std::map<NodeId, const MemberRumor*> verdicts;
  for (const MemberRumor& rumor : rumors) {
    if (rumor.claim == Claim::kDead || rumor.claim == Claim::kLeft) {
      verdicts[rumor.subject] = &rumor;
    }
  }
  for (const MemberRumor& rumor : rumors) {
    if (rumor.claim != Claim::kAlive) continue;
    const auto it = verdicts.find(rumor.subject);
    const bool gone = it != verdicts.end() && it->second->incarnation >= rumor.incarnation;
    const Member* member = find(rumor.subject);
    if (!gone || (member != nullptr && member->present())) {
      hear_alive(rumor, from, now, out);
    } else if (member == nullptr && restore(rumor, now)) {
      hear(*it->second, from, now, out);
    }  // else it is not here in my view either, and the verdict follows
  }
  for (const MemberRumor& rumor : rumors) {
    const Member* member = find(rumor.subject);
    if (rumor.claim == Claim::kAlive || member == nullptr) continue;
    const bool contradicts = rumor.claim == Claim::kDead && member->present() &&
                             rumor.subject != table_.self() &&
                             rumor.incarnation >= member->incarnation;
    if (!contradicts) {
      hear(rumor, from, now, out);
    } else if (take_correction(now)) {
      tell(rumor.subject, {rumor}, out);
    }
  }
}

}  // namespace kith
