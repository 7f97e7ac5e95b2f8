#include "api/service_validate.h"

#include <doctest/doctest.h>

#include "api/image_reference.h"
#include "api/json.h"
#include "api/spec_keys.h"
#include "fake_cluster.h"

namespace kith {
namespace {

// A sound spec with `extra` members put in.
std::string spec(const std::string& extra = {}, const std::string& container = {},
                 const std::string& task = {}) {
  return R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx")" + container + "}" +
         task + "}" + extra + "}";
}

Json stored(const std::string& posted) {
  const auto checked = check_new_service(posted, "made_up");
  if (!checked) FAIL(checked.error().message);
  return *parse_json(checked->json);
}

TEST_CASE("spec: what is stored has Docker's defaults and spelling") {
  CHECK(dump(stored(spec())) ==
        R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx"},"ForceUpdate":0,)"
        R"("Runtime":"container"},"Labels":{},"Mode":{"Replicated":{"Replicas":1}}})");
  const Json json = stored(
      R"({"name":"web","taskTemplate":{"containerspec":{"image":"i","tty":true,"labels":{"NaMe":"x"}},)"
      R"("resources":{"limits":{"nanocpus":1000000000}}},"mode":{"replicated":{"replicas":3}},)"
      R"("labels":null,"endpointspec":{"ports":[{"targetport":80,"publishmode":"host"}]},)"
      R"("updateconfig":{"parallelism":2},"FutureThing":{"KeyCase":[null,1]}})");
  CHECK(json["Mode"]["Replicated"]["Replicas"] == 3);
  CHECK(json["TaskTemplate"]["ContainerSpec"]["TTY"] == true);
  CHECK(json["TaskTemplate"]["ContainerSpec"]["Labels"]["NaMe"] == "x");
  CHECK(json["TaskTemplate"]["Resources"]["Limits"]["NanoCPUs"] == 1'000'000'000);
  CHECK(json["Labels"].is_object());
  CHECK(json["EndpointSpec"]["Mode"] == "vip");
  CHECK(json["EndpointSpec"]["Ports"][0]["Protocol"] == "tcp");
  CHECK(json["UpdateConfig"]["FailureAction"] == "pause");
  CHECK(json["UpdateConfig"]["Order"] == "stop-first");
  CHECK(json["FutureThing"]["KeyCase"][1] == 1);
}

TEST_CASE("spec: a service without a name gets one") {
  CHECK(stored(R"({"TaskTemplate":{"ContainerSpec":{"Image":"i"}}})")["Name"] == "made_up");
}

TEST_CASE("spec: what is checked and what is asked for in vain is refused by name") {
  struct Row {
    std::string posted;
    const char* words;
  };
  const std::string long_name(64, 'a');
  const Row rows[] = {
      {"", "invalid JSON"},
      {"[]", "a service spec is an object"},
      {"{\"Name\":", "invalid JSON"},
      {R"({"Name":"web"})", "TaskSpec: missing runtime"},
      {R"({"Name":"web","TaskTemplate":{}})", "ContainerSpec: image reference must be provided"},
      {R"({"Name":"we b","TaskTemplate":{"ContainerSpec":{"Image":"i"}}})",
       "name must be valid as a DNS name component"},
      {R"({"Name":"-web","TaskTemplate":{"ContainerSpec":{"Image":"i"}}})",
       "name must be valid as a DNS name component"},
      {R"({"Name":")" + long_name + R"(","TaskTemplate":{"ContainerSpec":{"Image":"i"}}})",
       "name must be 63 characters or fewer"},
      {spec(R"(,"Mode":{"Replicated":{"Replicas":-1}})"), "not negative"},
      {spec(R"(,"Mode":{"Replicated":{"Replicas":"3"}})"), "not negative"},
      {spec(R"(,"Mode":{"Replicated":{"Replicas":10001}})"), "more than 10000"},
      {spec(R"(,"Mode":{"ReplicatedJob":{}})"), "runs no jobs"},
      {spec(R"(,"Mode":{"GlobalJob":{}})"), "runs no jobs"},
      {spec(R"(,"Mode":{"Replicated":{},"Global":{}})"), "either Replicated or Global"},
      {spec(R"(,"Labels":{"a":1})"), "Labels"},
      {spec("", R"(,"Secrets":[{"SecretID":"x"}])"), "ContainerSpec.Secrets"},
      {spec("", R"(,"Configs":[{"ConfigID":"x"}])"), "ContainerSpec.Configs"},
      {spec("", R"(,"Privileges":{"CredentialSpec":{"File":"x"}})"), "CredentialSpec"},
      {spec("", R"(,"Privileges":{"NoNewPrivileges":true})"), "Privileges.NoNewPrivileges"},
      {spec("", R"(,"privileges":{"nonewprivileges":true})"), "Privileges.NoNewPrivileges"},
      {spec("", R"(,"Privileges":{"Seccomp":{"Mode":"unconfined"}})"), "Privileges.Seccomp"},
      {spec("", R"(,"Privileges":{"Seccomp":{"Mode":"custom","Profile":"e30="}})"),
       "Privileges.Seccomp"},
      {spec("", R"(,"Privileges":{"AppArmor":{"Mode":"disabled"}})"), "Privileges.AppArmor"},
      {spec("", R"(,"Privileges":{"SELinuxContext":{"Disable":true}})"),
       "Privileges.SELinuxContext"},
      {spec("", R"(,"Privileges":{"SELinuxContext":{"Disable":false,"User":"u"}})"),
       "Privileges.SELinuxContext"},
      {spec("", R"(,"OomScoreAdj":1001)"), "ContainerSpec.OomScoreAdj"},
      {spec("", R"(,"OomScoreAdj":"1")"), "ContainerSpec.OomScoreAdj"},
      {spec("", R"(,"Mounts":[{"Type":"cluster","Target":"/x"}])"), "Mounts.Type"},
      {spec("", R"(,"Mounts":[{"Type":"volume","Target":"x"}])"), "absolute path: x"},
      {spec("", R"(,"Mounts":[{"Type":"bind","Source":"x","Target":"/x"}])"),
       "invalid bind mount source"},
      {spec("", R"(,"Mounts":[{"Type":"tmpfs","Target":"/x"},{"Type":"tmpfs","Target":"/x"}])"),
       "duplicate mount point: /x"},
      {spec("", "", R"(,"Runtime":"plugin")"), "TaskTemplate.Runtime"},
      {spec("", "", R"(,"NetworkAttachmentSpec":{"ContainerID":"x"})"), "NetworkAttachmentSpec"},
      {spec("", "", R"(,"Resources":{"Reservations":{"GenericResources":[{}]}})"),
       "GenericResources"},
      {spec("", "", R"(,"Resources":{"Limits":{"MemoryBytes":1000}})"), "at least 4MiB"},
      {spec("", "", R"(,"Resources":{"Limits":{"NanoCPUs":1000}})"), "at least 0.001"},
      {spec("", "", R"(,"Placement":{"Constraints":["node.role"]})"), "one operator"},
      {spec("", "", R"(,"Networks":[{"Target":"ingress"}])"), "network ingress not found"},
      {spec("", "", R"(,"Networks":[{"Target":"a"},{"Target":"b"}])"), "one network"},
      {spec(R"(,"Networks":[{"Target":"a"},{"Target":"b"}])"), "one network"},
      {spec(R"(,"UpdateConfig":{"FailureAction":"rollback"})"),
       "UpdateConfig.FailureAction: automatic rollback is not there yet; pause and continue work"},
      {spec(R"(,"RollbackConfig":{"FailureAction":"rollback"})"), "RollbackConfig.FailureAction"},
      {spec(R"(,"Labels":{"io.kith.failover":"majority"})"), "io.kith.failover"},
      {spec("", "", R"(,"RestartPolicy":{"Delay":-1})"), "restart-delay cannot be negative"},
      {spec(R"(,"UpdateConfig":{"MaxFailureRatio":2})"), "update-maxfailureratio"},
      {spec(R"(,"EndpointSpec":{"Ports":[{"TargetPort":80,"PublishedPort":8080}]})"),
       "use mode=host: -p mode=host,published=8080,target=80"},
      {spec(R"(,"EndpointSpec":{"Ports":[{"TargetPort":80,"PublishMode":"ingress"}]})"),
       "needs the overlay"},
      {spec(R"(,"EndpointSpec":{"Ports":[{"TargetPort":70000,"PublishMode":"host"}]})"),
       "is not a port number"},
      {spec(R"(,"EndpointSpec":{"Ports":[{"PublishMode":"host"}]})"), "a target port"},
      {spec(R"(,"EndpointSpec":{"Ports":[)"
            R"({"TargetPort":80,"PublishedPort":80,"PublishMode":"host"},)"
            R"({"TargetPort":81,"PublishedPort":80,"PublishMode":"host"}]})"),
       "duplicate published ports"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.posted);
    const auto checked = check_new_service(row.posted, "made_up");
    REQUIRE_FALSE(checked);
    CAPTURE(checked.error().message);
    CHECK(checked.error().message.find(row.words) != std::string::npos);
    CHECK((checked.error().status == 400 || checked.error().status == 500));
  }
}

TEST_CASE("spec: what a stock client sends of privileges, platforms and updates is taken") {
  for (const char* privileges :
       {"null", "{}", R"({"CredentialSpec":null,"SELinuxContext":null})",
        R"({"CredentialSpec":null,"SELinuxContext":null,"NoNewPrivileges":false})",
        R"({"Seccomp":{"Mode":"default","Profile":null},"AppArmor":{"Mode":"default"}})",
        R"({"Seccomp":{"Mode":""},"AppArmor":{}})",
        R"({"SELinuxContext":{"Disable":false,"User":"","Role":"","Type":"","Level":""}})"}) {
    CAPTURE(privileges);
    CHECK(check_new_service(spec("", std::string(R"(,"Privileges":)") + privileges), "n"));
  }
  CHECK(check_new_service(spec("", R"(,"OomScoreAdj":-500)"), "n"));
  for (const char* action : {"pause", "continue"}) {
    const std::string config = std::string(R"(:{"FailureAction":")") + action + "\"}";
    CHECK(check_new_service(spec(R"(,"UpdateConfig")" + config), "n"));
    CHECK(check_new_service(spec(R"(,"RollbackConfig")" + config), "n"));
  }
  for (const char* failover : {"eager", "pinned", "manual"})
    CHECK(check_new_service(
        spec(std::string(R"(,"Labels":{"io.kith.failover":")") + failover + "\"}"), "n"));
}

TEST_CASE("spec: local networks and host ports are taken") {
  const Json json = stored(spec(
      R"(,"EndpointSpec":{"Ports":[{"TargetPort":80,"PublishedPort":8080,"PublishMode":"host"}]})",
      "", R"(,"Networks":[{"Target":"host"}])"));
  CHECK(json["TaskTemplate"]["Networks"][0]["Target"] == "host");
}

TEST_CASE("spec: one too long for a record, or built to hurt, is refused") {
  const std::string big = spec(R"(,"X":")" + std::string(kMaxSpecBytes, 'x') + "\"");
  CHECK(check_new_service(big, "n").error().message.find("can be kept") != std::string::npos);
  const std::string deep = spec(R"(,"X":)" + std::string(100'000, '['));
  CHECK(check_new_service(deep, "n").error().message.find("deeper") != std::string::npos);
  std::string wide = spec(R"(,"X":[0)");
  for (int i = 0; i < 20'000; ++i) wide += ",0";
  CHECK(check_new_service(wide, "n").error().message.find("values") != std::string::npos);
}

TEST_CASE("spec: an update may not rename, nor change the mode") {
  const ServiceEntry web = test::make_service("web", spec());
  CHECK(check_service_update(spec(), web.doc));
  std::string renamed = spec();
  renamed.replace(renamed.find("web"), 3, "new");
  const auto name = check_service_update(renamed, web.doc);
  CHECK(name.error().status == 501);
  CHECK(name.error().message.ends_with("renaming services is not supported"));
  const auto mode = check_service_update(spec(R"(,"Mode":{"Global":{}})"), web.doc);
  CHECK(mode.error().status == 501);
  CHECK(mode.error().message.ends_with("service mode change is not allowed"));
}

TEST_CASE("spec: any bytes are refused or stored, and never crash") {
  const std::string sound = spec(
      R"(,"Mode":{"Replicated":{"Replicas":3}},"EndpointSpec":{"Ports":[{"TargetPort":80,)"
      R"("PublishMode":"host"}]},"UpdateConfig":{"Parallelism":1})",
      R"(,"Mounts":[{"Type":"tmpfs","Target":"/x"}])", R"(,"Placement":{"Constraints":["a==b"]})");
  // Every value replaced by one of another type.
  const char* strange[] = {"null", "-1", "1.5", "\"\"", "[]", "{}", "[{}]", "true", "[null]"};
  for (size_t i = 0; i < sound.size(); ++i) {
    if (sound[i] != ':') continue;
    for (const char* value : strange) {
      const std::string posted =
          sound.substr(0, i + 1) + value + sound.substr(sound.find_first_of(",}", i));
      const auto checked = check_new_service(posted, "n");
      if (!checked) CHECK_FALSE(checked.error().message.empty());
    }
  }
  for (size_t i = 0; i < sound.size(); ++i)
    CHECK_FALSE(check_new_service(std::string_view(sound).substr(0, i), "n"));
}

TEST_CASE("image: taken and refused as Docker's own grammar does") {
  const std::string hex64(64, 'a');
  for (const std::string good :
       {"nginx", "nginx:1.27", "library/nginx", "a.b/c", "host.example/a/b-c__d.e:V1_x.y-z",
        "localhost/x", "localhost:5000/x:1", "HOST/x", "[::1]:5000/x", "a---b", "5e3874516747",
        "10.0.0.1:5000/team/app"})
    CHECK_MESSAGE(valid_image_reference(good), good);
  CHECK(valid_image_reference("nginx@sha256:" + hex64));
  CHECK(valid_image_reference("nginx:1@sha256:" + hex64));
  CHECK(valid_image_reference("sha256:" + hex64));
  for (const std::string bad : {"",
                                ":",
                                "Nginx",
                                "Bad:image:name",
                                "nginx:",
                                "nginx:-x",
                                "a b",
                                "a//b",
                                "/a",
                                "a/",
                                "a..b",
                                "a___b",
                                "-a",
                                "a-",
                                "a.-b",
                                "host:port/x",
                                "a_b:5000/x:",
                                "nginx@",
                                "nginx@sha256:12",
                                "library/Nginx",
                                "x\ny",
                                "ho_st.example/x",
                                ".a/b"})
    CHECK_FALSE_MESSAGE(valid_image_reference(bad), bad);
  CHECK_FALSE(valid_image_reference(hex64));
  CHECK_FALSE(valid_image_reference("nginx:" + std::string(129, 'x')));
  CHECK_FALSE(valid_image_reference(std::string(256, 'x')));
}

}  // namespace
}  // namespace kith
