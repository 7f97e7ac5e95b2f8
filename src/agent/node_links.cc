// Node: whom it dials, and the exchanges over links.

#include <algorithm>

#include "agent/node.h"
#include "base/defects.h"

namespace kith {
namespace {

constexpr Duration kSeedPauseMax = std::chrono::seconds(5);

}  // namespace

uint64_t Node::dial(const Endpoint& to, const NodeId& expected, LinkPurpose purpose, Now now) {
  if (purpose == LinkPurpose::kSync) {  // one exchange with one address at a time
    for (const auto& [stream, talk] : talks_)
      if (links_.alive(stream) && links_.purpose(stream) == LinkPurpose::kSync &&
          links_.address(stream) == to)
        return 0;
  }
  const uint64_t stream = links_.open(to, expected, purpose, keys_.to_dial(to), now, out_.streams);
  if (stream != 0) talks_[stream].expected = expected;
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
  const auto there = [&](const Member& other) {
    return other.present() && other.id != self() && other.address == seed.to;
  };
  if (member = swim_.find(seed.seen); member != nullptr && there(*member)) return true;
  for (const auto& [id, other] : swim_.members()) {
    if (!there(other)) continue;
    seed.seen = id;
    return true;
  }
  return false;
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
  if (synced_ && defective(Defect::kNoAntiEntropy)) return sync_wanted_.clear();
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

void Node::pump(uint64_t stream) {
  const auto talk = talks_.find(stream);
  if (talk == talks_.end() || !talk->second.session) return;
  while (auto frame = talk->second.session->next_frame()) send_frame(stream, kSyncFrame, *frame);
  if (talk->second.session->done() && !talk->second.counted) exchange_over(stream);
}

void Node::exchange_over(uint64_t stream) {
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
}

void Node::link_established(uint64_t stream, Now) {
  const NodeId peer = links_.peer(stream);
  const LinkPurpose purpose = links_.purpose(stream);
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
  if (purpose != LinkPurpose::kServe) {
    keys_.welcomed(links_.address(stream));
    // First of all: what else is said may be sealed with a key that one side lacks.
    if (purpose == LinkPurpose::kSync || purpose == LinkPurpose::kKeys || !has_my_ring(peer))
      send_ring(stream, false);
  }
  switch (purpose) {
    case LinkPurpose::kServe:
    case LinkPurpose::kKeys:
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
  pump(stream);
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
    hear(*message, peer, links_.key_id(stream), roster, now);
    // Where datagrams do not pass, nothing else tells that the stores differ.
    compare_root(peer, message->root, now);
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
  if (frame[0] == kRingFrame) return take_ring(stream, payload, now);
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
  pump(stream);
}

void Node::link_lost(uint64_t stream, const Error& why, bool established, Now now) {
  const LinkPurpose purpose = links_.purpose(stream);
  const bool turned_away =
      !established && why.code == ErrorCode::kUnauthentic && purpose != LinkPurpose::kServe;
  // It may have another key of the ring only, if it was away.
  const bool another_key = turned_away && keys_.turned_away(links_.address(stream));
  const NodeId expected = purpose == LinkPurpose::kServe ? NodeId{} : talks_[stream].expected;
  if (stream == ring_link_ && !established) ring_link_failed(now);
  for (Seed& seed : seeds_) {
    if (seed.stream != stream) continue;
    seed.stream = 0;
    if (another_key) seed.next = now.mono;
    if (established) continue;
    std::string fault = why.code == ErrorCode::kUnauthentic
                            ? "nobody answers with this key at " + seed.to.text() +
                                  ": its key or its cluster's name is another"
                            : "no answer at " + seed.to.text() + ": " + why.message;
    if (fault != seed.fault && swim_.present_count() <= 1)
      note("cluster", "no answer", {}, seed.to.text(), fault, now);
    seed.fault = std::move(fault);
  }
  std::optional<StreamPing> ping;
  if (const auto talk = talks_.find(stream); talk != talks_.end()) {
    ping = std::move(talk->second.ping);
    talks_.erase(talk);
  }
  if (another_key && !expected.none() && purpose == LinkPurpose::kSync)
    dial(links_.address(stream), expected, purpose, now);
  if (!ping || why.code != ErrorCode::kRefused) return;
  SwimEffects effects;
  swim_.stream_refused(ping->to, ping->nonce, now.mono, effects);
  carry_out(effects, now);
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

void Node::stream_closed(uint64_t stream, const Error& why, Now now, NodeEffects& out) {
  now_ = now;
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
    if (!observed_.wants(record) || keys_.banned(record.node)) continue;
    if (!verified_->check(record.node, record.signed_bytes(cluster_id_), record.signature))
      continue;
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
