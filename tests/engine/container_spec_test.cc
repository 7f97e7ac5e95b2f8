#include "engine/container_spec.h"

#include "docker_fixture.h"
#include "engine/docker_task.h"

namespace kith::test {
namespace {

Json body_of(const Json& spec) {
  const auto made = container_spec(start_of("task1", spec));
  REQUIRE(made);
  return Json::parse(made->body);
}

TEST_CASE("container spec: each field stands where Swarm's executor puts it") {
  struct Row {
    const char* in;  ///< of the ContainerSpec
    const char* at;  ///< JSON pointer into the container
    const char* out;
  };
  const Row rows[] = {
      {R"({"Command":["a","b"]})", "/Entrypoint", R"(["a","b"])"},
      {R"({"Args":["a","b"]})", "/Cmd", R"(["a","b"])"},
      {R"({"Env":["A=1","B={{.Task.Slot}}"]})", "/Env", R"(["A=1","B=2"])"},
      {R"({"Hostname":"{{.Service.Name}}-{{.Task.Slot}}-{{.Node.Hostname}}"})", "/Hostname",
       R"("web-2-here")"},
      {R"({"Hostname":"{{.Task.Name}}"})", "/Hostname", R"("web.2.task1")"},
      {R"({"Env":["A={{ .Task.ID }} {{.Service.ID}} {{index .Service.Labels \"l\"}} {{.No}}"]})",
       "/Env", R"(["A=task1 service1 of-service {{.No}}"])"},
      {R"({"User":"1:2"})", "/User", R"("1:2")"},
      {R"({"Dir":"/w"})", "/WorkingDir", R"("/w")"},
      {R"({"TTY":true})", "/Tty", "true"},
      {R"({"OpenStdin":true})", "/OpenStdin", "true"},
      {R"({"StopSignal":"SIGINT"})", "/StopSignal", R"("SIGINT")"},
      {R"({"StopGracePeriod":1500000000})", "/StopTimeout", "2"},
      {R"({"Healthcheck":{"Test":["CMD","x"],"Interval":5,"Timeout":6,"Retries":7,"StartPeriod":8}})",
       "/Healthcheck",
       R"({"Test":["CMD","x"],"Interval":5,"Timeout":6,"Retries":7,"StartPeriod":8})"},
      {R"({"ReadOnly":true})", "/HostConfig/ReadonlyRootfs", "true"},
      {R"({"Groups":["g"]})", "/HostConfig/GroupAdd", R"(["g"])"},
      {R"({"CapabilityAdd":["CAP_NET_ADMIN"]})", "/HostConfig/CapAdd", R"(["CAP_NET_ADMIN"])"},
      {R"({"CapabilityDrop":["ALL"]})", "/HostConfig/CapDrop", R"(["ALL"])"},
      {R"({"Sysctls":{"net.core.somaxconn":"9"}})", "/HostConfig/Sysctls",
       R"({"net.core.somaxconn":"9"})"},
      {R"({"Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}]})", "/HostConfig/Ulimits",
       R"([{"Name":"nofile","Soft":1,"Hard":2}])"},
      {R"({"Init":false})", "/HostConfig/Init", "false"},
      {R"({"OomScoreAdj":-500})", "/HostConfig/OomScoreAdj", "-500"},
      {R"({"Hosts":["10.0.0.1 a  b","10.0.0.2\tc","bad"]})", "/HostConfig/ExtraHosts",
       R"(["a:10.0.0.1","b:10.0.0.1","c:10.0.0.2"])"},
      {R"({"DNSConfig":{"Nameservers":["1.1.1.1"],"Search":["s"],"Options":["o"]}})",
       "/HostConfig/Dns", R"(["1.1.1.1"])"},
      {R"({"DNSConfig":{"Search":["s"]}})", "/HostConfig/DnsSearch", R"(["s"])"},
      {R"({"DNSConfig":{"Options":["o"]}})", "/HostConfig/DnsOptions", R"(["o"])"},
      {R"({"Mounts":[{"Type":"bind","Source":"/d/{{.Task.Slot}}","Target":"/t","ReadOnly":true,"BindOptions":{"Propagation":"rshared"}}]})",
       "/HostConfig/Mounts",
       R"([{"Type":"bind","Source":"/d/2","Target":"/t","ReadOnly":true,"BindOptions":{"Propagation":"rshared"}}])"},
      {R"({"Mounts":[{"Type":"volume","Source":"v-{{.Task.Slot}}","Target":"/t/{{.Task.Slot}}","VolumeOptions":{"NoCopy":true,"Labels":{"a":"{{.Node.Hostname}}"},"DriverConfig":{"Name":"local","Options":{"type":"nfs","device":":/x/{{.Task.Slot}}"}}}}]})",
       "/HostConfig/Mounts",
       R"([{"Type":"volume","Source":"v-2","Target":"/t/2","VolumeOptions":{"NoCopy":true,"Labels":{"a":"here"},"DriverConfig":{"Name":"local","Options":{"type":"nfs","device":":/x/2"}}}}])"},
      {R"({"Mounts":[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":9,"Mode":1023}}]})",
       "/HostConfig/Mounts",
       R"([{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":9,"Mode":1023}}])"},
      {R"({"Labels":{"mine":"x","io.kith.task":"forged"}})", "/Labels/io.kith.task", R"("task1")"},
      {R"({"Labels":{"mine":"x"}})", "/Labels/mine", R"("x")"},
      {"{}", "/HostConfig/RestartPolicy/Name", R"("no")"},
      {"{}", "/Labels/com.docker.swarm.service.name", R"("web")"},
      {"{}", "/Labels/com.docker.swarm.task.name", R"("web.2.task1")"},
      {"{}", "/Labels/io.kith.term", R"("5")"},
      {"{}", "/Labels/io.kith.generation", R"("3")"},
      {"{}", "/Labels/io.kith.slot", R"("2")"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.in);
    Json spec = service({}, Json::parse(row.in));
    if (spec["TaskTemplate"]["ContainerSpec"]["Command"].empty())
      spec["TaskTemplate"]["ContainerSpec"].erase("Command");
    spec["Labels"]["l"] = "of-service";
    auto start = start_of("task1", spec, 2);
    const auto made = container_spec(start);
    REQUIRE(made);
    const Json body = Json::parse(made->body);
    const Json::json_pointer at(row.at);
    REQUIRE(body.contains(at));
    CHECK(body[at] == Json::parse(row.out));
  }
}

TEST_CASE("container spec: resources, log driver, ports and networks of the service") {
  Json spec = service({"x"});
  spec["TaskTemplate"]["Resources"] = {
      {"Limits", {{"NanoCPUs", 5}, {"MemoryBytes", 6}, {"Pids", 7}}},
      {"Reservations", {{"MemoryBytes", 4}}}};
  spec["TaskTemplate"]["LogDriver"] = {{"Name", "json-file"}, {"Options", {{"max-size", "1m"}}}};
  spec["TaskTemplate"]["Networks"] = {{{"Target", "net"}, {"Aliases", {"al"}}}};
  spec["EndpointSpec"]["Ports"] = {
      {{"PublishMode", "host"}, {"TargetPort", 80}, {"PublishedPort", 81}},
      {{"PublishMode", "host"}, {"TargetPort", 53}, {"Protocol", "udp"}},
      {{"PublishMode", "ingress"}, {"TargetPort", 90}, {"PublishedPort", 91}}};
  const Json body = body_of(spec);
  const Json& host = body["HostConfig"];
  CHECK(host["NanoCpus"] == 5);
  CHECK(host["Memory"] == 6);
  CHECK(host["PidsLimit"] == 7);
  CHECK(host["MemoryReservation"] == 4);
  CHECK(host["LogConfig"] == Json::parse(R"({"Type":"json-file","Config":{"max-size":"1m"}})"));
  CHECK(host["NetworkMode"] == "net");
  CHECK(body["NetworkingConfig"]["EndpointsConfig"]["net"]["Aliases"] == Json({"al"}));
  CHECK(host["PortBindings"] == Json::parse(R"({"80/tcp":[{"HostIp":"","HostPort":"81"}],
                        "53/udp":[{"HostIp":"","HostPort":""}]})"));
  CHECK(body["ExposedPorts"] == Json::parse(R"({"80/tcp":{},"53/udp":{}})"));
}

TEST_CASE("container spec: a spec without an image, or no spec at all, is refused") {
  CHECK_FALSE(container_spec(start_of("t", Json::object())));
  CHECK_FALSE(container_spec(start_of("t", Json("text"))));
  StartTask broken = start_of("t", service({}));
  broken.spec_json = "{";
  CHECK_FALSE(container_spec(broken));
  for (const char* odd : {R"({"Image":"i","Env":"x","Mounts":7,"Hosts":{"a":1},"Labels":[]})",
                          R"({"Image":"i","Healthcheck":[],"DNSConfig":3,"Sysctls":null})"})
    CHECK(container_spec(start_of("t", {{"TaskTemplate", {{"ContainerSpec", Json::parse(odd)}}}})));
}

TEST_CASE("container info: the grace that a container was created with") {
  const auto grace_of = [](const Json& timeout) {
    Json inspected = {{"Id", "c1"},
                      {"Config", {{"Labels", {{kTaskLabel, "t1"}, {kServiceLabel, "web"}}}}}};
    if (!timeout.is_discarded()) inspected["Config"]["StopTimeout"] = timeout;
    const auto info = container_info(inspected.dump());
    REQUIRE(info);
    return info->grace;
  };
  CHECK(grace_of(90) == seconds(90));
  CHECK(grace_of(0) == seconds(0));
  CHECK(grace_of(Json(Json::value_t::discarded)) == std::nullopt);
  CHECK(grace_of(nullptr) == std::nullopt);
  CHECK(grace_of(-1) == std::nullopt);
  CHECK(grace_of("90") == std::nullopt);
  CHECK(grace_of(1.5) == std::nullopt);
  CHECK(grace_of(uint64_t{1} << 63) == kMaxGrace);
  CHECK(grace_of(int64_t{1} << 62) == kMaxGrace);
}

}  // namespace
}  // namespace kith::test
