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
  peers_stale_ = true;
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
  if (id != self_) {
    drawable_.insert(std::lower_bound(drawable_.begin(), drawable_.end(), id, before), &it->second);
  }
  return &it->second;
}

bool MemberTable::erase(const NodeId& id) {
  Member* member = find(id);
  if (member == nullptr || id == self_) return false;
  drop_name(*member);
  count(*member, kMinusOne);
  drawable_.erase(std::lower_bound(drawable_.begin(), drawable_.end(), id, before));
  members_.erase(id);
  return true;
}

void MemberTable::set_state(Member& member, MemberState state, Instant now) {
  count(member, kMinusOne);
  member.state = state;
  member.since = now;
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
  names_.emplace(name, member.id);
  member.name = name;
}

void MemberTable::move(Member& member, const Endpoint& address) {
  member.address = address;
  peers_stale_ = true;
}

const std::vector<Peer>& MemberTable::peers() const {
  if (peers_stale_) {
    peers_.clear();
    for (const Member* member : drawable_) {
      if (member->present()) peers_.push_back({member->id, member->address});
    }
    peers_stale_ = false;
  }
  return peers_;
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
