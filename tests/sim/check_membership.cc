// A node that is gone is found dead by all that live; once faults have ended, nobody that lives is
// held dead for long.

#include <algorithm>
#include <map>
#include <utility>

#include "base/hash.h"
#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

/// From the last probe that was missed to dead, in the worst of health.
constexpr Duration kSuspicion = std::chrono::seconds(10);
constexpr Duration kFindDeadAtLast = std::chrono::seconds(90);
constexpr Duration kFindLive = std::chrono::seconds(20);
constexpr size_t kObserversAtATime = 64;
constexpr Duration kTick = std::chrono::milliseconds(2);
constexpr Duration kTell = std::chrono::milliseconds(500);

/// Who missed the news finds out by its own probes, after at most 2n - 1 of them (SWIM,
/// section 4.3), or hears of it when it compares notes with somebody.
Duration find_dead(const World& world) {
  const size_t members = world.size();
  const Duration round =
      SwimConfig::lan().interval(members) * static_cast<int64_t>(2 * members - 1);
  return kSuspicion + std::min<Duration>(round, Node::kSyncInterval);
}

class MembershipChecker final : public Checker {
 public:
  MembershipChecker() : Checker("membership") {}

  void stepped(World& world, size_t host) override {
    const SimHost& at = world.host(host);
    if (!at.agent_up() || at.is_clone()) return;
    View& view = views_[host];
    if (view.life != at.epoch() || view.identity != at.identities())
      view = {.life = at.epoch(), .identity = at.identities()};
    const uint64_t changes = at.node().membership().changes();
    if (std::exchange(view.changes, changes) != changes)
      for (const auto& [id, member] : at.node().membership().members())
        follow(world, at, view.members[id], member);
    follow_flaps(world, at, view);
  }

  void now_and_then(World& world) override {
    const Instant now = world.now();
    for (size_t i = 0; i < world.size(); ++i) {
      const SimHost& host = world.host(i);
      if (world.has_guest(i) || host.is_clone()) {  // neither here nor gone
        live_since_.erase(i);
        gone_since_.erase(i);
      } else if (!host.agent_up() || host.frozen()) {
        live_since_.erase(i);
        // It may have lived between two looks, for long enough to be seen: then it is gone anew.
        const auto [at, fresh] = gone_since_.try_emplace(i, now);
        if (!fresh && last_start_[i] != host.epoch()) at->second = now;
      } else {
        gone_since_.erase(i);
        live_since_.try_emplace(i, now);
      }
      last_start_[i] = host.epoch();
    }
    // Of a large world a part each time; of it, those in whose view something may be wrong.
    const uint64_t fates = fates_of(world);
    const size_t parts = 1 + world.size() / kObserversAtATime;
    ++looks_;
    for (const auto& [i, since] : live_since_) {
      if (i % parts != looks_ % parts) continue;
      View& view = views_[i];
      const uint64_t changes = world.host(i).node().membership().changes();
      if (view.right && view.right_of == std::pair(changes, fates)) continue;
      view.right = true;
      view.right_of = {changes, fates};
      for (size_t other = 0; other < world.size(); ++other)
        if (other != i && !look(world, i, since, other)) view.right = false;
    }
  }

 private:
  /// Of who lives and who does not, since when.
  [[nodiscard]] uint64_t fates_of(const World& world) const {
    uint64_t hash = static_cast<uint64_t>(world.calm_since().time_since_epoch().count());
    for (const auto* fates : {&live_since_, &gone_since_})
      for (const auto& [i, since] : *fates)
        hash = hash_combine(hash_combine(hash, i),
                            static_cast<uint64_t>(since.time_since_epoch().count()));
    return hash;
  }

  /// Whether `i` holds of `other` what it will have to in the end.
  bool look(World& world, size_t i, Instant since, size_t other) {
    const SimHost& host = world.host(i);
    const Member* member = host.node().membership().find(world.host(other).id());
    if (const auto gone = gone_since_.find(other); gone != gone_since_.end()) {
      const Duration absent = world.now() - std::max(since, gone->second);
      // News that it had been back, from beyond a partition, calls for finding out anew.
      const Held& held = views_[i].members[world.host(other).id()];
      const Duration believed = world.now() - std::max(since, held.present_since);
      const bool noticed = member == nullptr || !member->present();
      const Duration enough = find_dead(world);
      const bool has_time = absent <= enough || (believed <= enough && absent <= kFindDeadAtLast);
      if (has_time && !noticed) return false;
      expect(world, "the gone", noticed, [&] {
        return host.name() + " does not notice that " + world.host(other).name() + " is gone";
      });
      return noticed;
    }
    if (!live_since_.contains(other)) return true;
    const bool held = member != nullptr && member->present();
    if (world.calm_since() == kNever) return held;
    const Instant from = std::max({since, live_since_[other], world.calm_since()});
    if (world.now() - from <= kFindLive && !held) return false;
    expect(world, "the living", held, [&] {
      return host.name() + " holds " + world.host(other).name() + " dead, which lives";
    });
    return held;
  }

  struct Held {
    MemberState state = MemberState::kDead;
    Instant since = Instant::min();
    Instant present_since = Instant::min();
  };
  struct View {
    Epoch life = 0;
    size_t identity = 0;
    std::map<NodeId, Held> members = {};
    uint64_t changes = 0;
    size_t flaps = 0;
    Instant flapped = Instant::min();
    bool right = false;                           ///< holds of everybody what it should
    std::pair<uint64_t, uint64_t> right_of = {};  ///< its changes, and the fates, then
  };

  // Who gives another up for dead by its own finding has suspected it for long enough.
  void follow(World& world, const SimHost& at, Held& held, const Member& member) {
    if (held.state == member.state) return;
    const Held before = held;
    held.state = member.state;
    held.since = world.now();
    const auto here = [](MemberState state) {
      return state == MemberState::kAlive || state == MemberState::kSuspect;
    };
    if (here(member.state) && !here(before.state)) held.present_since = world.now();
    if (member.state != MemberState::kDead || member.accusations.empty() ||
        member.accusations.front().accuser != at.id() || hearsay(world, at, member))
      return;
    const bool suspected = before.state == MemberState::kSuspect &&
                           world.now() - before.since >= at.swim.suspicion_min - kTick;
    expect(world, "own verdicts", suspected, [&] {
      return at.name() + " gives " + member.name + " up for dead without a suspicion's time";
    });
  }

  /// What it said before, perhaps in an earlier life, came back to it.
  static bool hearsay(const World& world, const SimHost& at, const Member& dead) {
    for (size_t i = 0; i < world.size(); ++i) {
      const SimHost& other = world.host(i);
      if (&other == &at || !other.agent_up()) continue;
      const Member* held = other.node().membership().find(dead.id);
      if (held != nullptr && held->state == dead.state && held->incarnation == dead.incarnation &&
          !held->accusations.empty() && held->accusations.front().accuser == at.id())
        return true;
    }
    return false;
  }

  // Who was given up and came back twice takes no new work for a while.
  void follow_flaps(World& world, const SimHost& at, View& view) {
    const size_t flaps = at.node().membership().flaps(at.now().mono);
    if (flaps > view.flaps) view.flapped = flaps >= 2 ? world.now() : Instant::min();
    view.flaps = flaps;
    if (view.flapped == Instant::min()) return;
    const Duration since = world.now() - view.flapped;
    if (since < kTell || since > at.swim.hold_down_first - kTell) return;
    const NodeInfo* info = at.node().catalog().info(at.id());
    if (info == nullptr) return;
    expect(world, "hold-downs", !info->ready,
           [&] { return at.name() + " flapped and says that it is ready"; });
  }

  std::map<size_t, View> views_;
  std::map<size_t, Instant> live_since_;
  std::map<size_t, Instant> gone_since_;
  std::map<size_t, Epoch> last_start_;
  size_t looks_ = 0;
};

}  // namespace

std::unique_ptr<Checker> check_membership() {
  return std::make_unique<MembershipChecker>();
}

}  // namespace kith::sim
