#include "io/http_proxy.h"

#include "fixture.h"

using namespace kith;
using namespace kith::test;

namespace {

/// The engine behind the proxy, played by the test: keeps what it hears, says what it is told.
struct Upstream {
  std::string heard;
  bool ended = false;
  bool closed = false;
  int connections = 0;
  ByteStream stream;
  Listener listener;

  Upstream(Loop& loop, const StreamAddress& at)
      : listener(listen(loop, at, [this](ByteStream accepted) {
          ++connections;
          heard.clear();
          ended = closed = false;
          stream = std::move(accepted);
          stream.start({.on_data = [this](ByteView bytes) { heard += as_text(bytes); },
                        .on_end = [this] { ended = true; },
                        .on_close = [this](const Error&) { closed = true; },
                        .on_drain = {}});
        })) {}
};

struct Fixture {
  Loop loop;
  TempDir dir;
  Upstream upstream{loop, StreamAddress::local(dir.path("b"))};
  HttpProxy proxy{loop, dir.path("b")};
  ForwardOptions options;
  TestServer server{loop, dir.path("a"), [this](ExchangePtr exchange) {
                      if (exchange->request().path == "/own") {
                        exchange->send_json(200, "own");
                      } else {
                        proxy.forward(std::move(exchange), options);
                      }
                    }};
  StreamAddress at() { return StreamAddress::local(dir.path("a")); }
  [[nodiscard]] bool upstream_hears(const std::string& text) {
    return loop.run_until([&] { return upstream.heard.find(text) != std::string::npos; },
                          kPatience);
  }
  [[nodiscard]] bool idle() {
    return loop.run_until([&] { return proxy.active() == 0; }, kPatience);
  }
};

}  // namespace

TEST_CASE("http proxy: request and answer pass byte for byte, and the connection goes on") {
  Fixture f;
  RawClient client(f.loop, f.at());
  struct Row {
    std::string request;
    std::string answer;
  };
  for (
      const Row& row :
      {Row{"GET /v1.41/info?x=%20 HTTP/1.1\r\nhOsT:  docker \r\nUser-Agent: a\r\n\r\n",
           "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 4\r\n\r\n{}\r\n"},
       Row{"POST /build HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
           "3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
           "chunked\r\n\r\n5\r\nhello\r\n1;q\r\n!\r\n0\r\n\r\n"},
       Row{"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345", "HTTP/1.1 204 No Content\r\n\r\n"},
       Row{"HEAD /_ping HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"},
       Row{"GET /b HTTP/1.1\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n\r\n"},
       Row{"POST /c HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}",
           "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"}}) {
    CAPTURE(row.request);
    client.heard.clear();
    client.say(row.request);
    REQUIRE(f.upstream_hears(row.request));
    CHECK(f.upstream.heard == row.request);
    f.upstream.stream.write(row.answer);
    REQUIRE(client.hears(row.answer));
    CHECK(client.heard == row.answer);
    REQUIRE(f.idle());
  }
  client.heard.clear();
  client.say("GET /own HTTP/1.1\r\n\r\n");
  CHECK(client.hears("own"));
  CHECK(f.upstream.connections == 6);
}

TEST_CASE("http proxy: an answer is the same bytes however it is cut") {
  Fixture f;
  const std::string answer =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n0\r\nT: r\r\n\r\n";
  RawClient client(f.loop, f.at());
  for (size_t piece = 1; piece <= answer.size(); piece += 7) {
    client.heard.clear();
    client.say("GET /x HTTP/1.1\r\n\r\n");
    REQUIRE(f.upstream_hears("GET /x"));
    for (size_t at = 0; at < answer.size(); at += piece) {
      bool turned = false;
      f.upstream.stream.write(answer.substr(at, piece));
      f.loop.post([&] { turned = true; });
      REQUIRE(f.loop.run_until([&] { return turned; }, kPatience));
    }
    REQUIRE(client.hears("T: r\r\n\r\n"));
    CHECK(client.heard == answer);
    REQUIRE(f.idle());
    f.upstream.heard.clear();
  }
}

TEST_CASE("http proxy: pipelined requests, its own and the engine's, are answered in turn") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say("GET /a HTTP/1.1\r\n\r\nGET /own HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
  REQUIRE(f.upstream_hears("GET /a HTTP/1.1\r\n\r\n"));
  CHECK(f.upstream.heard.find("/b") == std::string::npos);
  f.upstream.stream.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nA");
  REQUIRE(f.upstream_hears("GET /b"));
  f.upstream.stream.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nB");
  REQUIRE(client.hears("\r\n\r\nB"));
  CHECK(client.heard.find("\r\n\r\nA") < client.heard.find("own"));
  CHECK(client.heard.find("own") < client.heard.find("\r\n\r\nB"));
}

TEST_CASE("http proxy: head and pieces are handed on at once, in both directions at once") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say("POST /build HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
  REQUIRE(f.upstream_hears("1\r\na\r\n"));
  f.upstream.stream.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  REQUIRE(client.hears("chunked\r\n\r\n"));
  f.upstream.stream.write("4\r\nst");
  REQUIRE(client.hears("4\r\nst"));
  client.say("1\r\nb\r\n");
  REQUIRE(f.upstream_hears("1\r\nb\r\n"));
  f.upstream.stream.write("ep\r\n0\r\n\r\n");
  REQUIRE(client.hears("0\r\n\r\n"));
}

TEST_CASE("http proxy: Expect and 1xx pass through, also before a refusal") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say("POST /load HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  REQUIRE(f.upstream_hears("Expect"));
  f.upstream.stream.write("HTTP/1.1 100 Continue\r\n\r\n");
  REQUIRE(client.hears("100 Continue\r\n\r\n"));
  client.say("tar");
  REQUIRE(f.upstream_hears("tar"));
  f.upstream.stream = {};
  REQUIRE(client.hears("HTTP/1.1 502 "));
  CHECK(client.heard.find(f.dir.path("b")) != std::string::npos);
}

TEST_CASE("http proxy: an upgrade, or a 200 without framing, becomes a raw pipe both ways") {
  for (const std::string head :
       {"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"}) {
    CAPTURE(head);
    Fixture f;
    RawClient client(f.loop, f.at());
    client.say(
        "POST /exec/1/start HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        "Content-Length: 2\r\n\r\n{}early");
    REQUIRE(f.upstream_hears("{}"));
    f.upstream.stream.write(head + "prompt");
    REQUIRE(client.hears("prompt"));
    CHECK(client.heard == head + "prompt");
    REQUIRE(f.upstream_hears("{}early"));
    client.say("stdin\n");
    REQUIRE(f.upstream_hears("stdin\n"));
    SUBCASE("the client half-closes, and the answer still comes") {
      client.stream.shutdown();
      REQUIRE(f.loop.run_until([&] { return f.upstream.ended; }, kPatience));
      f.upstream.stream.write(std::string_view("last words"));
      f.upstream.stream.shutdown();
      REQUIRE(client.hears("last words"));
      CHECK(client.is_let_go());
      CHECK(f.idle());
    }
    SUBCASE("the engine half-closes, and input still goes") {
      f.upstream.stream.shutdown();
      REQUIRE(client.is_let_go());
      client.say("more");
      CHECK(f.upstream_hears("more"));
      client.stream.shutdown();
      CHECK(f.idle());
    }
    SUBCASE("the client hangs up") {
      client.stream = {};
      CHECK(f.loop.run_until([&] { return f.upstream.ended || f.upstream.closed; }, kPatience));
      CHECK(f.idle());
    }
    SUBCASE("the engine hangs up") {
      f.upstream.stream.write(Bytes(1 << 20, 'x'), [&] { f.upstream.stream = {}; });
      CHECK(client.is_let_go());
      CHECK(client.heard.size() >= 1 << 20);
      CHECK(f.idle());
    }
    CHECK(f.server.server.connections() == 0);
  }
}

TEST_CASE("http proxy: nobody on the socket gives 502 with its name, and the connection goes on") {
  Loop loop;
  const TempDir dir;
  HttpProxy proxy(loop, dir.path("b"));
  TestServer server(loop, dir.path("a"), [&](ExchangePtr e) { proxy.forward(std::move(e)); });
  RawClient client(loop, StreamAddress::local(dir.path("a")));
  for (int i = 0; i < 2; ++i) {
    client.heard.clear();
    client.say("POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
    REQUIRE(client.hears("}\n"));
    CHECK(client.heard.rfind("HTTP/1.1 502 ", 0) == 0);
    CHECK(client.heard.find("{\"message\":\"cannot connect to " + dir.path("b") + ": ") !=
          std::string::npos);
  }
}

TEST_CASE("http proxy: an engine that breaks off gives 502 before the head and a cut after it") {
  Fixture f;
  RawClient early(f.loop, f.at());
  early.say("GET /x HTTP/1.1\r\n\r\n");
  REQUIRE(f.upstream_hears("GET /x"));
  f.upstream.stream.write(std::string_view("HTTP/1.1 200 O"));
  f.upstream.stream.shutdown();
  REQUIRE(early.hears("HTTP/1.1 502 "));
  CHECK(early.heard.find("middle of an answer") != std::string::npos);
  RawClient late(f.loop, f.at());
  late.say("GET /y HTTP/1.1\r\n\r\n");
  REQUIRE(f.upstream_hears("GET /y"));
  f.upstream.stream.write(std::string_view("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
  f.upstream.stream.shutdown();
  CHECK(late.is_let_go());
  CHECK(f.idle());
}

TEST_CASE("http proxy: a client that hangs up takes its request with it") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say("GET /events HTTP/1.1\r\n\r\n");
  REQUIRE(f.upstream_hears("/events"));
  f.upstream.stream.write(
      std::string_view("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
  REQUIRE(client.hears("\r\n\r\n"));
  client.stream = {};
  CHECK(f.loop.run_until([&] { return f.upstream.ended; }, kPatience));
  CHECK(f.idle());
}

TEST_CASE("http proxy: a half-closed client is shown to the engine as such, and gets its answer") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say("GET /x HTTP/1.1\r\n\r\n");
  client.stream.shutdown();
  REQUIRE(f.loop.run_until([&] { return f.upstream.ended; }, kPatience));
  f.upstream.stream.write(std::string_view("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  CHECK(client.hears("\r\n\r\nok"));
  CHECK(client.is_let_go());
}

TEST_CASE("http proxy: a slow engine slows the client, a slow client the engine") {
  Fixture f;
  RawClient client(f.loop, f.at());
  const auto push = [&](ByteStream& from) {
    // Until nothing has moved for many rounds of the loop, all buffers on the way are full.
    size_t said = 0;
    int stuck = 0;
    while (stuck < 200) {
      REQUIRE(said < 64u << 20);
      if (from.queued() < 1024) {
        from.write(Bytes(64 * 1024, 'x'));
        said += 64 * 1024;
        stuck = 0;
      } else {
        ++stuck;
      }
      bool turned = false;
      f.loop.post([&] { turned = true; });
      REQUIRE(f.loop.run_until([&] { return turned; }, kPatience));
    }
    return said;
  };
  client.say("POST /load HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n");
  REQUIRE(f.upstream_hears("\r\n\r\n"));
  const size_t head = f.upstream.heard.size();
  f.upstream.stream.pause();
  const size_t up = push(client.stream);
  CHECK(up < 8u << 20);
  f.upstream.stream.resume();
  CHECK(f.loop.run_until([&] { return f.upstream.heard.size() == head + up; }, kPatience));
  client.stream.pause();
  f.upstream.stream.write(std::string_view("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n"));
  const size_t down = push(f.upstream.stream);
  CHECK(down < 8u << 20);
  client.stream.resume();
  CHECK(f.loop.run_until([&] { return client.heard.size() > down; }, kPatience));
}

TEST_CASE("http proxy: target and headers can be rewritten, and the rest stays") {
  Fixture f;
  f.options.target = "/networks/abc";
  f.options.set_headers = {{"X-Added", "1"}, {"b", "2"}};
  RawClient client(f.loop, f.at());
  client.say("GET /x HTTP/1.1\r\nA: 1\r\nB: 1\r\n\r\n");
  REQUIRE(f.upstream_hears("\r\n\r\n"));
  CHECK(f.upstream.heard == "GET /networks/abc HTTP/1.1\r\nA: 1\r\nX-Added: 1\r\nb: 2\r\n\r\n");
}

TEST_CASE("http proxy: an answer's body can be rewritten, with a length that fits") {
  Fixture f;
  f.options.wants_rewrite = [](const HttpResponseHead& head) { return head.status == 200; };
  f.options.rewrite = [](HttpResponseHead& head, std::string& body) {
    head.headers.set("Swarm", "active/manager");
    body = "[" + body + "]";
  };
  RawClient client(f.loop, f.at());
  client.say("GET /x HTTP/1.1\r\n\r\n");
  REQUIRE(f.upstream_hears("/x"));
  f.upstream.stream.write(
      std::string_view("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nApi-Version: 1.41\r\n\r\n"
                       "2\r\n{}\r\n0\r\n\r\n"));
  REQUIRE(client.hears("[{}]"));
  CHECK(client.heard.find("Api-Version: 1.41\r\nSwarm: active/manager\r\n") != std::string::npos);
  CHECK(client.heard.find("Content-Length: 4\r\n") != std::string::npos);
  CHECK(client.heard.find("chunked") == std::string::npos);
}

TEST_CASE("http proxy: a body that the handler collected and changed is sent instead") {
  Loop loop;
  const TempDir dir;
  Upstream upstream(loop, StreamAddress::local(dir.path("b")));
  HttpProxy proxy(loop, dir.path("b"));
  TestServer server(loop, dir.path("a"), [&](ExchangePtr exchange) {
    exchange->collect(1000, [&proxy, exchange](Bytes body) {
      ForwardOptions options;
      options.body = "changed " + std::string(as_text(body));
      proxy.forward(exchange, std::move(options));
    });
  });
  RawClient client(loop, StreamAddress::local(dir.path("a")));
  client.say("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
  REQUIRE(
      loop.run_until([&] { return upstream.heard.find("hi") != std::string::npos; }, kPatience));
  CHECK(upstream.heard == "POST /x HTTP/1.1\r\nContent-Length: 10\r\n\r\nchanged hi");
  upstream.stream.write(std::string_view("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"));
  CHECK(client.hears("201 Created"));
}

TEST_CASE("http proxy: its end cuts what is under way, pipes too") {
  Loop loop;
  const TempDir dir;
  Upstream upstream(loop, StreamAddress::local(dir.path("b")));
  auto proxy = std::make_unique<HttpProxy>(loop, dir.path("b"));
  TestServer server(loop, dir.path("a"), [&](ExchangePtr e) { proxy->forward(std::move(e)); });
  RawClient client(loop, StreamAddress::local(dir.path("a")));
  client.say("POST /attach HTTP/1.1\r\n\r\n");
  REQUIRE(loop.run_until([&] { return !upstream.heard.empty(); }, kPatience));
  SUBCASE("request") {}
  SUBCASE("pipe") {
    upstream.stream.write(std::string_view("HTTP/1.1 200 OK\r\n\r\nx"));
    REQUIRE(client.hears("x"));
  }
  proxy.reset();
  CHECK(client.is_let_go());
  CHECK(loop.run_until([&] { return upstream.ended || upstream.closed; }, kPatience));
}
