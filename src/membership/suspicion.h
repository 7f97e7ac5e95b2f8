#pragma once

#include "base/instant.h"
#include "membership/config.h"

namespace kith {

/// The clock of one suspicion: when to ping the suspect for the last times and when to declare it
/// dead. Knows nothing of members or messages.
///
/// It lasts max(Smin, Smax - (Smax - Smin) ln(C + 1) / ln(K + 1)) after C independent
/// confirmations (Lifeguard section IV-B), and whatever moves the end, a whole window of last
/// pings always fits before it: leaving that out made most false deaths on lossy links. A node
/// that woke too late to send them begins the window anew.
class Suspicion {
 public:
  /// `members`: those present, self and suspect included; bounds K to n - 2.
  Suspicion(const SwimConfig& config, size_t members, Instant now);

  /// How long a suspicion lasts, with `confirmations` of `wanted`.
  [[nodiscard]] static Duration timeout(const SwimConfig& config, unsigned confirmations,
                                        unsigned wanted);

  [[nodiscard]] bool wants_more() const { return confirmations_ < wanted_; }
  /// One more distinct accuser; nothing changes beyond K.
  void confirm(Instant now);
  /// Another declared it dead: as if all had confirmed.
  void hurry(Instant now);
  /// Whether it had its time to refute, so that another's verdict can be believed. Who answers this
  /// node has until Smax.
  [[nodiscard]] bool ripe(Instant now) const;
  /// This node slept for `lag`, its peers' answers with it.
  void extend(Duration lag, Instant now);
  /// The suspect answered: no death before a pause as long as the window and then
  /// another whole window of last pings.
  void proof_of_life(Instant now);

  enum class Step { kNothing, kLastPing, kDeclareDead };
  /// What is due at `now`. Several steps may be due: call until kNothing or kDeclareDead; after
  /// kDeclareDead the object is spent.
  [[nodiscard]] Step step(Instant now);
  [[nodiscard]] Instant next_deadline() const;

  [[nodiscard]] Instant began() const { return began_; }
  [[nodiscard]] Instant end() const { return end_; }
  /// The ping that step() just asked for is the first of its window.
  [[nodiscard]] bool first_last_ping() const { return pings_ == 1; }

 private:
  void plan(Instant now);
  [[nodiscard]] Instant ping_at(unsigned n) const;

  Duration min_;
  Duration max_;
  Duration window_;
  unsigned last_pings_;
  unsigned wanted_;
  unsigned confirmations_ = 0;
  Instant began_;
  Instant start_;  ///< the same, moved by stalls
  Instant not_before_;
  Instant end_;
  unsigned pings_ = 0;  ///< sent in the current window
};

}  // namespace kith
