#include "api/docker_api.h"

#include <algorithm>
#include <array>

#include "api/docker_json.h"
#include "api/filters.h"
#include "api/json.h"
#include "api/time_text.h"

namespace kith {
namespace {

constexpr const char* kFallbackApi = "1.41";

const NodeEntry* self_of(const std::vector<NodeEntry>& nodes) {
  const auto found =
      std::find_if(nodes.begin(), nodes.end(), [](const NodeEntry& node) { return node.self; });
  return found == nodes.end() ? nullptr : &*found;
}

// Docker's own events are the engine's to filter; of kith's, node and service have Docker's shape.
std::string docker_event(const ClusterEvent& event, const Filters& filters) {
  constexpr std::array<std::string_view, 7> kOthers = {"container", "image",  "volume", "network",
                                                       "plugin",    "secret", "config"};
  if (event.type != "node" && event.type != "service") return {};
  for (const std::string_view other : kOthers)
    if (filters.has(other)) return {};
  const std::string_view other_type = event.type == "node" ? "service" : "node";
  if (filters.has(other_type) || !filters.exact("type", event.type) ||
      !filters.exact("scope", "swarm") || !filters.labels("label", event.attributes))
    return {};
  if (filters.has(event.type) && !filters.exact(event.type, event.id) &&
      !filters.exact(event.type, event.name))
    return {};
  // Docker knows three things that happen to a node.
  ClusterEvent shown = event;
  if (event.type == "node" && event.action != "create" && event.action != "update" &&
      event.action != "remove") {
    shown.action = event.action == "join" ? "create" : "update";
    shown.attributes["kith.action"] = event.action;
  }
  return filters.exact("event", shown.action) ? event_json(shown) : std::string();
}

}  // namespace

DockerApi::DockerApi(Loop& loop, Cluster& cluster)
    : loop_(loop),
      cluster_(cluster),
      engine_(loop, cluster),
      events_(loop, cluster),
      proxy_(loop, cluster.engine_socket()) {}

// As the engine's own answers begin; known from its last /_ping.
HttpHeaders DockerApi::headers() const {
  HttpHeaders out;
  const HttpResponse* ping = engine_.remembered("_ping");
  for (const char* name : {"Api-Version", "Docker-Experimental", "Ostype", "Server"})
    if (const std::string* value = ping == nullptr ? nullptr : ping->headers.find(name))
      out.add(name, *value);
  if (out.find("Api-Version") != nullptr) return out;
  const auto nodes = cluster_.nodes();
  const NodeEntry* self = self_of(nodes);
  const std::string known = self == nullptr ? std::string() : self->view.engine.api_version;
  out.set("Api-Version", known.empty() ? kFallbackApi : known);
  out.set("Docker-Experimental", "false");
  out.set("Ostype", "linux");
  out.set("Server", "kith/" KITH_VERSION " (linux)");
  return out;
}

void DockerApi::reply(const ExchangePtr& exchange, int status, std::string json) const {
  if (!json.empty() && json.back() != '\n') json += '\n';
  exchange->send(status, headers(), std::move(json));
}

void DockerApi::reply(const ExchangePtr& exchange, const ApiError& error) const {
  reply(exchange, error.status, message_json(error.message));
}

void DockerApi::ping(const Call& call) {
  engine_.recall("_ping", [this, exchange = call.exchange](const HttpResponse& known, bool) {
    HttpHeaders out = headers();
    if (const std::string* builder = known.headers.find("Builder-Version"))
      out.set("Builder-Version", *builder);
    out.set("Cache-Control", "no-cache, no-store, must-revalidate");
    out.set("Pragma", "no-cache");
    out.set("Swarm", "active/manager");
    out.set("Content-Type", "text/plain; charset=utf-8");
    exchange->send(200, std::move(out), exchange->request().method == "HEAD" ? "" : "OK");
  });
}

void DockerApi::version(const Call& call) {
  engine_.recall("version", [this, exchange = call.exchange](const HttpResponse& known, bool) {
    const auto nodes = cluster_.nodes();
    const NodeEntry* self = self_of(nodes);
    reply(exchange, 200, version_json(known.body, self == nullptr ? NodeEntry{} : *self));
  });
}

void DockerApi::info(const Call& call) {
  engine_.recall("info", [this, exchange = call.exchange](const HttpResponse& known, bool fresh) {
    reply(exchange, 200, info_json(known.body, fresh, cluster_.status(), cluster_.nodes()));
  });
}

void DockerApi::events(const Call& call) {
  const auto filters = Filters::parse(call.query("filters"));
  if (!filters) return reply(call.exchange, filters.error());
  EventOptions options;
  const WallTime now = read_now().wall;
  options.since = parse_time(call.query("since"), now);
  options.until = parse_time(call.query("until"), now);
  options.headers = headers();
  options.headers.set("Content-Type", "application/json");
  options.format = [filters = *filters](const ClusterEvent& event) {
    return docker_event(event, filters);
  };
  if (!cluster_.engine_socket().empty()) options.engine_target = call.exchange->request().target;
  events_.open(call.exchange, std::move(options));
}

// The client wants to pin the image to a digest. Of one that is here already it is told at once
// that there is none: asking a registry takes long, and fails without one.
void DockerApi::distribution(const Call& call) {
  std::string image;
  for (size_t i = 1; i + 1 < call.path.size(); ++i)
    image += (image.empty() ? "" : "/") + percent_encode(call.path[i]);
  engine_.ask("/images/" + image + "/json", [this, exchange = call.exchange](
                                                const Result<HttpResponse>& answer) {
    if (!answer || answer->status != 200) return forward(exchange);
    reply(exchange, 200, R"({"Descriptor":{"MediaType":"","Digest":"","Size":0},"Platforms":[]})");
  });
}

void DockerApi::create_network(const Call& call) {
  collect(call, [this, exchange = call.exchange](std::string body) {
    const auto json = parse_json(body);
    if (!json) return reply(exchange, {400, json.error().message});
    const std::string driver = text_of(member(*json, "Driver"));
    const Json* ingress = member(*json, "Ingress");
    if (driver == "overlay" || text_of(member(*json, "Scope")) == "swarm" ||
        (ingress != nullptr && *ingress == true))
      return reply(exchange, {501, "network " + text_of(member(*json, "Name")) +
                                       ": this version of kith has no overlay networks yet; a "
                                       "bridge network of this name on every host serves services "
                                       "that need no other host"});
    ForwardOptions options;
    options.body = std::move(body);
    forward(exchange, std::move(options));
  });
}

// What `docker service create --network NAME` asks. A local network's id differs from host to
// host, so its name stands in for it: that is what the spec then holds.
void DockerApi::swarm_network(const Call& call) {
  const std::string name(call.segment(1));
  engine_.ask("/networks/" + percent_encode(name),
              [this, exchange = call.exchange, name](const Result<HttpResponse>& answer) {
                if (!answer) return reply(exchange, to_api_error(answer.error()));
                auto json = parse_json(answer->body);
                if (answer->status != 200 || !json || !json->is_object())
                  return reply(exchange, {404, "network " + name + " not found"});
                (*json)["Id"] = text_of(member(*json, "Name"));
                (*json)["Scope"] = "swarm";
                reply(exchange, 200, dump(*json));
              });
}

}  // namespace kith
