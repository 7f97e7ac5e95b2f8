#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <unordered_set>

#include "base/bytes.h"
#include "base/ids.h"
#include "gossip/message.h"

namespace kith {

/// A node's Ed25519 key pair (RFC 8032). The public half is its NodeId; the secret half never
/// leaves the host's data_dir.
class Identity {
 public:
  static constexpr size_t kSeedSize = 32;
  using Seed = std::array<uint8_t, kSeedSize>;

  /// Draws from the operating system: for the agent, once, at its first start.
  [[nodiscard]] static Identity generate();
  /// The same seed gives the same identity: what is kept on disk, and what the simulator uses.
  [[nodiscard]] static Identity from_seed(const Seed& seed);

  [[nodiscard]] const NodeId& id() const { return id_; }
  /// Secret: write it only where nobody else reads.
  [[nodiscard]] Seed seed() const;
  /// Deterministic.
  [[nodiscard]] Signature sign(ByteView bytes) const;
  /// Fills in `rumor.signature`. The rumor must be one that only this node may say: its subject
  /// (alive, left) or its accuser (suspect, dead) is this node.
  void sign(MemberRumor& rumor, uint64_t cluster_id) const;

 private:
  Identity() = default;
  NodeId id_;
  std::array<uint8_t, 64> secret_{};
};

/// True if the holder of `signer` signed exactly `bytes`. Costs tens of microseconds.
[[nodiscard]] bool verify(const NodeId& signer, ByteView bytes, const Signature& signature);

/// Remembers the signatures that were found good, so that a rumor heard from ten peers is checked
/// once. Bounded: beyond `capacity` the oldest is forgotten, which only costs another check.
class VerifyCache {
 public:
  static constexpr size_t kMaxVerified = 4096;

  explicit VerifyCache(size_t capacity = kMaxVerified) : capacity_(capacity) {}

  /// Checks, unless this very (signer, bytes, signature) was found good before. Bad ones are not
  /// remembered: who sends them cannot push good ones out.
  [[nodiscard]] bool check(const NodeId& signer, ByteView bytes, const Signature& signature);
  [[nodiscard]] bool check(const MemberRumor& rumor, uint64_t cluster_id);
  /// True if `check` would answer true without the cost of a check.
  [[nodiscard]] bool known(const NodeId& signer, ByteView bytes, const Signature& signature) const;

  [[nodiscard]] size_t size() const { return seen_.size(); }
  /// How many signatures were really computed, good or bad.
  [[nodiscard]] uint64_t checked() const { return checked_; }

 private:
  using Digest = std::array<uint8_t, 16>;
  struct FirstBytes {  // of a hash, so as good as any
    size_t operator()(const Digest& digest) const;
  };
  [[nodiscard]] static Digest digest(const NodeId& signer, ByteView bytes,
                                     const Signature& signature);

  size_t capacity_;
  std::unordered_set<Digest, FirstBytes> seen_;
  std::deque<Digest> order_;
  uint64_t checked_ = 0;
};

}  // namespace kith
