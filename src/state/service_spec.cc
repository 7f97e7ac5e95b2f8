#include "state/service_spec.h"

#include <algorithm>
#include <array>

#include "state/json_read.h"

namespace kith {
namespace {

using json_read::Fault;
using json_read::Json;
using json_read::Value;

constexpr int64_t kMaxNumber = std::numeric_limits<int64_t>::max();
constexpr size_t kMaxServiceName = 63;

template <class T, size_t kCount>
void read_word(const Value& from, T& out,
               const std::array<std::pair<std::string_view, T>, kCount>& words) {
  std::string word;
  if (!from.read(word) || word.empty()) return;
  std::string all;
  for (const auto& [name, value] : words) {
    if (word == name) {
      out = value;
      return;
    }
    all += (all.empty() ? "" : ", ") + std::string(name);
  }
  from.refuse("must be one of " + all);
}

/// Docker writes durations as nanoseconds.
bool read_duration(const Value& from, Duration& out) {
  int64_t ns = 0;
  if (!from.read_number(ns, 0, kMaxNumber)) return false;
  out = Duration(ns);
  return true;
}

void read_name(const Value& from, std::string& out) {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (!from.read(out)) return from.refuse("a service needs a name");
  // swarmkit's rule
  const bool good = !out.empty() && out.size() <= kMaxServiceName && alphanumeric(out.front()) &&
                    alphanumeric(out.back()) && std::all_of(out.begin(), out.end(), [&](char c) {
                      return alphanumeric(c) || c == '-' || c == '_';
                    });
  if (!good)
    from.refuse("name must be valid as a DNS name component: letters, digits, - and _, at most 63");
}

void read_mode(const Value& mode, ServiceSpec& spec) {
  const Value replicated = mode["Replicated"];
  const Value job = mode["ReplicatedJob"];
  const bool global = mode["Global"].present();
  const bool global_job = mode["GlobalJob"].present();
  if (replicated.present() + job.present() + global + global_job > 1)
    return mode.refuse("must name one mode");
  if (global) spec.mode = ServiceMode::kGlobal;
  if (global_job) spec.mode = ServiceMode::kGlobalJob;
  if (replicated.present()) replicated["Replicas"].read_number(spec.replicas, 0, kMaxReplicas);
  if (job.present()) {
    spec.mode = ServiceMode::kReplicatedJob;
    job["MaxConcurrent"].read_number(spec.replicas, 1, kMaxReplicas);
    job["TotalCompletions"].read_number(spec.replicas, 1, kMaxReplicas);
  }
}

void read_resources(const Value& from, Resources& out) {
  from["NanoCPUs"].read_number(out.nano_cpus, 0, kMaxNumber);
  from["MemoryBytes"].read_number(out.memory_bytes, 0, kMaxNumber);
}

void read_restart(const Value& from, RestartPolicy& out) {
  read_word<RestartCondition, 3>(from["Condition"], out.condition,
                                 {{{"none", RestartCondition::kNone},
                                   {"on-failure", RestartCondition::kOnFailure},
                                   {"any", RestartCondition::kAny}}});
  read_duration(from["Delay"], out.delay);
  from["MaxAttempts"].read_number(out.max_attempts, 0, kMaxNumber);
  read_duration(from["Window"], out.window);
}

void read_update(const Value& from, UpdateConfig& out) {
  if (!from.present()) return;
  from["Parallelism"].read_number(out.parallelism, 0, kMaxNumber);
  read_duration(from["Delay"], out.delay);
  Duration monitor{};
  if (read_duration(from["Monitor"], monitor) && monitor > Duration{}) out.monitor = monitor;
  read_word<FailureAction, 3>(from["FailureAction"], out.on_failure,
                              {{{"pause", FailureAction::kPause},
                                {"continue", FailureAction::kContinue},
                                {"rollback", FailureAction::kRollback}}});
  double ratio = 0;
  const Value max_ratio = from["MaxFailureRatio"];
  if (max_ratio.read_double(ratio)) {
    if (!(ratio >= 0 && ratio <= 1))
      max_ratio.refuse("must be from 0 to 1");
    else
      out.max_failure_ppm = static_cast<uint64_t>(ratio * 1e6 + 0.5);
  }
  read_word<bool, 2>(from["Order"], out.start_first,
                     {{{"stop-first", false}, {"start-first", true}}});
}

void read_placement(const Value& from, ServiceSpec& spec) {
  from["Constraints"].for_each([&](const Value& constraint) {
    std::string text;
    if (constraint.read(text)) spec.constraints.push_back(std::move(text));
  });
  from["Platforms"].for_each([&](const Value& of_image) {
    Platform platform;
    of_image["OS"].read(platform.os);
    of_image["Architecture"].read(platform.architecture);
    spec.platforms.push_back(std::move(platform));
  });
  from["Preferences"].for_each([&](const Value& preference) {
    std::string descriptor;
    if (preference["Spread"]["SpreadDescriptor"].read(descriptor))
      spec.spread_preferences.push_back(std::move(descriptor));
  });
  from["MaxReplicas"].read_number(spec.max_replicas_per_node, 0, kMaxReplicas);
}

void read_port(const Value& from, std::vector<PortSpec>& out) {
  PortSpec port;
  read_word<std::string, 3>(from["Protocol"], port.protocol,
                            {{{"tcp", "tcp"}, {"udp", "udp"}, {"sctp", "sctp"}}});
  if (!from["TargetPort"].read_number(port.target, 1, 65535))
    from["TargetPort"].refuse("a port needs its target");
  from["PublishedPort"].read_number(port.published, 0, 65535);
  read_word<bool, 2>(from["PublishMode"], port.host_mode, {{{"ingress", false}, {"host", true}}});
  out.push_back(std::move(port));
}

void read_mount(const Value& from, std::vector<MountSpec>& out) {
  MountSpec mount;
  mount.type = "volume";
  from["Type"].read(mount.type);
  from["Source"].read(mount.source);
  from["Target"].read(mount.target);
  from["ReadOnly"].read(mount.read_only);
  const Value driver = from["VolumeOptions"]["DriverConfig"];
  driver["Name"].read(mount.driver);
  driver["Options"].read(mount.driver_options);
  out.push_back(std::move(mount));
}

bool below(std::string_view path, std::string_view directory) {
  return path == directory || (path.size() > directory.size() && path.starts_with(directory) &&
                               path[directory.size()] == '/');
}

/// Whether what the mount holds exists on one host only, and can change there.
bool ties_to_host(const MountSpec& mount) {
  if (mount.type == "bind") {
    if (mount.read_only || mount.source == "/var/run/docker.sock") return false;
    constexpr std::array<std::string_view, 4> kTheHostsOwn = {"/proc", "/sys", "/dev", "/run"};
    return std::none_of(kTheHostsOwn.begin(), kTheHostsOwn.end(),
                        [&](std::string_view directory) { return below(mount.source, directory); });
  }
  // An anonymous volume goes with its container, wherever that runs next.
  if (mount.type != "volume" || mount.source.empty()) return false;
  if (!mount.driver.empty() && mount.driver != "local") return false;
  const auto type = mount.driver_options.find("type");
  if (type == mount.driver_options.end()) return true;
  return !type->second.starts_with("nfs") && type->second != "cifs";
}

void read_failover(const Value& labels, ServiceSpec& spec) {
  const bool tied = std::any_of(spec.mounts.begin(), spec.mounts.end(), ties_to_host);
  spec.failover = tied ? Failover::kPinned : Failover::kEager;
  // Label keys are taken as they are written, unlike Docker's own fields.
  constexpr const char* kLabel = "io.kith.failover";
  if (!labels.present() || !labels.json()->is_object() || !labels.json()->contains(kLabel)) return;
  read_word<Failover, 4>(labels[kLabel], spec.failover,
                         {{{"eager", Failover::kEager},
                           {"pinned", Failover::kPinned},
                           {"manual", Failover::kManual},
                           {"majority", Failover::kMajority}}});
}

/// Drops what says nothing: clients differ in whether they write it.
void prune(Json& json) {
  if (!json.is_structured()) return;
  if (json.is_array()) {
    for (Json& element : json) prune(element);
    return;
  }
  for (auto at = json.begin(); at != json.end();) {
    prune(*at);
    if (at->is_null() || (at->is_structured() && at->empty()))
      at = json.erase(at);
    else
      ++at;
  }
}

void erase_field(Json& object, std::string_view name) {
  Fault fault;
  const Value field = Value(&object, "", fault)[name];
  if (!field.present()) return;
  for (auto at = object.begin(); at != object.end(); ++at) {
    if (&*at == field.json()) {
      object.erase(at);
      return;
    }
  }
}

}  // namespace

Result<ServiceSpec> parse_service_spec(std::string_view json) {
  const std::optional<Json> parsed = json_read::parse_object(json);
  if (!parsed) return fail(ErrorCode::kInvalid, "service spec: not a JSON object");
  Fault fault;
  const Value root(&*parsed, "", fault);
  ServiceSpec spec;
  read_name(root["Name"], spec.name);
  const Value labels = root["Labels"];
  labels.read(spec.labels);
  read_mode(root["Mode"], spec);
  const Value task = root["TaskTemplate"];
  const Value container = task["ContainerSpec"];
  const Value image = container["Image"];
  image.read(spec.image);
  if (spec.image.empty()) image.refuse("a service needs an image");
  container["Mounts"].for_each([&](const Value& mount) { read_mount(mount, spec.mounts); });
  read_duration(container["StopGracePeriod"], spec.stop_grace);
  read_resources(task["Resources"]["Reservations"], spec.reservations);
  read_resources(task["Resources"]["Limits"], spec.limits);
  read_restart(task["RestartPolicy"], spec.restart);
  read_placement(task["Placement"], spec);
  read_update(root["UpdateConfig"], spec.update);
  read_update(root["RollbackConfig"], spec.rollback);
  root["EndpointSpec"]["Ports"].for_each([&](const Value& port) { read_port(port, spec.ports); });
  read_failover(labels, spec);
  if (fault.any()) return fail(ErrorCode::kInvalid, fault.message);
  return spec;
}

Result<std::string> task_template_of(std::string_view spec_json) {
  const std::optional<Json> parsed = json_read::parse_object(spec_json);
  if (!parsed) return fail(ErrorCode::kInvalid, "service spec: not a JSON object");
  Fault fault;
  const Value root(&*parsed, "", fault);
  const Value task = root["TaskTemplate"];
  Json result = Json::object();
  if (task.present() && task.json()->is_object()) {
    Json kept = *task.json();
    erase_field(kept, "Placement");
    uint64_t force = 0;
    if (Value(&kept, "", fault)["ForceUpdate"].read_number(force, 0, kMaxNumber) && force == 0)
      erase_field(kept, "ForceUpdate");
    result["TaskTemplate"] = std::move(kept);
  }
  Json host_ports = Json::array();
  root["EndpointSpec"]["Ports"].for_each([&](const Value& port) {
    std::string mode;
    if (port["PublishMode"].read(mode) && mode == "host") host_ports.push_back(*port.json());
  });
  if (fault.any()) return fail(ErrorCode::kInvalid, fault.message);
  result["HostPorts"] = std::move(host_ports);
  prune(result);
  return json_read::write(result);
}

}  // namespace kith
