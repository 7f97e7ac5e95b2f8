#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace kith {

using Signature = std::array<uint8_t, 64>;

/// Grows with every refutation and restart of the member it belongs to; only that member raises it.
using Incarnation = uint64_t;

/// Grows with every start of an agent; part of its signed alive.
using Epoch = uint64_t;

enum class Claim : uint8_t { kAlive = 0, kSuspect = 1, kDead = 2, kLeft = 3 };

/// What one node says of a member. Alive and left are said and signed by the subject itself,
/// suspect and dead by the accuser.
struct MemberRumor {
  Claim claim = Claim::kAlive;
  NodeId subject;
  Incarnation incarnation = 0;
  NodeId accuser;  ///< suspect, dead: who says so; none otherwise
  // Alive only:
  Epoch epoch = 0;
  uint64_t boot = 0;  ///< random, of this start of the agent: what its datagrams carry
  std::string name;   ///< at most kMaxNodeName bytes
  Endpoint address;   ///< where its datagrams and streams go
  Signature signature{};

  /// The bytes that are signed: every field but the signature, after a domain string and the
  /// cluster's id.
  [[nodiscard]] Bytes signed_bytes(uint64_t cluster_id) const;
  [[nodiscard]] NodeId signer() const;
  /// A newer rumor with an equal key replaces this one in the queue: the subject, and for an
  /// accusation the accuser.
  [[nodiscard]] std::string key() const;
};

/// A state record on its way, opaque to gossip.
struct RecordRumor {
  std::string key;  ///< as in the store: a newer one replaces it in the queue
  Bytes envelope;
};

/// "I have this version of a record too large for a datagram": who lacks it fetches by stream.
struct OfferRumor {
  std::string key;
  uint64_t version = 0;  ///< hash of the record's version
};

using Rumor = std::variant<MemberRumor, RecordRumor, OfferRumor>;

struct Ping {
  uint64_t nonce = 0;
};
struct Ack {
  uint64_t nonce = 0;
};
/// Asks the receiver to ping `target` and to pass the ack back under `nonce`.
struct PingReq {
  uint64_t nonce = 0;
  NodeId target;
  Endpoint target_address;
};
/// The relay is well but heard nothing from the target (Lifeguard section IV-A).
struct Nack {
  uint64_t nonce = 0;
};
/// Asks a confirmer to probe `target` at once.
struct Confirm {
  NodeId target;
  Endpoint target_address;
};
/// Carries rumors only.
struct Gossip {};

using Body = std::variant<Ping, Ack, PingReq, Nack, Confirm, Gossip>;

struct Message {
  Body body;
  uint64_t root = 0;  ///< digest of all documents and records; on pings and acks
  std::vector<Rumor> rumors;
};

constexpr size_t kMaxNodeName = 63;
constexpr size_t kMaxRecordKey = 255;
constexpr size_t kMaxRecordSize = 64 * 1024;
constexpr size_t kMaxRumorsAMessage = 64;

[[nodiscard]] Bytes encode(const Message& message);
/// Never crashes, and allocates at most a small multiple of the input, whatever the input. Fields
/// appended to any array and rumors of unknown kinds are passed over: a newer node may send them.
[[nodiscard]] Result<Message> decode_message(ByteView bytes);

/// One rumor, as `encode(Message)` would lay it down: the queue keeps them encoded.
[[nodiscard]] Bytes encode(const Rumor& rumor);
[[nodiscard]] Result<Rumor> decode_rumor(ByteView bytes);

}  // namespace kith
