#include "api/service_validate.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "api/image_reference.h"
#include "api/json.h"
#include "api/spec_keys.h"
#include "state/service_spec.h"

namespace kith {
namespace {

using Refused = Answer<void>;

constexpr size_t kMaxPosted = 256 * 1024;  // a secret's or a config's would be larger; none yet
constexpr size_t kMaxNameLength = 63;
constexpr size_t kMaxPorts = 256;
constexpr size_t kMaxMounts = 256;
constexpr int64_t kMaxOomScore = 1000;  // proc_pid_oom_score_adj(5)
constexpr int64_t kMinNanoCpus = 1'000'000;
constexpr int64_t kMinMemory = 4 * 1024 * 1024;

tl::unexpected<ApiError> invalid(const std::string& words) {
  return refuse(400, "rpc error: code = InvalidArgument desc = " + words);
}

tl::unexpected<ApiError> not_yet(const std::string& field, const std::string& words) {
  return refuse(400, field + ": " + words);
}

const Json& at(const Json& object, const char* key) {
  static const Json kNull;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? *found : kNull;
}

bool empty(const Json& value) {
  return value.is_null() || value.empty();
}

/// Says no more than that nothing was chosen: clients write it out in many ways.
bool by_default(const Json& value) {
  if (value.is_structured()) return std::all_of(value.begin(), value.end(), by_default);
  return value.is_null() || value == false || value == "" || value == "default";
}

Refused check_name(const Json& name) {
  if (!name.is_string() || name.get<std::string>().empty())
    return invalid("meta: name must be provided");
  const auto text = name.get<std::string>();
  if (text.size() > kMaxNameLength) return invalid("name must be 63 characters or fewer");
  const auto plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  const bool inside = std::all_of(text.begin(), text.end(),
                                  [&](char c) { return plain(c) || c == '-' || c == '_'; });
  if (!inside || !plain(text.front()) || !plain(text.back()))
    return invalid("name must be valid as a DNS name component");
  return {};
}

Refused check_mode(const Json& mode) {
  if (mode.contains("ReplicatedJob") || mode.contains("GlobalJob"))
    return not_yet("Mode",
                   "this version runs no jobs: use mode replicated with --restart-condition none");
  if (mode.size() != 1 || !(mode.contains("Replicated") || mode.contains("Global")))
    return invalid("Mode: must be either Replicated or Global");
  const Json& replicas = at(at(mode, "Replicated"), "Replicas");
  if (replicas.is_null()) return {};
  if (!replicas.is_number_unsigned())
    return invalid("Mode: replicas must be a number that is not negative");
  if (replicas.get<uint64_t>() > kMaxReplicas)
    return invalid("Mode: replicas: " + replicas.dump() + " is more than " +
                   std::to_string(kMaxReplicas));
  return {};
}

Refused check_mounts(const Json& mounts) {
  if (mounts.is_null()) return {};
  if (!mounts.is_array() || mounts.size() > kMaxMounts)
    return invalid("ContainerSpec: mounts must be a list of at most " + std::to_string(kMaxMounts));
  std::set<std::string> targets;
  for (const Json& mount : mounts) {
    const std::string type = mount.is_object() ? text_of(member(mount, "Type")) : "";
    const std::string target = mount.is_object() ? text_of(member(mount, "Target")) : "";
    if (type != "bind" && type != "volume" && type != "tmpfs")
      return not_yet("ContainerSpec.Mounts.Type",
                     "'" + type + "' is not one of bind, volume, tmpfs");
    if (target.empty()) return invalid("invalid mount target, must not be empty");
    if (!target.starts_with('/'))
      return invalid("invalid mount target, must be an absolute path: " + target);
    const std::string source = text_of(member(mount, "Source"));
    if (type == "bind" && !source.starts_with('/'))
      return invalid("invalid bind mount source, must be an absolute path: " + source);
    if (!targets.insert(target).second)
      return invalid("ContainerSpec: duplicate mount point: " + target);
  }
  return {};
}

Refused check_container(const Json& container) {
  if (!container.is_object() || text_of(member(container, "Image")).empty())
    return invalid("ContainerSpec: image reference must be provided");
  const std::string image = text_of(member(container, "Image"));
  if (!valid_image_reference(image))
    return invalid("ContainerSpec: \"" + image + "\" is not a valid repository/tag");
  if (!empty(at(container, "Secrets")))
    return not_yet("ContainerSpec.Secrets", "this version has no secrets yet");
  if (!empty(at(container, "Configs")))
    return not_yet("ContainerSpec.Configs", "this version has no configs yet");
  const Json& privileges = at(container, "Privileges");
  if (!empty(at(privileges, "CredentialSpec")))
    return not_yet("ContainerSpec.Privileges.CredentialSpec", "is for Windows, which kith is not");
  for (const char* field : {"NoNewPrivileges", "Seccomp", "AppArmor", "SELinuxContext"})
    if (!by_default(at(privileges, field)))
      return not_yet("ContainerSpec.Privileges." + std::string(field),
                     "this version leaves what the engine has by default; leave it out");
  const Json& oom = at(container, "OomScoreAdj");
  if (!oom.is_null() && (!oom.is_number_integer() || oom < -kMaxOomScore || oom > kMaxOomScore))
    return not_yet("ContainerSpec.OomScoreAdj", oom.dump() + " is not a number from -1000 to 1000");
  return check_mounts(at(container, "Mounts"));
}

Refused check_resources(const Json& resources) {
  for (const char* side : {"Limits", "Reservations"}) {
    const Json& one = at(resources, side);
    if (!empty(at(one, "GenericResources")))
      return not_yet("Resources." + std::string(side) + ".GenericResources",
                     "this version has no generic resources");
    const Json& cpus = at(one, "NanoCPUs");
    if (cpus.is_number_integer() && cpus.get<int64_t>() != 0 && cpus.get<int64_t>() < kMinNanoCpus)
      return invalid("invalid cpu value " + cpus.dump() + "e-9: Must be at least 0.001");
    const Json& memory = at(one, "MemoryBytes");
    if (memory.is_number_integer() && memory.get<int64_t>() != 0 &&
        memory.get<int64_t>() < kMinMemory)
      return invalid("invalid memory value " + memory.dump() + ": Must be at least 4MiB");
  }
  return {};
}

Refused check_networks(const Json& networks) {
  if (networks.is_null()) return {};
  if (!networks.is_array()) return invalid("networks must be a list");
  for (const Json& network : networks) {
    const std::string target = network.is_object() ? text_of(member(network, "Target")) : "";
    if (target.empty()) return invalid("networks: a target must be provided");
    if (target == "ingress") return refuse(500, "network ingress not found");
  }
  if (networks.size() > 1)
    return not_yet("Networks", "this version joins a container to one network; " +
                                   std::to_string(networks.size()) + " are named");
  return {};
}

Refused check_task(const Json& task) {
  if (!task.is_object()) return invalid("TaskSpec: missing runtime");
  const std::string runtime = text_of(member(task, "Runtime"));
  if (!runtime.empty() && runtime != "container")
    return not_yet("TaskTemplate.Runtime", "'" + runtime +
                                               "' is not container, which is all that "
                                               "kith runs");
  for (const char* field : {"PluginSpec", "NetworkAttachmentSpec"})
    if (!empty(at(task, field)))
      return not_yet("TaskTemplate." + std::string(field), "kith runs containers only");
  if (auto ok = check_container(at(task, "ContainerSpec")); !ok) return ok;
  if (auto ok = check_resources(at(task, "Resources")); !ok) return ok;
  const Json& delay = at(at(task, "RestartPolicy"), "Delay");
  if (delay.is_number() && delay.get<double>() < 0)
    return invalid("TaskSpec: restart-delay cannot be negative");
  for (const Json& constraint : at(at(task, "Placement"), "Constraints")) {
    const std::string text = constraint.is_string() ? constraint.get<std::string>() : "";
    if (text.find("==") == text.npos && text.find("!=") == text.npos)
      return invalid("constraint expected one operator from ==, !=: " + text);
  }
  return check_networks(at(task, "Networks"));
}

Refused check_update_config(const char* key, const Json& config) {
  if (text_of(member(config, "FailureAction")) == "rollback")
    return not_yet(std::string(key) + ".FailureAction",
                   "automatic rollback is not there yet; pause and continue work, and `docker "
                   "service rollback` by hand");
  const Json& ratio = at(config, "MaxFailureRatio");
  if (ratio.is_number() && (ratio.get<double>() < 0 || ratio.get<double>() > 1))
    return invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1");
  for (const char* field : {"Delay", "Monitor"})
    if (at(config, field).is_number() && at(config, field).get<double>() < 0)
      return invalid("TaskSpec: update-" +
                     std::string(field == std::string("Delay") ? "delay" : "monitor") +
                     " cannot be negative");
  return {};
}

Refused check_ports(const Json& endpoint) {
  const Json& ports = at(endpoint, "Ports");
  if (ports.is_null()) return {};
  if (!ports.is_array() || ports.size() > kMaxPorts)
    return invalid("EndpointSpec: ports must be a list of at most " + std::to_string(kMaxPorts));
  std::set<std::string> published;
  for (const Json& port : ports) {
    for (const char* field : {"TargetPort", "PublishedPort"})
      if (const Json& value = at(port, field);
          !value.is_null() && (!value.is_number_unsigned() || value.get<uint64_t>() > 65535))
        return invalid("EndpointSpec: " + std::string(field) + " " + value.dump() +
                       " is not a port number");
    const Json& target = at(port, "TargetPort");
    if (target.is_null() || target == 0)
      return invalid("EndpointSpec: a target port must be given");
    const Json& host = at(port, "PublishedPort");
    const std::string wanted = host.is_null() ? "8080" : host == 0 ? "8080" : host.dump();
    if (text_of(member(port, "PublishMode")) != "host")
      return refuse(400,
                    "EndpointSpec.Ports: publishing through the ingress needs the overlay, "
                    "which this version has not: use mode=host: -p mode=host,published=" +
                        wanted + ",target=" + target.dump());
    const std::string protocol = text_of(member(port, "Protocol"));
    if (protocol != "tcp" && protocol != "udp" && protocol != "sctp")
      return invalid("EndpointSpec: protocol '" + protocol + "' is not one of tcp, udp, sctp");
    if (host.is_null() || host == 0) continue;
    if (!published.insert(host.dump() + "/" + protocol).second)
      return invalid("EndpointSpec: duplicate published ports provided");
  }
  return {};
}

void set_default(Json& object, const char* key, Json value) {
  if (!object.contains(key)) object[key] = std::move(value);
}

void set_if_blank(Json& object, const char* key, std::string_view value) {
  if (!object.is_object()) return;
  Json& current = object[key];
  if (current.is_null() || current == "") current = value;
}

// In place, before the checks, which then see one shape only.
void normalise(Json& spec) {
  set_default(spec, "Labels", Json::object());
  Json& mode = spec["Mode"];
  if (!mode.is_object() || mode.empty()) mode = Json{{"Replicated", Json::object()}};
  if (mode.contains("Replicated")) {
    if (!mode["Replicated"].is_object()) mode["Replicated"] = Json::object();
    set_default(mode["Replicated"], "Replicas", 1U);
  }
  if (mode.contains("Global") && !mode["Global"].is_object()) mode["Global"] = Json::object();
  if (Json& task = spec["TaskTemplate"]; task.is_object()) {
    set_default(task, "ForceUpdate", 0U);
    set_if_blank(task, "Runtime", "container");
  }
  for (const char* key : {"UpdateConfig", "RollbackConfig"}) {
    if (!spec.contains(key)) continue;
    set_if_blank(spec[key], "FailureAction", "pause");
    set_if_blank(spec[key], "Order", "stop-first");
  }
  if (!spec.contains("EndpointSpec")) return;
  Json& endpoint = spec["EndpointSpec"];
  set_if_blank(endpoint, "Mode", "vip");
  if (!endpoint.is_object() || !endpoint.contains("Ports") || !endpoint["Ports"].is_array()) return;
  for (Json& port : endpoint["Ports"]) {
    set_if_blank(port, "Protocol", "tcp");
    set_if_blank(port, "PublishMode", "ingress");
  }
}

Refused check(const Json& spec) {
  if (auto ok = check_name(at(spec, "Name")); !ok) return ok;
  const Json& labels = at(spec, "Labels");
  const bool strings = labels.is_object() && std::all_of(labels.begin(), labels.end(),
                                                         [](auto& l) { return l.is_string(); });
  if (!strings) return invalid("Labels: must be a map from string to string");
  if (at(labels, "io.kith.failover") == "majority")
    return not_yet("Labels",
                   "io.kith.failover=majority: this version has no leases yet; use "
                   "eager, pinned or manual");
  if (auto ok = check_mode(at(spec, "Mode")); !ok) return ok;
  if (auto ok = check_task(at(spec, "TaskTemplate")); !ok) return ok;
  if (auto ok = check_networks(at(spec, "Networks")); !ok) return ok;
  for (const char* key : {"UpdateConfig", "RollbackConfig"})
    if (auto ok = check_update_config(key, at(spec, key)); !ok) return ok;
  return check_ports(at(spec, "EndpointSpec"));
}

Answer<CheckedSpec> check_posted(std::string_view body, std::string_view default_name) {
  if (body.size() > kMaxPosted)
    return refuse(400, "the spec is " + std::to_string(body.size()) + " bytes long; at most " +
                           std::to_string(kMaxSpecBytes) + " can be kept");
  const auto posted = parse_json(body);
  if (!posted) return refuse(400, posted.error().message);
  if (!posted->is_object()) return refuse(400, "invalid JSON: a service spec is an object");
  Json spec = canonical_spec(*posted);
  if (!default_name.empty()) set_if_blank(spec, "Name", default_name);
  normalise(spec);
  if (auto ok = check(spec); !ok) return tl::unexpected(ok.error());
  CheckedSpec out{spec["Name"].get<std::string>(), dump(spec)};
  if (out.json.size() > kMaxSpecBytes)
    return refuse(400, "the spec is " + std::to_string(out.json.size()) + " bytes long; at most " +
                           std::to_string(kMaxSpecBytes) + " can be kept");
  // What the rest of the cluster will read of it; also the types of all that was not looked at.
  if (auto parsed = parse_service_spec(out.json); !parsed)
    return refuse(400, parsed.error().message);
  return out;
}

}  // namespace

Answer<CheckedSpec> check_new_service(std::string_view body, std::string_view default_name) {
  return check_posted(body, default_name);
}

Answer<CheckedSpec> check_service_update(std::string_view body, const ServiceDoc& current) {
  auto checked = check_posted(body, {});
  if (!checked) return checked;
  if (checked->name != current.name)
    return refuse(501, "rpc error: code = Unimplemented desc = renaming services is not supported");
  const auto parsed = parse_service_spec(checked->json);
  if (parsed && parsed->mode != current.spec.mode)
    return refuse(501, "rpc error: code = Unimplemented desc = service mode change is not allowed");
  return checked;
}

}  // namespace kith
