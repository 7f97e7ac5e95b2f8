// A cluster in memory behind the real API, for stock clients to be tried on by hand:
//   facade SOCKET [ENGINE_SOCKET] [PORT]
#include <cstdio>
#include <cstdlib>

#include "api/api_server.h"
#include "fake_cluster.h"
#include "io/timer.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: facade SOCKET [ENGINE_SOCKET] [PORT]\n");
    return 2;
  }
  kith::Loop loop;
  kith::test::FakeCluster cluster(loop, argc > 2 ? argv[2] : "");
  kith::ApiConfig config;
  config.socket = argv[1];
  if (argc > 3) config.listen = kith::Endpoint{"127.0.0.1", static_cast<uint16_t>(atoi(argv[3]))};
  auto server = kith::ApiServer::open(loop, cluster, config);
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  kith::Timer clock(loop, [&] { cluster.step(); });
  clock.start_repeating(std::chrono::milliseconds(200));
  kith::Signals stop(loop, {SIGINT, SIGTERM}, [&](int) { loop.stop(); });
  loop.run();
  return 0;
}
