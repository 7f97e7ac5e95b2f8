// A node that is gone is found dead by all that live; once faults have ended, nobody that lives is
// held dead for long.

#include <map>

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
    for (const auto& [i, since] : live_since_)
      for (size_t other = 0; other < world.size(); ++other)
        if (other != i) look(world, i, since, other);
  }

 private:
  void look(World& world, size_t i, Instant since, size_t other) {
    const SimHost& host = world.host(i);
    const Member* member = host.node().membership().find(world.host(other).id());
    if (const auto gone = gone_since_.find(other); gone != gone_since_.end()) {
      if (member != nullptr && member->present() &&
          world.now() - std::max(since, gone->second) > kFindDead)
        world.violated(host.name() + " does not notice that " + world.host(other).name() +
                       " is gone");
      return;
    }
    if (world.calm_since() == kNever) return;
    const Instant from = std::max({since, live_since_[other], world.calm_since()});
    if (world.now() - from <= kFindLive) return;
    if (live_since_.contains(other) && (member == nullptr || !member->present()))
      world.violated(host.name() + " holds " + world.host(other).name() + " dead, which lives");
  }

  std::map<size_t, Instant> live_since_;
  std::map<size_t, Instant> gone_since_;
  std::map<size_t, Epoch> last_start_;
};

}  // namespace

std::unique_ptr<Checker> check_membership() {
  return std::make_unique<MembershipChecker>();
}

}  // namespace kith::sim
