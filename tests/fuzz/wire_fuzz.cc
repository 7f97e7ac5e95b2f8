// Everything a stranger, or a member gone wrong, can send: the first byte picks what reads the
// rest.
//
//   meson setup build-fuzz -Dfuzz=true -Dlink=dynamic -Dstrip=false -Db_sanitize=address,undefined
//   \
//     -Db_lundef=false          (with CC=clang-19 CXX=clang++-19)
//   ninja -C build-fuzz tests/fuzz/fuzz_wire && build-fuzz/tests/fuzz/fuzz_wire -max_len=4096

#include <cstdlib>

#include "gossip/channel.h"
#include "gossip/message.h"
#include "gossip/replay_window.h"
#include "gossip/seal.h"

using namespace kith;

namespace {

constexpr uint64_t kCluster = 1;

void must(bool holds) {
  if (!holds) std::abort();
}

const KeyRing& ring() {
  static const KeyRing keys{ClusterKey{}};
  return keys;
}
const Identity& identity() {
  static const Identity self = Identity::from_seed({});
  return self;
}

/// What decodes must encode to something that decodes to the same.
void read_message(ByteView bytes) {
  const auto message = decode_message(bytes);
  if (!message) return;
  must(message->rumors.size() <= kMaxRumorsAMessage);
  const Bytes once = encode(*message);
  const auto again = decode_message(once);
  must(again.has_value());
  must(encode(*again) == once);
}

void read_rumor(ByteView bytes) {
  const auto rumor = decode_rumor(bytes);
  if (!rumor) return;
  const Bytes once = encode(*rumor);
  must(encode(decode_rumor(once).value()) == once);
}

void read_datagram(ByteView bytes) {
  DatagramSealer receiver(kCluster, ring(), 2, 1);
  must(!receiver.open(bytes));
}

void read_sealed(ByteView bytes) {
  DatagramSealer sender(kCluster, ring(), 1, 1);
  DatagramSealer receiver(kCluster, ring(), 2, 1);
  const auto opened = receiver.open(sender.seal(bytes, 2));
  must(opened.has_value());
  read_message(opened->plain);
}

void read_hello(ByteView bytes) {
  SecureChannel server = SecureChannel::server(identity(), ring(), kCluster);
  std::vector<Bytes> frames;
  Bytes to_send;
  (void)server.receive(bytes, frames, to_send);
  must(frames.empty() && to_send.empty() && !server.established());
}

void read_handshake(ByteView bytes) {
  SecureChannel client = SecureChannel::client(identity(), ring(), kCluster);
  SecureChannel server = SecureChannel::server(identity(), ring(), kCluster);
  std::vector<Bytes> frames;
  Bytes to_client;
  Bytes to_server;
  must(server.receive(client.start(), frames, to_client).has_value());
  (void)server.receive(bytes, frames, to_client);
  must(frames.empty() && !server.established());
  (void)client.receive(bytes, frames, to_server);
  must(frames.empty() && to_server.empty() && !client.established());
}

void read_frames(ByteView bytes) {
  SecureChannel client = SecureChannel::client(identity(), ring(), kCluster);
  SecureChannel server = SecureChannel::server(identity(), ring(), kCluster);
  std::vector<Bytes> frames;
  Bytes to_client;
  Bytes to_server;
  must(server.receive(client.start(), frames, to_client).has_value());
  must(client.receive(to_client, frames, to_server).has_value());
  must(server.receive(to_server, frames, to_client).has_value());
  (void)server.receive(bytes, frames, to_client);
  must(frames.empty());
}

void replay(ByteView bytes) {
  // Four bytes a step: sender, boot or epoch, sequence, what to do.
  ReplayGuard guard;
  for (; bytes.size() >= 4; bytes = bytes.subspan(4)) {
    const uint64_t sender = bytes[0] % 3;
    if (bytes[3] % 2 == 0) {
      guard.learn(sender, bytes[1], bytes[1]);
    } else if (guard.accept(sender, bytes[1], bytes[2] + 1) == ReplayVerdict::kFresh) {
      must(guard.accept(sender, bytes[1], bytes[2] + 1) == ReplayVerdict::kReplay);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr void (*kReaders[])(ByteView) = {read_message, read_rumor, read_datagram,
                                            read_sealed,  read_hello, read_handshake,
                                            read_frames,  replay};
  kReaders[data[0] % std::size(kReaders)](ByteView(data, size).subspan(1));
  return 0;
}
