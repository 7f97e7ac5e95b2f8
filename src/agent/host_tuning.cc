#include "agent/host_tuning.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

namespace kith {

std::vector<std::string> tune_host() {
  std::vector<std::string> refused;
  sched_param low{};
  low.sched_priority = 1;
  if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &low) != 0 &&
      setpriority(PRIO_PROCESS, 0, -10) != 0)
    refused.push_back(std::string("priority not raised (") + std::strerror(errno) +
                      "): on a starved host the others may think this node dead");
  // What was never touched needs no memory; what was, is not swapped out.
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
    refused.push_back(std::string("memory not locked (") + std::strerror(errno) +
                      "): a swapping host may stall this node");
  return refused;
}

}  // namespace kith
