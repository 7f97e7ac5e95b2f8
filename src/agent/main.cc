#include <netdb.h>
#include <sodium.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "agent/agent.h"
#include "agent/config.h"
#include "agent/host_address.h"
#include "agent/host_tuning.h"
#include "agent/log.h"
#include "cli/main.h"
#include "gossip/key_ring.h"

// glibc's own, in no header: a static program must not load the host's NSS modules.
extern "C" int __nss_configure_lookup(const char* database, const char* services);

namespace {

void keep_from_nss() {
  __nss_configure_lookup("hosts", "files dns");
  for (const char* database : {"passwd", "group", "services", "protocols", "networks"})
    __nss_configure_lookup(database, "files");
}

int check_config(const kith::Config& config) {
  for (const std::string& warning : config.warnings)
    std::fprintf(stderr, "%s: warning: %s\n", config.file.c_str(), warning.c_str());
  if (auto address = kith::choose_address(config.node.address); !address) {
    std::fprintf(stderr, "%s: %s\n", config.file.c_str(), address.error().message.c_str());
    return 1;
  }
  std::printf("%s: no faults found\n", config.file.c_str());
  return 0;
}

int run_agent(const std::string& path, bool check) {
  auto config = kith::load_config(path);
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().message.c_str());
    return 1;
  }
  if (check) return check_config(*config);
  kith::open_log(config->log.level, config->log.format == "json");
  for (const std::string& warning : config->warnings)
    kith::log_line(kith::LogLevel::kWarn, warning);
  kith::Loop loop;
  auto agent = kith::Agent::open(loop, *config);
  if (!agent) {
    std::fprintf(stderr, "kith: %s\n", agent.error().message.c_str());
    return 1;
  }
  for (const std::string& refused : kith::tune_host())
    kith::log_line(kith::LogLevel::kWarn, refused);
  const std::string why = (*agent)->run();
  if (why.empty()) return 0;
  std::fprintf(stderr, "kith: %s\n", why.c_str());
  return 1;
}

int print_initial_config(const std::string& cluster) {
  std::fputs(kith::initial_config(cluster, kith::ClusterKey::generate().secret).c_str(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  keep_from_nss();
  std::signal(SIGPIPE, SIG_IGN);
  if (sodium_init() < 0) {
    std::fputs("kith: the operating system gives no random numbers\n", stderr);
    return 1;
  }
  return kith::run_cli(argc, argv, {run_agent, print_initial_config});
}
