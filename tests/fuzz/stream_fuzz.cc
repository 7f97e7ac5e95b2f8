// Everything that can come over a stream before and after its handshake: the first byte picks how
// far the handshake goes by itself before the input takes over.

#include "fuzz.h"
#include "gossip/channel.h"
#include "gossip/shared_ring.h"

using namespace kith;
using fuzz::must;

namespace {

constexpr uint64_t kCluster = 1;

const KeyRing& ring() {
  static const KeyRing keys{ClusterKey{}};
  return keys;
}
const Identity& identity() {
  static const Identity self = Identity::from_seed({});
  return self;
}

struct Pair {
  SecureChannel client = SecureChannel::client(identity(), ring(), kCluster);
  SecureChannel server = SecureChannel::server(identity(), ring(), kCluster);
  std::vector<Bytes> frames;
  Bytes to_client;
  Bytes to_server;

  void greet() { must(server.receive(client.start(), frames, to_client).has_value()); }
  void finish() {
    greet();
    must(client.receive(to_client, frames, to_server).has_value());
    to_client.clear();
    must(server.receive(to_server, frames, to_client).has_value());
    must(client.receive(to_client, frames, to_server).has_value());
    must(client.established() && server.established());
  }
};

/// What a member hands over first of all. Its keys are named by their hashes, so that nothing but
/// refusals comes of chance.
void read_ring(ByteView bytes) {
  const auto ring = SharedRing::decode(bytes);
  if (!ring) return;
  const auto again = SharedRing::decode(ring->encode());
  must(again.has_value() && *again == *ring);
}

/// A stranger gets no answer at all. Under a key that no hello here was made with.
void read_hello(ByteView bytes) {
  ClusterKey key;
  key.secret.fill(0x5a);
  read_ring(bytes);
  SecureChannel server = SecureChannel::server(identity(), KeyRing(key), kCluster);
  std::vector<Bytes> frames;
  Bytes answer;
  (void)server.receive(bytes, frames, answer);
  must(frames.empty() && answer.empty() && !server.established());
}

void read_handshake(ByteView bytes) {
  Pair pair;
  pair.greet();
  (void)pair.server.receive(bytes, pair.frames, pair.to_client);
  must(pair.frames.empty() && !pair.server.established());
  (void)pair.client.receive(bytes, pair.frames, pair.to_server);
  must(pair.frames.empty() && pair.to_server.empty() && !pair.client.established());
}

/// Who holds the cluster's key but changes a byte of what it says proves nothing.
void read_changed(ByteView bytes) {
  if (bytes.size() < 3) return;
  Pair pair;
  Bytes hello = pair.client.start();
  const size_t at = bytes[0] % hello.size();
  const bool same = hello[at] == bytes[1];
  hello[at] = bytes[1];
  const Status taken = pair.server.receive(hello, pair.frames, pair.to_client);
  must(taken.has_value() == same && pair.to_client.empty() != same);
}

void read_frames(ByteView bytes) {
  Pair pair;
  pair.finish();
  (void)pair.server.receive(bytes, pair.frames, pair.to_client);
  must(pair.frames.empty());
}

/// Frames in whatever pieces come out as they went in; a changed one ends the stream.
void carry(ByteView bytes) {
  fuzz::Input input(bytes.data(), bytes.size());
  Pair pair;
  pair.finish();
  Bytes wire;
  std::vector<Bytes> sent;
  const uint8_t cut = input.byte();
  const uint8_t change = input.byte();
  while (!input.empty() && sent.size() < 8) {
    const ByteView frame = input.piece();
    const Bytes sealed = pair.client.seal(frame).value();
    wire.insert(wire.end(), sealed.begin(), sealed.end());
    sent.emplace_back(frame.begin(), frame.end());
  }
  const bool damaged = change != 0 && !wire.empty();
  if (damaged) wire[wire.size() / 2] ^= change;
  bool good = true;
  const size_t step = size_t{cut} + 1;
  for (size_t at = 0; at < wire.size() && good; at += step) {
    const ByteView part = ByteView(wire).subspan(at, std::min(step, wire.size() - at));
    good = pair.server.receive(part, pair.frames, pair.to_client).has_value();
  }
  must(pair.frames.size() <= sent.size());
  for (size_t i = 0; i < pair.frames.size(); ++i) must(pair.frames[i] == sent[i]);
  must(damaged ? pair.frames.size() < sent.size() : pair.frames.size() == sent.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr void (*kReaders[])(ByteView) = {read_hello, read_handshake, read_changed, read_frames,
                                            carry};
  kReaders[data[0] % std::size(kReaders)](ByteView(data, size).subspan(1));
  return 0;
}
