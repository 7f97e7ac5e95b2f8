#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "gossip/identity.h"
#include "gossip/key_ring.h"

namespace kith {

/// The largest frame of a stream, before sealing.
constexpr size_t kMaxFrame = 1024 * 1024;

/// Secures one byte stream between two nodes. Does no input or output of its own: the caller
/// carries bytes.
///
/// Handshake, three messages of fixed size (SIGMA with a pre-shared key):
///   1. client: hello (key id, ephemeral X25519 key, a keyed hash that only a holder of the
///      cluster key can make)
///   2. server: ephemeral key; sealed: its NodeId and its signature over all so far
///   3. client: sealed: its NodeId and its signature over all so far; stream header
///   and the server's stream header. The keys come from the X25519 secret, the cluster key, the
///   cluster's id and a hash of everything said, both identities included.
/// Then frames: u32 big-endian length, libsodium secretstream (XChaCha20-Poly1305), each way.
///
/// A stream whose hello does not authenticate is answered with nothing. A replayed hello gets one
/// message 2 and leads nowhere. Nothing beyond the fixed size of the handshake is kept for a peer
/// that has not authenticated.
///
/// Order of calls: client: send `start()`; both: `receive` whatever comes, send what it gives,
/// until `established()`; then `seal` each frame and send that. After a failure the channel is
/// dead: close the stream.
class SecureChannel {
 public:
  /// `self` must outlive the channel. `expected`: whom the client wants to reach; none for
  /// whoever answers (then look at `peer()`).
  [[nodiscard]] static SecureChannel client(const Identity& self, const KeyRing& keys,
                                            uint64_t cluster_id, const NodeId& expected = {});
  [[nodiscard]] static SecureChannel server(const Identity& self, const KeyRing& keys,
                                            uint64_t cluster_id);
  SecureChannel(SecureChannel&&) noexcept;
  SecureChannel& operator=(SecureChannel&&) noexcept;
  ~SecureChannel();

  /// The client's first bytes; once.
  [[nodiscard]] Bytes start();

  /// Takes any piece of the stream. Appends whole frames to `frames` and what must be sent at once
  /// to `to_send`. kUnauthentic: wrong key, forged, damaged, or not the expected node; kTooLarge: a
  /// frame over kMaxFrame; kInvalid: no stream of ours. Every later call fails the same way.
  [[nodiscard]] Status receive(ByteView bytes, std::vector<Bytes>& frames, Bytes& to_send);

  /// The peer proved its identity, and frames can be sent.
  [[nodiscard]] bool established() const;
  /// None until established.
  [[nodiscard]] const NodeId& peer() const;
  /// Server: the stream failed before its hello authenticated. Count it, close it, say nothing.
  [[nodiscard]] bool hello_failed() const;

  /// One frame, ready to send. kUnavailable before `established()`, kTooLarge over kMaxFrame.
  [[nodiscard]] Result<Bytes> seal(ByteView frame);

 private:
  struct State;
  explicit SecureChannel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kith
