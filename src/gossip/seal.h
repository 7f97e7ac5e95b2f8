#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "gossip/key_ring.h"

namespace kith {

/// Fits the smallest path that occurs in practice (IPv6 minimum 1280, less IP and UDP headers),
/// so that no datagram is ever fragmented.
constexpr size_t kMaxDatagram = 1200;

/// magic 4, wire version 1, flags 1, key id 8, nonce 24, tag 16.
constexpr size_t kSealOverhead = 4 + 1 + 1 + 8 + 24 + 16;

/// What a message may encode to so that its datagram keeps within kMaxDatagram.
constexpr size_t kMaxPlain = kMaxDatagram - kSealOverhead;

/// A datagram that authenticated.
struct Opened {
  uint64_t sender = 0;    ///< NodeId::short_id() that the sender claims; any member could
  uint64_t boot = 0;      ///< of this start of the sender: compare with its signed alive
  uint64_t sequence = 0;  ///< grows by one a datagram within a boot
  uint64_t key_id = 0;    ///< of the ring's key it was sealed with
  bool hello = false;     ///< was sealed for whoever gets it, not for this node
  Bytes plain;
};

struct SealCounters {
  uint64_t sealed = 0;
  uint64_t opened = 0;
  uint64_t malformed = 0;    ///< too short, another magic or wire version
  uint64_t unknown_key = 0;  ///< key id of no key in the ring: usually another cluster
  uint64_t unauthentic = 0;  ///< forged, damaged, or meant for another node
};

/// Seals and opens datagrams with XChaCha20-Poly1305.
///
/// Layout: "kith", wire version, flags (bit 0: hello), key id, nonce (boot, sender's short id,
/// sequence; 8 bytes each), ciphertext and tag. All numbers big-endian. Authenticated beside the
/// ciphertext: magic, version, flags, cluster id, key id, receiver's short id (zero in a hello).
///
/// Says nothing about replays: ask a ReplayGuard with what `open` returned.
class DatagramSealer {
 public:
  /// `self`: this node's short id. `boot`: must be drawn from the operating system anew at every
  /// start, since with `self` and the sequence it makes the nonce; never reuse one with the same
  /// key.
  DatagramSealer(uint64_t cluster_id, const KeyRing& keys, uint64_t self, uint64_t boot);

  /// Seals with the new primary and opens with all of `keys` from now on.
  void set_keys(const KeyRing& keys);

  /// `receiver`: short id of the only node that can open it; zero makes a hello, which every
  /// member can. The result is kSealOverhead longer than `plain`.
  [[nodiscard]] Bytes seal(ByteView plain, uint64_t receiver);

  /// kUnauthentic for whatever was not sealed for this node with a key of the ring; kInvalid for
  /// what is no datagram of this wire version. Neither allocates: count, and answer nothing.
  [[nodiscard]] Result<Opened> open(ByteView datagram);

  [[nodiscard]] const SealCounters& counters() const { return counters_; }
  [[nodiscard]] uint64_t boot() const { return boot_; }

 private:
  struct Key {
    uint64_t id = 0;
    std::array<uint8_t, 32> secret{};
  };

  uint64_t cluster_id_;
  uint64_t self_;
  uint64_t boot_;
  uint64_t sequence_ = 0;
  std::vector<Key> keys_;  // the primary first
  SealCounters counters_;
};

}  // namespace kith
