#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/instant.h"
#include "base/rng.h"
#include "gossip/disseminator.h"
#include "gossip/message.h"
#include "membership/config.h"

namespace kith {

enum class MemberState : uint8_t { kAlive, kSuspect, kDead, kLeft };

[[nodiscard]] std::string_view to_string(MemberState state);

struct Member {
  NodeId id;
  std::string name;
  Endpoint address;
  MemberState state = MemberState::kAlive;
  Incarnation incarnation = 0;
  Epoch epoch = 0;
  uint64_t boot = 0;
  Instant since;  ///< when `state` began
  /// The newest it said of itself, as it signed it, so that anyone can pass it on. Of self:
  /// unsigned, the caller signs.
  MemberRumor alive;
  /// What is held against it: of a suspect one suspicion an accuser, at most K + 1; of the dead or
  /// left the verdict. Empty for the dead that were only read from the persisted roster.
  std::vector<MemberRumor> accusations;
  std::optional<Duration> rtt;  ///< smoothed
  /// Its UDP seems to be blocked: the last probe was answered by stream alone.
  bool stream_only = false;
  /// Read from the persisted roster and not heard of since: dead until it shows itself.
  bool unconfirmed = false;

  /// Takes part: alive or suspect.
  [[nodiscard]] bool present() const {
    return state == MemberState::kAlive || state == MemberState::kSuspect;
  }
};

/// Every member ever heard of and not forgotten, self included, at most kMaxMembers, in the order
/// of their ids. Counts are kept, so asking is cheap.
class MemberTable {
 public:
  explicit MemberTable(NodeId self) : self_(self) {}

  [[nodiscard]] const NodeId& self() const { return self_; }
  [[nodiscard]] const Member* find(const NodeId& id) const;
  [[nodiscard]] Member* find(const NodeId& id);
  [[nodiscard]] const std::map<NodeId, Member>& all() const { return members_; }
  [[nodiscard]] size_t size() const { return members_.size(); }
  [[nodiscard]] bool full() const { return members_.size() >= kMaxMembers; }
  /// Alive or suspect, self included.
  [[nodiscard]] size_t present() const { return present_; }
  /// All but the left, self included.
  [[nodiscard]] size_t expected() const { return members_.size() - left_; }

  /// Null, and no change, if the id is there already or the table is full.
  Member* insert(Member member);
  bool erase(const NodeId& id);
  void set_state(Member& member, MemberState state, Instant now);
  void rename(Member& member, const std::string& name);
  void move(Member& member, const Endpoint& address);
  /// Whom news can be sent to: the present without self, by id. Valid until the table changes.
  [[nodiscard]] const std::vector<Peer>& peers() const { return peers_; }
  /// Grows whenever a member comes, goes, or changes its state, name or address; and by `touch`,
  /// for what is changed in a Member itself.
  [[nodiscard]] uint64_t changes() const { return changes_; }
  void touch() { ++changes_; }

  /// Another member that is present and bears the same name.
  [[nodiscard]] std::optional<NodeId> namesake(const Member& member) const;
  /// Up to `count` distinct members other than self, by chance, that satisfy `wanted`; all
  /// that do if they are fewer.
  template <class Wanted>
  [[nodiscard]] std::vector<const Member*> draw(size_t count, Rng& rng, Wanted wanted) const;

 private:
  void count(const Member& member, size_t by);
  void drop_name(const Member& member);
  void keep_peer(const Member& member, bool present);

  NodeId self_;
  std::map<NodeId, Member> members_;
  std::vector<const Member*> drawable_;  ///< by id, without self; map nodes do not move
  std::multimap<std::string, NodeId> names_;
  size_t present_ = 0;
  size_t left_ = 0;
  std::vector<Peer> peers_;
  uint64_t changes_ = 0;
};

template <class Wanted>
std::vector<const Member*> MemberTable::draw(size_t count, Rng& rng, Wanted wanted) const {
  std::vector<const Member*> out;
  const size_t n = drawable_.size();
  const auto take = [&](const Member* m) {
    for (const Member* taken : out) {
      if (taken == m) return;
    }
    if (wanted(*m)) out.push_back(m);
  };
  if (n > 4 * count) {
    for (size_t tries = 0; tries < 8 * count && out.size() < count; ++tries) {
      take(drawable_[rng.below(n)]);
    }
    if (out.size() == count) return out;
  }
  // Few members, or few that qualify: all of them, in a random order.
  std::vector<const Member*> order = drawable_;
  rng.shuffle(std::span<const Member*>(order));
  for (size_t i = 0; i < n && out.size() < count; ++i) take(order[i]);
  return out;
}

}  // namespace kith
