#include "engine/container_spec.h"

#include <nlohmann/json.hpp>
#include <sstream>

namespace kith {
namespace {

using Json = nlohmann::json;

const Json& at(const Json& object, const char* key) {
  static const Json kNothing;
  if (!object.is_object()) return kNothing;
  const auto found = object.find(key);
  return found == object.end() ? kNothing : *found;
}

bool filled(const Json& value) {
  return !value.is_null() && !value.empty();
}

void copy(const Json& from, const char* key, Json& to, const char* as) {
  if (const Json& value = at(from, key); filled(value)) to[as] = value;
}

std::string text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : "";
}

std::string slot_text(const SlotKey& slot) {
  return slot.node.none() ? std::to_string(slot.index) : slot.node.docker_id();
}

/// Swarm's Go templates, those of them that name a thing.
class Templates {
 public:
  Templates(const StartTask& task, const Json& spec) {
    const std::string name = container_name(task);
    known_ = {{"Service.ID", task.service_id},    {"Service.Name", task.slot.service},
              {"Node.ID", task.node.docker_id()}, {"Node.Hostname", task.node_name},
              {"Task.ID", task.task_id},          {"Task.Name", name},
              {"Task.Slot", slot_text(task.slot)}};
    if (const Json& labels = at(spec, "Labels"); labels.is_object())
      for (const auto& [key, value] : labels.items())
        known_["index .Service.Labels \"" + key + "\""] = text(value);
  }

  [[nodiscard]] std::string expand(const std::string& in) const {
    std::string out;
    size_t from = 0;
    while (true) {
      const size_t open = in.find("{{", from);
      const size_t close = open == std::string::npos ? open : in.find("}}", open);
      if (close == std::string::npos) return out + in.substr(from);
      out += in.substr(from, open - from);
      std::string name = in.substr(open + 2, close - open - 2);
      while (!name.empty() && (name.front() == ' ' || name.front() == '.')) name.erase(0, 1);
      while (!name.empty() && name.back() == ' ') name.pop_back();
      const auto found = known_.find(name);
      out += found == known_.end() ? in.substr(open, close + 2 - open) : found->second;
      from = close + 2;
    }
  }

 private:
  std::map<std::string, std::string> known_;
};

Json labels_of(const StartTask& task, const Json& container) {
  Json labels = at(container, "Labels").is_object() ? at(container, "Labels") : Json::object();
  labels["com.docker.swarm.service.id"] = task.service_id;
  labels["com.docker.swarm.service.name"] = task.slot.service;
  labels["com.docker.swarm.task"] = "";
  labels["com.docker.swarm.task.id"] = task.task_id;
  labels["com.docker.swarm.task.name"] = container_name(task);
  labels["com.docker.swarm.node.id"] = task.node.docker_id();
  labels[kTaskLabel] = task.task_id;
  labels[kServiceLabel] = task.slot.service;
  labels[kSlotLabel] =
      task.slot.node.none() ? std::to_string(task.slot.index) : task.slot.node.hex();
  labels[kServiceIdLabel] = task.service_id;
  labels[kGenerationLabel] = std::to_string(task.generation);
  labels[kTermLabel] = std::to_string(task.term);
  return labels;
}

void expand_values(Json& object, const char* key, const Templates& templates) {
  if (!object.is_object() || !object.contains(key)) return;
  Json& value = object[key];
  if (value.is_string()) value = templates.expand(text(value));
  if (!value.is_object()) return;
  for (auto& [name, of_name] : value.items())
    if (of_name.is_string()) of_name = templates.expand(text(of_name));
}

Json mounts_of(const Json& container, const Templates& templates) {
  Json mounts = Json::array();
  for (Json mount : at(container, "Mounts")) {
    if (!mount.is_object()) continue;
    expand_values(mount, "Source", templates);
    expand_values(mount, "Target", templates);
    if (mount.contains("VolumeOptions")) {
      Json& options = mount["VolumeOptions"];
      expand_values(options, "Labels", templates);
      if (options.is_object() && options.contains("DriverConfig"))
        expand_values(options["DriverConfig"], "Options", templates);
    }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

// Swarm keeps hosts as in /etc/hosts (`address name...`), the engine as `name:address`.
void add_hosts(const Json& container, Json& host) {
  for (const Json& line : at(container, "Hosts")) {
    std::istringstream words(text(line));
    std::string address;
    words >> address;
    for (std::string name; words >> name;) host["ExtraHosts"].push_back(name + ":" + address);
  }
}

void add_resources(const Json& spec, Json& host) {
  const Json& resources = at(spec, "Resources");
  const Json& limits = at(resources, "Limits");
  copy(limits, "NanoCPUs", host, "NanoCpus");
  copy(limits, "MemoryBytes", host, "Memory");
  copy(limits, "Pids", host, "PidsLimit");
  copy(at(resources, "Reservations"), "MemoryBytes", host, "MemoryReservation");
}

void add_ports(const Json& spec, Json& body, Json& host) {
  for (const Json& port : at(at(spec, "EndpointSpec"), "Ports")) {
    if (text(at(port, "PublishMode")) != "host" || !at(port, "TargetPort").is_number()) continue;
    const std::string protocol = text(at(port, "Protocol"));
    const std::string key = std::to_string(at(port, "TargetPort").get<int>()) + "/" +
                            (protocol.empty() ? "tcp" : protocol);
    const Json& published = at(port, "PublishedPort");
    const int number = published.is_number() ? published.get<int>() : 0;
    body["ExposedPorts"][key] = Json::object();
    host["PortBindings"][key].push_back(
        {{"HostIp", ""}, {"HostPort", number == 0 ? "" : std::to_string(number)}});
  }
}

void add_network(const Json& spec, const Json& task, Json& body, Json& host) {
  const Json& of_task = at(task, "Networks");
  const Json& networks = filled(of_task) ? of_task : at(spec, "Networks");
  if (!filled(networks)) return;
  host["NetworkMode"] = text(at(networks.front(), "Target"));
  if (networks.front().contains("Aliases"))
    body["NetworkingConfig"]["EndpointsConfig"][host["NetworkMode"].get<std::string>()]["Aliases"] =
        networks.front()["Aliases"];
}

Json host_config(const Json& spec, const Json& container, const Templates& templates) {
  const Json& task = at(spec, "TaskTemplate");
  Json host = {{"RestartPolicy", {{"Name", "no"}}}};
  if (Json mounts = mounts_of(container, templates); !mounts.empty())
    host["Mounts"] = std::move(mounts);
  copy(container, "ReadOnly", host, "ReadonlyRootfs");
  copy(container, "Groups", host, "GroupAdd");
  copy(container, "CapabilityAdd", host, "CapAdd");
  copy(container, "CapabilityDrop", host, "CapDrop");
  copy(container, "Sysctls", host, "Sysctls");
  copy(container, "Ulimits", host, "Ulimits");
  copy(container, "Init", host, "Init");
  copy(container, "OomScoreAdj", host, "OomScoreAdj");
  copy(task, "LogDriver", host, "LogConfig");
  if (host.contains("LogConfig")) {  // the same two fields under other names
    const Json driver = host["LogConfig"];
    host["LogConfig"] = {{"Type", text(at(driver, "Name"))}};
    copy(driver, "Options", host["LogConfig"], "Config");
  }
  add_hosts(container, host);
  const Json& dns = at(container, "DNSConfig");
  copy(dns, "Nameservers", host, "Dns");
  copy(dns, "Search", host, "DnsSearch");
  copy(dns, "Options", host, "DnsOptions");
  add_resources(task, host);
  return host;
}

}  // namespace

std::string container_name(const StartTask& task) {
  return task.slot.service + "." + slot_text(task.slot) + "." + task.task_id;
}

Result<ContainerSpec> container_spec(const StartTask& task) {
  const Json spec = Json::parse(task.spec_json, nullptr, false);
  if (!spec.is_object()) return fail(ErrorCode::kInvalid, "the service's spec is not JSON");
  const Json& container = at(at(spec, "TaskTemplate"), "ContainerSpec");
  ContainerSpec out;
  out.image = text(at(container, "Image"));
  if (out.image.empty()) return fail(ErrorCode::kInvalid, "the service's spec names no image");
  out.registry_auth = text(at(spec, kRegistryAuthField.data()));
  out.pull_always = text(at(at(spec, "Labels"), kPullLabel.data())) == "always";

  const Templates templates(task, spec);
  Json body = {{"Image", out.image}, {"Labels", labels_of(task, container)}};
  copy(container, "Command", body, "Entrypoint");
  copy(container, "Args", body, "Cmd");
  for (const Json& variable : at(container, "Env"))
    body["Env"].push_back(templates.expand(text(variable)));
  if (const std::string name = text(at(container, "Hostname")); !name.empty())
    body["Hostname"] = templates.expand(name);
  copy(container, "User", body, "User");
  copy(container, "Dir", body, "WorkingDir");
  copy(container, "TTY", body, "Tty");
  copy(container, "OpenStdin", body, "OpenStdin");
  copy(container, "StopSignal", body, "StopSignal");
  copy(container, "Healthcheck", body, "Healthcheck");
  if (const Json& grace = at(container, "StopGracePeriod"); grace.is_number_integer())
    body["StopTimeout"] = (grace.get<int64_t>() + 999'999'999) / 1'000'000'000;
  body["HostConfig"] = host_config(spec, container, templates);
  add_ports(spec, body, body["HostConfig"]);
  add_network(spec, at(spec, "TaskTemplate"), body, body["HostConfig"]);
  out.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return out;
}

}  // namespace kith
