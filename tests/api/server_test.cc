#include <unistd.h>

#include <doctest/doctest.h>

#include "../io/fixture.h"
#include "api/api_server.h"
#include "api/json.h"
#include "fake_cluster.h"
#include "io/http_client.h"

namespace kith {
namespace {

using test::kPatience;

constexpr const char* kSpec = R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx"}},)"
                              R"("Mode":{"replicated":{"replicas":2}}})";

// An engine that knows a few answers and echoes every other request.
class FakeEngine {
 public:
  FakeEngine(Loop& loop, const std::string& path)
      : server_(loop, [](const ExchangePtr& exchange) { answer(exchange); }),
        listener_(test::listen(loop, StreamAddress::local(path),
                               [this](ByteStream s) { server_.serve(std::move(s)); })) {}

 private:
  static void answer(const ExchangePtr& exchange) {
    const auto& request = exchange->request();
    if (request.path == "/_ping")
      return exchange->send(200, {{"Api-Version", "1.44"}, {"Ostype", "linux"}}, "OK");
    if (request.path == "/info") return exchange->send_json(200, R"({"ID":"E","Swarm":{}})");
    if (request.path == "/version") return exchange->send_json(200, R"({"Version":"27.0"})");
    if (request.path == "/images/local/json") return exchange->send_json(200, "{}");
    if (request.path == "/networks/mine")
      return exchange->send_json(200, R"({"Name":"mine","Id":"abc","Scope":"local"})");
    if (request.path.ends_with("/events")) {
      exchange->begin(200, {});
      exchange->write("{\"Type\":\"container\"}\n");
      if (request.target.find("?since=1") != std::string::npos)
        exchange->write("{\"Type\":\"since\"}\n");
      held().push_back(exchange);
      return;
    }
    if (request.path.starts_with("/images/") || request.path.starts_with("/networks/nope"))
      return exchange->send_error(404, "no such thing");
    exchange->collect(64u << 20, [exchange](Bytes body) {
      exchange->send(200, {{"X-Engine", "yes"}},
                     exchange->request().method + " " + exchange->request().target + " " +
                         std::to_string(body.size()));
    });
  }
  static std::vector<ExchangePtr>& held() {
    static std::vector<ExchangePtr> out;
    return out;
  }

  HttpServer server_;
  Listener listener_;

 public:
  ~FakeEngine() { held().clear(); }
};

// Both APIs on real sockets, over a cluster in memory.
struct Bench {
  test::TempDir dir;
  Loop loop;
  std::string engine_path = dir.path("b");
  std::optional<FakeEngine> engine;
  test::FakeCluster cluster{loop, engine_path};
  std::unique_ptr<ApiServer> server;

  explicit Bench(bool with_engine = true) {
    if (with_engine) engine.emplace(loop, engine_path);
    cluster.node(0).view.engine.up = with_engine;
    ApiConfig config;
    config.socket = dir.path("a");
    config.listen = Endpoint{"127.0.0.1", 0};
    auto opened = ApiServer::open(loop, cluster, config);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
    server = std::move(*opened);
  }
  HttpResponse ask(const std::string& method, const std::string& target, std::string body = {},
                   HttpHeaders headers = {{"Host", "d"}}, bool network = false) {
    HttpClient client(loop, network ? StreamAddress::at(*server->network_address())
                                    : StreamAddress::local(dir.path("a")));
    std::optional<Result<HttpResponse>> answer;
    const HttpCall call =
        client.request({method, target, std::move(headers), std::move(body)}, HttpLimits{},
                       [&](Result<HttpResponse> got) { answer = std::move(got); });
    REQUIRE(loop.run_until([&] { return answer.has_value(); }, kPatience));
    REQUIRE_MESSAGE(*answer, (*answer ? "" : answer->error().message));
    return **answer;
  }
  Json get(const std::string& target) {
    const HttpResponse response = ask("GET", target);
    CAPTURE(response.body);
    REQUIRE(response.status == 200);
    return *parse_json(response.body);
  }
  std::string words(const HttpResponse& response) {
    return text_of(member(*parse_json(response.body), "message"));
  }
  std::string create() {
    const HttpResponse made = ask("POST", "/v1.41/services/create", kSpec);
    REQUIRE(made.status == 201);
    return (*parse_json(made.body))["ID"];
  }
};

TEST_CASE("api: the ping is the engine's, with every node a manager") {
  Bench bench;
  const HttpResponse get = bench.ask("GET", "/_ping");
  CHECK(get.body == "OK");
  CHECK(get.headers.get("Api-Version") == "1.44");
  CHECK(get.headers.get("Swarm") == "active/manager");
  CHECK_FALSE(get.headers.find("Builder-Version"));
  const HttpResponse head = bench.ask("HEAD", "/_ping");
  CHECK(head.status == 200);
  CHECK(head.body.empty());
  CHECK(head.headers.get("Swarm") == "active/manager");
}

TEST_CASE("api: with the engine dead the host still answers for the cluster") {
  Bench bench(false);
  CHECK(bench.ask("GET", "/_ping").headers.get("Api-Version") == "1.50");
  CHECK(bench.get("/v1.41/info")["Swarm"]["ControlAvailable"] == true);
  CHECK(bench.get("/version")["Components"][0]["Name"] == "kith");
  CHECK(bench.get("/nodes").size() == 3);
  CHECK(bench.get("/nodes/self")["Status"]["State"] == "down");
  const HttpResponse passed = bench.ask("GET", "/containers/json");
  CHECK(passed.status == 502);
}

TEST_CASE("api: what was known of the engine outlives it") {
  Bench bench;
  CHECK(bench.get("/info")["ID"] == "E");
  CHECK(bench.get("/version")["Version"] == "27.0");
  bench.engine.reset();
  CHECK(bench.get("/info")["ID"] == "E");
  CHECK(bench.get("/info")["Warnings"].size() == 1);
  CHECK(bench.get("/version")["Version"] == "27.0");
}

TEST_CASE("api: a service's life, from create to remove") {
  Bench bench;
  const std::string id = bench.create();
  CHECK(bench.get("/services").size() == 1);
  CHECK(bench.get("/services?status=true")[0]["ServiceStatus"]["DesiredTasks"] == 2);
  CHECK(bench.get("/v1.30/services/web")["ID"] == id);
  CHECK(bench.get("/tasks").size() == 2);
  const auto again = bench.ask("POST", "/services/create", kSpec);
  CHECK(again.status == 409);
  CHECK(bench.words(again) ==
        "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service "
        "web already exists");
  const std::string index = dump(bench.get("/services/web")["Version"]["Index"]);
  const auto rolled = bench.ask("POST", "/services/web/update?rollback=previous&version=" + index);
  CHECK(rolled.status == 400);
  CHECK(bench.words(rolled).ends_with("does not have a previous spec"));
  std::string spec = kSpec;
  spec.replace(spec.find("nginx"), 5, "httpd");
  CHECK(bench.ask("POST", "/services/web/update?version=" + index, spec).status == 200);
  CHECK(bench.get("/services/web")["UpdateStatus"]["State"] == "updating");
  const auto stale = bench.ask("POST", "/services/web/update?version=" + index, spec);
  CHECK(stale.status == 500);
  CHECK(bench.words(stale) == "rpc error: code = Unknown desc = update out of sequence");
  CHECK(bench.ask("POST", "/services/web/update?version=x", spec).status == 400);
  CHECK(bench.ask("DELETE", "/services/web").status == 200);
  CHECK(bench.ask("DELETE", "/services/web").status == 404);
  CHECK(bench.words(bench.ask("GET", "/services/web")) == "service web not found");
}

TEST_CASE("api: the registry's credentials are kept for the hosts and shown to nobody") {
  Bench bench;
  const std::string auth = "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAifQ==";
  const std::string target = "/v1.41/services/create";
  std::string spec(kSpec);
  REQUIRE(bench.ask("POST", target, spec, {{"Host", "d"}, {"X-Registry-Auth", auth}}).status ==
          201);
  const auto kept = [&](bool previous = false) {
    const ServiceDoc& doc = bench.cluster.service("web").doc;
    const auto json = parse_json(previous ? doc.previous_json : doc.spec_json);
    return text_of(member(*json, "KithRegistryAuth"));
  };
  CHECK(kept() == auth);
  const auto update = [&](const std::string& query, const std::string& header) {
    const uint64_t index = bench.cluster.service("web").version_index;
    HttpHeaders headers = {{"Host", "d"}};
    if (!header.empty()) headers.add("X-Registry-Auth", header);
    return bench
        .ask("POST", "/v1.41/services/web/update?version=" + std::to_string(index) + query, spec,
             headers)
        .status;
  };
  CHECK(update("&registryAuthFrom=spec", "e30=") == 200);  // no news
  CHECK(kept() == auth);
  CHECK(update("", "bmV3") == 200);
  CHECK(kept() == "bmV3");
  CHECK(kept(true) == auth);
  CHECK(update("&registryAuthFrom=previous-spec", "") == 200);
  CHECK(kept() == auth);
  // What lost an edit is a whole document; one that cannot be read may hold them as well.
  ConflictEntry conflict{"service/web", {}, "ant", {}, "bee", {}, "edited on both sides"};
  conflict.lost_body = to_json(bench.cluster.service("web").doc);
  REQUIRE(conflict.lost_body.find("bmV3") != std::string::npos);
  bench.cluster.lost.push_back(conflict);
  conflict.lost_body.insert(1, R"("deep":)" + std::string(100, '[') + std::string(100, ']') + ",");
  bench.cluster.lost.push_back(conflict);
  for (const char* shown : {"/services", "/services/web", "/services/web?insertDefaults=true",
                            "/tasks", "/kith/v1/services", "/kith/v1/tasks",
                            "/kith/v1/explain?slot=web.1", "/kith/v1/conflicts"}) {
    const std::string body = bench.ask("GET", shown).body;
    CAPTURE(shown);
    CHECK(body.find(auth) == std::string::npos);
    CHECK(body.find("bmV3") == std::string::npos);
    CHECK(body.find("RegistryAuth") == std::string::npos);
  }
  CHECK(bench.get("/services/web").contains("PreviousSpec"));
  CHECK(bench.get("/kith/v1/conflicts")[0]["lost"]["spec"]["Name"] == "web");
  CHECK(bench.get("/kith/v1/conflicts")[0]["lost"]["previous"]["Name"] == "web");
  // Nobody writes it by the spec, and what is no base64 or too long is refused.
  spec.insert(1, R"("KithRegistryAuth":"mine",)");
  CHECK(update("", "") == 200);
  CHECK(kept() == auth);
  CHECK(update("", "a b") == 400);
  CHECK(update("", std::string(5000, 'a')) == 400);
}

TEST_CASE("api: a node is drained and labelled, under its lock") {
  Bench bench;
  const char* drain = R"({"role":"manager","availability":"drain","labels":{"a":"b"}})";
  CHECK(bench.ask("POST", "/nodes/bee/update?version=2", drain).status == 200);
  CHECK(bench.get("/nodes/bee")["Spec"]["Availability"] == "drain");
  CHECK(bench.get("/nodes/bee")["Spec"]["Labels"]["a"] == "b");
  CHECK(bench.ask("POST", "/nodes/bee/update?version=2", drain).status == 500);
  CHECK(bench
            .ask("POST", "/nodes/ant/update?version=1",
                 R"({"Role":"worker","Availability":"active"})")
            .status == 501);
  const HttpResponse alive = bench.ask("DELETE", "/nodes/cat");
  CHECK(alive.status == 400);
  CHECK(bench.words(alive) == "rpc error: code = FailedPrecondition desc = node " +
                                  bench.cluster.node(2).view.id.docker_id() +
                                  " is not down and can't be removed");
  bench.cluster.node(2).view.liveness = Liveness::kDead;
  CHECK(bench.ask("DELETE", "/nodes/cat").status == 200);
  CHECK(bench.get("/nodes").size() == 2);
  CHECK(bench.ask("DELETE", "/nodes/bee?force=0").status == 400);
  CHECK(bench.ask("DELETE", "/nodes/bee?force=1").status == 200);
  CHECK(bench.get("/nodes").size() == 1);
}

TEST_CASE("api: everything else is the engine's, body and query as they came") {
  Bench bench;
  const HttpResponse got = bench.ask("GET", "/v1.41/containers/json?all=1&filters=%7B%7D");
  CHECK(got.headers.get("X-Engine") == "yes");
  CHECK(got.body == "GET /v1.41/containers/json?all=1&filters=%7B%7D 0");
  const HttpResponse posted =
      bench.ask("POST", "/v1.41/containers/create?name=x", std::string(5'000'000, 'x'));
  CHECK(posted.body == "POST /v1.41/containers/create?name=x 5000000");
  CHECK(bench.ask("POST", "/networks/create", R"({"Name":"n","Driver":"bridge"})").body ==
        "POST /networks/create 30");
}

TEST_CASE("api: what this version has not is refused by name") {
  Bench bench;
  struct Row {
    const char* method;
    const char* target;
    const char* body;
    int status;
    const char* words;
  };
  const Row rows[] = {
      {"POST", "/networks/create", R"({"Name":"app","Driver":"overlay"})", 501, "network app"},
      {"POST", "/networks/create", R"({"Name":"app","Scope":"swarm"})", 501, "overlay"},
      {"POST", "/secrets/create", "{}", 501, "secrets"},
      {"POST", "/configs/create", "{}", 501, "configs"},
      {"GET", "/secrets/x", "", 404, "secret x not found"},
      {"POST", "/swarm/init", "{}", 503, "already part of a swarm"},
      {"POST", "/swarm/join", "{}", 503, "already part of a swarm"},
      {"POST", "/swarm/leave", "", 501, "kith leave"},
      {"POST", "/swarm/update?version=1", "{}", 501, "YAML"},
      {"GET", "/networks/nope?scope=swarm", "", 404, "network nope not found"},
      {"GET", "/v1.23/nodes", "", 400, "too old"},
      {"GET", "/services?filters=%7B%22bogus%22:[%22x%22]%7D", "", 400, "Invalid filter 'bogus'"},
      {"PUT", "/nodes", "", 404, "page not found"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.target);
    const HttpResponse response = bench.ask(row.method, row.target, row.body);
    CHECK(response.status == row.status);
    CHECK(bench.words(response).find(row.words) != std::string::npos);
  }
  CHECK(bench.get("/networks?scope=swarm").empty());
  CHECK(bench.get("/secrets").empty());
  CHECK(bench.get("/swarm").contains("JoinTokens"));
}

TEST_CASE("api: a local network goes by its name, a local image without its digest") {
  Bench bench;
  const Json network = bench.get("/networks/mine?scope=swarm");
  CHECK(network["Id"] == "mine");
  CHECK(network["Scope"] == "swarm");
  CHECK(bench.get("/distribution/local/json")["Descriptor"]["Digest"] == "");
  CHECK(bench.ask("GET", "/distribution/away/json").headers.get("X-Engine") == "yes");
}

TEST_CASE("api: garbage and bodies too large are refused, and the next client is served") {
  Bench bench;
  CHECK(bench.ask("POST", "/services/create", "{bad").status == 400);
  CHECK(bench.ask("POST", "/services/create", std::string(kMaxApiBody + 1, 'x')).status == 413);
  {
    test::RawClient half(bench.loop, StreamAddress::local(bench.dir.path("a")));
    half.say("POST /services/create HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n{");
    REQUIRE(bench.loop.run_until([&] { return bench.server->connections() > 0; }, kPatience));
  }
  {
    // Gone before the answer, which takes another iteration.
    test::RawClient gone(bench.loop, StreamAddress::local(bench.dir.path("a")));
    gone.say("POST /services/create HTTP/1.1\r\nHost: d\r\nContent-Length: " +
             std::to_string(std::string_view(kSpec).size()) + "\r\n\r\n" + kSpec);
    REQUIRE(bench.loop.run_until([&] { return bench.cluster.services().size() == 1; }, kPatience));
  }
  CHECK(bench.get("/nodes").size() == 3);
}

TEST_CASE("api: events of the engine and of the cluster in one stream, as long as it is read") {
  Bench bench;
  {
    test::RawClient reader(bench.loop, StreamAddress::local(bench.dir.path("a")));
    reader.say("GET /v1.41/events HTTP/1.1\r\nHost: d\r\n\r\n");
    CHECK(reader.hears(R"({"Type":"container"})"));
    bench.create();
    CHECK(reader.hears(R"("Type":"service","Action":"create")"));
    CHECK(bench.cluster.subscribers() == 1);
    bench.engine.reset();
    bench.engine.emplace(bench.loop, bench.engine_path);
    CHECK(reader.hears(R"({"Type":"since"})"));  // what it has said since it was lost
  }
  CHECK(bench.loop.run_until([&] { return bench.cluster.subscribers() == 0; }, kPatience));
}

TEST_CASE("api: a reader that stops reading is cut off") {
  Bench bench;
  test::RawClient reader(bench.loop, StreamAddress::local(bench.dir.path("a")));
  reader.say("GET /kith/v1/events?follow=1 HTTP/1.1\r\nHost: d\r\n\r\n");
  REQUIRE(bench.loop.run_until([&] { return bench.cluster.subscribers() == 1; }, kPatience));
  reader.stream.pause();
  const std::string long_text(10'000, 'x');
  for (int i = 0; i < 5'000; ++i)
    bench.cluster.emit({{1'700'000'000'000}, "node", "join", "id", "dog", long_text, {}});
  CHECK(bench.loop.run_until([&] { return bench.cluster.subscribers() == 0; }, kPatience));
}

TEST_CASE("native api: what the commands read") {
  Bench bench;
  bench.create();
  bench.cluster.step();
  bench.cluster.step();
  CHECK(bench.get("/kith/v1/status")["node_states"]["ready"] == 3);
  CHECK(bench.get("/kith/v1/nodes")[0]["self"] == true);
  CHECK(bench.get("/kith/v1/services")[0]["running"] == 2);
  CHECK(bench.get("/kith/v1/tasks?service=web").size() == 2);
  CHECK(bench.get("/kith/v1/containers")[1]["node"] == "bee");
  CHECK(bench.get("/kith/v1/explain/web.2")["verdict"] == "runs on ant");
  CHECK(bench.get("/kith/v1/conflicts").empty());
  CHECK(bench.ask("GET", "/kith/v1/explain/web").status == 400);
  CHECK(bench.ask("GET", "/kith/v1/explain/web.0").status == 400);
  CHECK(bench.ask("GET", "/kith/v1/tasks?service=nope").status == 404);
  CHECK(bench.ask("GET", "/kith/v1/events?since=yesterday").status == 400);
  CHECK(bench.ask("GET", "/kith/v1/events").body.find("service web: create") != std::string::npos);
  CHECK(bench.ask("GET", "/metrics").body.find("kith_nodes{state=\"ready\"} 3\n") !=
        std::string::npos);
  CHECK(bench.ask("GET", "/kith/v1/leave").status == 405);
  CHECK_FALSE(bench.cluster.left);
  CHECK(bench.ask("POST", "/kith/v1/leave").status == 200);
  CHECK(bench.cluster.left);
}

TEST_CASE("native api: keys by their ids, or the beginning of one") {
  Bench bench;
  CHECK(bench.get("/kith/v1/keys").empty());
  const HttpResponse fresh = bench.ask("POST", "/kith/v1/keys");
  CHECK(fresh.status == 200);
  CHECK((*parse_json(fresh.body))["id"] == "00000000000000ff");
  CHECK(bench.ask("POST", "/kith/v1/keys", "bm90IGEga2V5").status == 200);
  CHECK(bench.ask("POST", "/kith/v1/keys", "no key").status == 400);
  CHECK(bench.ask("POST", "/kith/v1/keys", std::string(5'000, 'x')).status == 413);
  CHECK(bench.ask("POST", "/kith/v1/keys/ad/use").status == 200);
  CHECK(bench.get("/kith/v1/keys")[1]["primary"] == true);
  bench.cluster.ring[0].lacking = {"bee"};
  CHECK(bench.get("/kith/v1/keys")[0]["lacking"][0] == "bee");
  CHECK(bench.words(bench.ask("POST", "/kith/v1/keys/00/use")) == "bee lacks it");
  CHECK(bench.ask("POST", "/kith/v1/keys/00/use?force=1").status == 200);
  CHECK(bench.ask("POST", "/kith/v1/keys/cc/use").status == 404);
  CHECK(bench.ask("POST", "/kith/v1/keys/rotate").status == 200);
  CHECK(bench.words(bench.ask("DELETE", "/kith/v1/keys/ad")) ==
        "key ad is ambiguous; `kith key ls` lists the ring");
  CHECK(bench.ask("DELETE", "/kith/v1/keys/00").status == 200);
  CHECK(bench.get("/kith/v1/keys").size() == 2);
  CHECK(bench.ask("DELETE", "/kith/v1/keys").status == 404);
}

TEST_CASE("native api: over TCP it reads only, and tells other web sites nothing") {
  Bench bench;
  const auto over_tcp = [&](const char* method, const char* target, HttpHeaders headers) {
    return bench.ask(method, target, "", std::move(headers), true).status;
  };
  CHECK(over_tcp("GET", "/kith/v1/status", {{"Host", "127.0.0.1:7118"}}) == 200);
  CHECK(over_tcp("GET", "/kith/v1/status", {{"Host", "[::1]:7118"}}) == 200);
  CHECK(over_tcp("GET", "/kith/v1/status", {{"Host", "ant:7118"}}) == 200);
  CHECK(over_tcp("GET", "/kith/v1/status", {{"Host", "evil.example"}}) == 403);
  CHECK(over_tcp("GET", "/metrics", {{"Host", "ant"}, {"Origin", "http://ant:7118"}}) == 200);
  CHECK(over_tcp("GET", "/metrics", {{"Host", "ant"}, {"Origin", "http://evil"}}) == 403);
  CHECK(over_tcp("GET", "/metrics", {{"Host", "ant"}, {"Origin", "null"}}) == 403);
  CHECK(over_tcp("POST", "/kith/v1/leave", {{"Host", "ant"}}) == 405);
  CHECK(over_tcp("GET", "/nodes", {{"Host", "ant"}}) == 404);
  CHECK(over_tcp("GET", "/containers/json", {{"Host", "ant"}}) == 404);
  CHECK_FALSE(bench.cluster.left);
}

TEST_CASE("api: a socket that somebody answers on is not taken over") {
  Bench bench;
  ApiConfig config;
  config.socket = bench.dir.path("a");
  const auto second = ApiServer::open(bench.loop, bench.cluster, config);
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find(config.socket) != std::string::npos);
}

}  // namespace
}  // namespace kith
