#pragma once

#include <string>
#include <vector>

namespace kith {

/// So that a busy host is slow, not dead: the calling thread, the loop's, runs before ordinary
/// work (SCHED_RR at the lowest priority, else nice -10), and what it has touched stays in memory.
/// Returns one line for each thing the host does not allow; none of them is a reason to stop.
[[nodiscard]] std::vector<std::string> tune_host();

/// Gives back the code that only starting and joining needed, and locks again what is touched from
/// here on. To be called once, when that is over: half of what is resident until then.
void forget_start();

}  // namespace kith
