#include "gossip/channel.h"

#include <doctest/doctest.h>
#include <sodium.h>

#include <memory>
#include <set>

#include "gossip/crypto.h"
#include "samples.h"

using namespace kith;

namespace {

constexpr uint64_t kCluster = 99;

/// One end of a stream, with what it received and what it wants sent.
struct End {
  SecureChannel channel;
  std::vector<Bytes> frames{};
  Bytes to_send{};

  Status take(ByteView bytes) { return channel.receive(bytes, frames, to_send); }
  Bytes sent() { return std::exchange(to_send, {}); }
};

const Identity& alice() {
  static const Identity identity = sample::identity(1);
  return identity;
}
const Identity& bob() {
  static const Identity identity = sample::identity(2);
  return identity;
}

End client(uint8_t key = 1, const NodeId& expected = {}, uint64_t cluster = kCluster) {
  return {SecureChannel::client(alice(), KeyRing(sample::key(key)), cluster, expected)};
}
End server(uint8_t key = 1, uint64_t cluster = kCluster) {
  return {SecureChannel::server(bob(), KeyRing(sample::key(key)), cluster)};
}

/// Both ends of an established stream, and the three parts of its handshake.
struct Pair {
  End a = client();
  End b = server();
  Bytes hello, server_proof, client_proof, server_header;

  Pair() {
    hello = a.channel.start();
    REQUIRE(b.take(hello));
    server_proof = b.sent();
    REQUIRE(a.take(server_proof));
    client_proof = a.sent();
    REQUIRE(b.take(client_proof));
    server_header = b.sent();
    REQUIRE(a.take(server_header));
    REQUIRE(a.channel.established());
    REQUIRE(b.channel.established());
  }
};

Bytes text(std::string_view s) {
  return {s.begin(), s.end()};
}

}  // namespace

TEST_CASE("channel: both ends know each other and exchange frames") {
  Pair p;
  CHECK(p.a.channel.peer() == bob().id());
  CHECK(p.b.channel.peer() == alice().id());
  for (int i = 0; i < 3; ++i) {
    CHECK(p.b.take(p.a.channel.seal(text("ask")).value()));
    CHECK(p.a.take(p.b.channel.seal(text("answer")).value()));
  }
  CHECK(p.b.frames == std::vector<Bytes>(3, text("ask")));
  CHECK(p.a.frames == std::vector<Bytes>(3, text("answer")));
  CHECK(p.a.to_send.empty());
  CHECK(p.b.to_send.empty());
}

TEST_CASE("channel: the client may send behind its proof without waiting") {
  End a = client();
  End b = server();
  REQUIRE(b.take(a.channel.start()));
  CHECK_FALSE(b.channel.established());
  CHECK(b.channel.seal(text("early")).error().code == ErrorCode::kUnavailable);
  REQUIRE(a.take(b.sent()));
  CHECK(a.channel.established());
  Bytes bytes = a.sent();
  const Bytes frame = a.channel.seal(text("first")).value();
  bytes.insert(bytes.end(), frame.begin(), frame.end());
  REQUIRE(b.take(bytes));
  CHECK(b.frames == std::vector<Bytes>{text("first")});
}

TEST_CASE("channel: where the stream is cut into pieces does not matter") {
  const auto run = [](size_t piece) {
    End a = client();
    End b = server();
    const auto pass = [&](const Bytes& bytes, End& to) {
      ByteView rest = bytes;
      while (!rest.empty()) {
        const size_t n = std::min(piece, rest.size());
        REQUIRE(to.take(rest.first(n)));
        rest = rest.subspan(n);
      }
    };
    pass(a.channel.start(), b);
    pass(b.sent(), a);
    Bytes bytes = a.sent();
    for (const size_t size : {0, 1, 5, 300}) {
      const Bytes frame = a.channel.seal(Bytes(size, 3)).value();
      bytes.insert(bytes.end(), frame.begin(), frame.end());
    }
    pass(bytes, b);
    pass(b.sent(), a);
    REQUIRE(b.frames.size() == 4);
    CHECK(b.frames[0].empty());
    CHECK(b.frames[3] == Bytes(300, 3));
  };
  for (size_t piece = 1; piece < 600; piece += piece < 200 ? 1 : 37) run(piece);
}

TEST_CASE("channel: cut in two at every position it still works") {
  Pair p;
  for (size_t cut = 0;; ++cut) {
    const Bytes frame = p.a.channel.seal(text("some frame")).value();
    if (cut > frame.size()) break;
    REQUIRE(p.b.take(ByteView(frame).first(cut)));
    REQUIRE(p.b.take(ByteView(frame).subspan(cut)));
    REQUIRE(p.b.frames.size() == cut + 1);
  }
}

TEST_CASE("channel: a stranger's hello gets no byte back and is told apart") {
  struct Case {
    const char* what;
    End end;
  };
  Case cases[] = {{"another key", client(7)}, {"another cluster", client(1, {}, kCluster + 1)}};
  for (Case& c : cases) {
    CAPTURE(c.what);
    End b = server();
    CHECK(b.take(c.end.channel.start()).error().code == ErrorCode::kUnauthentic);
    CHECK(b.to_send.empty());
    CHECK(b.channel.hello_failed());
    CHECK_FALSE(b.channel.established());
    CHECK(b.channel.peer().none());
    CHECK(b.take(text("more")).error().code == ErrorCode::kUnauthentic);
  }
  End b = server();
  CHECK(b.take(Bytes(200, 'G')).error().code == ErrorCode::kInvalid);
  CHECK(b.to_send.empty());
  CHECK(b.channel.hello_failed());
}

TEST_CASE("channel: the server accepts any key of its ring and answers under that one") {
  KeyRing ring(sample::key(2));
  REQUIRE(ring.add(sample::key(1)));
  End a = client(1);
  End b{SecureChannel::server(bob(), ring, kCluster)};
  REQUIRE(b.take(a.channel.start()));
  REQUIRE(a.take(b.sent()));
  REQUIRE(b.take(a.sent()));
  REQUIRE(a.take(b.sent()));
  REQUIRE(b.take(a.channel.seal(text("x")).value()));
  CHECK(b.frames.size() == 1);
}

TEST_CASE("channel: a client that expects another node stops without naming itself") {
  End a = client(1, sample::identity(3).id());
  End b = server();
  REQUIRE(b.take(a.channel.start()));
  CHECK(a.take(b.sent()).error().code == ErrorCode::kUnauthentic);
  CHECK(a.to_send.empty());
  CHECK_FALSE(a.channel.established());

  End right = client(1, bob().id());
  End b2 = server();
  REQUIRE(b2.take(right.channel.start()));
  CHECK(right.take(b2.sent()));
}

TEST_CASE("channel: who is not to be let in gets no byte, whatever key it has") {
  NodeId asked;
  uint64_t under = 0;
  const auto turn_away = [&](const NodeId& peer, uint64_t key_id) {
    asked = peer;
    under = key_id;
    return false;
  };
  SUBCASE("a client") {
    End a = client();
    End b{SecureChannel::server(bob(), KeyRing(sample::key(1)), kCluster, turn_away)};
    CHECK(b.take(a.channel.start()).error().code == ErrorCode::kUnauthentic);
    CHECK(b.to_send.empty());
    CHECK(b.channel.hello_failed());
    CHECK(asked == alice().id());
  }
  SUBCASE("a server") {
    End a{SecureChannel::client(alice(), KeyRing(sample::key(1)), kCluster, {}, turn_away)};
    End b = server();
    REQUIRE(b.take(a.channel.start()));
    CHECK(a.take(b.sent()).error().code == ErrorCode::kUnauthentic);
    CHECK(a.to_send.empty());
    CHECK(asked == bob().id());
  }
  CHECK(under == sample::key(1).id());
}

TEST_CASE("channel: one changed bit in the handshake and nothing comes of it") {
  const Pair good;
  SUBCASE("in the hello: silence") {
    for (size_t i = 0; i < good.hello.size() * 8; ++i) {
      End a = client();
      End b = server();
      Bytes hello = a.channel.start();
      hello[i / 8] = static_cast<uint8_t>(hello[i / 8] ^ (1 << i % 8));
      REQUIRE_FALSE(b.take(hello));
      REQUIRE(b.to_send.empty());
      REQUIRE(b.channel.hello_failed());
    }
  }
  SUBCASE("in the server's proof") {
    for (size_t i = 0; i < good.server_proof.size(); ++i) {
      End a = client();
      End b = server();
      REQUIRE(b.take(a.channel.start()));
      Bytes proof = b.sent();
      proof[i] ^= 0x10;
      REQUIRE_FALSE(a.take(proof));
      REQUIRE(a.to_send.empty());
      REQUIRE(a.channel.peer().none());
    }
  }
  SUBCASE("in the client's proof, or in the stream header behind it") {
    for (size_t i = 0; i < good.client_proof.size(); ++i) {
      End a = client();
      End b = server();
      REQUIRE(b.take(a.channel.start()));
      REQUIRE(a.take(b.sent()));
      Bytes proof = a.sent();
      proof[i] ^= 0x10;
      const Bytes frame = a.channel.seal(text("x")).value();
      const bool first = b.take(proof).has_value();
      const bool second = b.take(frame).has_value();
      REQUIRE_FALSE((first && second));
      REQUIRE(b.frames.empty());
      REQUIRE_FALSE(b.channel.hello_failed());
    }
  }
  SUBCASE("in the server's stream header") {
    for (size_t i = 0; i < good.server_header.size(); ++i) {
      Pair p;
      End a = client();
      End b = server();
      REQUIRE(b.take(a.channel.start()));
      REQUIRE(a.take(b.sent()));
      REQUIRE(b.take(a.sent()));
      Bytes header = b.sent();
      header[i] ^= 0x10;
      REQUIRE(a.take(header));
      REQUIRE_FALSE(a.take(b.channel.seal(text("x")).value()));
      REQUIRE(a.frames.empty());
    }
  }
}

TEST_CASE("channel: one changed bit in a frame ends the stream") {
  const size_t size = Pair().a.channel.seal(text("frame"))->size();
  for (size_t i = 0; i < size * 8; ++i) {
    Pair p;
    Bytes frame = p.a.channel.seal(text("frame")).value();
    frame[i / 8] = static_cast<uint8_t>(frame[i / 8] ^ (1 << i % 8));
    frame.resize(frame.size() + 300);  // a longer length must not wait for ever here
    const Status status = p.b.take(frame);
    REQUIRE(p.b.frames.empty());
    // A length that grew waits for more bytes than there are; anything else fails at once.
    if (i >= 32) REQUIRE_FALSE(status);
    if (!status) REQUIRE_FALSE(p.b.take(p.a.channel.seal(text("next")).value()));
  }
}

TEST_CASE("channel: frames dropped, repeated, swapped or reflected end the stream") {
  SUBCASE("repeated") {
    Pair p;
    const Bytes frame = p.a.channel.seal(text("x")).value();
    CHECK(p.b.take(frame));
    CHECK_FALSE(p.b.take(frame));
  }
  SUBCASE("dropped") {
    Pair p;
    (void)p.a.channel.seal(text("x"));
    CHECK_FALSE(p.b.take(p.a.channel.seal(text("y")).value()));
  }
  SUBCASE("reflected") {
    Pair p;
    CHECK_FALSE(p.a.take(p.a.channel.seal(text("x")).value()));
  }
  SUBCASE("of another stream of the same two nodes") {
    Pair p;
    Pair q;
    CHECK_FALSE(p.b.take(q.a.channel.seal(text("x")).value()));
  }
}

TEST_CASE("channel: a replayed handshake leads nowhere") {
  Pair recorded;
  const Bytes frame = recorded.a.channel.seal(text("do it")).value();
  End b = server();
  REQUIRE(b.take(recorded.hello));
  CHECK(b.sent() != recorded.server_proof);  // a new ephemeral key
  CHECK_FALSE(b.take(recorded.client_proof));
  CHECK_FALSE(b.take(frame));
  CHECK(b.frames.empty());
  CHECK_FALSE(b.channel.established());

  End a = client();
  (void)a.channel.start();
  CHECK_FALSE(a.take(recorded.server_proof));
}

TEST_CASE("channel: a frame may be as large as the limit, and no larger") {
  Pair p;
  CHECK(p.b.take(p.a.channel.seal(Bytes(kMaxFrame, 9)).value()));
  CHECK(p.b.frames.back() == Bytes(kMaxFrame, 9));
  CHECK(p.a.channel.seal(Bytes(kMaxFrame + 1, 9)).error().code == ErrorCode::kTooLarge);
  CHECK(p.b.take(p.a.channel.seal(text("still works")).value()));

  CHECK(p.b.take(*from_hex("00100012")).error().code == ErrorCode::kTooLarge);  // limit + tag + 1
  Pair r;
  CHECK(r.b.take(*from_hex("ffffffff")).error().code == ErrorCode::kTooLarge);
  Pair q;
  CHECK(q.b.take(*from_hex("00000010")).error().code == ErrorCode::kUnauthentic);
}

TEST_CASE("channel: random bytes never get through, at whatever stage") {
  Rng rng(4);
  for (int i = 0; i < 300; ++i) {
    End b = server();
    const Bytes noise = sample::random_bytes(rng, 160 + rng.below(400));
    REQUIRE_FALSE(b.take(noise));
    REQUIRE(b.to_send.empty());

    End a = client();
    (void)a.channel.start();
    REQUIRE_FALSE(a.take(sample::random_bytes(rng, 200)));

    End b2 = server();
    End a2 = client();
    REQUIRE(b2.take(a2.channel.start()));
    REQUIRE_FALSE(b2.take(sample::random_bytes(rng, 200)));
    REQUIRE(b2.frames.empty());
  }
}

TEST_CASE("channel: equal frames look different on the wire") {
  Pair p;
  std::set<Bytes> seen;
  for (int i = 0; i < 100; ++i) seen.insert(p.a.channel.seal(text("same")).value());
  CHECK(seen.size() == 100);
}

namespace {

/// The client's side of the handshake written out once more, step by step, so that the bytes on
/// the wire are pinned and a member that lies about its identity can be played.
struct HandMadeClient {
  ClusterKey key = sample::key(1);
  std::array<uint8_t, 8> cluster = u64_bytes(kCluster);
  Secret secret{};
  Secret shared{};
  Bytes transcript{};

  static void add(Bytes& to, ByteView bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }
  [[nodiscard]] Secret derive(std::string_view label) const {
    return keyed_hash(key.secret, label, {shared, cluster, transcript});
  }

  /// `claimed`, signed by `signer`, over all so far.
  [[nodiscard]] Bytes proof(std::string_view label, const NodeId& claimed,
                            const Identity& signer) const {
    Bytes plain(claimed.key.begin(), claimed.key.end());
    add(plain, signer.sign(keyed_hash({}, label, {cluster, transcript, claimed.key})));
    Bytes out(plain.size() + 16);
    const std::array<uint8_t, 24> nonce{};
    crypto_aead_xchacha20poly1305_ietf_encrypt(out.data(), nullptr, plain.data(), plain.size(),
                                               nullptr, 0, nullptr, nonce.data(),
                                               derive(label).data());
    return out;
  }

  Bytes hello(const NodeId& claimed, const Identity& signer) {
    secret.fill(5);
    std::array<uint8_t, 32> ephemeral{};
    crypto_scalarmult_base(ephemeral.data(), secret.data());
    add(transcript, Bytes{'k', 't', 'h', 's', 2});
    add(transcript, u64_bytes(key.id()));
    add(transcript, ephemeral);
    add(transcript, proof("kith stream hello 2", claimed, signer));
    return transcript;
  }

  /// Proof that `claimed` speaks, signed by `signer`, for the `server` that sent `message`.
  Bytes prove(const Bytes& message, const NodeId& server, const NodeId& claimed,
              const Identity& signer, crypto_secretstream_xchacha20poly1305_state& sending) {
    REQUIRE(message.size() == 32 + 96 + 16);
    REQUIRE(crypto_scalarmult(shared.data(), secret.data(), message.data()) == 0);
    add(transcript, message);
    Bytes out = proof("kith stream client proof 1", claimed, signer);
    add(transcript, server.key);
    add(transcript, claimed.key);
    std::array<uint8_t, 24> header{};
    crypto_secretstream_xchacha20poly1305_init_push(&sending, header.data(),
                                                    derive("kith stream to server 1").data());
    add(out, header);
    return out;
  }
};

}  // namespace

TEST_CASE("channel: the handshake is byte for byte what it says") {
  HandMadeClient client;
  End b = server();
  REQUIRE(b.take(client.hello(alice().id(), alice())));
  crypto_secretstream_xchacha20poly1305_state sending;
  REQUIRE(b.take(client.prove(b.sent(), bob().id(), alice().id(), alice(), sending)));
  CHECK(b.channel.established());
  CHECK(b.channel.peer() == alice().id());
  Bytes frame = {0, 0, 0, 18};
  frame.resize(4 + 18);
  const uint8_t plain = 'x';
  crypto_secretstream_xchacha20poly1305_push(&sending, &frame[4], nullptr, &plain, 1, frame.data(),
                                             4, 0);
  REQUIRE(b.take(frame));
  CHECK(b.frames == std::vector<Bytes>{text("x")});
}

TEST_CASE("channel: a member with the cluster key cannot pass for another member") {
  const Identity mallory = sample::identity(66);
  {
    HandMadeClient liar;
    End b = server();
    CHECK(b.take(liar.hello(alice().id(), mallory)).error().code == ErrorCode::kUnauthentic);
    CHECK(b.to_send.empty());
    CHECK(b.channel.hello_failed());
  }
  HandMadeClient liar;
  End b = server();
  REQUIRE(b.take(liar.hello(mallory.id(), mallory)));
  crypto_secretstream_xchacha20poly1305_state sending;
  const Bytes proof = liar.prove(b.sent(), bob().id(), alice().id(), mallory, sending);
  CHECK(b.take(proof).error().code == ErrorCode::kUnauthentic);
  CHECK_FALSE(b.channel.established());
  CHECK(b.channel.peer().none());
}
