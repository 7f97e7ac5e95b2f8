#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "world.h"

namespace kith::sim {

/// Sits at a host of the World in place of an agent, and sends what no agent would. With the
/// cluster's key and the host's identity it passes for a member: it knocks like one, and answers
/// pings.
class Adversary final : public NetworkUser {
 public:
  /// `key`: what it seals with. The host's agent must not run.
  Adversary(World& world, size_t host, const ClusterKey& key);
  ~Adversary() override;
  Adversary(const Adversary&) = delete;
  Adversary& operator=(const Adversary&) = delete;

  [[nodiscard]] const NodeId& id() const { return identity_.id(); }
  [[nodiscard]] uint64_t cluster() const { return cluster_; }
  /// What it says of itself; signed.
  [[nodiscard]] MemberRumor alive() const;
  [[nodiscard]] MemberRumor accusation(Claim claim, const NodeId& subject,
                                       Incarnation incarnation) const;
  /// A record of its own; `rest` is the key behind `node/<its id>/`.
  [[nodiscard]] Observed record(const std::string& rest, Bytes body, Epoch epoch,
                                uint64_t sequence) const;
  /// With its own key, whoever ought to have.
  void sign(MemberRumor& rumor) const {
    rumor.signature = identity_.sign(rumor.signed_bytes(cluster_));
  }

  /// Joins through a stream to `host`, as an agent does. Run the world for a second after it.
  void join(size_t host);

  // --- Datagrams -------------------------------------------------------------------------------
  void raw(size_t to, const Bytes& bytes);
  /// Sealed for `to`.
  void say(size_t to, Message message);
  void say(size_t to, std::vector<Rumor> rumors);
  /// Sealed for `to` as if `as` had sent it, in its boot and with any sequence.
  void spoof(size_t to, const NodeId& as, uint64_t boot, uint64_t sequence, ByteView plain);

  // --- Streams ---------------------------------------------------------------------------------
  /// Connects, and shakes hands if `greet`.
  uint64_t open(size_t to, bool greet = true);
  void write(uint64_t stream, Bytes bytes);
  /// One frame of an established stream; false if it is not (any more).
  bool frame(uint64_t stream, uint8_t type, ByteView payload);
  void close(uint64_t stream);
  [[nodiscard]] bool established(uint64_t stream) const;
  [[nodiscard]] bool connected(uint64_t stream) const;

  // --- What came back --------------------------------------------------------------------------
  uint64_t datagrams_heard = 0;
  uint64_t stream_bytes_heard = 0;
  uint64_t streams_closed = 0;
  bool answers_pings = true;

 private:
  struct Stream {
    std::optional<SecureChannel> channel;
    bool connected = false;
    size_t frames = 0;
    bool join = false;
  };
  void datagram(size_t host, const Endpoint& from, Bytes bytes) override;
  uint64_t stream_accepted(size_t host) override;
  void stream_connected(size_t host, uint64_t stream) override;
  void stream_data(size_t host, uint64_t stream, Bytes bytes) override;
  void stream_closed(size_t host, uint64_t stream, const std::string& why) override;
  [[nodiscard]] bool host_up(size_t) const override { return true; }
  [[nodiscard]] bool agent_up(size_t) const override { return true; }

  World* world_;
  size_t host_;
  Identity identity_;
  KeyRing ring_;
  uint64_t cluster_;
  Epoch epoch_;
  uint64_t boot_;
  DatagramSealer sealer_;
  uint64_t next_ = 1'000'001;
  std::map<uint64_t, Stream> streams_;
};

}  // namespace kith::sim
