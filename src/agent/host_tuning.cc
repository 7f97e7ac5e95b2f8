#include "agent/host_tuning.h"

#include <link.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kith {
namespace {

/// Unmaps this program's own code and constants: what is touched again comes back from the page
/// cache.
void forget_code() {
  dl_iterate_phdr(
      [](dl_phdr_info* object, size_t, void*) {
        const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
        for (size_t i = 0; i < object->dlpi_phnum; ++i) {
          const auto& segment = object->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
          const uintptr_t from = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
          const uintptr_t to =
              (object->dlpi_addr + segment.p_vaddr + segment.p_memsz + page - 1) & ~(page - 1);
          (void)madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
        }
        return 1;  // the program itself comes first
      },
      nullptr);
}

/// What was never touched needs no memory; what was, is not swapped out.
bool lock_memory() {
  return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

}  // namespace

std::vector<std::string> tune_host() {
  std::vector<std::string> refused;
  sched_param low{};
  low.sched_priority = 1;
  if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &low) != 0 &&
      setpriority(PRIO_PROCESS, 0, -10) != 0)
    refused.push_back(std::string("priority not raised (") + std::strerror(errno) +
                      "): on a starved host the others may think this node dead");
  if (!lock_memory())
    refused.push_back(std::string("memory not locked (") + std::strerror(errno) +
                      "): a swapping host may stall this node");
  return refused;
}

void forget_start() {
  if (munlockall() != 0) return;
  forget_code();
  (void)lock_memory();  // tune_host() said it if not
}

}  // namespace kith
