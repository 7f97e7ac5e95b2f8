#include "api/docker_json.h"
#include "api/registry_auth.h"

#include <algorithm>

#include "api/json.h"
#include "api/service_view.h"
#include "api/time_text.h"
#include "api/words.h"

namespace kith {
namespace {

constexpr int64_t kNanosASecond = 1'000'000'000;

Json version_of(uint64_t index) {
  return {{"Index", index}};
}

Json labels_of(const std::map<std::string, std::string>& labels) {
  Json out = Json::object();
  for (const auto& [name, value] : labels) out[name] = value;
  return out;
}

bool gone(const NodeEntry& node) {
  return node.view.liveness == Liveness::kDead || node.view.liveness == Liveness::kLeft;
}

Json node_status(const NodeEntry& node) {
  Json out;
  const EngineInfo& engine = node.view.engine;
  std::string message;
  out["State"] = "ready";
  if (gone(node)) {
    out["State"] = "down";
    message = node.view.liveness == Liveness::kLeft ? "has left" : "unreachable";
  } else if (engine.present && !engine.up) {
    out["State"] = "down";
    message = "engine down" + (engine.error.empty() ? "" : ": " + engine.error);
  } else if (node.view.liveness == Liveness::kSuspect) {
    out["State"] = "unknown";
    message = "suspect: does not answer";
  } else if (!engine.present) {
    message = "a witness: runs nothing";
  } else if (!node.view.ready) {
    message = "held down after flapping: gets no new work for now";
  }
  if (!message.empty()) out["Message"] = message;
  out["Addr"] =
      node.info && !node.info->host_address.empty() ? node.info->host_address : node.address.host;
  return out;
}

Json node_object(const NodeEntry& node) {
  const EngineInfo& engine = node.view.engine;
  Json out;
  out["ID"] = node.view.id.docker_id();
  out["Version"] = version_of(node.version_index);
  out["CreatedAt"] = rfc3339(node.created);
  out["UpdatedAt"] = rfc3339(std::max(node.created, node.since));
  out["Spec"] = {{"Labels", labels_of(node.view.labels)},
                 {"Role", "manager"},
                 {"Availability", availability_word(node.view.availability)}};
  Json engine_json = {{"EngineVersion", engine.version}};
  if (!engine.labels.empty()) engine_json["Labels"] = labels_of(engine.labels);
  engine_json["Plugins"] = {{{"Type", "Network"}, {"Name", "bridge"}},
                            {{"Type", "Network"}, {"Name", "host"}},
                            {{"Type", "Volume"}, {"Name", "local"}}};
  out["Description"] = {
      {"Hostname", node.view.name},
      {"Platform",
       {{"Architecture", engine.architecture}, {"OS", engine.os.empty() ? "linux" : engine.os}}},
      {"Resources", {{"NanoCPUs", node.view.nano_cpus}, {"MemoryBytes", node.view.memory_bytes}}},
      {"Engine", std::move(engine_json)},
      {"TLSInfo", Json::object()}};
  out["Status"] = node_status(node);
  out["ManagerStatus"] = {{"Leader", false},
                          {"Reachability", gone(node) ? "unreachable" : "reachable"},
                          {"Addr", node.address.text()}};
  return out;
}

Json port_object(const PortSpec& port) {
  return {{"Protocol", port.protocol},
          {"TargetPort", port.target},
          {"PublishedPort", port.published},
          {"PublishMode", port.host_mode ? "host" : "ingress"}};
}

// The stored text is this program's own; should it not parse, an empty object shows.
Json object_of(std::string_view text) {
  auto json = parse_json(text);
  return json && json->is_object() ? std::move(*json) : Json::object();
}

void insert_default(Json& object, const char* key, Json value) {
  if (!object.contains(key)) object[key] = std::move(value);
}

void insert_defaults(Json& spec) {
  const auto object_at = [](Json& parent, const char* key) -> Json& {
    Json& child = parent[key];
    if (!child.is_object()) child = Json::object();
    return child;
  };
  Json& task = object_at(spec, "TaskTemplate");
  insert_default(object_at(task, "ContainerSpec"), "StopGracePeriod", 10 * kNanosASecond);
  Json& restart = object_at(task, "RestartPolicy");
  insert_default(restart, "Condition", "any");
  insert_default(restart, "Delay", 5 * kNanosASecond);
  insert_default(restart, "MaxAttempts", 0);
  for (const char* key : {"UpdateConfig", "RollbackConfig"}) {
    Json& config = object_at(spec, key);
    insert_default(config, "Parallelism", 1);
    insert_default(config, "FailureAction", "pause");
    insert_default(config, "Monitor", 5 * kNanosASecond);
    insert_default(config, "MaxFailureRatio", 0);
    insert_default(config, "Order", "stop-first");
  }
  insert_default(object_at(spec, "EndpointSpec"), "Mode", "vip");
}

Json service_object(const ServiceEntry& service, std::span<const TaskRecord> tasks, WallTime now,
                    ServiceView view) {
  const ServiceDoc& doc = service.doc;
  Json out;
  out["ID"] = doc.id;
  out["Version"] = version_of(service.version_index);
  out["CreatedAt"] = rfc3339(doc.created);
  out["UpdatedAt"] = rfc3339(doc.updated.ms == 0 ? doc.created : doc.updated);
  Json spec = object_of(doc.spec_json);
  hide_registry_auth(spec);
  Json endpoint = {{"Spec", Json::object()}};
  if (const Json* asked = member(spec, "EndpointSpec"); asked != nullptr && asked->is_object())
    endpoint["Spec"] = *asked;
  if (!doc.spec.ports.empty()) {
    Json ports = Json::array();
    for (const PortSpec& port : doc.spec.ports) ports.push_back(port_object(port));
    endpoint["Ports"] = std::move(ports);
  }
  if (view.defaults) insert_defaults(spec);
  out["Spec"] = std::move(spec);
  if (!doc.previous_json.empty()) {
    out["PreviousSpec"] = object_of(doc.previous_json);
    hide_registry_auth(out["PreviousSpec"]);
  }
  out["Endpoint"] = std::move(endpoint);
  if (const auto report = update_report(doc, tasks, now)) {
    Json update = {{"State", report->state}, {"StartedAt", rfc3339(report->started)}};
    if (report->completed.ms != 0) update["CompletedAt"] = rfc3339(report->completed);
    update["Message"] = report->message;
    out["UpdateStatus"] = std::move(update);
  }
  if (view.status) {
    const ServiceCounts counts = count_tasks(doc, tasks);
    out["ServiceStatus"] = {{"RunningTasks", counts.running},
                            {"DesiredTasks", counts.desired},
                            {"CompletedTasks", counts.completed}};
  }
  if (doc.spec.mode == ServiceMode::kReplicatedJob || doc.spec.mode == ServiceMode::kGlobalJob)
    out["JobStatus"] = {{"JobIteration", version_of(doc.generation)},
                        {"LastExecution", rfc3339(doc.updated)}};
  return out;
}

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

// Task templates of the services, each parsed once a list.
class Templates {
 public:
  explicit Templates(std::span<const ServiceEntry> services) {
    for (const ServiceEntry& one : services) services_[one.doc.id] = &one.doc;
  }
  [[nodiscard]] const ServiceDoc* service(const std::string& id) const {
    const auto found = services_.find(id);
    return found == services_.end() ? nullptr : found->second;
  }
  [[nodiscard]] const Json& of(const ServiceDoc& doc, Generation generation) {
    const bool previous = generation == doc.previous_generation && generation != doc.generation;
    const auto key = std::make_pair(doc.id, previous);
    if (const auto found = cache_.find(key); found != cache_.end()) return found->second;
    const Json spec = object_of(previous ? doc.previous_json : doc.spec_json);
    const Json* task = member(spec, "TaskTemplate");
    return cache_[key] = task != nullptr && task->is_object() ? *task : Json::object();
  }

 private:
  std::map<std::string, const ServiceDoc*> services_;
  std::map<std::pair<std::string, bool>, Json> cache_;
};

Json task_object(const TaskRecord& task, Templates& templates) {
  const ServiceDoc* service = templates.service(task.service_id);
  Json out;
  out["ID"] = task.id;
  out["Version"] = version_of(static_cast<uint64_t>(std::max<int64_t>(task.since.ms, 0)));
  out["CreatedAt"] = rfc3339(task.created);
  out["UpdatedAt"] = rfc3339(task.since);
  out["Labels"] = Json::object();
  Json spec = service == nullptr ? Json::object() : templates.of(*service, task.generation);
  Json& container = spec["ContainerSpec"];
  if (!container.is_object()) container = Json::object();
  if (!task.image.empty()) container["Image"] = task.image;
  if (!container.contains("Image")) container["Image"] = "";
  out["Spec"] = std::move(spec);
  out["ServiceID"] = task.service_id;
  if (task.slot.node.none()) out["Slot"] = task.slot.index;
  if (!task.node.none()) out["NodeID"] = task.node.docker_id();
  Json status = {{"Timestamp", rfc3339(task.since)}, {"State", to_string(task.state)}};
  status["Message"] = one_line(task.message);
  if (!task.error.empty()) status["Err"] = one_line(task.error);
  if (!task.container_id.empty())
    status["ContainerStatus"] = {
        {"ContainerID", task.container_id}, {"PID", task.pid}, {"ExitCode", task.exit_code}};
  Json ports = Json::object();
  if (!task.ports.empty()) {
    ports["Ports"] = Json::array();
    for (const PortSpec& port : task.ports) ports["Ports"].push_back(port_object(port));
  }
  status["PortStatus"] = std::move(ports);
  out["Status"] = std::move(status);
  out["DesiredState"] = to_string(desired_state(task, service));
  out["NetworksAttachments"] = Json::array();
  if (service != nullptr && (service->spec.mode == ServiceMode::kReplicatedJob ||
                             service->spec.mode == ServiceMode::kGlobalJob))
    out["JobIteration"] = version_of(task.generation);
  return out;
}

Json swarm_spec() {
  return {{"Name", "default"},
          {"Labels", Json::object()},
          {"Orchestration", {{"TaskHistoryRetentionLimit", 5}}},
          {"Raft", Json::object()},
          {"Dispatcher", {{"HeartbeatPeriod", 5 * kNanosASecond}}},
          {"CAConfig", {{"NodeCertExpiry", 7'776'000 * kNanosASecond}}},
          {"TaskDefaults", Json::object()},
          {"EncryptionConfig", {{"AutoLockManagers", false}}}};
}

Json cluster_object(const StatusReport& status) {
  Json out;
  out["ID"] = status.cluster_id;
  out["Version"] = version_of(1);
  out["CreatedAt"] = rfc3339(status.started);
  out["UpdatedAt"] = rfc3339(status.started);
  out["Spec"] = swarm_spec();
  out["TLSInfo"] = Json::object();
  out["RootRotationInProgress"] = false;
  out["DefaultAddrPool"] = Json::array();
  out["SubnetSize"] = 24;
  out["DataPathPort"] = 4789;
  return out;
}

Json swarm_object(const StatusReport& status, std::span<const NodeEntry> nodes) {
  Json managers = Json::array();
  std::string address;
  for (const NodeEntry& node : nodes) {
    managers.push_back({{"NodeID", node.view.id.docker_id()}, {"Addr", node.address.text()}});
    if (!node.self) continue;
    address =
        node.info && !node.info->host_address.empty() ? node.info->host_address : node.address.host;
  }
  return {{"NodeID", status.node.docker_id()},
          {"NodeAddr", address},
          {"LocalNodeState", "active"},
          {"ControlAvailable", true},
          {"Error", ""},
          {"RemoteManagers", std::move(managers)},
          {"Nodes", nodes.size()},
          {"Managers", nodes.size()},
          {"Cluster", cluster_object(status)}};
}

const NodeEntry* self_of(std::span<const NodeEntry> nodes) {
  for (const NodeEntry& node : nodes)
    if (node.self) return &node;
  return nullptr;
}

template <class T, class Make>
std::string list_of(std::span<const T> all, Make make) {
  std::string out = "[";
  for (const T& one : all) {
    if (out.size() > 1) out += ',';
    out += dump(make(one));
  }
  return out + "]";
}

}  // namespace

std::string node_json(const NodeEntry& node) {
  return dump(node_object(node));
}

std::string nodes_json(std::span<const NodeEntry> nodes) {
  return list_of(nodes, node_object);
}

std::string service_json(const ServiceEntry& service, std::span<const TaskRecord> tasks,
                         WallTime now, ServiceView view) {
  return dump(service_object(service, tasks, now, view));
}

std::string services_json(std::span<const ServiceEntry> services, std::span<const TaskRecord> tasks,
                          WallTime now, ServiceView view) {
  return list_of(services,
                 [&](const ServiceEntry& one) { return service_object(one, tasks, now, view); });
}

std::string tasks_json(std::span<const TaskRecord> tasks, std::span<const ServiceEntry> services) {
  Templates templates(services);
  return list_of(tasks, [&](const TaskRecord& one) { return task_object(one, templates); });
}

std::string task_json(const TaskRecord& task, std::span<const ServiceEntry> services) {
  Templates templates(services);
  return dump(task_object(task, templates));
}

std::string swarm_info_json(const StatusReport& status, std::span<const NodeEntry> nodes) {
  return dump(swarm_object(status, nodes));
}

std::string swarm_json(const StatusReport& status) {
  constexpr const char* kNoTokens = "kith has no tokens, the YAML admits";
  Json out = cluster_object(status);
  out["JoinTokens"] = {{"Worker", kNoTokens}, {"Manager", kNoTokens}};
  return dump(out);
}

std::string info_json(std::string_view engine, bool engine_up, const StatusReport& status,
                      std::span<const NodeEntry> nodes) {
  Json out = object_of(engine);
  const NodeEntry* self = self_of(nodes);
  if (self != nullptr) {
    const EngineInfo& known = self->view.engine;
    insert_default(out, "ID", self->view.id.docker_id());
    insert_default(out, "Name", self->view.name);
    insert_default(out, "NCPU", self->view.nano_cpus / kNanosASecond);
    insert_default(out, "MemTotal", self->view.memory_bytes);
    insert_default(out, "ServerVersion", known.version);
    insert_default(out, "OSType", known.os.empty() ? "linux" : known.os);
    insert_default(out, "Architecture", known.architecture);
  }
  out["Swarm"] = swarm_object(status, nodes);
  if (!engine_up) {
    Json& warnings = out["Warnings"];
    if (!warnings.is_array()) warnings = Json::array();
    warnings.push_back(
        "WARNING: the Docker engine of this host does not answer; what is shown of "
        "it is from memory");
  }
  return dump(out);
}

std::string version_json(std::string_view engine, const NodeEntry& self) {
  Json out = object_of(engine);
  const EngineInfo& known = self.view.engine;
  insert_default(out, "Version", known.version);
  insert_default(out, "ApiVersion", known.api_version.empty() ? "1.41" : known.api_version);
  insert_default(out, "MinAPIVersion", "1.24");
  insert_default(out, "Os", known.os.empty() ? "linux" : known.os);
  insert_default(out, "Arch", known.architecture);
  Json& components = out["Components"];
  if (!components.is_array()) components = Json::array();
  components.push_back({{"Name", "kith"}, {"Version", KITH_VERSION}, {"Details", Json::object()}});
  return dump(out);
}

std::string event_json(const ClusterEvent& event) {
  Json attributes = Json::object();
  for (const auto& [name, value] : event.attributes) attributes[name] = value;
  attributes["name"] = event.name;
  return dump(Json{{"Type", event.type},
                   {"Action", event.action},
                   {"Actor", {{"ID", event.id}, {"Attributes", std::move(attributes)}}},
                   {"scope", "swarm"},
                   {"time", event.at.ms / 1000},
                   {"timeNano", event.at.ms * 1'000'000}});
}

std::string id_json(std::string_view id) {
  return dump(Json{{"ID", id}});
}

}  // namespace kith
