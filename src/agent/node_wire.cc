// Node: datagrams and rumors.

#include <algorithm>

#include "agent/node.h"
#include "base/hash.h"

namespace kith {
namespace {

constexpr unsigned kMismatches = 3;
constexpr Duration kMismatchTime = std::chrono::seconds(2);
constexpr size_t kMaxOffersAPeer = kMaxFetchKeys;
constexpr size_t kMaxOfferingPeers = 64;  // what more offer comes with the next exchange

bool unsigned_yet(const MemberRumor& rumor) {
  return rumor.signature == Signature{};
}

}  // namespace

// --- Out ---------------------------------------------------------------------------------------

void Node::sign(MemberRumor& rumor) const {
  if (rumor.signer() != self() || !unsigned_yet(rumor)) return;
  if (rumor.claim != Claim::kAlive) return setup_.identity.sign(rumor, cluster_id_);
  Bytes bytes = rumor.signed_bytes(cluster_id_);
  if (bytes != own_alive_.bytes) {
    own_alive_.signature = setup_.identity.sign(bytes);
    own_alive_.bytes = std::move(bytes);
  }
  rumor.signature = own_alive_.signature;
}

std::vector<Rumor> Node::as_rumors(std::vector<MemberRumor> rumors) const {
  std::vector<Rumor> out;
  for (MemberRumor& rumor : rumors) {
    sign(rumor);
    if (!unsigned_yet(rumor)) out.emplace_back(std::move(rumor));
  }
  return out;
}

void Node::send(const NodeId& to, const Endpoint& address, Message message, Now now) {
  if (keys_.banned(to)) return;
  const bool probe =
      std::holds_alternative<Ping>(message.body) || std::holds_alternative<Ack>(message.body);
  if (probe) message.root = root();
  // Whoever has not answered in this boot may not know it, and would take nothing else from it.
  if (!heard_me_.contains(to)) {
    for (Rumor& rumor : as_rumors({swim_.self_rumor()})) message.rumors.push_back(std::move(rumor));
  }
  Bytes plain = encode(message);
  while (plain.size() > kMaxPlain && !message.rumors.empty()) {
    message.rumors.pop_back();
    plain = encode(message);
  }
  if (plain.size() + 64 < kMaxPlain) {
    disseminator_.piggyback(message, now.mono);
    plain = encode(message);
  }
  out_.datagrams.push_back({address, sealer_.seal(plain, to.short_id())});
}

void Node::carry_out(SwimEffects& effects, Now now) {
  for (SwimSend& sending : effects.sends) {
    Message message;
    message.body = sending.body;
    message.rumors = as_rumors(std::move(sending.rumors));
    send(sending.to, sending.address, std::move(message), now);
  }
  std::vector<MemberRumor> own;
  std::vector<MemberRumor> others;
  for (MemberNews& news : effects.news) {
    sign(news.rumor);
    if (unsigned_yet(news.rumor)) continue;
    if (!news.urgent)
      disseminator_.spread(news.rumor, now.mono);
    else
      (news.from.none() ? own : others).push_back(std::move(news.rumor));
  }
  disseminator_.set_cluster_size(swim_.present_count());
  std::vector<GossipSend> sends;
  const std::vector<Peer>& peers = swim_.peers();
  if (!own.empty()) disseminator_.urgent(own, true, now.mono, peers, sends);
  if (!others.empty()) disseminator_.urgent(others, false, now.mono, peers, sends);
  for (GossipSend& sending : sends)
    send(sending.to.id, sending.to.address, std::move(sending.message), now);
  for (const StreamPing& ping : effects.stream_pings) {
    const uint64_t stream = dial(ping.address, ping.to, LinkPurpose::kPing, now);
    if (stream != 0) talks_[stream].ping = ping;
  }
  for (const Redial& redial : effects.redials)
    dial(redial.address, redial.to, LinkPurpose::kSync, now);
  for (const MemberEvent& event : effects.events) member_event(event, now);
}

void Node::tell_record(const std::string& key, uint64_t version, const Bytes& envelope, Now now) {
  // Documents are final as they are; a node's own records often change again at once.
  const bool wait = key.starts_with("node/");
  const auto pushed = disseminator_.spread(RecordRumor{key, envelope}, now.mono, wait);
  if (pushed == RumorQueue::Pushed::kTooLarge)
    disseminator_.spread(OfferRumor{key, version}, now.mono, wait);
}

void Node::tell(const DocEffects& effects, Now now) {
  for (const DocNews& news : effects.news) tell_record(news.key, news.version, news.envelope, now);
}

void Node::tell(const ObservedEffects& effects, Now now) {
  for (const ObservedNews& news : effects.news)
    tell_record(news.key, news.version, news.envelope, now);
}

// --- In ----------------------------------------------------------------------------------------

void Node::datagram(const Endpoint& from, ByteView bytes, Now now, NodeEffects& out) {
  auto opened = sealer_.open(bytes);
  if (!opened) return;
  auto message = decode_message(opened->plain);
  if (!message || !admit(*opened, *message)) return;
  const auto sender = short_ids_.find(opened->sender);
  if (sender == short_ids_.end()) return;
  const NodeId id = sender->second;
  if (std::holds_alternative<Ack>(message->body)) heard_me_.insert(id);
  hear(*message, id, opened->key_id, false, now);
  compare_root(id, message->root, now);
  if (concerns_banned(message->body)) return drain(out);
  SwimEffects effects;
  swim_.receive(id, from, message->body, now.mono, effects);
  carry_out(effects, now);
  drain(out);
}

/// Asks for a ping of somebody that nobody speaks with any more.
bool Node::concerns_banned(const Body& body) const {
  if (const auto* relay = std::get_if<PingReq>(&body)) return keys_.banned(relay->target);
  if (const auto* confirm = std::get_if<Confirm>(&body)) return keys_.banned(confirm->target);
  return false;
}

/// Fresh, and of the boot that its sender signed for; learns a boot from an alive in the message.
bool Node::admit(const Opened& opened, const Message& message) {
  if (!still_uses(opened.sender, opened.key_id)) {
    ++outdated_;
    return false;
  }
  ReplayVerdict verdict = guard_.accept(opened.sender, opened.boot, opened.sequence);
  if (verdict != ReplayVerdict::kUnknownBoot) return verdict == ReplayVerdict::kFresh;
  for (const Rumor& rumor : message.rumors) {
    const auto* alive = std::get_if<MemberRumor>(&rumor);
    if (alive == nullptr || alive->claim != Claim::kAlive || alive->boot != opened.boot ||
        alive->subject.short_id() != opened.sender || !verified_->check(*alive, cluster_id_))
      continue;
    // The roster is for those who came by a stream; a stranger's datagram admits nobody.
    if (!swim_.known(alive->subject) || keys_.banned(alive->subject)) return false;
    short_ids_[opened.sender] = alive->subject;
    guard_.learn(opened.sender, alive->epoch, alive->boot);
    return guard_.accept(opened.sender, opened.boot, opened.sequence) == ReplayVerdict::kFresh;
  }
  return false;
}

void Node::hear(const Message& message, const NodeId& from, uint64_t key_id, bool roster, Now now) {
  // From a member with an old key: it may have let in whoever else has that.
  const bool introduces = lets_in(key_id);
  std::vector<MemberRumor> members;
  for (const Rumor& rumor : message.rumors) {
    if (const auto* member = std::get_if<MemberRumor>(&rumor)) {
      if (keys_.banned(member->subject) || keys_.banned(member->signer())) continue;
      if (!introduces && !swim_.known(member->subject) &&
          !catalog_.roster().contains(member->subject))
        continue;
      if (!verified_->check(*member, cluster_id_)) continue;
      if (member->claim == Claim::kAlive && member->subject != self() &&
          (swim_.known(member->subject) || short_ids_.size() < kMaxMembers)) {
        short_ids_[member->subject.short_id()] = member->subject;
        guard_.learn(member->subject.short_id(), member->epoch, member->boot);
      }
      members.push_back(*member);
    } else if (const auto* record = std::get_if<RecordRumor>(&rumor)) {
      take_record(*record, now);
    } else if (const auto* offer = std::get_if<OfferRumor>(&rumor)) {
      take_offer(*offer, from);
    }
  }
  SwimEffects effects;
  if (roster) {
    swim_.hear_roster(members, from, now.mono, effects);
  } else {
    for (const MemberRumor& rumor : members) swim_.hear(rumor, from, now.mono, effects);
  }
  carry_out(effects, now);
}

void Node::take_record(const RecordRumor& rumor, Now now) {
  if (rumor.key.starts_with("node/")) {
    auto observed = decode_observed(rumor.envelope);
    if (!observed || !observed_.wants(*observed)) return;
    std::vector<Observed> one;
    one.push_back(std::move(*observed));
    take_observed(std::move(one));
    return;
  }
  auto document = decode_document(rumor.envelope);
  if (!document || !docs_.wants(document->key, document->version)) return;
  DocEffects effects;
  docs_.merge(std::move(*document), now, effects);
  apply(effects, now);
}

void Node::take_offer(const OfferRumor& rumor, const NodeId& from) {
  const bool wanted = rumor.key.starts_with("node/")
                          ? observed_.wants_offer(rumor.key, rumor.version)
                          : docs_.wants_offer(rumor.key, rumor.version);
  if (!wanted || (offers_.size() >= kMaxOfferingPeers && !offers_.contains(from))) return;
  std::set<std::string>& keys = offers_[from];
  if (keys.size() < kMaxOffersAPeer) keys.insert(rumor.key);
}

/// Of all that two nodes should hold alike.
uint64_t Node::root() const {
  return hash_combine(docs_.root(), observed_.root());
}

/// The stores differ for good, not only while news is on its way.
void Node::compare_root(const NodeId& from, uint64_t root, Now now) {
  if (root == 0) return;
  if (root == this->root()) {
    mismatches_.erase(from);
    // Wanted because it joined: the news was quicker. Of n that join at once, each would ask all.
    if (synced_) sync_wanted_.erase(from);
    return;
  }
  Mismatch& mismatch = mismatches_[from];
  if (mismatch.seen++ == 0) mismatch.since = now.mono;
  if (mismatch.seen < kMismatches || now.mono - mismatch.since < kMismatchTime) return;
  mismatches_.erase(from);
  sync_wanted_.insert(from);
}

}  // namespace kith
