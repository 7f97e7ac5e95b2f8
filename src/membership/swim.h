#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/instant.h"
#include "base/rng.h"
#include "gossip/message.h"
#include "membership/awareness.h"
#include "membership/config.h"
#include "membership/effects.h"
#include "membership/flaps.h"
#include "membership/member_table.h"
#include "membership/probe.h"
#include "membership/revival.h"
#include "membership/suspicion.h"

namespace kith {

/// How far beyond what is known a claim may be, within one epoch, and how far an epoch may jump:
/// a forged or damaged claim must not push a member beyond what it can refute.
constexpr uint64_t kMaxIncarnationJump = uint64_t{1} << 20;
constexpr uint64_t kMaxEpochJump = uint64_t{1} << 24;
/// How many starts behind its accuser one may be. Each refutation lets a liar go on from there, so
/// this times the starts of a lifetime must stay far below 2^32.
constexpr uint64_t kMaxAccusedEpochJump = 1024;

/// The first incarnation of a start of the agent. `incarnation >> 32` is the epoch, always.
[[nodiscard]] constexpr Incarnation first_incarnation(Epoch epoch) {
  return epoch << 32;
}

/// Who this node is at this start.
struct SwimSelf {
  NodeId id;
  std::string name;
  Endpoint address;
  Epoch epoch = 1;    ///< persisted, grows with every start; >= 1
  uint64_t boot = 0;  ///< random, of this start
};

/// SWIM (Das, Gupta, Motivala, DSN 2002) with Lifeguard (Dadgar, Phillips, Currey, 2017), sans-IO.
///
/// Order of calls at each wake-up of the driver: `stalled()` if the loop woke late; then, for every
/// datagram that waits, `hear()` for each of its rumors and `receive()` for its body; only then
/// `advance()`. A timer that fires before the waiting packets are read accuses the innocent.
/// What arrives here is authentic: datagrams were opened and rumors' signatures checked.
///
/// A suspicion ends only by the subject's newer alive (SWIM section 4.2). An ack does not end it,
/// since others would not learn of it; but every ping to a suspect carries the suspicion, so that
/// its ack carries the refutation, and an ack postpones this node's own verdict by a window of
/// last pings: who answers me is not declared dead by me.
class Swim {
 public:
  Swim(SwimSelf self, const SwimConfig& config, Rng rng, Instant now);
  Swim(const Swim&) = delete;
  Swim& operator=(const Swim&) = delete;

  // --- Before the first advance() --------------------------------------------------------------
  /// A member of the persisted roster, by the last alive it signed. Held dead without a word to
  /// anybody and knocked at at once, until it shows itself. False if known already, self, or the
  /// table is full.
  bool restore(const MemberRumor& alive, Instant now);
  /// Emits the own alive as urgent news. Also after each change of name or address.
  void announce(Instant now, SwimEffects& out);

  // --- Input -----------------------------------------------------------------------------------
  void receive(const NodeId& from, const Endpoint& address, const Body& body, Instant now,
               SwimEffects& out);
  void hear(const MemberRumor& rumor, const NodeId& from, Instant now, SwimEffects& out);
  /// The whole member table of a peer, as its `roster()` gave it, out of a stream sync. A death
  /// told here is old news: of a member that is alive in my view it is passed to that member,
  /// who refutes, and is not believed.
  void hear_roster(std::span<const MemberRumor> rumors, const NodeId& from, Instant now,
                   SwimEffects& out);
  /// The Ack to a StreamPing came. On the far side the caller answers Ping{nonce} on the stream
  /// with Ack{nonce} and `answer_for(from)`.
  void stream_ack(const NodeId& from, uint64_t nonce, Instant now, SwimEffects& out);
  /// Nobody listens where a StreamPing went: the host is up and its agent seems gone. A hint, no
  /// proof, and it may be restarting: suspicion begins at once instead of after T2, the probe goes
  /// on, and what refutes any suspicion refutes this.
  void stream_refused(const NodeId& to, uint64_t nonce, Instant now, SwimEffects& out);
  /// The loop woke `lag` later than it should have. Voids running probes, extends suspicions,
  /// lowers local health. Nothing below `stall_threshold`.
  void stalled(Duration lag, Instant now);
  /// Fires every deadline at or before `now`; call it no later than `next_deadline()`.
  void advance(Instant now, SwimEffects& out);
  [[nodiscard]] Instant next_deadline() const;

  // --- The operator's wishes -------------------------------------------------------------------
  /// Says goodbye: urgent news. Probes nobody from here on, and refutes nothing.
  void leave(Instant now, SwimEffects& out);
  [[nodiscard]] bool leaving() const { return leaving_; }
  /// Removes a member from the table for good; it can come back only by a newer incarnation. What
  /// it held against others this node holds by itself from here on: they may not listen to the
  /// word of one that they removed too, and would never refute it.
  bool forget(const NodeId& id);
  /// Changes the own name or address, and announces it.
  void update_self(std::string name, Endpoint address, Instant now, SwimEffects& out);

  // --- Questions -------------------------------------------------------------------------------
  [[nodiscard]] const Member& self() const { return *table_.find(table_.self()); }
  /// The own alive, unsigned.
  [[nodiscard]] MemberRumor self_rumor() const { return self().alive; }
  /// Self included, in the order of ids.
  [[nodiscard]] const std::map<NodeId, Member>& members() const { return table_.all(); }
  [[nodiscard]] const Member* find(const NodeId& id) const { return table_.find(id); }
  /// Grows with each change of what is held of any member: equal ones mean equal views.
  [[nodiscard]] uint64_t changes() const { return table_.changes(); }
  [[nodiscard]] bool known(const NodeId& id) const { return find(id) != nullptr; }
  /// Alive or suspect, self included.
  [[nodiscard]] size_t present_count() const { return table_.present(); }
  [[nodiscard]] size_t alive_count() const { return table_.present() - suspicions_.size(); }
  /// For the disseminator: alive or suspect, self excluded, by id. Valid until the next call.
  [[nodiscard]] const std::vector<Peer>& peers() const { return table_.peers(); }
  /// What a peer needs to know what this node knows: alives, accusations, verdicts. Not those that
  /// were only restored and never seen since.
  [[nodiscard]] std::vector<MemberRumor> roster() const;
  /// What must ride on an ack to `to`: what it is accused of, and the own alive if it accused, is
  /// unknown or is not here in my view.
  [[nodiscard]] std::vector<MemberRumor> answer_for(const NodeId& to) const;
  /// 1 when well, up to max_health_multiplier.
  [[nodiscard]] unsigned health_multiplier() const { return health_.multiplier(); }
  /// Most members vanished at once: rather it is I who am cut off. Act on deaths with care.
  [[nodiscard]] bool isolated() const { return isolation_.isolated(); }
  [[nodiscard]] Instant isolated_since() const { return isolation_.since(); }
  /// False while this node holds itself down for flapping.
  [[nodiscard]] bool ready_allowed(Instant now) const { return flaps_.ready_allowed(now); }
  /// Counted within the window.
  [[nodiscard]] size_t flaps(Instant now) const { return flaps_.flaps(now); }
  [[nodiscard]] Instant held_until() const { return flaps_.held_until(); }
  [[nodiscard]] const SwimConfig& config() const { return config_; }

 private:
  // claims.cc: what is said of members.
  void hear_alive(const MemberRumor& rumor, const NodeId& from, Instant now, SwimEffects& out);
  void hear_suspect(const MemberRumor& rumor, const NodeId& from, Instant now, SwimEffects& out);
  void hear_dead(const MemberRumor& rumor, const NodeId& from, Instant now, SwimEffects& out);
  void hear_left(const MemberRumor& rumor, const NodeId& from, Instant now, SwimEffects& out);
  void accused(const MemberRumor& rumor, const NodeId& from, Instant now, SwimEffects& out);
  void own_alive_heard(const MemberRumor& rumor, Instant now, SwimEffects& out);
  bool add_member(const MemberRumor& alive, const NodeId& from, Instant now, SwimEffects& out);
  void adopt(Member& member, const MemberRumor& alive, Instant now, SwimEffects& out);
  void begin_suspicion(Member& member, const MemberRumor& rumor, const NodeId& from, Instant now,
                       SwimEffects& out);
  bool doubted(Member& member, const MemberRumor& verdict, const NodeId& from, Instant now,
               SwimEffects& out);
  void end_suspicion(const NodeId& id);
  void take_over_accusations(const NodeId& accuser);
  void bury(Member& member, const MemberRumor& verdict, MemberState state, Instant now);
  void raise_self(Incarnation above, Instant now, SwimEffects& out);
  void check_name(const Member& member, Instant now, SwimEffects& out);

  // swim.cc: what is done about it.
  static void refresh_alive(Member& me);
  void accuse(const NodeId& id, Claim claim, Instant now, SwimEffects& out);
  void call_confirmers(const Member& suspect, const NodeId& first_accuser, bool own, Instant now,
                       SwimEffects& out);
  void confirm(const NodeId& suspect, Instant now, SwimEffects& out);
  void correct(const Member& member, const NodeId& to, Instant now, SwimEffects& out);
  void tell(const NodeId& to, std::vector<MemberRumor> rumors, SwimEffects& out);
  void acked(const NodeId& from, uint64_t nonce, Instant now, SwimEffects& out);
  void measured(Member& member, const Prober::Success& success);
  [[nodiscard]] uint64_t marked_nonce(const NodeId& id, uint64_t mark) const;
  bool take_correction(Instant now);
  void advance_suspicions(Instant now, SwimEffects& out);
  void knock_at_the_dead(Instant now, SwimEffects& out);
  void last_ping(const Member& suspect, bool first, SwimEffects& out);
  void lost(const NodeId& id, Instant now, SwimEffects& out);
  void found(const NodeId& id, Instant now, SwimEffects& out);
  void schedule_tick(Instant now);
  [[nodiscard]] size_t others_alive() const { return alive_count() - (self().present() ? 1 : 0); }

  SwimConfig config_;
  Rng rng_;
  MemberTable table_;
  Awareness health_;
  Prober prober_;
  std::map<NodeId, Suspicion> suspicions_;
  Deadlines<NodeId> suspicion_deadlines_;
  std::map<NodeId, Incarnation> confirmed_;  ///< suspects probed as a confirmer
  Revival revival_;
  FlapTracker flaps_;
  Isolation isolation_;
  std::map<NodeId, Incarnation> forgotten_;
  static constexpr size_t kMaxAccusersToAnswer = 256;
  std::set<NodeId> accusers_to_answer_;  ///< their next ping's ack carries the own alive
  std::map<NodeId, Instant> told_dead_;  ///< when each of the dead was last told that it is
  std::map<NodeId, Instant> clash_told_;
  std::optional<Instant> own_clash_;
  uint64_t secret_;  ///< of this start: marks nonces of pings outside any probe
  Instant next_tick_;
  Instant corrections_window_{};
  unsigned corrections_ = 0;
  bool leaving_ = false;
  bool caught_up_ = false;  ///< with an epoch that only others remembered, in this start
};

}  // namespace kith
