#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

#include "base/instant.h"

namespace kith {

/// Every knob of the failure detector. The budget B = T1 + T2 + Smin decides: a stall shorter than
/// about B - 0.2 s is never called dead, and a crash is known by all in about B + 0.7 probe
/// intervals. Stalls trade against detection one for one; loss does not, since what answers it
/// (repeated pings, rounds of ping-req, last pings) stays inside the budget. Defaults are those of
/// the profile lan.
struct SwimConfig {
  // --- Probing ---------------------------------------------------------------------------------
  /// From one probe to the next. 300 ms. Shorter finds a crash sooner and costs traffic in
  /// proportion.
  Duration probe_interval = std::chrono::milliseconds(300);
  /// The same above `small_cluster` members, self included. 500 ms.
  Duration probe_interval_large = std::chrono::milliseconds(500);
  /// 16 members.
  size_t small_cluster = 16;
  /// T1, how long a direct probe waits: `rtt_multiple` x the smoothed round trip to that member
  /// (any member's while that one has none yet), within these bounds. 100 ms, 500 ms.
  Duration direct_timeout_min = std::chrono::milliseconds(100);
  Duration direct_timeout_max = std::chrono::milliseconds(500);
  /// 4.
  unsigned rtt_multiple = 4;
  /// Pings inside T1, evenly spread. 2. More save suspicions under loss and cost traffic.
  unsigned direct_pings = 2;
  /// T2, how long the indirect probe waits; at least `indirect_multiple` x T1. 200 ms, 2.
  Duration indirect_timeout = std::chrono::milliseconds(200);
  unsigned indirect_multiple = 2;
  /// k, members asked to ping in our place, each round. 3.
  unsigned indirect_peers = 3;
  /// Rounds of ping-req inside T2, the second after 0.4 x T2, to other members. 2.
  unsigned indirect_rounds = 2;
  /// A ping by stream beside the indirect ones: saves a member whose UDP is blocked. True.
  bool stream_ping = true;
  /// A helper that hears nothing from the target says so (Lifeguard section IV-A). True.
  bool nacks = true;

  // --- Suspicion -------------------------------------------------------------------------------
  /// Smin, the shortest suspicion; not scaled by the number of members. 900 ms. Longer forgives
  /// longer stalls and finds crashes later.
  Duration suspicion_min = std::chrono::milliseconds(900);
  /// Smax = this x Smin, while nobody else confirms. 2.
  unsigned suspicion_max_factor = 2;
  /// K, distinct accusers beyond the first that bring the suspicion down to Smin; at most n - 2. 2.
  unsigned confirmations = 2;
  /// Members, equal in every view, that probe a suspect as soon as they hear of it. 3.
  unsigned confirmers = 3;
  /// Pings to a suspect, spread over `last_ping_window` before it is declared dead. 4 in 450 ms.
  unsigned last_pings = 4;
  Duration last_ping_window = std::chrono::milliseconds(450);
  /// Another's word that a member is dead is believed once it has been suspect here for
  /// Smin - `last_ping_window`; until then it only brings the suspicion down to Smin. Else one that
  /// was cut off, and comes back with its verdicts, buries the healthy in every view. True.
  bool doubt_deaths = true;
  /// Every message to a suspect carries what it is accused of (Lifeguard section IV-C, buddy), it
  /// is told of a first accusation at once, and a stale accuser gets the newer alive. True. The
  /// dead are told in any case: without that none would return.
  bool tell_accused = true;

  // --- Local health (Lifeguard section IV-A) ---------------------------------------------------
  /// Largest multiplier of interval, T1 and T2. 3. Larger accuses less while this node is slow, and
  /// stretches detection when peers are.
  unsigned max_health_multiplier = 3;
  /// A loop that woke this late voids its running probes. 150 ms.
  Duration stall_threshold = std::chrono::milliseconds(150);

  // --- The dead --------------------------------------------------------------------------------
  /// The dead are pinged this often (1 s) for this long (30 s), then with doubling pauses up to
  /// `dead_ping_max`, for ever, each time with a stream dialled too. 5 s: bounds how long two
  /// healed halves go on apart.
  Duration dead_ping_interval = std::chrono::seconds(1);
  Duration dead_ping_period = std::chrono::seconds(30);
  Duration dead_ping_max = std::chrono::seconds(5);

  // --- Flaps and isolation ---------------------------------------------------------------------
  /// How long a flap of one's own counts. 10 min.
  Duration flap_window = std::chrono::minutes(10);
  /// Distinct accusers without whom a flap does not count. 2.
  unsigned flap_accusers = 2;
  /// Hold-down at the second flap, doubled by each further one. 20 s, at most 10 min.
  Duration hold_down_first = std::chrono::seconds(20);
  Duration hold_down_max = std::chrono::minutes(10);
  /// More than half of the members lost within this: rather it is I who am cut off. 10 s.
  Duration isolation_window = std::chrono::seconds(10);

  // --- How news travels: read by whoever owns the rumor queue ----------------------------------
  /// Between two rounds of gossip, each to `gossip_fan_out` members. 100 ms, 3.
  Duration gossip_interval = std::chrono::milliseconds(100);
  unsigned gossip_fan_out = 3;
  /// A rumor is sent this x ceil(log10(n + 1)) times. 6.
  unsigned retransmit_factor = 6;
  /// Urgent news goes at once to this many. 4. Forwarding others' is held to a bucket of
  /// `urgent_rate` datagrams a second, burst `urgent_burst`; one's own is exempt.
  unsigned urgent_fan_out = 4;
  unsigned urgent_rate = 100;
  unsigned urgent_burst = 400;

  /// The probe interval in a cluster of `members`, self included, before local health.
  [[nodiscard]] Duration interval(size_t members) const {
    return members > small_cluster ? probe_interval_large : probe_interval;
  }
  /// B at its longest for a path of which the round trip is known to be short.
  [[nodiscard]] Duration budget() const {
    return direct_timeout_min + indirect_timeout + suspicion_min;
  }

  [[nodiscard]] static SwimConfig lan() { return {}; }
  /// Hosts tens of milliseconds apart.
  [[nodiscard]] static SwimConfig wan();
  /// Wireless, 25% loss, small boards that stall for seconds.
  [[nodiscard]] static SwimConfig edge();
  /// The timing of Lifeguard's experiments (arXiv 1707.00788, section V) for a cluster of
  /// `members`: interval 1 s, alpha 5, beta 6, multiplier up to 8. For comparisons.
  [[nodiscard]] static SwimConfig paper(size_t members);
  /// This without all that SWIM of 2002 has not: local health, nacks, buddy, dynamic suspicion,
  /// confirmers, repeated and last pings, streams, urgent news, the stall watch. For comparisons.
  [[nodiscard]] SwimConfig plain() const;
  /// `lan`, `wan` or `edge`.
  [[nodiscard]] static std::optional<SwimConfig> profile(std::string_view name);
};

constexpr size_t kMaxMembers = 10'000;

}  // namespace kith
