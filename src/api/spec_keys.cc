#include "api/spec_keys.h"

#include <cctype>
#include <map>
#include <set>

namespace kith {
namespace {

// Every field name of Docker's ServiceSpec. No two levels spell one name differently.
constexpr const char* kFields[] = {"Aliases",
                                   "AppArmor",
                                   "Architecture",
                                   "Args",
                                   "BindOptions",
                                   "CapabilityAdd",
                                   "CapabilityDrop",
                                   "ClusterOptions",
                                   "Command",
                                   "Condition",
                                   "Config",
                                   "ConfigID",
                                   "ConfigName",
                                   "Configs",
                                   "Consistency",
                                   "Constraints",
                                   "ContainerSpec",
                                   "CreateMountpoint",
                                   "CredentialSpec",
                                   "DNSConfig",
                                   "Delay",
                                   "Dir",
                                   "Disable",
                                   "DiscreteResourceSpec",
                                   "Driver",
                                   "DriverConfig",
                                   "DriverOpts",
                                   "EndpointSpec",
                                   "Env",
                                   "FailureAction",
                                   "File",
                                   "ForceUpdate",
                                   "GID",
                                   "GenericResources",
                                   "Global",
                                   "GlobalJob",
                                   "Groups",
                                   "Hard",
                                   "Healthcheck",
                                   "Hostname",
                                   "Hosts",
                                   "Image",
                                   "Init",
                                   "Interval",
                                   "Isolation",
                                   "Kind",
                                   "Labels",
                                   "Level",
                                   "Limits",
                                   "LogDriver",
                                   "MaxAttempts",
                                   "MaxConcurrent",
                                   "MaxFailureRatio",
                                   "MaxReplicas",
                                   "MemoryBytes",
                                   "Mode",
                                   "Monitor",
                                   "Mounts",
                                   "Name",
                                   "NamedResourceSpec",
                                   "Nameservers",
                                   "NanoCPUs",
                                   "NetworkAttachmentSpec",
                                   "Networks",
                                   "NoCopy",
                                   "NoNewPrivileges",
                                   "NonRecursive",
                                   "OS",
                                   "OomScoreAdj",
                                   "OpenStdin",
                                   "Options",
                                   "Order",
                                   "Parallelism",
                                   "Pids",
                                   "Placement",
                                   "Platforms",
                                   "PluginSpec",
                                   "Ports",
                                   "Preferences",
                                   "Privileges",
                                   "Propagation",
                                   "Protocol",
                                   "PublishMode",
                                   "PublishedPort",
                                   "ReadOnly",
                                   "ReadOnlyForceRecursive",
                                   "ReadOnlyNonRecursive",
                                   "Registry",
                                   "Replicas",
                                   "Replicated",
                                   "ReplicatedJob",
                                   "Reservations",
                                   "Resources",
                                   "RestartPolicy",
                                   "Retries",
                                   "Role",
                                   "RollbackConfig",
                                   "Runtime",
                                   "SELinuxContext",
                                   "Search",
                                   "Seccomp",
                                   "SecretID",
                                   "SecretName",
                                   "Secrets",
                                   "SizeBytes",
                                   "Soft",
                                   "Source",
                                   "Spread",
                                   "SpreadDescriptor",
                                   "StartInterval",
                                   "StartPeriod",
                                   "StopGracePeriod",
                                   "StopSignal",
                                   "Subpath",
                                   "Sysctls",
                                   "TTY",
                                   "Target",
                                   "TargetPort",
                                   "TaskTemplate",
                                   "Test",
                                   "Timeout",
                                   "TmpfsOptions",
                                   "TotalCompletions",
                                   "Type",
                                   "UID",
                                   "Ulimits",
                                   "UpdateConfig",
                                   "User",
                                   "Value",
                                   "VolumeOptions",
                                   "Window"};

std::string lower(std::string_view text) {
  std::string out;
  for (const char c : text) out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

const std::map<std::string, std::string>& spelling() {
  static const auto kTable = [] {
    std::map<std::string, std::string> out;
    for (const char* field : kFields) out[lower(field)] = field;
    return out;
  }();
  return kTable;
}

bool holds_data(const std::string& key) {
  static const std::set<std::string> kMaps = {"Labels", "DriverOpts", "Options", "Sysctls"};
  return kMaps.contains(key);
}

}  // namespace

// Recursion is bounded by kMaxJsonDepth.
Json canonical_spec(const Json& posted) {
  if (posted.is_array()) {
    Json out = Json::array();
    for (const Json& one : posted) out.push_back(canonical_spec(one));
    return out;
  }
  if (!posted.is_object()) return posted;
  Json out = Json::object();
  for (const auto& [name, value] : posted.items()) {
    if (value.is_null()) continue;
    const auto known = spelling().find(lower(name));
    const std::string& key = known == spelling().end() ? name : known->second;
    out[key] = holds_data(key) ? value : canonical_spec(value);
  }
  return out;
}

}  // namespace kith
