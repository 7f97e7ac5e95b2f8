#include <charconv>

#include "api/docker_api.h"
#include "api/docker_json.h"

namespace kith {
namespace {

// `/v1.41/nodes/x` -> {nodes, x}. An Error for versions before 1.24.
Answer<std::vector<std::string>> split_path(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    path.remove_prefix(path.starts_with('/') ? 1 : 0);
    const size_t end = path.find('/');
    out.emplace_back(path.substr(0, end));
    path = end == path.npos ? std::string_view() : path.substr(end);
  }
  if (out.empty() || out.front().size() < 2 || out.front()[0] != 'v') return out;
  const std::string_view version = std::string_view(out.front()).substr(1);
  unsigned major = 0;
  unsigned minor = 0;
  const char* const last = version.data() + version.size();
  const auto [dot, bad_major] = std::from_chars(version.data(), last, major);
  if (bad_major != std::errc() || dot == last || *dot != '.') return out;
  const auto [end, bad_minor] = std::from_chars(dot + 1, last, minor);
  if (bad_minor != std::errc() || end != last) return out;
  if (major != 1 || minor < 24)
    return refuse(400, "client version " + std::string(version) +
                           " is too old. Minimum supported API version is 1.24, please upgrade "
                           "your client to a newer version");
  out.erase(out.begin());
  return out;
}

}  // namespace

std::string DockerApi::Call::query(std::string_view key) const {
  const std::string* value = exchange->request().query_value(key);
  return value == nullptr ? std::string() : *value;
}

void DockerApi::handle(ExchangePtr exchange) {
  auto path = split_path(exchange->request().path);
  if (!path) {
    reply(exchange, path.error());
    return;
  }
  const Call call{exchange, std::move(*path)};
  if (!route(call)) forward(exchange);
}

bool DockerApi::route(const Call& call) {
  const std::string_view top = call.segment(0);
  const bool alone = call.path.size() == 1;
  if (top == "_ping" && alone && call.get()) return ping(call), true;
  if (top == "version" && alone && call.get()) return version(call), true;
  if (top == "info" && alone && call.get()) return info(call), true;
  if (top == "events" && alone && call.get()) return events(call), true;
  if (top == "distribution" && call.path.size() >= 3 && call.path.back() == "json" && call.get())
    return distribution(call), true;
  if (top == "nodes") return nodes(call), true;
  if (top == "services") return services(call), true;
  if (top == "tasks") return tasks(call), true;
  if (top == "swarm") return route_swarm(call);
  if (top == "secrets" || top == "configs") return route_objects(call);
  if (top == "networks") return route_networks(call);
  return false;
}

bool DockerApi::route_swarm(const Call& call) {
  const std::string_view what = call.segment(1);
  if (what.empty() && call.get()) {
    reply(call.exchange, 200, swarm_json(cluster_.status()));
    return true;
  }
  if (what == "init" || what == "join") {
    reply(call.exchange,
          {503,
           "This node is already part of a swarm: kith made it so. The YAML file admits a "
           "host; use `kith leave` to take this one out"});
    return true;
  }
  if (what == "leave") {
    reply(call.exchange, {501, "kith has no managers to leave: use `kith leave` on this host"});
    return true;
  }
  reply(call.exchange, {501,
                        "kith has no swarm settings, tokens or unlock keys: the YAML file on "
                        "each host says it all"});
  return true;
}

bool DockerApi::route_objects(const Call& call) {
  const std::string kind = call.segment(0) == "secrets" ? "secret" : "config";
  const std::string_view what = call.segment(1);
  if (what.empty() && call.get()) {
    reply(call.exchange, 200, "[]");
  } else if (what == "create") {
    reply(call.exchange, {501, kind + "s: this version of kith has none yet"});
  } else {
    reply(call.exchange, {404, kind + " " + std::string(what) + " not found"});
  }
  return true;
}

bool DockerApi::route_networks(const Call& call) {
  const bool swarm_scope = call.query("scope") == "swarm";
  if (call.path.size() == 1 && call.get() && swarm_scope) {
    reply(call.exchange, 200, "[]");
    return true;
  }
  if (call.path.size() == 2 && call.get() && swarm_scope) return swarm_network(call), true;
  if (call.path.size() == 2 && call.method() == "POST" && call.segment(1) == "create")
    return create_network(call), true;
  return false;
}

void DockerApi::forward(const ExchangePtr& exchange, ForwardOptions options) {
  if (cluster_.engine_socket().empty()) {
    reply(exchange, {503, "this node is a witness: it has no engine"});
    return;
  }
  proxy_.forward(exchange, std::move(options));
}

void DockerApi::collect(const Call& call, Body then) {
  call.exchange->collect(
      kMaxApiBody, [then = std::move(then)](Bytes body) { then(std::string(as_text(body))); });
}

}  // namespace kith
