// A whole Node and one member of its cluster gone wrong: what that member sends is the input, put
// right just as far as it could put it right itself. It signs as itself and as a second identity
// that it made up; it seals with the cluster's key. Whatever it says, nothing that only another
// node may say of itself changes.

#include <memory>

#include "agent/node.h"
#include "fuzz.h"

using namespace kith;
using fuzz::must;

namespace {

constexpr int64_t kWall = 1'790'000'000'000;
constexpr uint64_t kBoot = 7;
const uint64_t kCluster = cluster_id_of("fuzz");

Identity identity(uint8_t n) {
  Identity::Seed seed{};
  seed[0] = n;
  return Identity::from_seed(seed);
}

enum Who : uint8_t { kSelf, kLiar, kVictim, kMadeUp };
const Identity& who(uint8_t n) {
  static const std::array<Identity, 4> all = {identity(1), identity(2), identity(3), identity(4)};
  return all[n % all.size()];
}

MemberRumor alive_of(uint8_t n) {
  MemberRumor alive;
  alive.subject = who(n).id();
  alive.epoch = 3;
  alive.incarnation = first_incarnation(3);
  alive.boot = kBoot;
  alive.name = "n" + std::to_string(n);
  alive.address = {"10.0.0." + std::to_string(n + 1), 7117};
  who(n).sign(alive, kCluster);
  return alive;
}

Observed record_of(uint8_t n, std::string_view rest, Bytes body, Epoch epoch, uint64_t sequence,
                   uint64_t floor) {
  Observed record;
  record.node = who(n).id();
  record.key = "node/" + record.node.hex() + "/" + std::string(rest.substr(0, 100));
  record.epoch = epoch;
  record.sequence = sequence;
  record.floor = floor;
  record.body = std::move(body);
  record.signature = who(n).sign(record.signed_bytes(kCluster));
  return record;
}

NodeSetup setup() {
  NodeSetup setup{"fuzz",
                  who(kSelf),
                  KeyRing(ClusterKey{}),
                  "n0",
                  {"10.0.0.1", 7117},
                  {},
                  0,
                  true,
                  {},
                  SwimConfig::lan(),
                  1,
                  0,
                  {}};
  setup.epoch = 3;
  setup.boot = kBoot;
  for (const uint8_t n : {kLiar, kVictim})
    setup.loaded.meta[std::string(kAliveMeta) + who(n).id().hex()] = encode(Rumor(alive_of(n)));
  return setup;
}

class Rig {
 public:
  Rig() : node_(setup(), Rng(1), now_, out_) {
    NodeInfo info;
    info.node = who(kVictim).id();
    info.name = "n2";
    info.inventory_epoch = 3;
    info_ = record_of(kVictim, "info", encode(info), 3, 1, 0);
    TaskRecord task;
    task.id = "t";
    task.node = who(kVictim).id();
    task.slot = {"web", 1, {}};
    task.state = TaskState::kRunning;
    task_ = record_of(kVictim, "task/t", encode(task), 3, 2, 0);
    Message first;
    first.body = Gossip{};
    first.rumors = {alive_of(kLiar), alive_of(kVictim), RecordRumor{info_.key, encode(info_)},
                    RecordRumor{task_.key, encode(task_)}};
    send(encode(first));
    must(node_.membership().find(who(kVictim).id()) != nullptr);
    must(node_.membership().find(who(kLiar).id())->present());
  }

  void send(ByteView plain) {
    node_.datagram(alive_of(kLiar).address, sealer_.seal(plain, who(kSelf).id().short_id()), now_,
                   out_);
    settle();
  }
  void send_garbage(ByteView bytes) {
    const size_t before = node_.membership().members().size();
    node_.datagram({"10.9.9.9", 1}, bytes, now_, out_);
    must(node_.membership().members().size() == before);
    settle();
  }
  void frame(ByteView bytes) {
    if (!open()) return;
    auto sealed = channel_->seal(bytes);
    if (!sealed) return;
    node_.stream_data(kStream, *sealed, now_, out_);
    settle();
  }
  void pass(Duration time) {
    now_.mono += time;
    now_.wall.ms += std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
    settle();
  }

  void check() const {
    const NodeId victim = who(kVictim).id();
    for (const Observed* said : {&info_, &task_}) {
      const Observed* kept = node_.observed().find(victim, said->key);
      must(kept != nullptr && encode(*kept) == encode(*said));
    }
    must(node_.observed().kept(victim).size() == 2);
    const Member* member = node_.membership().find(victim);
    must(member != nullptr && member->state != MemberState::kLeft && member->name == "n2" &&
         member->alive.incarnation == first_incarnation(3));
    must(node_.documents().digests_hold() && node_.observed().digests_hold());
    must(node_.membership().members().size() <= 4);
    must(!out_.stop);
  }

 private:
  static constexpr uint64_t kStream = 2;

  void settle() {
    node_.advance(now_, out_);
    must(!out_.stop);
    size_t bytes = 0;
    for (const SendDatagram& datagram : out_.datagrams) {
      must(datagram.bytes.size() <= kMaxDatagram);
      bytes += datagram.bytes.size();
    }
    for (const StreamCommand& command : out_.streams) {
      const auto* write = std::get_if<StreamWrite>(&command);
      if (write != nullptr) bytes += write->bytes.size();
    }
    must(bytes <= 4 * 1024 * 1024);
    for (const Persist& persist : std::exchange(out_.persists, {}))
      node_.written(persist.id, {}, now_, out_);
    NodeEffects fresh;
    fresh.persists = std::move(out_.persists);
    fresh.streams = std::move(out_.streams);
    answers_ = std::move(fresh.streams);
    fresh.streams.clear();
    out_ = std::move(fresh);
  }
  bool open() {
    if (channel_) return channel_->established();
    channel_.emplace(SecureChannel::client(who(kLiar), KeyRing(ClusterKey{}), kCluster));
    node_.stream_accepted(kStream, now_, out_);
    node_.stream_data(kStream, channel_->start(), now_, out_);
    settle();
    std::vector<Bytes> frames;
    Bytes proof;
    for (const StreamCommand& command : answers_) {
      const auto* write = std::get_if<StreamWrite>(&command);
      if (write != nullptr && write->stream == kStream)
        must(channel_->receive(write->bytes, frames, proof).has_value());
    }
    node_.stream_data(kStream, proof, now_, out_);
    settle();
    must(channel_->established());
    return true;
  }

  Now now_{Instant(std::chrono::hours(1)), WallTime{kWall}};
  NodeEffects out_;
  std::vector<StreamCommand> answers_;
  Node node_;
  DatagramSealer sealer_{kCluster, KeyRing(ClusterKey{}), who(kLiar).id().short_id(), kBoot};
  std::optional<SecureChannel> channel_;
  Observed info_;
  Observed task_;
};

/// Names real nodes where the input names any, and signs what the liar can sign.
void put_right(MemberRumor& rumor) {
  const uint8_t subject = rumor.subject.key[0] % 4;
  const uint8_t accuser = rumor.accuser.key[0] % 4;
  rumor.subject = who(subject).id();
  rumor.accuser = who(accuser).id();
  const bool accusation = rumor.claim == Claim::kSuspect || rumor.claim == Claim::kDead;
  const uint8_t signer = accusation ? accuser : subject;
  if (signer == kLiar || signer == kMadeUp) who(signer).sign(rumor, kCluster);
}

Bytes put_right(ByteView plain) {
  auto message = decode_message(plain);
  if (!message) return Bytes(plain.begin(), plain.end());
  for (Rumor& rumor : message->rumors) {
    if (auto* member = std::get_if<MemberRumor>(&rumor)) put_right(*member);
    auto* record = std::get_if<RecordRumor>(&rumor);
    if (record == nullptr || record->envelope.size() < 8) continue;
    const ByteView raw = record->envelope;
    const uint8_t kind = raw[0] % 4;
    const std::string rest = kind == 0   ? "info"
                             : kind == 1 ? "task/t"
                             : kind == 2 ? "refused/web.1"
                                         : record->key;
    Observed said =
        record_of(raw[1] % 2 == 0 ? kLiar : kMadeUp, rest, Bytes(raw.begin() + 8, raw.end()),
                  raw[2], uint64_t{raw[3]} + 1, std::min(raw[4], raw[3]));
    record->key = said.key;
    record->envelope = encode(said);
  }
  return encode(*message);
}

Bytes document(ByteView raw) {
  fuzz::Input input(raw.data(), raw.size());
  Document document;
  const uint8_t kind = input.byte();
  const ByteView name = input.piece();
  document.key = kind % 3 == 0   ? std::string("service/web")
                 : kind % 3 == 1 ? "roster/" + who(kind).id().hex()
                                 : std::string(as_text(name).substr(0, kMaxRecordKey));
  document.version.author = who(kLiar).id();
  document.version.stamp = Stamp::from_wall({kWall + (int64_t{input.byte()} - 128) * 1'000});
  document.deleted = input.byte() % 8 == 0;
  if (!document.deleted) document.body = std::string(as_text(input.rest()));
  document.version.content_hash = content_hash_of(document);
  Message message;
  message.body = Gossip{};
  message.rumors = {RecordRumor{document.key, encode(document)}};
  return encode(message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  Rig rig;
  for (int step = 0; step < 12 && !input.empty(); ++step) {
    const uint8_t kind = input.byte() % 8;
    const ByteView piece = input.piece();
    switch (kind) {
      case 0:
        rig.send(piece);
        break;
      case 1:
      case 2:
        rig.send(put_right(piece));
        break;
      case 3:
        rig.send(document(piece));
        break;
      case 4: {
        Bytes frame(1, 0);
        const Bytes message = put_right(piece);
        frame.insert(frame.end(), message.begin(), message.end());
        rig.frame(frame);
        break;
      }
      case 5: {
        Bytes frame(1, 1);
        frame.insert(frame.end(), piece.begin(), piece.end());
        rig.frame(frame);
        break;
      }
      case 6:
        rig.send_garbage(piece);
        break;
      default:
        rig.pass(std::chrono::milliseconds(piece.empty() ? 50 : 10 * piece[0]));
    }
  }
  rig.check();
  return 0;
}
