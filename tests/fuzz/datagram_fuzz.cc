// Everything a stranger, or a member gone wrong, can put into a datagram: the first byte picks what
// reads the rest. Sealing would stop a fuzzer, so some inputs are sealed here with the right key.

#include "fuzz.h"
#include "gossip/message.h"
#include "gossip/replay_window.h"
#include "gossip/seal.h"

using namespace kith;
using fuzz::must;

namespace {

constexpr uint64_t kCluster = 1;

const KeyRing& ring() {
  static const KeyRing keys{ClusterKey{}};
  return keys;
}

/// A key that nothing here seals with: libFuzzer remembers what it sees compared, sealed bytes too.
const KeyRing& unused_ring() {
  static const KeyRing keys = [] {
    ClusterKey key;
    key.secret.fill(0x5a);
    return KeyRing(key);
  }();
  return keys;
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
  DatagramSealer receiver(kCluster, unused_ring(), 2, 1);
  must(!receiver.open(bytes));
}

/// One of a member's own datagrams, changed at two places.
void read_damaged(ByteView bytes) {
  if (bytes.size() < 4) return;
  DatagramSealer sender(kCluster, ring(), 1, 1);
  DatagramSealer receiver(kCluster, ring(), 2, 1);
  const Bytes sealed = sender.seal(bytes.subspan(4), 2);
  Bytes changed = sealed;
  changed[bytes[0] % changed.size()] = bytes[1];
  changed[(bytes[2] * size_t{5}) % changed.size()] = bytes[3];
  must(receiver.open(changed).has_value() == (changed == sealed));
}

void read_sealed(ByteView bytes) {
  DatagramSealer sender(kCluster, ring(), 1, 1);
  DatagramSealer receiver(kCluster, ring(), 2, 1);
  const auto opened = receiver.open(sender.seal(bytes, 2));
  must(opened.has_value());
  read_message(opened->plain);
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
  constexpr void (*kReaders[])(ByteView) = {read_message, read_rumor,   read_datagram,
                                            read_sealed,  read_damaged, replay};
  kReaders[data[0] % std::size(kReaders)](ByteView(data, size).subspan(1));
  return 0;
}
