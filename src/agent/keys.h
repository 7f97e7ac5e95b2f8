#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/instant.h"
#include "gossip/shared_ring.h"

namespace kith {

/// Meta key under which the ring is kept, secrets included.
constexpr std::string_view kRingMeta = "ring";

/// The cluster's keys as one node has them: in use, on disk, and which to dial a peer with.
class Keys {
 public:
  /// `stored`: what was on disk; empty at a first start. A ring that was ever changed goes before
  /// the configuration.
  Keys(const ClusterKey& configured, ByteView stored);

  [[nodiscard]] const SharedRing& ring() const { return ring_; }
  /// What would be there after a loss of power: what this node tells the others that it has.
  [[nodiscard]] const SharedRing& stored() const { return stored_; }
  /// What its packets and streams use. The same object always.
  [[nodiscard]] const KeyRing& wire() const { return wire_; }
  [[nodiscard]] uint64_t digest() const { return digest_; }
  [[nodiscard]] bool banned(const NodeId& node) const { return ring_.banned(node); }
  [[nodiscard]] const ClusterKey& configured() const { return configured_; }
  /// Why what was on disk could not be read; empty if all is well.
  [[nodiscard]] const std::string& damage() const { return damage_; }

  void set(SharedRing ring);
  /// It is on disk.
  void set_stored(const SharedRing& ring) { (void)stored_.merge(ring); }
  /// Whether what is in use is on its way to the disk, or there.
  bool unsaved = false;

  /// What to dial with: the primary; the next one of the ring after each time that the peer hung
  /// up on it; last the configuration's, if a person gave this host another.
  [[nodiscard]] KeyRing to_dial(const Endpoint& to) const;
  /// True if there is another key to try at once.
  bool turned_away(const Endpoint& by);
  void welcomed(const Endpoint& by) { turns_.erase(by); }

 private:
  static constexpr size_t kMaxTurns = 1024;
  [[nodiscard]] std::vector<ClusterKey> candidates() const;

  ClusterKey configured_;
  std::string damage_;
  SharedRing ring_;
  SharedRing stored_;
  KeyRing wire_;
  uint64_t digest_ = 0;
  std::map<Endpoint, size_t> turns_;
};

}  // namespace kith
