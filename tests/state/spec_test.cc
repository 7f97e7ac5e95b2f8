#include "state/service_spec.h"

#include <doctest/doctest.h>

using namespace kith;
using namespace std::chrono_literals;

namespace {

std::string spec_with(std::string_view more) {
  return R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx"}})" + std::string(more) +
         "}";
}
std::string with_mount(std::string_view mount, std::string_view labels = "{}") {
  return R"({"Name":"web","Labels":)" + std::string(labels) +
         R"(,"TaskTemplate":{"ContainerSpec":{"Image":"nginx","Mounts":[)" + std::string(mount) +
         "]}}}";
}

}  // namespace

TEST_CASE("spec: the least that a client sends gets Docker's defaults") {
  const Result<ServiceSpec> spec = parse_service_spec(spec_with(""));
  REQUIRE(spec);
  CHECK(spec->name == "web");
  CHECK(spec->image == "nginx");
  CHECK(spec->mode == ServiceMode::kReplicated);
  CHECK(spec->replicas == 1);
  CHECK(spec->restart.condition == RestartCondition::kAny);
  CHECK(spec->restart.delay == 5s);
  CHECK(spec->update.parallelism == 1);
  CHECK(spec->update.monitor == 5s);
  CHECK(spec->update.on_failure == FailureAction::kPause);
  CHECK_FALSE(spec->update.start_first);
  CHECK(spec->stop_grace == 10s);
  CHECK(spec->failover == Failover::kEager);
}

TEST_CASE("spec: every field that is acted upon is read, keys in any letter case") {
  const Result<ServiceSpec> spec = parse_service_spec(R"({
    "name":"web","labels":{"a":"B"},"Mode":{"replicated":{"replicas":6}},
    "taskTemplate":{"ContainerSpec":{"image":"nginx:1","StopGracePeriod":3000000000,
      "Mounts":[{"Type":"volume","Source":"v","Target":"/v","ReadOnly":true,
                 "VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"nfs"}}}}]},
     "Resources":{"Limits":{"NanoCPUs":500000000,"MemoryBytes":1024},"Reservations":{"MemoryBytes":7}},
     "RestartPolicy":{"Condition":"on-failure","Delay":1000,"MaxAttempts":3,"Window":null},
     "Placement":{"Constraints":["node.role == manager"],"MaxReplicas":2,
       "platforms":[{"architecture":"amd64","OS":"linux"},{}],
       "Preferences":[{"Spread":{"SpreadDescriptor":"node.labels.zone"}}]}},
    "UpdateConfig":{"Parallelism":0,"Delay":2000000000,"Monitor":0,"FailureAction":"rollback",
      "MaxFailureRatio":0.25,"Order":"start-first"},
    "EndpointSpec":{"Ports":[{"Protocol":"udp","TargetPort":53,"PublishedPort":5353,"PublishMode":"host"}]}})");
  REQUIRE(spec);
  CHECK(spec->replicas == 6);
  CHECK(spec->labels.at("a") == "B");
  CHECK(spec->stop_grace == 3s);
  REQUIRE(spec->mounts.size() == 1);
  CHECK(spec->mounts[0].driver_options.at("type") == "nfs");
  CHECK(spec->mounts[0].read_only);
  CHECK(spec->limits.nano_cpus == 500000000);
  CHECK(spec->reservations.memory_bytes == 7);
  CHECK(spec->restart.condition == RestartCondition::kOnFailure);
  CHECK(spec->restart.delay == 1us);
  CHECK(spec->restart.max_attempts == 3);
  CHECK(spec->constraints == std::vector<std::string>{"node.role == manager"});
  CHECK(spec->platforms == std::vector<Platform>{{"linux", "amd64"}, {}});
  CHECK(spec->spread_preferences == std::vector<std::string>{"node.labels.zone"});
  CHECK(spec->max_replicas_per_node == 2);
  CHECK(spec->update.parallelism == 0);
  CHECK(spec->update.delay == 2s);
  CHECK(spec->update.monitor == 5s);
  CHECK(spec->update.on_failure == FailureAction::kRollback);
  CHECK(spec->update.max_failure_ppm == 250'000);
  CHECK(spec->update.start_first);
  REQUIRE(spec->ports.size() == 1);
  CHECK(spec->ports[0].protocol == "udp");
  CHECK(spec->ports[0].published == 5353);
  CHECK(spec->ports[0].host_mode);
  CHECK(parse_service_spec(spec_with(R"(,"Mode":{"Global":{}})"))->mode == ServiceMode::kGlobal);
  const auto job = parse_service_spec(spec_with(R"(,"Mode":{"ReplicatedJob":{}})"));
  CHECK(job->mode == ServiceMode::kReplicatedJob);
  CHECK(job->replicas == 1);
}

TEST_CASE("spec: what is wrong is named with its field and value") {
  const std::pair<std::string, std::string> table[] = {
      {"[]", "not a JSON object"},
      {"{", "not a JSON object"},
      {std::string(100'000, '['), "not a JSON object"},
      {R"({"TaskTemplate":{"ContainerSpec":{"Image":"x"}}})", "Name"},
      {R"({"Name":"a/b","TaskTemplate":{"ContainerSpec":{"Image":"x"}}})", "Name: \"a/b\""},
      {R"({"Name":"web"})", "TaskTemplate.ContainerSpec.Image"},
      {spec_with(R"(,"Mode":{"Replicated":{"Replicas":-1}})"), "Mode.Replicated.Replicas: -1"},
      {spec_with(R"(,"Mode":{"Replicated":{"Replicas":20000}})"), "10000"},
      {spec_with(R"(,"Mode":{"Replicated":{},"Global":{}})"), "one mode"},
      {spec_with(R"(,"UpdateConfig":{"Delay":-5})"), "UpdateConfig.Delay: -5"},
      {spec_with(R"(,"UpdateConfig":{"Order":"both"})"), "stop-first, start-first"},
      {spec_with(R"(,"UpdateConfig":{"MaxFailureRatio":2})"), "from 0 to 1"},
      {spec_with(R"(,"EndpointSpec":{"Ports":[{"TargetPort":70000}]})"), "Ports[0].TargetPort"},
      {spec_with(R"(,"Labels":{"io.kith.failover":"maybe"})"), "eager, pinned, manual, majority"},
      {spec_with(R"(,"Labels":7)"), "Labels: 7"},
  };
  for (const auto& [json, words] : table) {
    CAPTURE(json.substr(0, 200));
    const Result<ServiceSpec> spec = parse_service_spec(json);
    REQUIRE_FALSE(spec);
    CHECK(spec.error().code == ErrorCode::kInvalid);
    CAPTURE(spec.error().message);
    CHECK(spec.error().message.find(words) != std::string::npos);
  }
}

TEST_CASE("spec: a service whose data exists on one host only is pinned") {
  const std::pair<const char*, Failover> table[] = {
      {R"({"Type":"volume","Source":"data","Target":"/d"})", Failover::kPinned},
      {R"({"Type":"volume","Target":"/d"})", Failover::kEager},
      {R"({"Type":"volume","Source":"d","VolumeOptions":{"DriverConfig":{"Name":"rexray"}}})",
       Failover::kEager},
      {R"({"Type":"volume","Source":"d","VolumeOptions":{"DriverConfig":{"Options":{"type":"nfs4"}}}})",
       Failover::kEager},
      {R"({"Type":"volume","Source":"d","VolumeOptions":{"DriverConfig":{"Options":{"type":"cifs"}}}})",
       Failover::kEager},
      {R"({"Type":"volume","Source":"d","VolumeOptions":{"DriverConfig":{"Options":{"type":"ext4"}}}})",
       Failover::kPinned},
      {R"({"Type":"bind","Source":"/srv","Target":"/d"})", Failover::kPinned},
      {R"({"Type":"bind","Source":"/srv","Target":"/d","ReadOnly":true})", Failover::kEager},
      {R"({"Type":"bind","Source":"/var/run/docker.sock","Target":"/s"})", Failover::kEager},
      {R"({"Type":"bind","Source":"/run/docker.sock","Target":"/s"})", Failover::kEager},
      {R"({"Type":"bind","Source":"/proc","Target":"/p"})", Failover::kEager},
      {R"({"Type":"bind","Source":"/sys/fs","Target":"/p"})", Failover::kEager},
      {R"({"Type":"bind","Source":"/runtime","Target":"/p"})", Failover::kPinned},
      {R"({"Type":"tmpfs","Target":"/p"})", Failover::kEager},
  };
  for (const auto& [mount, failover] : table) {
    CAPTURE(mount);
    CHECK(parse_service_spec(with_mount(mount))->failover == failover);
  }
  CHECK(
      parse_service_spec(with_mount(table[0].first, R"({"io.kith.failover":"eager"})"))->failover ==
      Failover::kEager);
  CHECK(parse_service_spec(spec_with(R"(,"Labels":{"io.kith.failover":"majority"})"))->failover ==
        Failover::kMajority);
}

TEST_CASE("spec: what needs new containers changes the task template, and nothing else does") {
  const std::string base = *task_template_of(spec_with(""));
  const char* same[] = {
      R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx"},"Placement":{"Constraints":["a == b"]}}})",
      R"({"Name":"web","TaskTemplate":{"ForceUpdate":0,"ContainerSpec":{"Env":null,"Image":"nginx"},"Resources":{"Limits":{}}}})",
      R"({"Name":"web","Labels":{"a":"b"},"Mode":{"Replicated":{"Replicas":9}},"UpdateConfig":{"Delay":1},"TaskTemplate":{"ContainerSpec":{"Image":"nginx"}}})",
      R"({"Name":"web","EndpointSpec":{"Ports":[{"TargetPort":80,"PublishedPort":80,"PublishMode":"ingress"}]},"TaskTemplate":{"ContainerSpec":{"Image":"nginx"}}})",
      R"({"Name":"web","tasktemplate":{"ContainerSpec":{"Image":"nginx"}}})",
  };
  for (const char* json : same) {
    CAPTURE(json);
    CHECK(*task_template_of(json) == base);
  }
  const char* different[] = {
      R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx:2"}}})",
      R"({"Name":"web","TaskTemplate":{"ForceUpdate":1,"ContainerSpec":{"Image":"nginx"}}})",
      R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx","Env":["A=1"]}}})",
      R"({"Name":"web","EndpointSpec":{"Ports":[{"TargetPort":80,"PublishMode":"host"}]},"TaskTemplate":{"ContainerSpec":{"Image":"nginx"}}})",
  };
  for (const char* json : different) {
    CAPTURE(json);
    CHECK(*task_template_of(json) != base);
  }
}
