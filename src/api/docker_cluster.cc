#include <charconv>

#include "api/docker_api.h"
#include "api/docker_json.h"
#include "api/filters.h"
#include "api/json.h"
#include "api/lookup.h"
#include "api/names.h"
#include "api/registry_auth.h"
#include "api/service_validate.h"
#include "api/service_view.h"

namespace kith {
namespace {

Answer<uint64_t> version_of(const std::string& text, const char* kind) {
  uint64_t value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (text.empty() || error != std::errc() || end != last)
    return refuse(400,
                  "invalid " + std::string(kind) + " version '" + text + "': a number is needed");
  return value;
}

const ApiError kNoSuchPage{404, "page not found"};

ApiError update_error(const Error& error) {
  if (error.code != ErrorCode::kConflict) return to_api_error(error);
  return {500, "rpc error: code = Unknown desc = update out of sequence"};
}

struct NodeUpdate {
  Availability availability = Availability::kActive;
  std::map<std::string, std::string> labels;
};

Answer<NodeUpdate> parse_node_update(const std::string& body) {
  const auto json = parse_json(body);
  if (!json) return refuse(400, json.error().message);
  NodeUpdate out;
  const std::string role = text_of(member(*json, "Role"));
  if (role != "manager")
    return refuse(501, "kith has no managers and no workers: every node answers for all");
  const std::string availability = text_of(member(*json, "Availability"));
  if (availability == "pause") {
    out.availability = Availability::kPause;
  } else if (availability == "drain") {
    out.availability = Availability::kDrain;
  } else if (availability != "active") {
    return refuse(400, "invalid Availability: \"" + availability + "\"");
  }
  const Json* labels = member(*json, "Labels");
  if (labels == nullptr || labels->is_null()) return out;
  if (!labels->is_object()) return refuse(400, "Labels: must be a map from string to string");
  for (const auto& [name, value] : labels->items()) {
    if (!value.is_string()) return refuse(400, "Labels: must be a map from string to string");
    out.labels[name] = value.get<std::string>();
  }
  return out;
}

}  // namespace

void DockerApi::nodes(const Call& call) {
  const auto all = cluster_.nodes();
  if (call.path.size() == 1) {
    if (!call.get()) return reply(call.exchange, kNoSuchPage);
    const auto filters = Filters::parse(call.query("filters"));
    if (!filters) return reply(call.exchange, filters.error());
    const auto some = filter_nodes(all, *filters);
    if (!some) return reply(call.exchange, some.error());
    return reply(call.exchange, 200, nodes_json(*some));
  }
  const auto node = find_node(all, call.segment(1));
  if (!node) return reply(call.exchange, node.error());
  if (call.path.size() == 2 && call.get()) return reply(call.exchange, 200, node_json(**node));
  if (call.path.size() == 2 && call.method() == "DELETE") return remove_node(call, **node);
  if (call.path.size() == 3 && call.segment(2) == "update" && call.method() == "POST")
    return update_node(call, **node);
  reply(call.exchange, kNoSuchPage);
}

void DockerApi::update_node(const Call& call, const NodeEntry& node) {
  const auto index = version_of(call.query("version"), "node");
  if (!index) return reply(call.exchange, index.error());
  collect(call, [this, exchange = call.exchange, id = node.view.id,
                 index = *index](const std::string& body) {
    auto update = parse_node_update(body);
    if (!update) return reply(exchange, update.error());
    cluster_.update_node(id, index, update->availability, std::move(update->labels),
                         [this, exchange](const Status& status) {
                           if (!status) return reply(exchange, update_error(status.error()));
                           reply(exchange, 200, "");
                         });
  });
}

void DockerApi::remove_node(const Call& call, const NodeEntry& node) {
  const bool force = docker_bool(call.query("force"));
  cluster_.remove_node(
      node.view.id, force,
      [this, exchange = call.exchange, force, id = node.view.id.docker_id()](const Status& status) {
        if (status) return reply(exchange, 200, "");
        if (status.error().code != ErrorCode::kConflict)
          return reply(exchange, to_api_error(status.error()));
        if (force)
          return reply(exchange, {400, "rpc error: code = FailedPrecondition desc = " +
                                           status.error().message});
        reply(exchange, {400, "rpc error: code = FailedPrecondition desc = node " + id +
                                  " is not down and can't be removed"});
      });
}

void DockerApi::services(const Call& call) {
  if (call.path.size() == 1 && call.get()) return list_services(call);
  if (call.path.size() == 2 && call.segment(1) == "create" && call.method() == "POST")
    return create_service(call);
  const auto all = cluster_.services();
  const auto service = find_service(all, call.segment(1));
  if (!service) return reply(call.exchange, service.error());
  const std::string_view what = call.segment(2);
  if (call.path.size() == 2 && call.get()) {
    const ServiceView view{.defaults = docker_bool(call.query("insertDefaults")), .status = false};
    return reply(call.exchange, 200,
                 service_json(**service, cluster_.tasks(), read_now().wall, view));
  }
  if (call.path.size() == 2 && call.method() == "DELETE") {
    cluster_.remove_service((*service)->doc.id,
                            [this, exchange = call.exchange](const Status& status) {
                              if (!status) return reply(exchange, to_api_error(status.error()));
                              reply(exchange, 200, "");
                            });
    return;
  }
  if (what == "update" && call.method() == "POST") return update_service(call, **service);
  if (what == "logs")
    return reply(call.exchange,
                 {501,
                  "service logs: not in this version of kith yet; `kith ps` names the host "
                  "of each container, and `docker logs` there shows what it said"});
  reply(call.exchange, kNoSuchPage);
}

void DockerApi::list_services(const Call& call) {
  const auto filters = Filters::parse(call.query("filters"));
  if (!filters) return reply(call.exchange, filters.error());
  const auto some = filter_services(cluster_.services(), *filters);
  if (!some) return reply(call.exchange, some.error());
  const ServiceView view{.defaults = docker_bool(call.query("insertDefaults")),
                         .status = docker_bool(call.query("status"))};
  reply(call.exchange, 200, services_json(*some, cluster_.tasks(), read_now().wall, view));
}

void DockerApi::create_service(const Call& call) {
  collect(call, [this, exchange = call.exchange](const std::string& body) {
    const std::string name =
        generated_name(static_cast<uint64_t>(read_now().wall.ms) + generated_names_++);
    auto checked = check_new_service(body, name);
    if (!checked) return reply(exchange, checked.error());
    const auto auth = registry_auth_in(exchange->request().headers.get("X-Registry-Auth"));
    if (!auth) return reply(exchange, auth.error());
    std::string spec = with_registry_auth(std::move(checked->json), *auth);
    cluster_.create_service(
        std::move(spec), [this, exchange, name = checked->name](const Result<std::string>& id) {
          if (id) return reply(exchange, 201, id_json(*id));
          if (id.error().code != ErrorCode::kConflict)
            return reply(exchange, to_api_error(id.error()));
          reply(exchange, {409,
                           "rpc error: code = AlreadyExists desc = name conflicts with an "
                           "existing object: service " +
                               name + " already exists"});
        });
  });
}

void DockerApi::update_service(const Call& call, const ServiceEntry& service) {
  const auto index = version_of(call.query("version"), "service");
  if (!index) return reply(call.exchange, index.error());
  const bool rollback = call.query("rollback") == "previous";
  if (!rollback && !call.query("rollback").empty())
    return reply(call.exchange, {400, "unrecognized rollback option " + call.query("rollback")});
  if (rollback && service.doc.previous_json.empty())
    return reply(call.exchange, {400, "rpc error: code = FailedPrecondition desc = service " +
                                          service.doc.id + " does not have a previous spec"});
  const bool from_previous = call.query("registryAuthFrom") == "previous-spec";
  collect(call, [this, exchange = call.exchange, doc = service.doc, index = *index, rollback,
                 from_previous](const std::string& body) {
    std::string spec;
    if (!rollback) {
      auto checked = check_service_update(body, doc);
      if (!checked) return reply(exchange, checked.error());
      auto auth = registry_auth_in(exchange->request().headers.get("X-Registry-Auth"));
      if (!auth) return reply(exchange, auth.error());
      // Without new ones the old stay, those of which spec the client may say.
      if (auth->empty())
        *auth = registry_auth_of(from_previous ? doc.previous_json : doc.spec_json);
      spec = with_registry_auth(std::move(checked->json), *auth);
    }
    cluster_.update_service(doc.id, index, std::move(spec), rollback,
                            [this, exchange](const Status& status) {
                              if (!status) return reply(exchange, update_error(status.error()));
                              reply(exchange, 200, R"({"Warnings":[]})");
                            });
  });
}

void DockerApi::tasks(const Call& call) {
  if (!call.get()) return reply(call.exchange, kNoSuchPage);
  const auto services = cluster_.services();
  auto all = cluster_.tasks();
  if (call.path.size() == 1) {
    const auto filters = Filters::parse(call.query("filters"));
    if (!filters) return reply(call.exchange, filters.error());
    // Only a client that waits for a service to converge asks for what is up to date.
    mark_surplus(all, filters->has("_up-to-date"));
    const auto some = filter_tasks(std::move(all), *filters, services, cluster_.nodes());
    if (!some) return reply(call.exchange, some.error());
    return reply(call.exchange, 200, tasks_json(*some, services));
  }
  mark_surplus(all, false);
  const auto task = find_task(all, call.segment(1));
  if (!task) return reply(call.exchange, task.error());
  if (call.path.size() == 2) return reply(call.exchange, 200, task_json(**task, services));
  reply(call.exchange, call.segment(2) == "logs"
                           ? ApiError{501,
                                      "task logs: not in this version of kith yet; use "
                                      "`docker logs` on its host"}
                           : kNoSuchPage);
}

}  // namespace kith
