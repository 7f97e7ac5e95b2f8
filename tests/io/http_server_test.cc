#include "io/http_server.h"

#include "fixture.h"

using namespace kith;
using namespace kith::test;
using std::chrono::milliseconds;

namespace {

struct Fixture {
  Loop loop;
  TempDir dir;
  std::vector<ExchangePtr> held;
  std::string events;
  int large = 0;

  StreamAddress at() { return StreamAddress::local(dir.path("a")); }

  void handle(ExchangePtr exchange) {
    const std::string& path = exchange->request().path;
    if (path == "/echo") {
      exchange->collect(
          1000, [exchange](Bytes body) { exchange->send(200, {}, std::string(as_text(body))); });
    } else if (path == "/path") {
      exchange->send_json(200, exchange->request().target);
    } else if (path == "/hold") {
      exchange->on_abort([this](bool gone) { events += gone ? "gone " : "half "; });
      held.push_back(std::move(exchange));
    } else if (path == "/forget") {
      exchange->collect(1000, [](Bytes) {});
    } else if (path == "/large") {
      ++large;
      exchange->send(200, {}, std::string(8 << 20, 'x'));
    } else if (path == "/nocontent") {
      exchange->send(204, {}, "never seen");
    } else if (path == "/chunks") {
      exchange->begin(200, {{"Content-Type", "text/plain"}});
      exchange->write("abc");
      exchange->write(std::string_view());
      exchange->write("0123456789ABCDEF");
      exchange->end();
    } else if (path == "/count") {
      auto total = std::make_shared<size_t>(0);
      exchange->stream([total](ByteView piece) { *total += piece.size(); },
                       [exchange, total] { exchange->send_json(200, std::to_string(*total)); });
    } else if (path == "/hijack") {
      auto taken = exchange->hijack();
      auto stream = std::make_shared<ByteStream>(std::move(taken->stream));
      stream->write("HTTP/1.1 101 UPGRADED\r\n\r\n");
      stream->write(std::move(taken->leftover));
      stream->start(
          {.on_data = [stream = stream.get()](ByteView bytes) { stream->write(as_text(bytes)); },
           .on_end = {},
           .on_close = {},
           .on_drain = {}});
      streams.push_back(stream);
    } else {
      exchange->send_error(404, "no \"" + path + "\"");
    }
  }
  std::vector<std::shared_ptr<ByteStream>> streams;
  TestServer server{loop, dir.path("a"), [this](ExchangePtr e) { handle(std::move(e)); }, limits()};
  static HttpServerLimits limits() {
    HttpServerLimits l;
    l.head_timeout = milliseconds(150);
    l.idle_timeout = milliseconds(300);
    l.body_timeout = milliseconds(150);
    l.max_connections = 4;
    return l;
  }
};

}  // namespace

TEST_CASE("http server: answers by path with a length, decodes the query, and keeps alive") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say("GET /path?a=%20b&c HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(client.hears("/path?a=%20b&c"));
  CHECK(client.heard.rfind("HTTP/1.1 200 OK\r\n", 0) == 0);
  CHECK(client.heard.find("Content-Length: 14\r\n") != std::string::npos);
  client.say("GET /n%22 HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(client.hears("{\"message\":\"no \\\"/n\\\"\\\"\"}"));
  CHECK(f.server.server.connections() == 1);
}

TEST_CASE("http server: pipelined requests are answered strictly in turn") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say(
      "GET /hold HTTP/1.1\r\n\r\nPOST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"
      "GET /path HTTP/1.1\r\n\r\n");
  REQUIRE(f.loop.run_until([&] { return f.held.size() == 1; }, kPatience));
  CHECK(client.heard.empty());
  f.held[0]->send_json(200, "first");
  REQUIRE(client.hears("/path"));
  const size_t first = client.heard.find("first");
  const size_t second = client.heard.find("hi");
  CHECK(first < second);
  CHECK(second < client.heard.find("/path"));
}

TEST_CASE("http server: HEAD and 204 have no body, HTTP/1.0 gets no chunks and a close") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say(
      "HEAD /path HTTP/1.1\r\n\r\nGET /nocontent HTTP/1.1\r\n\r\nHEAD /chunks HTTP/1.1\r\n\r\n");
  REQUIRE(client.hears("chunked\r\n\r\n"));
  CHECK(client.heard.find("Content-Length: 5\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200") !=
        std::string::npos);
  RawClient old(f.loop, f.at());
  old.say("GET /chunks HTTP/1.0\r\n\r\n");
  REQUIRE(old.is_let_go());
  CHECK(old.heard ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
        "abc0123456789ABCDEF");
}

TEST_CASE("http server: chunks are framed") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say("GET /chunks HTTP/1.1\r\n\r\n");
  REQUIRE(client.hears("\r\n\r\n3\r\nabc\r\n10\r\n0123456789ABCDEF\r\n0\r\n\r\n"));
}

TEST_CASE("http server: a body above the limit is refused with 413 and the connection goes on") {
  Fixture f;
  RawClient client(f.loop, f.at());
  SUBCASE("with a length") {
    client.say("POST /echo HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n");
    for (int i = 0; i < 100; ++i) {
      REQUIRE(f.loop.run_until([&] { return client.stream.queued() < (1 << 20); }, kPatience));
      client.stream.write(Bytes(1 << 20, 'x'));
    }
  }
  SUBCASE("in chunks") {
    client.say("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 100; ++i) {
      REQUIRE(f.loop.run_until([&] { return client.stream.queued() < (1 << 20); }, kPatience));
      client.say("100000\r\n");
      client.stream.write(Bytes(1 << 20, 'x'));
      client.say("\r\n");
    }
    client.say("0\r\n\r\n");
  }
  REQUIRE(client.hears("HTTP/1.1 413 "));
  CHECK(client.heard.find("{\"message\":") != std::string::npos);
  client.say("GET /path HTTP/1.1\r\n\r\n");
  CHECK(client.hears("/path"));
}

TEST_CASE("http server: a 100 MB body is streamed without being held") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say("POST /count HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n");
  for (int i = 0; i < 100; ++i) {
    REQUIRE(f.loop.run_until([&] { return client.stream.queued() < (1 << 20); }, kPatience));
    client.stream.write(Bytes(1 << 20, 'x'));
  }
  CHECK(client.hears("\r\n\r\n104857600"));
}

TEST_CASE("http server: Expect: 100-continue is answered when the body is wanted, and only then") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say("POST /echo HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  REQUIRE(client.hears("HTTP/1.1 100 Continue\r\n\r\n"));
  client.say("hi");
  REQUIRE(client.hears("\r\n\r\nhi"));
  client.say("POST /echo HTTP/1.1\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n");
  REQUIRE(client.hears("HTTP/1.1 413 "));
  CHECK(client.is_let_go());
  CHECK(client.heard.find("Connection: close") != std::string::npos);
}

TEST_CASE("http server: garbage, a head too long, and a slow one get 400, 431, 408 and a close") {
  Fixture f;
  struct Row {
    std::string said;
    std::string heard;
  };
  for (const Row& row :
       {Row{"\x16\x03\x01garbage\r\n\r\n", "HTTP/1.1 400 "},
        Row{"GET / HTTP/1.1\r\nA B: c\r\n\r\n", "HTTP/1.1 400 "},
        Row{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400 "},
        Row{"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 400 "},
        Row{"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 "},
        Row{"GET / HTTP/1.1\r\nA: " + std::string(70000, 'x'), "HTTP/1.1 431 "},
        Row{"GET / HTTP/1.1\r\nA:", "HTTP/1.1 408 "},
        Row{"POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", "HTTP/1.1 408 "}}) {
    CAPTURE(row.said.substr(0, 80));
    RawClient client(f.loop, f.at());
    client.say(row.said);
    CHECK(client.hears(row.heard));
    CHECK(client.is_let_go());
    CHECK(client.heard.find("{\"message\":") != std::string::npos);
  }
  CHECK(f.loop.run_until([&] { return f.server.server.connections() == 0; }, kPatience));
}

TEST_CASE("http server: an idle connection is closed, one whose answer is awaited is not") {
  Fixture f;
  RawClient idle(f.loop, f.at());
  RawClient waiting(f.loop, f.at());
  waiting.say("GET /hold HTTP/1.1\r\n\r\n");
  CHECK(idle.is_let_go());
  CHECK(idle.heard.empty());
  REQUIRE(f.held.size() == 1);
  f.held[0]->send_json(200, "late");
  CHECK(waiting.hears("late"));
}

TEST_CASE("http server: an exchange learns of a hang-up and of a half-close") {
  Fixture f;
  {
    RawClient client(f.loop, f.at());
    client.say("GET /hold HTTP/1.1\r\n\r\n");
    REQUIRE(f.loop.run_until([&] { return f.held.size() == 1; }, kPatience));
  }
  REQUIRE(f.loop.run_until([&] { return f.events == "gone "; }, kPatience));
  CHECK_FALSE(f.held[0]->open());
  f.held[0]->send_json(200, "to nobody");
  RawClient client(f.loop, f.at());
  client.say("GET /hold HTTP/1.1\r\n\r\n");
  client.stream.shutdown();
  REQUIRE(f.loop.run_until([&] { return f.events == "gone half "; }, kPatience));
  f.held[1]->send_json(200, "still here");
  CHECK(client.hears("still here"));
  CHECK(client.is_let_go());
}

TEST_CASE("http server: a half-closed client gets the whole of a large answer") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.stream.pause();
  client.say("GET /large HTTP/1.1\r\n\r\n");
  client.stream.shutdown();
  REQUIRE(f.loop.run_until([&] { return f.large == 1; }, kPatience));
  bool turned = false;
  f.loop.post([&] { f.loop.post([&] { turned = true; }); });
  REQUIRE(f.loop.run_until([&] { return turned; }, kPatience));
  client.stream.resume();
  CHECK(client.is_let_go());
  CHECK(client.heard.size() > 8 << 20);
}

TEST_CASE("http server: a client that reads no answers gets no more of them") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.stream.pause();
  for (int i = 0; i < 100; ++i) client.say("GET /large HTTP/1.1\r\n\r\n");
  REQUIRE(f.loop.run_until([&] { return f.large >= 1; }, kPatience));
  bool turned = false;
  f.loop.post([&] { f.loop.post([&] { turned = true; }); });
  REQUIRE(f.loop.run_until([&] { return turned; }, kPatience));
  CHECK(f.large == 1);
  client.stream.resume();
  CHECK(f.loop.run_until([&] { return f.large >= 3; }, kPatience));
}

TEST_CASE("http server: a client that hangs up in the middle of its body leaves nothing behind") {
  Fixture f;
  for (const char* path : {"/echo", "/count", "/hold"}) {
    RawClient client(f.loop, f.at());
    client.say(std::string("POST ") + path + " HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf");
    REQUIRE(f.loop.run_until([&] { return f.server.server.connections() == 1; }, kPatience));
    client.stream = {};
    CHECK(f.loop.run_until([&] { return f.server.server.connections() == 0; }, kPatience));
  }
}

TEST_CASE("http server: a handler that lets go without an answer gives 500") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say("POST /forget HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
  CHECK(client.hears("HTTP/1.1 500 "));
  CHECK(client.is_let_go());
}

TEST_CASE("http server: a hijacked connection keeps the bytes read past the head") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.say("POST /hijack HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly ");
  REQUIRE(client.hears("UPGRADED\r\n\r\nearly "));
  CHECK(f.server.server.connections() == 0);
  client.say("late");
  CHECK(client.hears("early late"));
}

TEST_CASE("http server: one connection too many is told so") {
  Fixture f;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(std::make_unique<RawClient>(f.loop, f.at()));
  for (auto& client : clients) client->say("GET /hold HTTP/1.1\r\n\r\n");
  REQUIRE(f.loop.run_until([&] { return f.held.size() == 4; }, kPatience));
  RawClient extra(f.loop, f.at());
  CHECK(extra.hears("HTTP/1.1 503 "));
  CHECK(extra.is_let_go());
}

TEST_CASE("http server: backpressure reaches the writer of a streamed answer") {
  Fixture f;
  RawClient client(f.loop, f.at());
  client.stream.pause();
  client.say("GET /hold HTTP/1.1\r\n\r\n");
  REQUIRE(f.loop.run_until([&] { return f.held.size() == 1; }, kPatience));
  auto& exchange = f.held[0];
  bool drained = false;
  exchange->on_drain([&] { drained = true; });
  exchange->begin(200, {});
  const std::string piece(64 * 1024, 'x');
  size_t said = 0;
  while (exchange->write(piece)) {
    said += piece.size();
    REQUIRE(said < 64u << 20);
  }
  CHECK_FALSE(drained);
  client.stream.resume();
  CHECK(f.loop.run_until([&] { return drained; }, kPatience));
  exchange->end();
  CHECK(client.hears("\r\n0\r\n\r\n"));
}

TEST_CASE("http server: may be destroyed from its own handler") {
  Loop loop;
  const TempDir dir;
  std::unique_ptr<TestServer> server;
  server = std::make_unique<TestServer>(loop, dir.path("a"), [&](ExchangePtr exchange) {
    server.reset();
    exchange->send_json(200, "nobody hears this");
  });
  RawClient client(loop, StreamAddress::local(dir.path("a")));
  client.say("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
  CHECK(client.is_let_go());
  CHECK(client.heard.empty());
}
