#include "lease_world.h"

namespace kith::model {

LeaseRun LeaseWorld::play_forgotten_promise() {
  constexpr int kFirst = 4;
  constexpr int kSecond = 3;
  hosts_.assign(5, {});
  group_.assign(5, 0);
  lists_ = {{{0, 1, 2}, {0, 0}}};
  loss_ = late_ = 0;
  const auto cut = [this](int a, int b) {
    cuts_.insert({a, b});
    cuts_.insert({b, a});
  };
  cut(kFirst, 1);
  cut(kSecond, 2);
  for (const int voter : {0, 1, 2}) hosts_[voter].yields_until = INT64_MAX;
  hosts_[kSecond].yields_until = 22'000'000;
  const auto until = [this](Millis when) {
    while (now_ < when) step();
  };
  until(50);  // the first has asked
  hosts_[kFirst].frozen_until = 22'900;
  until(1'000);
  lose_agent(0, true);
  hosts_[0].back_at = 1'100;
  until(40'000);
  return out_;
}

LeaseRun forgotten_promise(LeaseDefect defect) {
  return LeaseWorld(1, defect).play_forgotten_promise();
}

}  // namespace kith::model
