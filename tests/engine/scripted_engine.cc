#include "scripted_engine.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>

#include "engine/container_spec.h"
#include "io/http.h"
#include "io/stream.h"

namespace kith::test {
namespace {

using Json = nlohmann::json;

std::string words(const std::string& text) {
  return Json{{"message", text}}.dump();
}

std::string full_id(int number) {
  std::string digits = std::to_string(number);
  return digits + std::string(64 - digits.size(), 'a');
}

Json inspection(const ScriptedEngine::Container& c) {
  const bool runs = c.state == "running";
  return {{"Id", c.id},
          {"Created", "2026-01-02T03:04:05.6Z"},
          {"Config", {{"Labels", c.labels}, {"Image", c.image}}},
          {"State",
           {{"Status", c.state},
            {"Pid", runs ? static_cast<int>(getpid()) : 0},
            {"ExitCode", c.exit_code},
            {"StartedAt", "2026-01-02T03:04:06.7Z"}}},
          {"NetworkSettings", {{"Ports", Json::object()}}}};
}

Json summary(const ScriptedEngine::Container& c) {
  const std::string status = c.state == "exited"
                                 ? "Exited (" + std::to_string(c.exit_code) + ") 5 days ago"
                             : c.state == "running" ? "Up 2 minutes (unhealthy)"
                                                    : "Created";
  const Json port = {{"IP", "0.0.0.0"}, {"PrivatePort", 80}, {"PublicPort", 8080}, {"Type", "tcp"}};
  return {{"Id", c.id},
          {"Names", {"/" + c.name}},
          {"Image", c.image},
          {"Labels", c.labels},
          {"State", c.state},
          {"Status", status},
          {"Created", 1767323045},
          {"Ports", {port, port}}};
}

}  // namespace

ScriptedEngine::ScriptedEngine(Loop& loop) : loop_(loop) {
  char name[] = "/tmp/kith-scripted-XXXXXX";
  REQUIRE(mkdtemp(name) != nullptr);
  dir_ = name;
  socket_ = dir_ + "/docker.sock";
  up();
}

ScriptedEngine::~ScriptedEngine() {
  down();
  rmdir(dir_.c_str());
}

void ScriptedEngine::up() {
  server_ = std::make_unique<HttpServer>(loop_, [this](const ExchangePtr& one) { handle(one); });
  auto listener = Listener::open(loop_, StreamAddress::local(socket_), {},
                                 [this](ByteStream stream) { server_->serve(std::move(stream)); });
  REQUIRE(listener);
  listener_ = std::make_unique<Listener>(std::move(*listener));
}

void ScriptedEngine::down() {
  listener_.reset();
  server_.reset();
  held_.clear();
  followers_.clear();
  broken_.clear();
}

std::string ScriptedEngine::put(const std::string& task, uint32_t slot, const std::string& state,
                                int exit_code) {
  Container c;
  c.id = full_id(next_id_++);
  c.name = "web." + std::to_string(slot) + "." + task;
  c.labels = {{kTaskLabel, task},
              {kServiceLabel, "web"},
              {kSlotLabel, std::to_string(slot)},
              {kServiceIdLabel, "service1"},
              {kGenerationLabel, "3"},
              {kTermLabel, "5"}};
  c.image = "box";
  c.state = state;
  c.exit_code = exit_code;
  containers[c.id] = c;
  note_running();
  return c.id;
}

void ScriptedEngine::say(const std::string& id, const std::string& action) {
  const auto at = containers.find(id);
  if (at == containers.end()) return;
  Json attributes = at->second.labels;
  attributes["exitCode"] = std::to_string(at->second.exit_code);
  const Json event = {{"Type", "container"},
                      {"Action", action},
                      {"Actor", {{"ID", id}, {"Attributes", attributes}}}};
  for (const ExchangePtr& follower : followers_) follower->write(event.dump() + "\n");
}

void ScriptedEngine::die(const std::string& id, int exit_code, bool tell) {
  Container& c = containers.at(id);
  if (c.state != "running") return;
  c.state = "exited";
  c.exit_code = exit_code;
  if (tell) say(id, "die");
}

void ScriptedEngine::say_raw(const std::string& text) {
  for (const ExchangePtr& follower : followers_) follower->write(text);
}

void ScriptedEngine::answer_held() {
  for (const ExchangePtr& exchange : std::exchange(held_, {})) {
    const auto [status, answer] = act(exchange->request().method, exchange->request().target, "");
    exchange->send(status, {}, answer);
  }
}

void ScriptedEngine::say_to_pulls(const std::string& text) {
  for (const ExchangePtr& pull : held_) pull->write(text);
}

void ScriptedEngine::end_pulls(const std::string& image) {
  images.insert(image);
  for (const ExchangePtr& pull : std::exchange(held_, {})) pull->end();
}

void ScriptedEngine::cut_events() {
  for (const ExchangePtr& follower : std::exchange(followers_, {})) follower->abort();
}

size_t ScriptedEngine::count(const std::string& where) const {
  return static_cast<size_t>(std::count_if(asked.begin(), asked.end(), [&](const auto& one) {
    return one.find(where) != std::string::npos;
  }));
}

size_t ScriptedEngine::running() const {
  return static_cast<size_t>(std::count_if(containers.begin(), containers.end(), [](auto& item) {
    return item.second.state == "running";
  }));
}

void ScriptedEngine::note_running() {
  std::map<std::string, size_t> slots;
  for (const auto& [id, c] : containers)
    if (c.state == "running" && c.labels.contains(kSlotLabel))
      most_running = std::max(most_running, ++slots[c.labels[kSlotLabel].get<std::string>()]);
}

ScriptedEngine::Container* ScriptedEngine::find(const std::string& id_or_name) {
  for (auto& [id, c] : containers)
    if (id == id_or_name || c.name == id_or_name) return &c;
  return nullptr;
}

void ScriptedEngine::remove(const std::string& id) {
  die(id, 137);
  say(id, "destroy");
  containers.erase(id);
}

void ScriptedEngine::handle(const ExchangePtr& exchange) {
  const HttpRequestHead& request = exchange->request();
  const std::string line = request.method + " " + percent_decode(request.target);
  asked.push_back(line);
  exchange->collect(1 << 20, [this, exchange, line](const Bytes& bytes) {
    const HttpRequestHead& head = exchange->request();
    const std::string body(as_text(bytes));
    for (Rule& rule : rules) {
      if (rule.times <= 0 || line.find(rule.where) == std::string::npos) continue;
      --rule.times;
      std::pair<int, std::string> answer{200, "{}"};
      if (rule.done) answer = act(head.method, head.target, body);
      if (rule.late > Duration{}) {
        timers_.push_back(std::make_unique<Timer>(
            loop_, [this, head, body] { act(head.method, head.target, body); }));
        timers_.back()->start(rule.late);
      }
      return fail(exchange, rule, answer);
    }
    if (line.find("/events?") != std::string::npos) {
      followers_.push_back(exchange);
      return exchange->begin(200, {});
    }
    if (line.find("/images/create?") != std::string::npos) return pull(exchange);
    const auto [status, answer] = act(head.method, head.target, body);
    exchange->send(status, {{"Api-Version", "1.41"}}, answer);
  });
}

std::pair<int, std::string> ScriptedEngine::act(const std::string& method,
                                                const std::string& target,
                                                const std::string& body) {
  HttpRequestHead head;
  head.target = target;
  split_target(head);
  std::string path = head.path;
  if (path.starts_with("/v1.")) path = path.substr(path.find('/', 1));
  if (path == "/_ping") return {200, "OK"};
  if (path == "/info")
    return {200, R"({"ServerVersion":"20.10","NCPU":2,"MemTotal":1024,"Name":"here"})"};
  if (path == "/containers/json") {
    Json all = Json::array();
    for (const auto& [id, c] : containers) all.push_back(summary(c));
    return {200, all.dump()};
  }
  if (path == "/containers/create") return create(*head.query_value("name"), body);
  if (!path.starts_with("/containers/")) return {404, words("page not found")};
  path = path.substr(12);
  const size_t slash = path.find('/');
  const std::string what = slash == std::string::npos ? "" : path.substr(slash);
  Container* c = find(path.substr(0, slash));
  if (c == nullptr) return {404, words("No such container: " + path.substr(0, slash))};
  if (what == "/json") return {200, inspection(*c).dump()};
  if (what == "/start") {
    if (c->state == "running") return {304, ""};
    c->state = "running";
    note_running();
    return {204, ""};
  }
  if (what == "/stop") {
    if (c->state != "running") return {304, ""};
    die(c->id, 0);
    return {204, ""};
  }
  if (method == "DELETE") {
    remove(c->id);
    return {204, ""};
  }
  return {404, words("page not found")};
}

std::pair<int, std::string> ScriptedEngine::create(const std::string& name,
                                                   const std::string& body) {
  const Json spec = Json::parse(body, nullptr, false);
  if (!spec.is_object()) return {400, words("bad body")};
  const std::string image = spec.value("Image", "");
  if (!images.contains(image)) return {404, words("No such image: " + image)};
  if (find(name) != nullptr)
    return {409, words("Conflict. The container name \"/" + name + "\" is already in use")};
  Container c;
  c.id = full_id(next_id_++);
  c.name = name;
  c.labels = spec["Labels"];
  c.image = image;
  c.posted = body;
  containers[c.id] = c;
  return {201, Json{{"Id", c.id}}.dump()};
}

void ScriptedEngine::fail(const ExchangePtr& exchange, Rule rule,
                          std::pair<int, std::string> answer) {
  switch (rule.fault) {
    case Fault::kNone:
      return exchange->send(answer.first, {}, answer.second);
    case Fault::kError:
      return exchange->send(rule.status, {}, words(rule.words));
    case Fault::kNoJson:
      return exchange->send(answer.first, {}, "{\"half\":");
    case Fault::kNever:
      held_.push_back(exchange);
      return;
    case Fault::kHalf:
    case Fault::kGarbage:
    case Fault::kClose: {
      auto taken = exchange->hijack();
      if (!taken) return;
      taken->stream.start({});
      if (rule.fault == Fault::kHalf)
        taken->stream.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[{\"Id\":\"");
      if (rule.fault == Fault::kGarbage) taken->stream.write("%&/()=?\x01\x02 one two\r\n\r\n");
      taken->stream.shutdown();
      broken_.push_back(std::move(taken->stream));
      return;
    }
  }
}

void ScriptedEngine::pull(const ExchangePtr& exchange) {
  headers.push_back(exchange->request().headers.get("X-Registry-Auth"));
  exchange->begin(200, {});
  bool well = true;
  for (const std::string& line : pull_lines) {
    exchange->write(line + "\n");
    well = well && line.find("\"error\"") == std::string::npos;
  }
  if (!pull_ends) {
    held_.push_back(exchange);
    return;
  }
  const std::string* name = exchange->request().query_value("fromImage");
  const std::string* tag = exchange->request().query_value("tag");
  if (well && name != nullptr) images.insert(*name + (tag == nullptr ? "" : ":" + *tag));
  exchange->end();
}

}  // namespace kith::test
