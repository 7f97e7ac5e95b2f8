#include "membership/member_table.h"

#include <algorithm>
#include <utility>

namespace kith {

std::string_view to_string(MemberState state) {
  switch (state) {
    case MemberState::kAlive:
      return "alive";
    case MemberState::kSuspect:
      return "suspect";
    case MemberState::kDead:
      return "dead";
    case MemberState::kLeft:
      return "left";
  }
  return "?";
}

const Member* MemberTable::find(const NodeId& id) const {
  const auto it = members_.find(id);
  return it == members_.end() ? nullptr : &it->second;
}

Member* MemberTable::find(const NodeId& id) {
  return const_cast<Member*>(std::as_const(*this).find(id));
}

void MemberTable::count(const Member& member, size_t by) {
  ++changes_;
  if (member.present()) present_ += by;
  if (member.state == MemberState::kLeft) left_ += by;
}

namespace {
bool before(const Member* member, const NodeId& id) {
  return member->id < id;
}
constexpr size_t kMinusOne = static_cast<size_t>(-1);
}  // namespace

Member* MemberTable::insert(Member member) {
  if (full()) return nullptr;
  const NodeId id = member.id;
  const auto [it, added] = members_.emplace(id, std::move(member));
  if (!added) return nullptr;
  count(it->second, 1);
  names_.emplace(it->second.name, id);
  keep_peer(it->second, it->second.present());
  if (id != self_) {
    drawable_.insert(std::lower_bound(drawable_.begin(), drawable_.end(), id, before), &it->second);
  }
  return &it->second;
}

bool MemberTable::erase(const NodeId& id) {
  Member* member = find(id);
  if (member == nullptr || id == self_) return false;
  drop_name(*member);
  keep_peer(*member, false);
  count(*member, kMinusOne);
  drawable_.erase(std::lower_bound(drawable_.begin(), drawable_.end(), id, before));
  members_.erase(id);
  return true;
}

void MemberTable::set_state(Member& member, MemberState state, Instant now) {
  count(member, kMinusOne);
  member.state = state;
  member.since = now;
  keep_peer(member, member.present());
  count(member, 1);
}

void MemberTable::drop_name(const Member& member) {
  const auto [first, last] = names_.equal_range(member.name);
  names_.erase(
      std::find_if(first, last, [&](const auto& entry) { return entry.second == member.id; }));
}

void MemberTable::rename(Member& member, const std::string& name) {
  if (name == member.name) return;
  drop_name(member);
  ++changes_;
  names_.emplace(name, member.id);
  member.name = name;
}

void MemberTable::move(Member& member, const Endpoint& address) {
  if (address == member.address) return;
  ++changes_;
  keep_peer(member, false);
  member.address = address;
  keep_peer(member, member.present());
}

void MemberTable::keep_peer(const Member& member, bool present) {
  if (member.id == self_) return;
  const auto at = std::lower_bound(peers_.begin(), peers_.end(), member.id,
                                   [](const Peer& peer, const NodeId& id) { return peer.id < id; });
  const bool kept = at != peers_.end() && at->id == member.id;
  if (present && !kept) peers_.insert(at, {member.id, member.address});
  if (!present && kept) peers_.erase(at);
}

std::optional<NodeId> MemberTable::namesake(const Member& member) const {
  const auto [first, last] = names_.equal_range(member.name);
  for (auto it = first; it != last; ++it) {
    if (it->second == member.id) continue;
    const Member* other = find(it->second);
    if (other != nullptr && other->present()) return other->id;
  }
  return std::nullopt;
}

}  // namespace kith
