#include "gossip/channel.h"

#include <sodium.h>

#include <algorithm>
#include <cassert>
#include <optional>
#include <string>

#include "gossip/crypto.h"

namespace kith {
namespace {

constexpr std::array<uint8_t, 5> kMagic = {'k', 't', 'h', 's', 2};  // the last is the wire version

using PublicKey = std::array<uint8_t, crypto_scalarmult_BYTES>;
static_assert(crypto_scalarmult_SCALARBYTES == std::tuple_size_v<Secret>);

constexpr size_t kTag = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr size_t kProof = sizeof(NodeId::key) + sizeof(Signature);  // NodeId, signature
constexpr size_t kSealedProof = kProof + kTag;
constexpr size_t kStreamHeader = crypto_secretstream_xchacha20poly1305_HEADERBYTES;
constexpr size_t kFrameTag = crypto_secretstream_xchacha20poly1305_ABYTES;
constexpr size_t kLength = 4;

// A stream keeps no more than this between frames.
constexpr size_t kKeptBuffer = 64 * 1024;

// What each message of the handshake measures.
constexpr size_t kHelloHead = kMagic.size() + 8 + sizeof(PublicKey);
constexpr size_t kHelloSize = kHelloHead + kSealedProof;
constexpr size_t kServerProofSize = sizeof(PublicKey) + kSealedProof;
constexpr size_t kClientProofSize = kSealedProof + kStreamHeader;

enum class Stage : uint8_t {
  kIdle,          // client, before start()
  kHello,         // server, waits for message 1
  kServerProof,   // client, waits for message 2
  kClientProof,   // server, waits for message 3
  kServerHeader,  // client, can seal already
  kOpen,
  kFailed,
};

void append(Bytes& to, ByteView bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

/// Each key seals one message only, so the nonce can be zero.
constexpr std::array<uint8_t, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES> kNoNonce{};

Bytes seal_once(const Secret& key, ByteView plain) {
  Bytes out(plain.size() + kTag);
  crypto_aead_xchacha20poly1305_ietf_encrypt(out.data(), nullptr, plain.data(), plain.size(),
                                             nullptr, 0, nullptr, kNoNonce.data(), key.data());
  return out;
}

std::optional<Bytes> open_once(const Secret& key, ByteView sealed) {
  Bytes out(sealed.size() - kTag);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, sealed.data(),
                                                 sealed.size(), nullptr, 0, kNoNonce.data(),
                                                 key.data()) != 0) {
    return std::nullopt;
  }
  return out;
}

}  // namespace

struct SecureChannel::State {
  State(const Identity& identity, const KeyRing& keys, uint64_t cluster, const NodeId& wanted,
        Admits policy, Stage first)
      : self(&identity),
        ring(keys),
        key(keys.primary()),
        cluster_id(u64_bytes(cluster)),
        expected(wanted),
        admits(std::move(policy)),
        stage(first) {
    init_crypto();
    if (stage == Stage::kHello) want = kMagic.size();
  }
  ~State() {
    wipe();
    sodium_memzero(&sending, sizeof sending);
    sodium_memzero(&receiving, sizeof receiving);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  const Identity* self;
  KeyRing ring;
  ClusterKey key;  // the one this stream uses
  std::array<uint8_t, 8> cluster_id;
  NodeId expected;  // a server's: whom the hello names
  Admits admits;
  Stage stage;
  bool hello_failed = false;
  Error error;
  NodeId peer;

  Secret ephemeral{};
  Secret shared{};   // X25519 of both ephemeral keys
  Bytes transcript;  // everything said so far: a few hundred bytes
  Bytes buffer;      // the message or frame under way
  size_t want = 0;   // how long the buffer must be before `handle` can take it
  crypto_secretstream_xchacha20poly1305_state sending{};
  crypto_secretstream_xchacha20poly1305_state receiving{};

  void wipe() {
    sodium_memzero(ephemeral.data(), ephemeral.size());
    sodium_memzero(shared.data(), shared.size());
  }

  void expect(Stage next, size_t size) {
    stage = next;
    want = size;
    buffer.clear();
    if (buffer.capacity() > kKeptBuffer) buffer.shrink_to_fit();
  }
  void add_identities(const NodeId& server, const NodeId& client) {
    append(transcript, server.key);
    append(transcript, client.key);
  }

  Status broken(ErrorCode code, std::string message) {
    if (stage == Stage::kHello) hello_failed = true;
    stage = Stage::kFailed;
    wipe();
    buffer = {};
    error = {code, std::move(message)};
    return fail(error);
  }
  Status forged() { return broken(ErrorCode::kUnauthentic, "stream did not authenticate"); }

  [[nodiscard]] PublicKey make_ephemeral() {
    randombytes_buf(ephemeral.data(), ephemeral.size());
    PublicKey out;
    crypto_scalarmult_base(out.data(), ephemeral.data());
    return out;
  }
  [[nodiscard]] bool agree(const uint8_t* their_key) {
    return crypto_scalarmult(shared.data(), ephemeral.data(), their_key) == 0;
  }

  [[nodiscard]] Secret derive(std::string_view label) const {
    return keyed_hash(key.secret, label, {shared, cluster_id, transcript});
  }
  [[nodiscard]] Secret proof_digest(std::string_view label, const NodeId& prover) const {
    return keyed_hash({}, label, {cluster_id, transcript, prover.key});
  }
  [[nodiscard]] bool let_in(const NodeId& node) const { return !admits || admits(node, key.id()); }

  /// This node's id and its signature over the transcript, sealed under a key of the transcript.
  /// In a hello there is no shared secret yet: any holder of the cluster key can open it.
  [[nodiscard]] Bytes prove(std::string_view label) const {
    Bytes plain(self->id().key.begin(), self->id().key.end());
    append(plain, self->sign(proof_digest(label, self->id())));
    return seal_once(derive(label), plain);
  }
  /// Who proved; nobody if the proof is no good, or its maker not to be let in.
  [[nodiscard]] std::optional<NodeId> check_proof(std::string_view label, ByteView sealed) const {
    const auto plain = open_once(derive(label), sealed);
    if (!plain) return std::nullopt;
    NodeId prover;
    Signature signature;
    std::copy_n(plain->begin(), prover.key.size(), prover.key.begin());
    std::copy_n(plain->begin() + sizeof(prover.key), signature.size(), signature.begin());
    // Asked first: it costs a look, the signature tens of microseconds.
    if (!let_in(prover) || !verify(prover, proof_digest(label, prover), signature))
      return std::nullopt;
    return prover;
  }

  Status handle(std::vector<Bytes>& frames, Bytes& to_send);
  Status on_hello(Bytes& to_send);
  Status on_server_proof(Bytes& to_send);
  Status on_client_proof(Bytes& to_send);
  Status on_server_header();
  Status on_frame(std::vector<Bytes>& frames);
};

namespace {

constexpr std::string_view kHelloLabel = "kith stream hello 2";
constexpr std::string_view kServerProofLabel = "kith stream server proof 1";
constexpr std::string_view kClientProofLabel = "kith stream client proof 1";
constexpr std::string_view kToServerLabel = "kith stream to server 1";
constexpr std::string_view kToClientLabel = "kith stream to client 1";

uint32_t frame_length(ByteView buffer) {
  return static_cast<uint32_t>(buffer[0]) << 24 | static_cast<uint32_t>(buffer[1]) << 16 |
         static_cast<uint32_t>(buffer[2]) << 8 | buffer[3];
}

}  // namespace

Status SecureChannel::State::handle(std::vector<Bytes>& frames, Bytes& to_send) {
  switch (stage) {
    case Stage::kHello:
      return on_hello(to_send);
    case Stage::kServerProof:
      return on_server_proof(to_send);
    case Stage::kClientProof:
      return on_client_proof(to_send);
    case Stage::kServerHeader:
      return on_server_header();
    case Stage::kOpen:
      return on_frame(frames);
    case Stage::kIdle:
    case Stage::kFailed:
      break;
  }
  return fail(error);
}

Status SecureChannel::State::on_hello(Bytes& to_send) {
  const ByteView hello = buffer;
  if (want == kMagic.size()) {  // another version's hello may be shorter
    if (!std::equal(kMagic.begin(), kMagic.end(), hello.begin()))
      return broken(ErrorCode::kInvalid, "no kith stream of this version");
    want = kHelloSize;
    return {};
  }
  const ClusterKey* known = ring.find(get_u64(&hello[kMagic.size()]));
  if (known == nullptr) return forged();
  key = *known;
  append(transcript, hello.first(kHelloHead));
  const auto client = check_proof(kHelloLabel, hello.subspan(kHelloHead));
  if (!client) return forged();
  expected = *client;

  const PublicKey ours = make_ephemeral();
  if (!agree(&hello[kHelloHead - sizeof(PublicKey)])) return forged();
  append(transcript, hello.subspan(kHelloHead));
  append(transcript, ours);
  const Bytes proof = prove(kServerProofLabel);
  append(transcript, proof);
  append(to_send, ours);
  append(to_send, proof);
  expect(Stage::kClientProof, kClientProofSize);
  return {};
}

Status SecureChannel::State::on_server_proof(Bytes& to_send) {
  const ByteView message = buffer;
  if (!agree(message.data())) return forged();
  append(transcript, message.first(sizeof(PublicKey)));
  const ByteView sealed = message.subspan(sizeof(PublicKey));
  const auto server = check_proof(kServerProofLabel, sealed);
  if (!server) return forged();
  if (!expected.none() && *server != expected) {
    return broken(ErrorCode::kUnauthentic, "another node answered: " + server->hex());
  }
  append(transcript, sealed);

  append(to_send, prove(kClientProofLabel));
  add_identities(*server, self->id());
  std::array<uint8_t, kStreamHeader> header;
  const Secret to_server = derive(kToServerLabel);
  crypto_secretstream_xchacha20poly1305_init_push(&sending, header.data(), to_server.data());
  append(to_send, header);
  peer = *server;
  expect(Stage::kServerHeader, kStreamHeader);
  return {};
}

Status SecureChannel::State::on_client_proof(Bytes& to_send) {
  const ByteView sealed = ByteView(buffer).first(kSealedProof);
  const ByteView header = ByteView(buffer).subspan(kSealedProof);
  const auto client = check_proof(kClientProofLabel, sealed);
  if (!client || *client != expected) return forged();
  add_identities(self->id(), *client);
  const Secret to_server = derive(kToServerLabel);
  if (crypto_secretstream_xchacha20poly1305_init_pull(&receiving, header.data(),
                                                      to_server.data()) != 0) {
    return forged();
  }
  std::array<uint8_t, kStreamHeader> ours;
  const Secret to_client = derive(kToClientLabel);
  crypto_secretstream_xchacha20poly1305_init_push(&sending, ours.data(), to_client.data());
  append(to_send, ours);
  peer = *client;
  expect(Stage::kOpen, kLength);
  wipe();
  return {};
}

Status SecureChannel::State::on_server_header() {
  const Secret to_client = derive(kToClientLabel);
  if (crypto_secretstream_xchacha20poly1305_init_pull(&receiving, buffer.data(),
                                                      to_client.data()) != 0) {
    return forged();
  }
  expect(Stage::kOpen, kLength);
  wipe();
  return {};
}

Status SecureChannel::State::on_frame(std::vector<Bytes>& frames) {
  const size_t length = frame_length(buffer);
  if (want == kLength) {
    if (length > kMaxFrame + kFrameTag) {
      return broken(ErrorCode::kTooLarge, "stream frame over " + std::to_string(kMaxFrame));
    }
    if (length < kFrameTag) return forged();
    want = kLength + length;
    return {};
  }
  Bytes plain(length - kFrameTag);
  uint8_t tag = 0;
  if (crypto_secretstream_xchacha20poly1305_pull(&receiving, plain.data(), nullptr, &tag,
                                                 &buffer[kLength], length, buffer.data(),
                                                 kLength) != 0) {
    return forged();
  }
  frames.push_back(std::move(plain));
  expect(Stage::kOpen, kLength);
  return {};
}

SecureChannel SecureChannel::client(const Identity& self, const KeyRing& keys, uint64_t cluster_id,
                                    const NodeId& expected, Admits admits) {
  return SecureChannel(
      std::make_unique<State>(self, keys, cluster_id, expected, std::move(admits), Stage::kIdle));
}

SecureChannel SecureChannel::server(const Identity& self, const KeyRing& keys, uint64_t cluster_id,
                                    Admits admits) {
  return SecureChannel(
      std::make_unique<State>(self, keys, cluster_id, NodeId{}, std::move(admits), Stage::kHello));
}

SecureChannel::SecureChannel(std::unique_ptr<State> state) : state_(std::move(state)) {}
SecureChannel::SecureChannel(SecureChannel&&) noexcept = default;
SecureChannel& SecureChannel::operator=(SecureChannel&&) noexcept = default;
SecureChannel::~SecureChannel() = default;

Bytes SecureChannel::start() {
  State& s = *state_;
  assert(s.stage == Stage::kIdle);
  Bytes hello(kMagic.begin(), kMagic.end());
  append(hello, u64_bytes(s.key.id()));
  append(hello, s.make_ephemeral());
  append(s.transcript, hello);
  const Bytes proof = s.prove(kHelloLabel);
  append(hello, proof);
  append(s.transcript, proof);
  s.expect(Stage::kServerProof, kServerProofSize);
  return hello;
}

Status SecureChannel::receive(ByteView bytes, std::vector<Bytes>& frames, Bytes& to_send) {
  State& s = *state_;
  if (s.stage == Stage::kFailed) return fail(s.error);
  assert(s.stage != Stage::kIdle);
  while (!bytes.empty()) {
    const size_t take = std::min(bytes.size(), s.want - s.buffer.size());
    append(s.buffer, bytes.first(take));
    bytes = bytes.subspan(take);
    if (s.buffer.size() < s.want) break;
    if (const Status status = s.handle(frames, to_send); !status) return status;
  }
  return {};
}

bool SecureChannel::established() const {
  return state_->stage == Stage::kServerHeader || state_->stage == Stage::kOpen;
}
const NodeId& SecureChannel::peer() const {
  return state_->peer;
}
uint64_t SecureChannel::key_id() const {
  return state_->key.id();
}
bool SecureChannel::hello_failed() const {
  return state_->hello_failed;
}

Result<Bytes> SecureChannel::seal(ByteView frame) {
  State& s = *state_;
  if (!established()) return fail(ErrorCode::kUnavailable, "stream is not established");
  if (frame.size() > kMaxFrame) {
    return fail(ErrorCode::kTooLarge, "frame of " + std::to_string(frame.size()) +
                                          " bytes; a stream takes " + std::to_string(kMaxFrame));
  }
  const size_t length = frame.size() + kFrameTag;
  Bytes out(kLength + length);
  for (size_t i = 0; i < kLength; ++i) out[i] = static_cast<uint8_t>(length >> (24 - 8 * i));
  crypto_secretstream_xchacha20poly1305_push(&s.sending, &out[kLength], nullptr, frame.data(),
                                             frame.size(), out.data(), kLength, 0);
  return out;
}

}  // namespace kith
