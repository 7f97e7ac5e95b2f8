#include "agent/links.h"

#include <algorithm>

namespace kith {

Links::Links(const Identity& self, const KeyRing& keys, uint64_t cluster_id, LinkHandler& handler)
    : self_(&self), keys_(&keys), cluster_id_(cluster_id), handler_(&handler) {}

uint64_t Links::open(const Endpoint& to, const NodeId& expected, LinkPurpose purpose,
                     const KeyRing& keys, Now now, std::vector<StreamCommand>& out) {
  const auto opened = std::count_if(links_.begin(), links_.end(),
                                    [](const auto& item) { return item.first % 2 == 1; });
  if (static_cast<size_t>(opened) >= kMaxOpened) return 0;
  const uint64_t stream = next_;
  next_ += 2;
  links_.emplace(stream, Link{purpose, to,
                              SecureChannel::client(*self_, keys, cluster_id_, expected, policy()),
                              now.mono + kHandshakeTime});
  out.push_back(StreamOpen{stream, to});
  return stream;
}

SecureChannel::Admits Links::policy() const {
  return [handler = handler_](const NodeId& peer, uint64_t key_id) {
    return handler->admits(peer, key_id);
  };
}

bool Links::send(uint64_t stream, ByteView frame, std::vector<StreamCommand>& out) {
  const auto at = links_.find(stream);
  if (at == links_.end() || !at->second.established) return false;
  auto sealed = at->second.channel.seal(frame);
  if (!sealed) return false;
  out.push_back(StreamWrite{stream, std::move(*sealed)});
  return true;
}

void Links::close(uint64_t stream, std::vector<StreamCommand>& out) {
  if (links_.erase(stream) != 0)
    out.emplace_back(std::in_place_type<StreamClose>, StreamClose{stream});
}

void Links::drop_peer(const NodeId& peer, Now now, std::vector<StreamCommand>& out) {
  std::vector<uint64_t> theirs;
  for (const auto& [stream, link] : links_)
    if (link.established && link.channel.peer() == peer) theirs.push_back(stream);
  for (const uint64_t stream : theirs)
    lose(stream, Error{ErrorCode::kUnavailable, "banned"}, now, out);
}

void Links::accepted(uint64_t stream, Now now, std::vector<StreamCommand>& out) {
  const auto served = std::count_if(links_.begin(), links_.end(),
                                    [](const auto& item) { return item.first % 2 == 0; });
  const bool full = static_cast<size_t>(served) >= kMaxAccepted;
  const auto leaves = full ? eldest_stranger() : std::nullopt;
  if (leaves) lose(*leaves, Error{ErrorCode::kUnavailable, "made room"}, now, out);
  if (full && !leaves) {
    ++counters_.refused_full;
    out.emplace_back(std::in_place_type<StreamClose>, StreamClose{stream});
    return;
  }
  links_.emplace(stream, Link{LinkPurpose::kServe,
                              {},
                              SecureChannel::server(*self_, *keys_, cluster_id_, policy()),
                              now.mono + kHandshakeTime,
                              false,
                              false,
                              now.mono + kServeTime});
}

std::optional<uint64_t> Links::eldest_stranger() const {
  for (const auto& [stream, link] : links_)
    if (link.purpose == LinkPurpose::kServe && !link.established) return stream;
  return std::nullopt;
}

/// Closes the eldest of one peer's accepted streams if it has too many.
void Links::limit_peer(const NodeId& peer, Now now, std::vector<StreamCommand>& out) {
  std::vector<uint64_t> theirs;
  for (const auto& [stream, link] : links_) {
    if (link.purpose == LinkPurpose::kServe && link.established && link.channel.peer() == peer)
      theirs.push_back(stream);
  }
  if (theirs.size() > kMaxAcceptedAPeer)
    lose(theirs.front(), Error{ErrorCode::kUnavailable, "too many streams"}, now, out);
}

void Links::connected(uint64_t stream, Now now, std::vector<StreamCommand>& out) {
  const auto at = links_.find(stream);
  if (at == links_.end()) return;
  at->second.connected = true;
  at->second.deadline = now.mono + kHandshakeTime;
  out.push_back(StreamWrite{stream, at->second.channel.start()});
}

void Links::data(uint64_t stream, ByteView bytes, Now now, std::vector<StreamCommand>& out) {
  auto at = links_.find(stream);
  if (at == links_.end()) return;
  std::vector<Bytes> frames;
  Bytes answer;
  const Status status = at->second.channel.receive(bytes, frames, answer);
  if (!answer.empty()) out.push_back(StreamWrite{stream, std::move(answer)});
  if (!at->second.established && at->second.channel.established()) {
    at->second.established = true;
    at->second.deadline = now.mono + kIdleTime;
    if (at->second.purpose == LinkPurpose::kServe) limit_peer(at->second.channel.peer(), now, out);
    if (!links_.contains(stream)) return;  // the eldest of too many, though established last
    handler_->link_established(stream, now);
  }
  for (const Bytes& frame : frames) {
    at = links_.find(stream);
    if (at == links_.end()) return;
    at->second.deadline = std::min(now.mono + kIdleTime, at->second.end);
    handler_->link_frame(stream, frame, now);
  }
  at = links_.find(stream);
  if (at == links_.end() || status) return;
  if (at->second.channel.hello_failed()) ++counters_.hello_refused;
  lose(stream, status.error(), now, out);
}

void Links::closed(uint64_t stream, const Error& why, Now now) {
  std::vector<StreamCommand> ignored;  // the driver closed it already
  const auto at = links_.find(stream);
  // Who does not like a hello says nothing and hangs up.
  const bool turned_away =
      at != links_.end() && at->second.connected && !at->second.channel.established();
  lose(stream, turned_away ? Error{ErrorCode::kUnauthentic, why.message} : why, now, ignored);
}

void Links::advance(Now now, std::vector<StreamCommand>& out) {
  std::vector<uint64_t> late;
  for (const auto& [stream, link] : links_)
    if (link.deadline <= now.mono) late.push_back(stream);
  for (const uint64_t stream : late)
    lose(stream, Error{ErrorCode::kUnavailable, "no answer in time"}, now, out);
}

Instant Links::next_deadline() const {
  Instant next = kNever;
  for (const auto& [stream, link] : links_) next = std::min(next, link.deadline);
  return next;
}

LinkPurpose Links::purpose(uint64_t stream) const {
  return links_.at(stream).purpose;
}

NodeId Links::peer(uint64_t stream) const {
  const auto at = links_.find(stream);
  return at == links_.end() || !at->second.established ? NodeId{} : at->second.channel.peer();
}

uint64_t Links::key_id(uint64_t stream) const {
  return links_.at(stream).channel.key_id();
}

const Endpoint& Links::address(uint64_t stream) const {
  return links_.at(stream).to;
}

void Links::lose(uint64_t stream, const Error& why, Now now, std::vector<StreamCommand>& out) {
  const auto at = links_.find(stream);
  if (at == links_.end()) return;
  const bool established = at->second.established;
  if (!established) ++counters_.failed;
  // Told first, while the link can still be asked about.
  handler_->link_lost(stream, why, established, now);
  close(stream, out);
}

}  // namespace kith
