#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "io/http_server.h"
#include "io/loop.h"
#include "io/stream.h"

namespace kith::test {

constexpr Duration kPatience = std::chrono::seconds(20);

/// A directory for sockets, removed with what the tests put in it.
class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/kith-io-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~TempDir() {
    for (const char* file : {"/a", "/b", "/c"}) unlink((path_ + file).c_str());
    rmdir(path_.c_str());
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] std::string path(const char* file) const { return path_ + "/" + file; }

 private:
  std::string path_;
};

inline Listener listen(Loop& loop, const StreamAddress& at, Listener::Accept accept) {
  auto listener = Listener::open(loop, at, {}, std::move(accept));
  REQUIRE_MESSAGE(listener, (listener ? "" : listener.error().message));
  return std::move(*listener);
}

inline ByteStream connect_now(Loop& loop, const StreamAddress& to) {
  ByteStream stream;
  bool called = false;
  const auto connecting = connect(loop, to, kPatience, [&](Result<ByteStream> connected) {
    called = true;
    if (connected) stream = std::move(*connected);
  });
  REQUIRE(loop.run_until([&] { return called; }, kPatience));
  REQUIRE(stream);
  return stream;
}

/// A client that says raw bytes and keeps what it hears.
struct RawClient {
  ByteStream stream;
  std::string heard;
  bool ended = false;
  bool closed = false;
  Loop& loop;

  RawClient(Loop& owner_loop, const StreamAddress& to)
      : stream(connect_now(owner_loop, to)), loop(owner_loop) {
    stream.start({.on_data = [this](ByteView bytes) { heard += as_text(bytes); },
                  .on_end = [this] { ended = true; },
                  .on_close = [this](const Error&) { closed = true; },
                  .on_drain = {}});
  }
  void say(std::string_view text) { stream.write(text); }
  [[nodiscard]] bool hears(const std::string& text) {
    return loop.run_until([&] { return heard.find(text) != std::string::npos; }, kPatience);
  }
  [[nodiscard]] bool is_let_go() {
    return loop.run_until([&] { return ended || closed; }, kPatience);
  }
};

/// An HttpServer on a unix socket.
struct TestServer {
  HttpServer server;
  Listener listener;

  TestServer(Loop& loop, const std::string& path, HttpServer::Handler handler,
             const HttpServerLimits& limits = {})
      : server(loop, std::move(handler), limits),
        listener(listen(loop, StreamAddress::local(path),
                        [this](ByteStream stream) { server.serve(std::move(stream)); })) {}
};

}  // namespace kith::test
