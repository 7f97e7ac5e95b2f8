#pragma once

#include <array>
#include <cstdint>
#include <functional>
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
///   1. client: hello (key id, ephemeral X25519 key; sealed under a key that only a holder of the
///      cluster key can make: its NodeId and its signature over the hello)
///   2. server: ephemeral key; sealed: its NodeId and its signature over all so far
///   3. client: sealed: its NodeId and its signature over all so far; stream header
///   and the server's stream header. The keys come from the X25519 secret, the cluster key, the
///   cluster's id and a hash of everything said, both identities included.
/// Then frames: u32 big-endian length, libsodium secretstream (XChaCha20-Poly1305), each way.
///
/// A stream whose hello does not authenticate, or whose client is not to be admitted, is answered
/// with nothing. A replayed hello gets one
/// message 2 and leads nowhere. Nothing beyond the fixed size of the handshake is kept for a peer
/// that has not authenticated.
///
/// Order of calls: client: send `start()`; both: `receive` whatever comes, send what it gives,
/// until `established()`; then `seal` each frame and send that. After a failure the channel is
/// dead: close the stream.
class SecureChannel {
 public:
  /// Whether to go on with whom the other end says it is, on a stream under this key of the ring.
  using Admits = std::function<bool(const NodeId& peer, uint64_t key_id)>;

  /// `self` must outlive the channel. `expected`: whom the client wants to reach; none for
  /// whoever answers (then look at `peer()`). The client uses the ring's primary. Without `admits`
  /// everybody is let in.
  [[nodiscard]] static SecureChannel client(const Identity& self, const KeyRing& keys,
                                            uint64_t cluster_id, const NodeId& expected = {},
                                            Admits admits = {});
  [[nodiscard]] static SecureChannel server(const Identity& self, const KeyRing& keys,
                                            uint64_t cluster_id, Admits admits = {});
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
  /// Of the key it is under.
  [[nodiscard]] uint64_t key_id() const;
  /// Server: the stream failed before its hello was accepted. Count it, close it, say nothing.
  [[nodiscard]] bool hello_failed() const;

  /// One frame, ready to send. kUnavailable before `established()`, kTooLarge over kMaxFrame.
  [[nodiscard]] Result<Bytes> seal(ByteView frame);

 private:
  struct State;
  explicit SecureChannel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kith
