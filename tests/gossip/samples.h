#pragma once

#include <string>

#include "base/rng.h"
#include "gossip/disseminator.h"
#include "gossip/identity.h"
#include "gossip/key_ring.h"
#include "gossip/message.h"

// Made-up identities, keys, rumors and messages, the same for the same numbers.
namespace kith::sample {

inline Identity identity(uint64_t n) {
  Identity::Seed seed{};
  Rng rng(n + 1);
  for (uint8_t& byte : seed) byte = static_cast<uint8_t>(rng.next());
  return Identity::from_seed(seed);
}

/// Not a valid key: enough where nothing is checked.
inline NodeId node(uint64_t n) {
  NodeId id;
  Rng rng(n + 1'000'000);
  for (uint8_t& byte : id.key) byte = static_cast<uint8_t>(rng.next());
  return id;
}

inline ClusterKey key(uint8_t n) {
  ClusterKey key;
  key.secret.fill(n);
  return key;
}

inline MemberRumor alive(const NodeId& subject, Incarnation incarnation = 1) {
  MemberRumor rumor;
  rumor.subject = subject;
  rumor.incarnation = incarnation;
  rumor.epoch = 3;
  rumor.boot = 0x1122334455667788;
  rumor.name = "pi-4";
  rumor.address = {"10.0.0.7", 7117};
  return rumor;
}

inline MemberRumor accuse(Claim claim, const NodeId& subject, const NodeId& accuser,
                          Incarnation incarnation = 1) {
  MemberRumor rumor;
  rumor.claim = claim;
  rumor.subject = subject;
  rumor.accuser = accuser;
  rumor.incarnation = incarnation;
  return rumor;
}

inline MemberRumor left(const NodeId& subject, Incarnation incarnation = 1) {
  MemberRumor rumor;
  rumor.claim = Claim::kLeft;
  rumor.subject = subject;
  rumor.incarnation = incarnation;
  return rumor;
}

inline RecordRumor record(const std::string& key, size_t size = 40, uint8_t fill = 7) {
  return {key, Bytes(size, fill)};
}

inline Bytes random_bytes(Rng& rng, size_t size) {
  Bytes out(size);
  for (uint8_t& byte : out) byte = static_cast<uint8_t>(rng.next());
  return out;
}

inline std::string random_text(Rng& rng, size_t max) {
  std::string out(rng.below(max + 1), 'x');
  for (char& c : out) c = static_cast<char>('a' + rng.below(26));
  return out;
}

inline Rumor random_rumor(Rng& rng) {
  const auto any_node = [&] { return node(rng.below(50)); };
  switch (rng.below(6)) {
    case 0: {
      MemberRumor rumor = alive(any_node(), rng.next());
      rumor.epoch = rng.next() >> rng.below(64);
      rumor.boot = rng.next();
      rumor.name = random_text(rng, kMaxNodeName);
      rumor.address = {random_text(rng, 39), static_cast<uint16_t>(rng.next())};
      for (uint8_t& byte : rumor.signature) byte = static_cast<uint8_t>(rng.next());
      return rumor;
    }
    case 1:
      return accuse(Claim::kSuspect, any_node(), any_node(), rng.next());
    case 2:
      return accuse(Claim::kDead, any_node(), any_node(), rng.below(5));
    case 3:
      return left(any_node(), rng.below(300));
    case 4:
      return RecordRumor{random_text(rng, kMaxRecordKey), random_bytes(rng, rng.below(600))};
    default:
      return OfferRumor{random_text(rng, kMaxRecordKey), rng.next()};
  }
}

inline Message random_message(Rng& rng) {
  Message message;
  const Endpoint target{"fd00::" + std::to_string(rng.below(1000)), 7117};
  switch (rng.below(6)) {
    case 0:
      message.body = Ping{rng.next()};
      break;
    case 1:
      message.body = Ack{rng.next()};
      break;
    case 2:
      message.body = PingReq{rng.next(), node(rng.below(9)), target};
      break;
    case 3:
      message.body = Nack{rng.next()};
      break;
    case 4:
      message.body = Confirm{node(rng.below(9)), target};
      break;
    default:
      message.body = Gossip{};
  }
  message.root = rng.next();
  for (uint64_t i = rng.below(8); i > 0; --i) message.rumors.push_back(random_rumor(rng));
  return message;
}

}  // namespace kith::sample
