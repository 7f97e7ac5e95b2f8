#include "io/loop.h"

#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fixture.h"
#include "io/resolver.h"
#include "io/timer.h"
#include "io/udp.h"
#include "io/worker.h"

using namespace kith;
using namespace kith::test;
using std::chrono::milliseconds;

TEST_CASE("loop: run goes on until stop, and posted tasks come in order from any thread") {
  Loop loop;
  std::vector<int> order;
  loop.post([&] { order.push_back(1); });
  std::thread other([&] {
    loop.post([&] {
      order.push_back(3);
      loop.stop();
    });
  });
  loop.post([&] { order.push_back(2); });
  loop.run();
  other.join();
  CHECK(order.size() == 3);
  CHECK(std::find(order.begin(), order.end(), 1) < std::find(order.begin(), order.end(), 2));
}

TEST_CASE("timer: is never early, and does not fire once stopped or destroyed") {
  Loop loop;
  bool fired = false;
  bool stopped_fired = false;
  Timer timer(loop, [&] { fired = true; });
  Timer stopped(loop, [&] { stopped_fired = true; });
  auto gone = std::make_unique<Timer>(loop, [&] { stopped_fired = true; });
  stopped.start(milliseconds(1));
  gone->start(milliseconds(1));
  stopped.stop();
  gone.reset();
  const Instant before = read_now().mono;
  timer.start(milliseconds(20));
  CHECK(loop.run_until([&] { return fired; }, kPatience));
  CHECK(read_now().mono - before >= milliseconds(20));
  CHECK_FALSE(stopped_fired);
  CHECK_FALSE(timer.active());
}

TEST_CASE("timer: its callback may destroy it, and a repeating one goes on") {
  Loop loop;
  int count = 0;
  std::unique_ptr<Timer> timer;
  timer = std::make_unique<Timer>(loop, [&] {
    if (++count == 3) timer.reset();
  });
  timer->start_repeating(milliseconds(1));
  CHECK(loop.run_until([&] { return !timer; }, kPatience));
  CHECK(count == 3);
}

TEST_CASE("signals: reach the loop") {
  Loop loop;
  int got = 0;
  const Signals signals(loop, {SIGTERM, SIGUSR1}, [&](int number) { got = number; });
  kill(getpid(), SIGUSR1);
  CHECK(loop.run_until([&] { return got == SIGUSR1; }, kPatience));
}

TEST_CASE("worker: runs jobs in order on its own thread and hands results to the loop") {
  Loop loop;
  Worker worker(loop);
  const auto loop_thread = std::this_thread::get_id();
  std::vector<int> results;
  for (int i = 0; i < 10; ++i) {
    REQUIRE(worker.submit(
        [i, loop_thread] {
          CHECK(std::this_thread::get_id() != loop_thread);
          return std::make_unique<int>(i);
        },
        [&](std::unique_ptr<int> result) { results.push_back(*result); }));
  }
  CHECK(loop.run_until([&] { return results.size() == 10; }, kPatience));
  CHECK(results == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("worker: its end waits for the jobs and drops the results") {
  Loop loop;
  int worked = 0;
  bool delivered = false;
  {
    Worker worker(loop);
    for (int i = 0; i < 5; ++i) {
      REQUIRE(worker.submit([&] { ++worked; }, [&] { delivered = true; }));
    }
  }
  CHECK(worked == 5);
  bool flushed = false;
  loop.post([&] { flushed = true; });
  CHECK(loop.run_until([&] { return flushed; }, kPatience));
  CHECK_FALSE(delivered);
}

TEST_CASE("udp: datagrams go both ways, also between IPv4 and a dual-stack socket") {
  Loop loop;
  for (const char* host : {"127.0.0.1", "::1", "::"}) {
    CAPTURE(host);
    std::string heard;
    std::string answered;
    UdpSocket* answering = nullptr;
    auto server = UdpSocket::open(loop, {host, 0}, [&](const Endpoint& from, ByteView bytes) {
      heard += as_text(bytes);
      answering->send(from, as_bytes("pong"));
    });
    REQUIRE(server);
    answering = &*server;
    const bool v6 = std::string(host) == "::1";
    auto client = UdpSocket::open(loop, {v6 ? "::1" : "127.0.0.1", 0},
                                  [&](const Endpoint& from, ByteView bytes) {
                                    CHECK(from.host == (v6 ? "::1" : "127.0.0.1"));
                                    answered += as_text(bytes);
                                  });
    REQUIRE(client);
    client->send({v6 ? "::1" : "127.0.0.1", server->local().port}, as_bytes("ping"));
    CHECK(loop.run_until([&] { return !answered.empty(); }, kPatience));
    CHECK(heard == "ping");
    CHECK(answered == "pong");
    CHECK(client->dropped() == 0);
  }
}

TEST_CASE("udp: what cannot be sent is counted, and a receiver may destroy its socket") {
  Loop loop;
  auto socket = UdpSocket::open(loop, {"127.0.0.1", 0}, [](const Endpoint&, ByteView) {});
  REQUIRE(socket);
  socket->send({"::1", 9}, as_bytes("wrong family"));
  socket->send({"example", 9}, as_bytes("a name"));
  socket->send({"127.0.0.1", 9}, Bytes(70000));
  CHECK(socket->dropped() == 3);
  std::unique_ptr<UdpSocket> brief;
  auto opened =
      UdpSocket::open(loop, {"127.0.0.1", 0}, [&](const Endpoint&, ByteView) { brief.reset(); });
  REQUIRE(opened);
  brief = std::make_unique<UdpSocket>(std::move(*opened));
  socket->send(brief->local(), as_bytes("1"));
  socket->send(brief->local(), as_bytes("2"));
  CHECK(loop.run_until([&] { return !brief; }, kPatience));
}

TEST_CASE("udp: a taken port is named with the mend") {
  Loop loop;
  const auto first = UdpSocket::open(loop, {"127.0.0.1", 0}, [](const Endpoint&, ByteView) {});
  REQUIRE(first);
  const auto second = UdpSocket::open(loop, first->local(), [](const Endpoint&, ByteView) {});
  REQUIRE_FALSE(second);
  CHECK(second.error().code == ErrorCode::kConflict);
  CHECK(second.error().message.find("port " + std::to_string(first->local().port) +
                                    " is already taken by another program") != std::string::npos);
}

TEST_CASE("resolver: finds localhost, hands numbers back, and names what it cannot find") {
  Loop loop;
  Resolver resolver(loop);
  std::vector<std::string> local;
  std::vector<std::string> numeric;
  std::string message;
  resolver.lookup("localhost", [&](Result<std::vector<std::string>> hosts) {
    REQUIRE(hosts);
    local = *hosts;
  });
  resolver.lookup("fd00::1", [&](Result<std::vector<std::string>> hosts) { numeric = *hosts; });
  resolver.lookup("no-such-host.invalid", [&](Result<std::vector<std::string>> hosts) {
    REQUIRE_FALSE(hosts);
    message = hosts.error().message;
  });
  CHECK(local.empty());
  CHECK(numeric.empty());
  CHECK(loop.run_until([&] { return !local.empty() && !numeric.empty() && !message.empty(); },
                       kPatience));
  CHECK(std::find(local.begin(), local.end(), "127.0.0.1") != local.end());
  CHECK(numeric == std::vector<std::string>{"fd00::1"});
  CHECK(message.find("no-such-host.invalid") != std::string::npos);
}

TEST_CASE("resolver: its end cancels what is under way") {
  Loop loop;
  bool called = false;
  {
    Resolver resolver(loop);
    resolver.lookup("no-such-host.invalid", [&](auto) { called = true; });
    resolver.lookup("127.0.0.1", [&](auto) { called = true; });
  }
  bool flushed = false;
  loop.post([&] { flushed = true; });
  CHECK(loop.run_until([&] { return flushed; }, kPatience));
  CHECK_FALSE(called);
}
