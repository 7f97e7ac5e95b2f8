#pragma once

#include <cstddef>
#include <cstdint>

#include "base/instant.h"

namespace kith::test {

/// What one member of an idle cluster sends, a second.
struct Load {
  double datagrams = 0;
  double bytes = 0;
};
/// Every member is a whole Swim with a table of its own: memory grows with the square of `members`.
[[nodiscard]] Load load_of_all(size_t members, unsigned loss_percent, Duration time, uint64_t seed);
/// `whole` members are whole Swims that know all `members`; the rest only answer pings, and ping
/// somebody by chance as often as a whole one would. What is measured is what the whole ones send.
[[nodiscard]] Load load_of_some(size_t members, size_t whole, Duration time, uint64_t seed);

/// How one piece of news spreads when every member has a Disseminator of its own and all share one
/// list of peers. Nothing rides on pings here, and no anti-entropy helps.
struct Spread {
  size_t reached = 0;
  double half = -1;  ///< seconds until half of them knew; -1: never
  double all = -1;
  double datagrams = 0;  ///< a member
};
/// `urgent`: passed on at once by each first hearer, as news of members is; else told on ticks.
[[nodiscard]] Spread spread_of_news(size_t members, unsigned loss_percent, bool urgent,
                                    uint64_t seed);
/// Rounds until fewer than half a member does not know, in the mean, if everyone that knows tells
/// `fan_out` members by chance each round (Demers et al., PODC 1987, push).
[[nodiscard]] unsigned rounds_by_theory(size_t members, double fan_out, unsigned loss_percent);

}  // namespace kith::test
