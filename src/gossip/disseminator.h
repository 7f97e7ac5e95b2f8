#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/instant.h"
#include "base/rng.h"
#include "gossip/message.h"
#include "gossip/rumor_queue.h"
#include "gossip/seal.h"

namespace kith {

/// A member that news can be sent to: alive or suspect, never this node.
struct Peer {
  NodeId id;
  Endpoint address;
  bool operator==(const Peer&) const = default;
};

/// A message on its way out: encode, seal for `to.id`, send to `to.address`.
struct GossipSend {
  Peer to;
  Message message;
};

struct GossipConfig {
  /// Shorter: news arrives sooner, more packets while there is news. None are sent without.
  Duration gossip_interval = std::chrono::milliseconds(100);
  /// Peers told a tick. More: sooner, and that many more packets.
  unsigned gossip_fanout = 3;
  /// Datagrams to each peer of a tick, while there are records nobody was told yet: an edit of
  /// many documents arrives whole.
  unsigned gossip_burst = 4;
  /// Each rumor is told mult x ceil(log10(n + 1)) times. More survives more loss.
  unsigned retransmit_mult = 6;
  /// Peers told at once of urgent news.
  unsigned urgent_fanout = 4;
  /// Datagrams a second spent on others' urgent news, beyond a burst; what exceeds it waits for
  /// the next tick. Bounds a storm when half a cluster vanishes. One's own news is exempt.
  unsigned urgent_rate = 100;
  unsigned urgent_burst = 400;
  /// A record waits this long for its next version before it is told.
  Duration coalesce = std::chrono::milliseconds(50);
  /// What an encoded message may measure.
  size_t max_plain = kMaxPlain;
};

struct DisseminatorCounters {
  uint64_t ticks = 0;           ///< that sent something
  uint64_t gossip_sent = 0;     ///< datagrams of ticks
  uint64_t urgent_sent = 0;     ///< datagrams of urgent news
  uint64_t urgent_limited = 0;  ///< datagrams the bucket refused; their news waits for a tick
};

/// Tells news: at once what is urgent, on every ping and ack what fits, the rest on a tick that
/// runs only while there is news. Deterministic for a given Rng.
///
/// `peers` is always whom the caller holds for alive or suspect at this moment, in an order that
/// the same history repeats.
class Disseminator {
 public:
  Disseminator(const GossipConfig& config, Rng rng);

  /// Queues a rumor. With `wait`, records and offers wait `coalesce` for a newer version; member
  /// rumors never do.
  RumorQueue::Pushed spread(const Rumor& rumor, Instant now, bool wait = true);

  /// Queues `news` and sends it at once to `urgent_fanout` random peers, packed into as few
  /// datagrams as hold it. `own`: this node is its author. Others' news passes once, from each
  /// first hearer: call it only for what was new to this node, and for all of one received
  /// message together. News that waits in the queue already is not sent again.
  void urgent(std::span<const MemberRumor> news, bool own, Instant now, std::span<const Peer> peers,
              std::vector<GossipSend>& out);

  /// Adds rumors to `message` as long as it encodes to at most `budget` bytes.
  void piggyback(Message& message, Instant now, size_t budget) { add(message, now, budget, 1); }
  void piggyback(Message& message, Instant now) { piggyback(message, now, config_.max_plain); }

  /// Runs the tick if it is due. All its peers are told the same: where they are all there are,
  /// nobody waits for a luckier tick. Without peers nothing is told and the deadline rests; the
  /// first call with a peer goes on.
  void advance(Instant now, std::span<const Peer> peers, std::vector<GossipSend>& out);
  /// In the past if a tick is due; kNever while there is no news, or nobody to tell it to.
  [[nodiscard]] Instant next_deadline() const;

  /// Members of the cluster, this one included: how often a rumor is told follows from it. One
  /// until told otherwise.
  void set_cluster_size(size_t n) { cluster_size_ = n; }

  /// Takes out what is no longer true: `member_prefix(subject)` when a member is removed.
  void invalidate(std::string_view prefix) { queue_.invalidate(prefix); }

  [[nodiscard]] const RumorQueue& queue() const { return queue_; }
  [[nodiscard]] const DisseminatorCounters& counters() const { return counters_; }

 private:
  void add(Message& message, Instant now, size_t budget, unsigned hearers);
  [[nodiscard]] std::vector<size_t> pick(size_t from, size_t count);
  [[nodiscard]] bool take_token(Instant now);

  GossipConfig config_;
  Rng rng_;
  RumorQueue queue_;
  size_t cluster_size_ = 1;
  Instant next_tick_ = Instant{};  // not before this
  bool nobody_ = false;            // the last tick found no peer
  Instant bucket_ = Instant{};     // when the bucket will be full again
  DisseminatorCounters counters_;
};

}  // namespace kith
