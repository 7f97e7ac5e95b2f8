#pragma once

#include <vector>

#include "base/ids.h"
#include "base/instant.h"
#include "gossip/message.h"

namespace kith {

/// A datagram. `rumors` must ride on it (what the receiver is accused of, or the answer to an
/// accusation); the caller fills the room that is left with whatever else is news.
struct SwimSend {
  NodeId to;
  Endpoint address;
  Body body;
  std::vector<MemberRumor> rumors;
};

/// Goes to the rumor queue; if `urgent`, also at once to a few members.
struct MemberNews {
  MemberRumor rumor;
  bool urgent = false;
  NodeId from;  ///< who brought it, and need not be told; none if this node made it
};

/// Open a stream, write Ping{nonce} with `rumors` and wait for the Ack: see Swim::stream_ack().
struct StreamPing {
  NodeId to;
  Endpoint address;
  uint64_t nonce = 0;
  std::vector<MemberRumor> rumors;
};

/// Dial this dead member by stream and sync with it; a ping to it is among the sends.
struct Redial {
  NodeId to;
  Endpoint address;
};

enum class MemberEventKind : uint8_t {
  kJoined,         ///< first heard of
  kSuspect,        ///< out of DNS and load-balancing; `by` the first accuser
  kRefuted,        ///< suspect -> alive
  kDead,           ///< its work moves; `by` who declared it
  kLeft,           ///< said so itself; not dialled again
  kReturned,       ///< dead or left -> alive
  kRestarted,      ///< alive under a later epoch, and was never held dead in between
  kRenamed,        ///< alive under a new name
  kMoved,          ///< alive at a new address
  kNameClash,      ///< `node` and `by` bear one name; both are kept
  kIdentityClash,  ///< two live agents with the identity `node`. Of self: `by` is self if the other
                   ///< is the elder, and this one has to end
  kEpochRaised,    ///< of self: the cluster knew a later epoch of this node. Persist self().epoch
  kIsolated,       ///< most of the members vanished at once: `node` is self
  kReunited,       ///< the end of that
};

struct MemberEvent {
  MemberEventKind kind = MemberEventKind::kJoined;
  NodeId node;
  NodeId by;
  Instant since;  ///< when the state that ended had begun; for kDead, when the suspicion had
};

/// What the caller does after each call, in this order: send, queue the news, then tell of events.
/// Rumors whose signer is self come unsigned; the caller signs them before encoding.
struct SwimEffects {
  std::vector<SwimSend> sends;
  std::vector<MemberNews> news;
  std::vector<MemberEvent> events;
  std::vector<StreamPing> stream_pings;
  std::vector<Redial> redials;
};

}  // namespace kith
