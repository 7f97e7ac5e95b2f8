#pragma once

#include <array>
#include <map>
#include <optional>
#include <vector>

#include "base/rng.h"
#include "gossip/message.h"
#include "membership/awareness.h"
#include "membership/config.h"
#include "membership/deadlines.h"
#include "membership/effects.h"
#include "membership/member_table.h"

namespace kith {

constexpr size_t kMaxProbes = 512;  ///< of one's own, running at once
constexpr size_t kMaxRelays = 512;  ///< pings in others' place, running at once
constexpr size_t kMaxPingsAProbe = 16;

/// The probing half of SWIM (section 3.1, 4.3): whom to ping next, and each running probe from its
/// first ping over ping-req and stream to its verdict. Also the relay that pings in others' place.
///
/// A probe has a base nonce of which the low byte is zero; each ping and ping-req of it carries
/// its own low byte, so that a round trip is measured from the very ping that was answered.
class Prober {
 public:
  /// `config`, `table` and `health` must outlive this.
  Prober(const SwimConfig& config, const MemberTable& table, Awareness& health, Rng rng);

  /// Starts the round's probe: members in a random order, each once a round, the dead and left
  /// passed over. Nothing if there is nobody.
  void probe_next(Instant now, SwimEffects& out);
  /// Probes `target` at once. Nothing if kMaxProbes are running or it is unknown.
  void probe(const NodeId& target, Instant now, SwimEffects& out);
  /// Serves a ping-req of `origin`. Dropped beyond kMaxRelays.
  void relay(const NodeId& origin, const Endpoint& origin_address, const PingReq& request,
             Instant now, SwimEffects& out);

  enum class Answer {
    kNone,      ///< no probe of ours: late, forged or passed on to who asked
    kDirect,    ///< the target itself answered a ping
    kIndirect,  ///< through a relay
    kStream,
  };
  struct Success {
    Answer answer = Answer::kNone;
    NodeId target;
    Duration rtt{};     ///< direct only
    bool late = false;  ///< direct only: after T1
  };
  /// An ack, by datagram or stream, ends its probe.
  Success ack(const NodeId& from, uint64_t nonce, Instant now, SwimEffects& out);
  void nack(const NodeId& from, uint64_t nonce);
  /// Whether `nonce` is that of a stream ping to `target` of a probe that still runs.
  [[nodiscard]] bool asked_by_stream(const NodeId& target, uint64_t nonce) const;

  /// Fires what is due; a target whose probe failed is appended to `failed`.
  void advance(Instant now, SwimEffects& out, std::vector<NodeId>& failed);
  [[nodiscard]] Instant next_deadline() const { return deadlines_.next(); }

  /// Forgets every running probe and relay: their answers may have come while this node slept.
  void void_all();
  void member_added(const NodeId& id);
  void member_removed(const NodeId& id);
  /// The newest round trip to anybody: what T1 starts from for a member that was never measured.
  void measured(Duration rtt);
  /// T1 for this member, local health included.
  [[nodiscard]] Duration direct_timeout(const Member* target) const;
  [[nodiscard]] size_t running() const { return probes_.size(); }

 private:
  struct Probe {
    NodeId target;
    Endpoint address;
    Instant began;      ///< the stage: direct, then indirect
    Duration direct{};  ///< T1, or how long a relay waits
    unsigned direct_pings = 1;
    unsigned pings = 0;  ///< sent so far
    std::array<Instant, kMaxPingsAProbe> sent{};
    bool indirect = false;
    Instant ends;         ///< of the indirect stage
    unsigned rounds = 0;  ///< of ping-req
    unsigned asked = 0;
    unsigned nacks = 0;
    std::vector<NodeId> helpers;
    // A relay's only:
    NodeId origin;
    Endpoint origin_address;
    uint64_t origin_nonce = 0;
    [[nodiscard]] bool is_relay() const { return !origin.none(); }
  };

  uint64_t fresh_nonce();
  void ping(uint64_t base, Probe& probe, Instant now, SwimEffects& out);
  void begin_indirect(uint64_t base, Probe& probe, Instant now, SwimEffects& out);
  void next_round(uint64_t base, Probe& probe, SwimEffects& out);
  void ask_helpers(uint64_t base, Probe& probe, SwimEffects& out);
  void end(uint64_t base);

  const SwimConfig& config_;
  const MemberTable& table_;
  Awareness& health_;
  Rng rng_;
  std::map<uint64_t, Probe> probes_;  ///< by base nonce, relays too
  size_t relays_ = 0;
  Deadlines<uint64_t> deadlines_;
  std::vector<NodeId> order_;
  size_t next_in_order_ = 0;
  std::optional<Duration> any_rtt_;
};

}  // namespace kith
