#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/instant.h"
#include "gossip/channel.h"
#include "gossip/identity.h"
#include "gossip/key_ring.h"

namespace kith {

/// What the driver does with byte streams, in this order. Stream numbers that Links gives are odd,
/// those that the driver gives to accepted streams are even.
struct StreamOpen {
  uint64_t stream = 0;
  Endpoint to;  ///< `host` may be a name
};
struct StreamWrite {
  uint64_t stream = 0;
  Bytes bytes;
};
struct StreamClose {
  uint64_t stream = 0;
};
using StreamCommand = std::variant<StreamOpen, StreamWrite, StreamClose>;

enum class LinkPurpose : uint8_t {
  kServe,  ///< accepted: the peer says what it wants
  kSync,   ///< exchange members, documents and records
  kPing,   ///< one ping, where datagrams may be blocked
  kFetch,  ///< records that were offered
  kKeys,   ///< the key ring alone
};

/// Told by Links. `stream` stays valid within the call.
class LinkHandler {
 public:
  virtual ~LinkHandler() = default;
  /// Whether to talk to `peer` at all, which uses this key of the ring. If not it gets no byte.
  [[nodiscard]] virtual bool admits(const NodeId& peer, uint64_t key_id) const = 0;
  virtual void link_established(uint64_t stream, Now now) = 0;
  virtual void link_frame(uint64_t stream, ByteView frame, Now now) = 0;
  /// Ended from the other side, by a fault or by its time limit; not by `close`. `established`
  /// tells whether the peer ever proved itself; kUnauthentic that it hung up on our hello, or
  /// failed to prove itself.
  virtual void link_lost(uint64_t stream, const Error& why, bool established, Now now) = 0;
};

/// The secured streams of one node, sans-IO: carries frames over byte streams that the driver
/// holds.
class Links {
 public:
  static constexpr size_t kMaxAccepted = 64;
  static constexpr size_t kMaxAcceptedAPeer = 8;
  static constexpr size_t kMaxOpened = 64;
  static constexpr Duration kHandshakeTime = std::chrono::seconds(5);
  /// Without a frame from the peer.
  static constexpr Duration kIdleTime = std::chrono::seconds(20);
  /// An accepted stream ends after this long, whatever comes.
  static constexpr Duration kServeTime = std::chrono::minutes(5);

  struct Counters {
    uint64_t hello_refused = 0;  ///< strangers: another key, or no kith at all
    uint64_t failed = 0;
    uint64_t refused_full = 0;
  };

  /// `keys`: those accepted, as they are when a stream comes.
  Links(const Identity& self, const KeyRing& keys, uint64_t cluster_id, LinkHandler& handler);

  /// Dials under the primary of `keys`. Zero if kMaxOpened are open.
  uint64_t open(const Endpoint& to, const NodeId& expected, LinkPurpose purpose,
                const KeyRing& keys, Now now, std::vector<StreamCommand>& out);
  /// Sends one frame; false if the link is gone or not established.
  bool send(uint64_t stream, ByteView frame, std::vector<StreamCommand>& out);
  void close(uint64_t stream, std::vector<StreamCommand>& out);
  /// Ends every link with this peer, whoever began it.
  void drop_peer(const NodeId& peer, Now now, std::vector<StreamCommand>& out);

  // From the driver. Where kMaxAccepted are there already, the eldest that has not proved itself
  // makes room: so strangers who say nothing keep nobody out.
  void accepted(uint64_t stream, Now now, std::vector<StreamCommand>& out);
  void connected(uint64_t stream, Now now, std::vector<StreamCommand>& out);
  void data(uint64_t stream, ByteView bytes, Now now, std::vector<StreamCommand>& out);
  void closed(uint64_t stream, const Error& why, Now now);

  void advance(Now now, std::vector<StreamCommand>& out);
  [[nodiscard]] Instant next_deadline() const;

  [[nodiscard]] bool alive(uint64_t stream) const { return links_.contains(stream); }
  [[nodiscard]] LinkPurpose purpose(uint64_t stream) const;
  /// None until established.
  [[nodiscard]] NodeId peer(uint64_t stream) const;
  /// Of the key that an established stream is under.
  [[nodiscard]] uint64_t key_id(uint64_t stream) const;
  [[nodiscard]] const Endpoint& address(uint64_t stream) const;
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Link {
    LinkPurpose purpose = LinkPurpose::kServe;
    Endpoint to;
    SecureChannel channel;
    Instant deadline;
    bool established = false;
    bool connected = false;  ///< of those opened here
    Instant end = kNever;
  };
  [[nodiscard]] SecureChannel::Admits policy() const;
  [[nodiscard]] std::optional<uint64_t> eldest_stranger() const;
  void limit_peer(const NodeId& peer, Now now, std::vector<StreamCommand>& out);
  void lose(uint64_t stream, const Error& why, Now now, std::vector<StreamCommand>& out);

  const Identity* self_;
  const KeyRing* keys_;
  uint64_t cluster_id_;
  LinkHandler* handler_;
  uint64_t next_ = 1;
  std::map<uint64_t, Link> links_;
  Counters counters_;
};

}  // namespace kith
