#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/instant.h"
#include "base/rng.h"
#include "event_queue.h"

namespace kith::sim {

/// What one direction between two hosts does to what passes.
struct LinkQuality {
  Duration delay = std::chrono::microseconds(300);
  Duration jitter = std::chrono::microseconds(400);  ///< added, uniformly: reorders datagrams
  uint32_t loss_percent = 0;
  uint32_t duplicate_percent = 0;
};

/// Whom the network calls, by host.
class NetworkUser {
 public:
  virtual ~NetworkUser() = default;
  virtual void datagram(size_t host, const Endpoint& from, Bytes bytes) = 0;
  /// A peer opened a stream; what it is called here.
  virtual uint64_t stream_accepted(size_t host) = 0;
  virtual void stream_connected(size_t host, uint64_t stream) = 0;
  virtual void stream_data(size_t host, uint64_t stream, Bytes bytes) = 0;
  virtual void stream_closed(size_t host, uint64_t stream, const std::string& why) = 0;
  /// The host has power.
  [[nodiscard]] virtual bool host_up(size_t host) const = 0;
  /// Its agent listens.
  [[nodiscard]] virtual bool agent_up(size_t host) const = 0;
};

/// Datagrams are lost, doubled, late and out of order as their link says. Streams carry bytes in
/// order over the same links: what is lost is sent again, so a cut link makes a stream hang, then
/// fail.
class Network {
 public:
  static constexpr uint16_t kPort = 7117;
  static constexpr Duration kConnectTime = std::chrono::seconds(3);
  /// A stream whose bytes are not taken for this long fails on the side that sent them.
  static constexpr Duration kGiveUp = std::chrono::seconds(15);

  Network(EventQueue& queue, NetworkUser& user, Rng rng);

  [[nodiscard]] static Endpoint address(size_t host);
  /// Whose address it is; -1: nobody's.
  [[nodiscard]] static int host_of(const Endpoint& address);

  // --- What the hosts do -----------------------------------------------------------------------
  void send(size_t from, const Endpoint& to, const Bytes& bytes);
  void open(size_t from, uint64_t stream, const Endpoint& to);
  void write(size_t from, uint64_t stream, Bytes bytes);
  void close(size_t from, uint64_t stream);
  /// Every stream of the host ends. `silent`: its power went, the peers are told nothing.
  void drop_streams(size_t host, bool silent);

  // --- Faults ----------------------------------------------------------------------------------
  LinkQuality& quality(size_t from, size_t to) { return qualities_[{from, to}]; }
  LinkQuality& default_quality() { return default_; }
  void set_loss(uint32_t percent);
  void cut_one_way(size_t from, size_t to) { cuts_.insert({from, to}); }
  void cut(size_t a, size_t b);
  void heal(size_t a, size_t b);
  void isolate(size_t host, size_t hosts);
  void partition(const std::set<size_t>& side, size_t hosts);
  /// Undoes `partition`.
  void rejoin(const std::set<size_t>& side, size_t hosts);
  void heal_one_way(size_t from, size_t to) { cuts_.erase({from, to}); }
  void as_default(size_t from, size_t to) { qualities_.erase({from, to}); }
  /// What the host sends or is sent waits until then; its agent's timers go on. Lifeguard's
  /// anomaly.
  void stall(size_t host, Instant until) { stalls_[host] = until; }
  void heal_all();
  /// Both have `owner`'s address until `unshare`: what is sent there reaches one or the other.
  void share_address(size_t owner, size_t other) { shared_ = {owner, other}; }
  void unshare() { shared_.reset(); }
  /// Datagrams from one to the other are dropped, streams pass: a firewall.
  void block_datagrams(size_t from, size_t to) { no_datagrams_.insert({from, to}); }
  [[nodiscard]] bool is_cut(size_t from, size_t to) const { return cuts_.contains({from, to}); }

  /// Told of every datagram as it is sent: an eavesdropper.
  std::function<void(size_t from, const Endpoint& to, const Bytes& bytes)> tap;

  [[nodiscard]] uint64_t datagrams() const { return datagrams_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  struct Segment {
    Bytes bytes;
    bool end = false;
    Instant due;  ///< when it would arrive if nothing were before it
    Instant give_up;
  };
  struct End {
    size_t host = 0;
    uint64_t stream = 0;
    bool open = false;
    std::deque<Segment> coming;  ///< sent here, not yet taken; only the first is on its way
  };
  struct Stream {
    End ends[2];  ///< the opener, the other
  };
  using Key = std::pair<size_t, uint64_t>;

  [[nodiscard]] const LinkQuality& of(size_t from, size_t to) const;
  [[nodiscard]] Duration transit(const LinkQuality& link);
  [[nodiscard]] bool passes(size_t from, size_t to);
  /// How long what the host sends or takes in has to wait.
  [[nodiscard]] Duration stalled_for(size_t host) const;
  /// Who is there now.
  [[nodiscard]] size_t resident(int host);
  [[nodiscard]] Endpoint sender(size_t host) const;
  void deliver(size_t from, size_t to, Bytes bytes);
  void connect(uint64_t id, Instant give_up, Duration pause);
  void carry(uint64_t id, int to_end, Bytes bytes, bool end);
  void try_first(uint64_t id, int to_end);
  void arrive(uint64_t id, int to_end, Bytes bytes, bool end);
  void fail(uint64_t id, int at_end, const std::string& why);
  void forget_if_closed(uint64_t id);

  EventQueue* queue_;
  NetworkUser* user_;
  Rng rng_;
  LinkQuality default_;
  std::map<std::pair<size_t, size_t>, LinkQuality> qualities_;
  std::set<std::pair<size_t, size_t>> cuts_;
  std::map<size_t, Instant> stalls_;
  std::set<std::pair<size_t, size_t>> no_datagrams_;
  std::optional<std::pair<size_t, size_t>> shared_;
  std::map<uint64_t, Stream> streams_;
  std::map<Key, std::pair<uint64_t, int>> by_end_;
  uint64_t next_ = 1;
  uint64_t datagrams_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace kith::sim
