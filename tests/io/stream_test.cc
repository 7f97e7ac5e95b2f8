#include "io/stream.h"

#include <sys/stat.h>

#include <fstream>
#include <memory>

#include "fixture.h"

using namespace kith;
using namespace kith::test;

namespace {

/// Both ends of a connection over `at`.
struct Pair {
  ByteStream server;
  ByteStream client;

  Pair(Loop& loop, const StreamAddress& at) {
    const auto listener =
        listen(loop, at, [this](ByteStream stream) { server = std::move(stream); });
    client = connect_now(loop, listener.address());
    REQUIRE(loop.run_until([&] { return bool(server); }, kPatience));
  }
};

}  // namespace

TEST_CASE("stream: what is written arrives in order, over TCP and over a unix socket") {
  Loop loop;
  const TempDir dir;
  for (const auto& at : {StreamAddress::at({"127.0.0.1", 0}), StreamAddress::at({"::1", 0}),
                         StreamAddress::local(dir.path("a"))}) {
    CAPTURE(at.text());
    Pair pair(loop, at);
    std::string heard;
    pair.server.start({.on_data = [&](ByteView bytes) { pair.server.write(as_text(bytes)); },
                       .on_end = {},
                       .on_close = {},
                       .on_drain = {}});
    pair.client.start({.on_data = [&](ByteView bytes) { heard += as_text(bytes); },
                       .on_end = {},
                       .on_close = {},
                       .on_drain = {}});
    std::string said;
    for (int i = 0; i < 1000; ++i) {
      const std::string line = "line " + std::to_string(i) + "\n";
      pair.client.write(line);
      said += line;
    }
    CHECK(loop.run_until([&] { return heard.size() >= said.size(); }, kPatience));
    CHECK(heard == said);
  }
}

TEST_CASE("stream: a half-close is told, and the other half still works") {
  Loop loop;
  const TempDir dir;
  Pair pair(loop, StreamAddress::local(dir.path("a")));
  std::string heard;
  bool client_ended = false;
  bool gone_at_end = true;
  pair.server.start({.on_data = [](ByteView) {},
                     .on_end =
                         [&] {
                           gone_at_end = pair.server.peer_gone();
                           pair.server.write(std::string_view("late answer"));
                           pair.server.shutdown();
                         },
                     .on_close = {},
                     .on_drain = {}});
  pair.client.start({.on_data = [&](ByteView bytes) { heard += as_text(bytes); },
                     .on_end = [&] { client_ended = true; },
                     .on_close = {},
                     .on_drain = {}});
  pair.client.write(std::string_view("question"));
  pair.client.shutdown();
  CHECK(loop.run_until([&] { return client_ended; }, kPatience));
  CHECK(heard == "late answer");
  CHECK_FALSE(gone_at_end);
}

TEST_CASE("stream: a peer that closed both halves is told apart from a half-close") {
  Loop loop;
  const TempDir dir;
  Pair pair(loop, StreamAddress::local(dir.path("a")));
  bool ended = false;
  bool gone = false;
  pair.server.start({.on_data = [](ByteView) {},
                     .on_end =
                         [&] {
                           ended = true;
                           gone = pair.server.peer_gone();
                         },
                     .on_close = {},
                     .on_drain = {}});
  pair.client = {};
  CHECK(loop.run_until([&] { return ended; }, kPatience));
  CHECK(gone);
}

TEST_CASE("stream: a slow reader makes write ask for patience, and on_drain gives the word") {
  Loop loop;
  const TempDir dir;
  Pair pair(loop, StreamAddress::local(dir.path("a")));
  size_t heard = 0;
  bool drained = false;
  pair.server.start({.on_data = [&](ByteView bytes) { heard += bytes.size(); },
                     .on_end = {},
                     .on_close = {},
                     .on_drain = {}});
  pair.server.pause();
  pair.client.start({.on_data = [](ByteView) {},
                     .on_end = {},
                     .on_close = {},
                     .on_drain = [&] { drained = true; }});
  size_t said = 0;
  bool more = true;
  while (more) {
    REQUIRE(said < 64u << 20);
    more = pair.client.write(Bytes(64 * 1024, 'x'));
    said += 64 * 1024;
  }
  CHECK(pair.client.queued() > ByteStream::kHighWater);
  CHECK_FALSE(drained);
  pair.server.resume();
  CHECK(loop.run_until([&] { return drained && heard == said; }, kPatience));
}

TEST_CASE("stream: a writer that does not listen is cut off at the limit") {
  Loop loop;
  const TempDir dir;
  Pair pair(loop, StreamAddress::local(dir.path("a")));
  Error error;
  bool closed = false;
  pair.client.start({.on_data = [](ByteView) {},
                     .on_end = {},
                     .on_close =
                         [&](const Error& cause) {
                           closed = true;
                           error = cause;
                         },
                     .on_drain = {}});
  for (int i = 0; i < 70; ++i) pair.client.write(Bytes(1 << 20, 'x'));
  CHECK(loop.run_until([&] { return closed; }, kPatience));
  CHECK(error.code == ErrorCode::kTooLarge);
}

TEST_CASE("stream: any callback may destroy the stream") {
  Loop loop;
  const TempDir dir;
  SUBCASE("on_data") {
    Pair pair(loop, StreamAddress::local(dir.path("a")));
    pair.server.start({.on_data = [&](ByteView) { pair.server = {}; },
                       .on_end = {},
                       .on_close = {},
                       .on_drain = {}});
    pair.client.write(std::string_view("x"));
    CHECK(loop.run_until([&] { return !pair.server; }, kPatience));
  }
  SUBCASE("on_end") {
    Pair pair(loop, StreamAddress::local(dir.path("a")));
    pair.server.start({.on_data = [](ByteView) {},
                       .on_end = [&] { pair.server = {}; },
                       .on_close = {},
                       .on_drain = {}});
    pair.client = {};
    CHECK(loop.run_until([&] { return !pair.server; }, kPatience));
  }
  SUBCASE("on_close") {
    Pair pair(loop, StreamAddress::local(dir.path("a")));
    pair.server.start({.on_data = [](ByteView) {},
                       .on_end = {},
                       .on_close = [&](const Error&) { pair.server = {}; },
                       .on_drain = {}});
    pair.client = {};
    REQUIRE(loop.run_until([&] { return pair.server.peer_gone(); }, kPatience));
    pair.server.write(std::string_view("into the void"));
    CHECK(loop.run_until([&] { return !pair.server; }, kPatience));
  }
  SUBCASE("written") {
    Pair pair(loop, StreamAddress::local(dir.path("a")));
    pair.server.write(Bytes{1}, [&] { pair.server = {}; });
    CHECK(loop.run_until([&] { return !pair.server; }, kPatience));
  }
  SUBCASE("on_drain") {
    Pair pair(loop, StreamAddress::local(dir.path("a")));
    pair.client.start({.on_data = [](ByteView) {}, .on_end = {}, .on_close = {}, .on_drain = {}});
    pair.server.start(
        {.on_data = {}, .on_end = {}, .on_close = {}, .on_drain = [&] { pair.server = {}; }});
    pair.server.write(Bytes(4 << 20, 'x'));
    CHECK(loop.run_until([&] { return !pair.server; }, kPatience));
  }
}

TEST_CASE("stream: handlers set after the peer's end are told of it") {
  Loop loop;
  const TempDir dir;
  Pair pair(loop, StreamAddress::local(dir.path("a")));
  bool first = false;
  bool second = false;
  pair.server.start({.on_data = [](ByteView) {},
                     .on_end = [&] { first = true; },
                     .on_close = {},
                     .on_drain = {}});
  pair.client.shutdown();
  REQUIRE(loop.run_until([&] { return first; }, kPatience));
  pair.server.start({.on_data = [](ByteView) {},
                     .on_end = [&] { second = true; },
                     .on_close = {},
                     .on_drain = {}});
  CHECK(loop.run_until([&] { return second; }, kPatience));
}

TEST_CASE("connect: a refused or absent socket is named with its cause") {
  Loop loop;
  const TempDir dir;
  std::string path = dir.path("a");
  for (const auto& to :
       {StreamAddress::local(path), StreamAddress::at({"127.0.0.1", 1}),
        StreamAddress::local(std::string(300, 'x')), StreamAddress::at({"not-a-number", 1})}) {
    CAPTURE(to.text());
    std::string message;
    const auto connecting = connect(loop, to, kPatience, [&](Result<ByteStream> result) {
      REQUIRE_FALSE(result);
      message = result.error().message;
    });
    CHECK(message.empty());
    CHECK(loop.run_until([&] { return !message.empty(); }, kPatience));
    CHECK(message.find(to.text()) != std::string::npos);
  }
}

TEST_CASE("connect: gives up after its timeout, and a cancelled one says nothing") {
  Loop loop;
  const TempDir dir;
  // A listener whose backlog is full neither accepts nor refuses.
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  auto any = to_sockaddr({"127.0.0.1", 0});
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&*any), sizeof(sockaddr_storage)) == 0);
  REQUIRE(::listen(fd, 0) == 0);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  const Endpoint full = from_sockaddr(reinterpret_cast<sockaddr*>(&bound));
  std::vector<Connecting> fillers;
  int connected = 0;
  std::vector<ByteStream> held;
  for (int i = 0; i < 8; ++i) {
    fillers.push_back(connect(loop, StreamAddress::at(full), kPatience, [&](Result<ByteStream> r) {
      if (r) held.push_back(std::move(*r));
      ++connected;
    }));
  }
  REQUIRE(loop.run_until([&] { return connected >= 1; }, kPatience));
  std::string message;
  auto late = connect(loop, StreamAddress::at(full), std::chrono::milliseconds(50),
                      [&](Result<ByteStream> r) { message = r ? "" : r.error().message; });
  bool called = false;
  {
    const auto cancelled = connect(loop, StreamAddress::at(full), std::chrono::milliseconds(1),
                                   [&](Result<ByteStream>) { called = true; });
  }
  CHECK(loop.run_until([&] { return !message.empty(); }, kPatience));
  CHECK(message.find("timed out") != std::string::npos);
  CHECK_FALSE(called);
  ::close(fd);
}

TEST_CASE("listener: replaces a socket file nobody answers on, and refuses a live one by name") {
  Loop loop;
  const TempDir dir;
  const auto at = StreamAddress::local(dir.path("a"));
  {
    // What a killed process leaves: bound, and nobody there.
    auto first = Listener::open(loop, at, {}, [](ByteStream) {});
    REQUIRE(first);
    REQUIRE(rename(at.path.c_str(), dir.path("b").c_str()) == 0);
  }
  REQUIRE(rename(dir.path("b").c_str(), at.path.c_str()) == 0);
  auto listener = Listener::open(loop, at, {.backlog = 16, .mode = 0600}, [](ByteStream) {});
  REQUIRE(listener);
  struct stat info {};
  REQUIRE(stat(at.path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  const auto again = Listener::open(loop, at, {}, [](ByteStream) {});
  REQUIRE_FALSE(again);
  CHECK(again.error().code == ErrorCode::kConflict);
  CHECK(again.error().message.find(at.path) != std::string::npos);
  std::ofstream(dir.path("c")) << "precious";
  const auto file =
      Listener::open(loop, StreamAddress::local(dir.path("c")), {}, [](ByteStream) {});
  REQUIRE_FALSE(file);
  CHECK(file.error().message.find("not a socket") != std::string::npos);
  CHECK(stat(dir.path("c").c_str(), &info) == 0);
}

TEST_CASE("listener: a taken port and a foreign address are named with the mend") {
  Loop loop;
  const auto first = listen(loop, StreamAddress::at({"127.0.0.1", 0}), [](ByteStream) {});
  const auto taken = Listener::open(loop, first.address(), {}, [](ByteStream) {});
  REQUIRE_FALSE(taken);
  CHECK(taken.error().message.find("port " + std::to_string(first.address().tcp.port) +
                                   " is already taken") != std::string::npos);
  const auto foreign =
      Listener::open(loop, StreamAddress::at({"192.0.2.1", 0}), {}, [](ByteStream) {});
  REQUIRE_FALSE(foreign);
  CHECK(foreign.error().message.find("192.0.2.1 is not on this host") != std::string::npos);
}
