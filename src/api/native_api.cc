#include "api/native_api.h"

#include <algorithm>
#include <charconv>

#include "api/filters.h"
#include "api/lookup.h"
#include "api/metrics.h"
#include "api/native_json.h"
#include "api/time_text.h"
#include "io/address.h"

namespace kith {
namespace {

constexpr std::string_view kPrefix = "/kith/v1/";

std::string query_of(const ExchangePtr& exchange, std::string_view key) {
  const std::string* value = exchange->request().query_value(key);
  return value == nullptr ? std::string() : *value;
}

void refuse_with(const ExchangePtr& exchange, const ApiError& error) {
  exchange->send_error(error.status, error.message);
}

// By its id or the beginning of it that no other shares.
Answer<std::string> find_key(const std::vector<KeyEntry>& keys, std::string_view text) {
  std::vector<std::string> found;
  for (const KeyEntry& key : keys)
    if (!text.empty() && key.id.starts_with(text)) found.push_back(key.id);
  if (found.size() == 1) return found.front();
  return refuse(found.empty() ? 404 : 400, "key " + std::string(text) +
                                               (found.empty() ? " not found" : " is ambiguous") +
                                               "; `kith key ls` lists the ring");
}

// `[::1]:7118` -> `::1`
std::string host_of(std::string_view authority) {
  if (authority.starts_with('[')) return std::string(authority.substr(1, authority.find(']') - 1));
  return std::string(authority.substr(0, authority.rfind(':')));
}

}  // namespace

Answer<SlotKey> parse_slot(std::string_view text, const Cluster& cluster) {
  const size_t dot = text.find('.');
  if (dot == text.npos || dot + 1 == text.size())
    return refuse(400, "'" + std::string(text) +
                           "' is no slot: name one as web.2, or web.NODE of "
                           "a global service");
  const auto services = cluster.services();
  const auto service = find_service(services, text.substr(0, dot));
  if (!service) return tl::unexpected(service.error());
  const std::string_view place = text.substr(dot + 1);
  SlotKey out{(*service)->doc.name, 0, {}};
  const ServiceMode mode = (*service)->doc.spec.mode;
  if (mode == ServiceMode::kReplicated || mode == ServiceMode::kReplicatedJob) {
    const char* const last = place.data() + place.size();
    const auto [end, error] = std::from_chars(place.data(), last, out.index);
    if (error != std::errc() || end != last || out.index == 0)
      return refuse(
          400, "'" + std::string(place) + "' is no slot of " + out.service + ": they count from 1");
    return out;
  }
  const auto nodes = cluster.nodes();
  const auto node = find_node(nodes, place);
  if (!node) return tl::unexpected(node.error());
  out.node = (*node)->view.id;
  return out;
}

Answer<void> check_network_request(const HttpRequestHead& request, const Cluster& cluster) {
  if (request.method != "GET" && request.method != "HEAD")
    return refuse(405, "this port answers GET only; changes go through the unix socket");
  const auto allowed = [&](const std::string& host) {
    if (host == "localhost" || to_sockaddr(Endpoint{host, 1})) return true;
    const auto nodes = cluster.nodes();
    return std::any_of(nodes.begin(), nodes.end(),
                       [&](const NodeEntry& node) { return node.view.name == host; });
  };
  const std::string host = host_of(request.headers.get("Host"));
  if (!allowed(host))
    return refuse(403, "Host '" + host + "' is neither an address, localhost, nor a node's name");
  const std::string* origin = request.headers.find("Origin");
  if (origin == nullptr) return {};
  const size_t scheme = origin->find("://");
  if (scheme == origin->npos || host_of(origin->substr(scheme + 3)) != host)
    return refuse(403, "Origin '" + *origin + "' is another site");
  return {};
}

NativeApi::NativeApi(Loop& loop, Cluster& cluster) : cluster_(cluster), events_(loop, cluster) {}

bool NativeApi::owns(std::string_view path) {
  return path.starts_with(kPrefix) || path == "/metrics";
}

void NativeApi::handle(const ExchangePtr& exchange, Door door) {
  const HttpRequestHead& request = exchange->request();
  if (door == Door::kNetwork)
    if (auto ok = check_network_request(request, cluster_); !ok)
      return refuse_with(exchange, ok.error());
  if (!owns(request.path)) return refuse_with(exchange, {404, "page not found"});
  if (request.path == "/metrics")
    return exchange->send(
        200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}},
        metrics_text(cluster_.status(), cluster_.nodes(), cluster_.services(), cluster_.tasks()));
  const std::string_view what = std::string_view(request.path).substr(kPrefix.size());
  if (what == "leave") return leave(exchange);
  if (what == "keys" || what.starts_with("keys/"))
    return keys(exchange, what.substr(std::min<size_t>(what.size(), 5)));
  if (request.method != "GET" && request.method != "HEAD")
    return refuse_with(exchange, {405, "only GET"});
  get(exchange, what);
}

void NativeApi::get(const ExchangePtr& exchange, std::string_view what) {
  constexpr std::string_view kExplain = "explain/";
  if (what == "status") {
    exchange->send_json(
        200, status_json(cluster_.status(), cluster_.nodes(), cluster_.services().size()));
  } else if (what == "nodes") {
    exchange->send_json(200, native_nodes_json(cluster_.nodes()));
  } else if (what == "services") {
    exchange->send_json(
        200, native_services_json(cluster_.services(), cluster_.tasks(), read_now().wall));
  } else if (what == "tasks" || what == "containers") {
    tasks(exchange, what == "containers");
  } else if (what.starts_with(kExplain)) {
    explain(exchange, what.substr(kExplain.size()));
  } else if (what == "conflicts") {
    exchange->send_json(200, conflicts_json(cluster_.conflicts()));
  } else if (what == "events") {
    events(exchange);
  } else {
    refuse_with(exchange, {404, "page not found"});
  }
}

void NativeApi::tasks(const ExchangePtr& exchange, bool containers) {
  const auto services = cluster_.services();
  auto tasks = cluster_.tasks();
  if (const std::string key = query_of(exchange, "service"); !key.empty()) {
    const auto service = find_service(services, key);
    if (!service) return refuse_with(exchange, service.error());
    std::erase_if(tasks,
                  [&](const TaskRecord& task) { return task.service_id != (*service)->doc.id; });
  }
  exchange->send_json(200, native_tasks_json(tasks, services, cluster_.nodes(), containers));
}

void NativeApi::explain(const ExchangePtr& exchange, std::string_view slot) {
  const auto key = parse_slot(slot, cluster_);
  if (!key) return refuse_with(exchange, key.error());
  const auto story = cluster_.explain(*key);
  if (!story) return refuse_with(exchange, to_api_error(story.error()));
  exchange->send_json(200, explanation_json(*story));
}

void NativeApi::events(const ExchangePtr& exchange) {
  EventOptions options;
  options.headers = {{"Content-Type", "application/x-ndjson"}};
  options.format = native_event_json;
  options.follow = docker_bool(query_of(exchange, "follow"));
  options.since = WallTime{0};
  if (const std::string since = query_of(exchange, "since"); !since.empty()) {
    options.since = parse_time(since, read_now().wall);
    if (!options.since)
      return refuse_with(exchange, {400, "since: '" + since +
                                             "' is neither a time (RFC 3339, or "
                                             "seconds since 1970) nor a span such as 10m"});
  }
  events_.open(exchange, std::move(options));
}

void NativeApi::keys(const ExchangePtr& exchange, std::string_view rest) {
  constexpr size_t kMaxKeyText = 1024;
  constexpr std::string_view kUse = "/use";
  const std::string& method = exchange->request().method;
  const bool force = docker_bool(query_of(exchange, "force"));
  const auto done = [exchange](const Result<std::string>& id) {
    if (!id) return refuse_with(exchange, to_api_error(id.error()));
    exchange->send_json(200, key_json(*id));
  };
  if (rest.empty() && (method == "GET" || method == "HEAD"))
    return exchange->send_json(200, keys_json(cluster_.keys()));
  if (rest.empty() && method == "POST")
    return exchange->collect(
        kMaxKeyText, [this, done](const Bytes& key) { cluster_.add_key(as_text(key), done); });
  if (rest == "rotate" && method == "POST") return cluster_.rotate_keys(done);
  const bool use = method == "POST" && rest.ends_with(kUse);
  if (!use && method != "DELETE") return refuse_with(exchange, {404, "page not found"});
  const auto id = find_key(cluster_.keys(), use ? rest.substr(0, rest.size() - kUse.size()) : rest);
  if (!id) return refuse_with(exchange, id.error());
  if (use) return cluster_.use_key(*id, force, done);
  cluster_.remove_key(*id, force, done);
}

void NativeApi::leave(const ExchangePtr& exchange) {
  if (exchange->request().method != "POST") return refuse_with(exchange, {405, "only POST"});
  cluster_.leave(docker_bool(query_of(exchange, "keep_running")), [exchange](const Status& status) {
    if (!status) return refuse_with(exchange, to_api_error(status.error()));
    exchange->send_json(200, "{}");
  });
}

}  // namespace kith
