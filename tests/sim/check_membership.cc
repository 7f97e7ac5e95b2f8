// A node that is gone is found dead by all that live; once faults have ended, nobody that lives is
// held dead for long.

#include <array>
#include <map>
#include <utility>
#include <vector>

#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

constexpr Duration kFindDead = std::chrono::seconds(15);
constexpr Duration kFindLive = std::chrono::seconds(20);

class MembershipChecker final : public Checker {
 public:
  void now_and_then(World& world) override {
    const Instant now = world.now();
    for (size_t i = 0; i < world.size(); ++i) {
      const SimHost& host = world.host(i);
      if (world.has_guest(i)) {  // neither here nor gone
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
    std::vector<std::pair<Standing, size_t>> standing = standing_of(world);
    if (standing != standing_) ++standings_;
    standing_ = std::move(standing);
    for (const auto& [i, since] : live_since_) {
      Observer& observer = observers_[i];
      const SimHost& host = world.host(i);
      const std::array<uint64_t, 3> from{host.node().membership().changes(), host.lives(),
                                         standings_};
      if (std::exchange(observer.from, from) != from) observer.doubts = doubts_of(world, i);
      for (const size_t other : observer.doubts) look(world, i, since, other);
    }
  }

 private:
  struct Observer {
    std::array<uint64_t, 3> from{};
    /// Whom it holds to be here and is gone, or the reverse: who may become a violation by time.
    std::vector<size_t> doubts;
  };
  enum Standing : uint8_t { kNeither, kLives, kGone };

  [[nodiscard]] Standing standing(size_t host) const {
    if (gone_since_.contains(host)) return kGone;
    return live_since_.contains(host) ? kLives : kNeither;
  }

  /// Of every host, and which of its identities it has.
  [[nodiscard]] std::vector<std::pair<Standing, size_t>> standing_of(const World& world) const {
    std::vector<std::pair<Standing, size_t>> all;
    for (size_t i = 0; i < world.size(); ++i)
      all.emplace_back(standing(i), world.host(i).identities());
    return all;
  }

  [[nodiscard]] std::vector<size_t> doubts_of(const World& world, size_t i) const {
    std::vector<size_t> doubts;
    const Swim& swim = world.host(i).node().membership();
    for (size_t other = 0; other < world.size(); ++other) {
      if (other == i || standing(other) == kNeither) continue;
      const Member* member = swim.find(world.host(other).id());
      const bool here = member != nullptr && member->present();
      if (here == (standing(other) == kGone)) doubts.push_back(other);
    }
    return doubts;
  }

  void look(World& world, size_t i, Instant since, size_t other) {
    const SimHost& host = world.host(i);
    if (const auto gone = gone_since_.find(other); gone != gone_since_.end()) {
      if (world.now() - std::max(since, gone->second) > kFindDead)
        world.violated(host.name() + " does not notice that " + world.host(other).name() +
                       " is gone");
      return;
    }
    if (world.calm_since() == kNever) return;
    const Instant from = std::max({since, live_since_.at(other), world.calm_since()});
    if (world.now() - from > kFindLive)
      world.violated(host.name() + " holds " + world.host(other).name() + " dead, which lives");
  }

  std::map<size_t, Instant> live_since_;
  std::map<size_t, Instant> gone_since_;
  std::map<size_t, Epoch> last_start_;
  std::vector<std::pair<Standing, size_t>> standing_;
  uint64_t standings_ = 0;
  std::map<size_t, Observer> observers_;
};

}  // namespace

std::unique_ptr<Checker> check_membership() {
  return std::make_unique<MembershipChecker>();
}

}  // namespace kith::sim
