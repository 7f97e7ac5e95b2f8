// Node: datagrams, rumors, and the exchanges over links.

#include <algorithm>

#include "agent/node.h"
#include "base/hash.h"

namespace kith {
namespace {

// First byte of a frame on a link.
constexpr uint8_t kMessageFrame = 0;
constexpr uint8_t kSyncFrame = 1;

constexpr unsigned kMismatches = 3;
constexpr Duration kMismatchTime = std::chrono::seconds(2);
constexpr Duration kSeedPauseMax = std::chrono::seconds(5);
constexpr size_t kMaxOffersAPeer = kMaxFetchKeys;

bool unsigned_yet(const MemberRumor& rumor) {
  return rumor.signature == Signature{};
}

}  // namespace

// --- Out ---------------------------------------------------------------------------------------

void Node::sign(MemberRumor& rumor) const {
  if (rumor.signer() == self() && unsigned_yet(rumor)) setup_.identity.sign(rumor, cluster_id_);
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
  const std::vector<Peer> peers = swim_.peers();
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
  hear(*message, id, false, now);
  compare_root(id, message->root, now);
  SwimEffects effects;
  swim_.receive(id, from, message->body, now.mono, effects);
  carry_out(effects, now);
  drain(out);
}

/// Fresh, and of the boot that its sender signed for; learns a boot from an alive in the message.
bool Node::admit(const Opened& opened, const Message& message) {
  ReplayVerdict verdict = guard_.accept(opened.sender, opened.boot, opened.sequence);
  if (verdict != ReplayVerdict::kUnknownBoot) return verdict == ReplayVerdict::kFresh;
  for (const Rumor& rumor : message.rumors) {
    const auto* alive = std::get_if<MemberRumor>(&rumor);
    if (alive == nullptr || alive->claim != Claim::kAlive || alive->boot != opened.boot ||
        alive->subject.short_id() != opened.sender || !verified_.check(*alive, cluster_id_))
      continue;
    // The roster is for those who came by a stream; a stranger's datagram admits nobody.
    if (!swim_.known(alive->subject)) return false;
    short_ids_[opened.sender] = alive->subject;
    guard_.learn(opened.sender, alive->epoch, alive->boot);
    return guard_.accept(opened.sender, opened.boot, opened.sequence) == ReplayVerdict::kFresh;
  }
  return false;
}

void Node::hear(const Message& message, const NodeId& from, bool roster, Now now) {
  std::vector<MemberRumor> members;
  for (const Rumor& rumor : message.rumors) {
    if (const auto* member = std::get_if<MemberRumor>(&rumor)) {
      if (!verified_.check(*member, cluster_id_)) continue;
      if (member->claim == Claim::kAlive && member->subject != self()) {
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
  std::set<std::string>& keys = offers_[from];
  if (wanted && keys.size() < kMaxOffersAPeer) keys.insert(rumor.key);
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
    return;
  }
  Mismatch& mismatch = mismatches_[from];
  if (mismatch.seen++ == 0) mismatch.since = now.mono;
  if (mismatch.seen < kMismatches || now.mono - mismatch.since < kMismatchTime) return;
  mismatches_.erase(from);
  sync_wanted_.insert(from);
}

// --- Links -------------------------------------------------------------------------------------

uint64_t Node::dial(const Endpoint& to, const NodeId& expected, LinkPurpose purpose, Now now) {
  if (purpose == LinkPurpose::kSync) {  // one exchange with one address at a time
    for (const auto& [stream, talk] : talks_)
      if (links_.alive(stream) && links_.purpose(stream) == LinkPurpose::kSync &&
          links_.address(stream) == to)
        return 0;
  }
  const uint64_t stream = links_.open(to, expected, purpose, now, out_.streams);
  if (stream != 0) talks_[stream];
  return stream;
}

/// No need to dial it: it is this node, or a member that is here or said goodbye.
bool Node::met(const Seed& seed) const {
  if (seed.self) return true;
  const auto here = [](const Member& member) {
    return member.present() || member.state == MemberState::kLeft;
  };
  const Member* member = seed.node.none() ? nullptr : swim_.find(seed.node);
  if (member != nullptr && here(*member)) return true;
  // Until it has answered once, a seed may be anybody that is present already.
  return std::any_of(swim_.members().begin(), swim_.members().end(), [&](const auto& item) {
    return item.second.present() && item.first != self() && item.second.address == seed.to;
  });
}

void Node::dial_seeds(Now now) {
  for (Seed& seed : seeds_) {
    if (seed.stream != 0 || seed.next > now.mono || met(seed)) continue;
    seed.stream = dial(seed.to, {}, LinkPurpose::kSync, now);
    seed.next = now.mono + seed.pause;
    seed.pause = std::min<Duration>(seed.pause * 2, kSeedPauseMax);
  }
}

void Node::fetch_offers(Now now) {
  for (auto& [node, keys] : offers_) {
    if (keys.empty()) continue;
    const Member* member = swim_.find(node);
    const bool busy = std::any_of(talks_.begin(), talks_.end(), [&](const auto& item) {
      return links_.alive(item.first) && links_.purpose(item.first) == LinkPurpose::kFetch &&
             member != nullptr && links_.address(item.first) == member->address;
    });
    if (busy) continue;
    if (member != nullptr && member->present()) {
      const uint64_t stream = dial(member->address, node, LinkPurpose::kFetch, now);
      if (stream != 0) talks_[stream].keys.assign(keys.begin(), keys.end());
    }
    keys.clear();
  }
  std::erase_if(offers_, [](const auto& item) { return item.second.empty(); });
}

void Node::start_syncs(Now now) {
  if (syncing_ != 0 && !links_.alive(syncing_)) syncing_ = 0;
  if (now.mono >= next_sync_) {
    // Less often in a larger cluster: each exchange then covers more of it.
    uint64_t stretch = 1;
    for (size_t n = swim_.present_count(); n > 32; n /= 2) ++stretch;
    next_sync_ = now.mono + kSyncInterval * static_cast<int64_t>(stretch) +
                 std::chrono::milliseconds(rng_.below(3000));
    if (const auto peer = any_peer()) sync_wanted_.insert(*peer);
  }
  if (syncing_ != 0 || now.mono < sync_not_before_) return;
  while (!sync_wanted_.empty() && syncing_ == 0) {
    auto at = sync_wanted_.begin();
    std::advance(at, static_cast<ptrdiff_t>(rng_.below(sync_wanted_.size())));
    const Member* member = swim_.find(*at);
    if (member != nullptr && member->present() && member->id != self())
      syncing_ = dial(member->address, member->id, LinkPurpose::kSync, now);
    sync_wanted_.erase(at);
  }
  if (syncing_ != 0)
    sync_not_before_ = now.mono + kSyncPause + std::chrono::milliseconds(rng_.below(1000));
}

std::optional<NodeId> Node::any_peer() {
  const std::vector<Peer>& peers = swim_.peers();
  if (peers.empty()) return std::nullopt;
  return peers[rng_.below(peers.size())].id;
}

void Node::send_frame(uint64_t stream, uint8_t type, ByteView payload) {
  Bytes frame;
  frame.reserve(payload.size() + 1);
  frame.push_back(type);
  frame.insert(frame.end(), payload.begin(), payload.end());
  links_.send(stream, frame, out_.streams);
}

void Node::send_roster(uint64_t stream) {
  Talk& talk = talks_[stream];
  if (talk.roster_sent) return;
  talk.roster_sent = true;
  std::vector<Rumor> rumors = as_rumors(swim_.roster());
  for (size_t at = 0; at < rumors.size(); at += kMaxRumorsAMessage) {
    Message message;
    message.body = Gossip{};
    const size_t end = std::min(at + kMaxRumorsAMessage, rumors.size());
    message.rumors.assign(rumors.begin() + static_cast<ptrdiff_t>(at),
                          rumors.begin() + static_cast<ptrdiff_t>(end));
    send_frame(stream, kMessageFrame, encode(message));
  }
}

void Node::pump(uint64_t stream, Now now) {
  const auto talk = talks_.find(stream);
  if (talk == talks_.end() || !talk->second.session) return;
  while (auto frame = talk->second.session->next_frame()) send_frame(stream, kSyncFrame, *frame);
  if (talk->second.session->done() && !talk->second.counted) exchange_over(stream, now);
}

void Node::exchange_over(uint64_t stream, Now now) {
  Talk& talk = talks_[stream];
  talk.counted = true;
  const LinkPurpose purpose = links_.purpose(stream);
  const NodeId peer = links_.peer(stream);
  if (purpose == LinkPurpose::kSync || (purpose == LinkPurpose::kServe && talk.roster_sent)) {
    mismatches_.erase(peer);
    if (!synced_) {
      synced_ = true;
      dirty_ = true;
    }
  }
  for (Seed& seed : seeds_)
    if (seed.stream == stream) {
      seed.stream = 0;
      seed.pause = kSeedPause;
      seed.fault.clear();
    }
  if (purpose != LinkPurpose::kServe) {
    links_.close(stream, out_.streams);
    talks_.erase(stream);
  }
  (void)now;
}

void Node::link_established(uint64_t stream, Now now) {
  const NodeId peer = links_.peer(stream);
  for (Seed& seed : seeds_) {
    if (seed.stream != stream) continue;
    seed.node = peer;
    seed.self = peer == self();
  }
  if (peer == self()) {  // one's own address among the seeds, or a second agent with this identity
    links_.close(stream, out_.streams);
    talks_.erase(stream);
    return;
  }
  Talk& talk = talks_[stream];
  switch (links_.purpose(stream)) {
    case LinkPurpose::kServe:
      return;
    case LinkPurpose::kPing: {
      if (!talk.ping) return;
      Message message;
      message.body = Ping{talk.ping->nonce};
      message.rumors = as_rumors(talk.ping->rumors);
      for (Rumor& rumor : as_rumors({swim_.self_rumor()}))
        message.rumors.push_back(std::move(rumor));
      message.root = root();
      send_frame(stream, kMessageFrame, encode(message));
      return;
    }
    case LinkPurpose::kSync:
      send_roster(stream);
      talk.session = std::make_unique<SyncSession>(SyncSession::initiate(docs_, observed_, *this));
      break;
    case LinkPurpose::kFetch:
      talk.session = std::make_unique<SyncSession>(
          SyncSession::fetch(docs_, observed_, *this, std::move(talk.keys)));
      break;
  }
  pump(stream, now);
}

void Node::link_frame(uint64_t stream, ByteView frame, Now now) {
  now_ = now;
  const NodeId peer = links_.peer(stream);
  const bool serving = links_.purpose(stream) == LinkPurpose::kServe;
  if (frame.empty()) return;
  const ByteView payload = frame.subspan(1);
  if (frame[0] == kMessageFrame) {
    const auto message = decode_message(payload);
    if (!message) return;
    const bool roster = std::holds_alternative<Gossip>(message->body);
    hear(*message, peer, roster, now);
    if (const auto* ping = std::get_if<Ping>(&message->body)) {
      Message answer;
      answer.body = Ack{ping->nonce};
      answer.root = root();
      answer.rumors = as_rumors(swim_.answer_for(peer));
      send_frame(stream, kMessageFrame, encode(answer));
    } else if (const auto* ack = std::get_if<Ack>(&message->body)) {
      heard_me_.insert(peer);
      SwimEffects effects;
      swim_.stream_ack(peer, ack->nonce, now.mono, effects);
      carry_out(effects, now);
      links_.close(stream, out_.streams);
      talks_.erase(stream);
    } else if (serving) {
      send_roster(stream);
    }
    return;
  }
  if (frame[0] != kSyncFrame) return;
  Talk& talk = talks_[stream];
  if (!talk.session) {
    if (!serving) return;
    talk.session = std::make_unique<SyncSession>(SyncSession::respond(docs_, observed_, *this));
  }
  if (const Status taken = talk.session->receive(payload); !taken) {
    links_.close(stream, out_.streams);
    talks_.erase(stream);
    return;
  }
  pump(stream, now);
}

void Node::link_lost(uint64_t stream, const Error& why, bool established, Now now) {
  for (Seed& seed : seeds_) {
    if (seed.stream != stream) continue;
    seed.stream = 0;
    if (established) continue;
    std::string fault = why.code == ErrorCode::kUnauthentic
                            ? "nobody answers with this key at " + seed.to.text() +
                                  ": its key or its cluster's name is another"
                            : "no answer at " + seed.to.text() + ": " + why.message;
    if (fault != seed.fault && swim_.present_count() <= 1)
      note("cluster", "no answer", {}, seed.to.text(), fault, now);
    seed.fault = std::move(fault);
  }
  talks_.erase(stream);
}

void Node::stream_accepted(uint64_t stream, Now now, NodeEffects& out) {
  links_.accepted(stream, now, out_.streams);
  drain(out);
}

void Node::stream_connected(uint64_t stream, Now now, NodeEffects& out) {
  links_.connected(stream, now, out_.streams);
  drain(out);
}

void Node::stream_data(uint64_t stream, ByteView bytes, Now now, NodeEffects& out) {
  now_ = now;
  links_.data(stream, bytes, now, out_.streams);
  drain(out);
}

void Node::stream_closed(uint64_t stream, const std::string& why, Now now, NodeEffects& out) {
  links_.closed(stream, why, now);
  drain(out);
}

// --- SyncSink ----------------------------------------------------------------------------------

void Node::take_documents(std::vector<Document> documents, DocSource source) {
  DocEffects effects;
  for (Document& document : documents) docs_.merge(std::move(document), now_, effects, source);
  apply(effects, now_);
}

void Node::take_observed(std::vector<Observed> records) {
  ObservedEffects effects;
  for (Observed& record : records) {
    if (!observed_.wants(record)) continue;
    if (!verified_.check(record.node, record.signed_bytes(cluster_id_), record.signature)) continue;
    observed_.merge(std::move(record), effects);
  }
  apply(effects, now_);
}

void Node::drop_documents(std::vector<std::string> keys, Stamp horizon) {
  DocEffects effects;
  for (const std::string& key : keys) docs_.drop(key, horizon, now_, effects);
  apply(effects, now_);
}

void Node::raise_horizon(Stamp horizon) {
  DocEffects effects;
  docs_.raise_horizon(horizon, now_, effects);
  apply(effects, now_);
}

}  // namespace kith
