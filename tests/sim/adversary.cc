#include "adversary.h"

#include <sodium.h>

#include <algorithm>
#include <utility>

#include "gossip/crypto.h"

namespace kith::sim {

Adversary::Adversary(World& world, size_t host, const ClusterKey& key)
    : world_(&world),
      host_(host),
      identity_(world.host(host).identity()),
      ring_(key),
      cluster_(cluster_id_of("sim")),
      epoch_(world.host(host).epoch() + 1),
      boot_(world.rng().next()),
      sealer_(cluster_, ring_, identity_.id().short_id(), boot_) {
  world.seat(host, this);
}

Adversary::~Adversary() {
  world_->net().drop_streams(host_, true);
  world_->seat(host_, nullptr);
}

MemberRumor Adversary::alive() const {
  MemberRumor rumor;
  rumor.claim = Claim::kAlive;
  rumor.subject = identity_.id();
  rumor.epoch = epoch_;
  rumor.incarnation = first_incarnation(epoch_);
  rumor.boot = boot_;
  rumor.name = "liar";
  rumor.address = Network::address(host_);
  sign(rumor);
  return rumor;
}

MemberRumor Adversary::accusation(Claim claim, const NodeId& subject,
                                  Incarnation incarnation) const {
  MemberRumor rumor;
  rumor.claim = claim;
  rumor.subject = subject;
  rumor.incarnation = incarnation;
  rumor.accuser = identity_.id();
  sign(rumor);
  return rumor;
}

Observed Adversary::record(const std::string& rest, Bytes body, Epoch epoch,
                           uint64_t sequence) const {
  Observed record;
  record.node = identity_.id();
  record.key = "node/" + record.node.hex() + "/" + rest;
  record.epoch = epoch;
  record.sequence = sequence;
  record.body = std::move(body);
  record.signature = identity_.sign(record.signed_bytes(cluster_));
  return record;
}

void Adversary::join(size_t host) {
  streams_[open(host)].join = true;
}

// --- Datagrams ---------------------------------------------------------------------------------

void Adversary::raw(size_t to, const Bytes& bytes) {
  world_->net().send(host_, Network::address(to), bytes);
}

void Adversary::say(size_t to, Message message) {
  raw(to, sealer_.seal(encode(message), world_->host(to).id().short_id()));
}

void Adversary::say(size_t to, std::vector<Rumor> rumors) {
  Message message;
  message.body = Gossip{};
  message.rumors = std::move(rumors);
  say(to, std::move(message));
}

void Adversary::spoof(size_t to, const NodeId& as, uint64_t boot, uint64_t sequence,
                      ByteView plain) {
  // The nonce is (boot, sender, sequence): docs of DatagramSealer. A sealer of that sender and boot
  // would have to seal `sequence` datagrams first, so this lays one down by hand.
  const uint64_t receiver = world_->host(to).id().short_id();
  DatagramSealer like(cluster_, ring_, as.short_id(), boot);
  Bytes out = like.seal(plain, receiver);
  const auto secret = keyed_hash(ring_.primary().secret, "kith datagram 1", {});
  constexpr size_t kNonceAt = 14;
  constexpr size_t kTextAt = kNonceAt + 24;
  put_u64(&out[kNonceAt + 16], sequence);
  Bytes extra(out.begin(), out.begin() + kNonceAt);
  extra.resize(kNonceAt + 16);
  put_u64(&extra[kNonceAt], cluster_);
  put_u64(&extra[kNonceAt + 8], receiver);
  crypto_aead_xchacha20poly1305_ietf_encrypt(&out[kTextAt], nullptr, plain.data(), plain.size(),
                                             extra.data(), extra.size(), nullptr, &out[kNonceAt],
                                             secret.data());
  raw(to, out);
}

void Adversary::datagram(size_t, const Endpoint& from, Bytes bytes) {
  ++datagrams_heard;
  const auto opened = sealer_.open(bytes);
  if (!opened || !answers_pings) return;
  const auto message = decode_message(opened->plain);
  const auto* ping = message ? std::get_if<Ping>(&message->body) : nullptr;
  const int host = Network::host_of(from);
  if (ping == nullptr || host < 0) return;
  Message ack;
  ack.body = Ack{ping->nonce};
  ack.rumors = {alive()};
  say(static_cast<size_t>(host), std::move(ack));
}

// --- Streams -----------------------------------------------------------------------------------

uint64_t Adversary::open(size_t to, bool greet) {
  const uint64_t stream = next_;
  next_ += 2;
  Stream& fresh = streams_[stream];
  if (greet) fresh.channel.emplace(SecureChannel::client(identity_, ring_, cluster_));
  world_->net().open(host_, stream, Network::address(to));
  return stream;
}

void Adversary::write(uint64_t stream, Bytes bytes) {
  world_->net().write(host_, stream, std::move(bytes));
}

bool Adversary::frame(uint64_t stream, uint8_t type, ByteView payload) {
  if (!established(stream)) return false;
  Bytes plain;
  plain.reserve(payload.size() + 1);
  plain.push_back(type);
  plain.insert(plain.end(), payload.begin(), payload.end());
  auto sealed = streams_.at(stream).channel->seal(plain);
  if (!sealed) return false;
  write(stream, std::move(*sealed));
  return true;
}

void Adversary::close(uint64_t stream) {
  world_->net().close(host_, stream);
  streams_.erase(stream);
}

bool Adversary::established(uint64_t stream) const {
  const auto at = streams_.find(stream);
  return at != streams_.end() && at->second.channel && at->second.channel->established();
}

bool Adversary::connected(uint64_t stream) const {
  const auto at = streams_.find(stream);
  return at != streams_.end() && at->second.connected;
}

uint64_t Adversary::stream_accepted(size_t) {
  const uint64_t stream = next_ + 1;
  next_ += 2;
  streams_[stream].channel.emplace(SecureChannel::server(identity_, ring_, cluster_));
  streams_[stream].connected = true;
  return stream;
}

void Adversary::stream_connected(size_t, uint64_t stream) {
  const auto at = streams_.find(stream);
  if (at == streams_.end()) return;
  at->second.connected = true;
  if (at->second.channel) write(stream, at->second.channel->start());
}

void Adversary::stream_data(size_t, uint64_t stream, Bytes bytes) {
  stream_bytes_heard += bytes.size();
  const auto at = streams_.find(stream);
  if (at == streams_.end() || !at->second.channel) return;
  const bool before = at->second.channel->established();
  std::vector<Bytes> frames;
  Bytes answer;
  if (!at->second.channel->receive(bytes, frames, answer)) return;
  at->second.frames += frames.size();
  if (!answer.empty()) write(stream, std::move(answer));
  if (before || !at->second.channel->established() || !at->second.join) return;
  Message hello;
  hello.body = Gossip{};
  hello.rumors = {alive()};
  frame(stream, 0, encode(hello));
}

void Adversary::stream_closed(size_t, uint64_t stream, const std::string&) {
  ++streams_closed;
  streams_.erase(stream);
}

}  // namespace kith::sim
