#include "api/docker_json.h"

#include <doctest/doctest.h>

#include "api/json.h"
#include "fake_cluster.h"

namespace kith {
namespace {

using test::make_node;
using test::make_service;
using test::make_task;

constexpr WallTime kNow{1'700'000'060'000};
constexpr const char* kSpec =
    R"({"Name":"web","Labels":{},"TaskTemplate":{"ContainerSpec":{"Image":"nginx"},)"
    R"("FutureField":{"a":[1]}},"Mode":{"Replicated":{"Replicas":2}}})";

Json parsed(const std::string& text) {
  auto json = parse_json(text);
  REQUIRE(json);
  return *json;
}

void check_no_null(const Json& value) {
  CHECK_FALSE(value.is_null());
  if (value.is_structured())
    for (const Json& child : value) check_no_null(child);
}

TEST_CASE("docker json: a node, whole") {
  NodeEntry node = make_node(1, "ant");
  node.view.labels = {{"disk", "ssd"}};
  CHECK(node_json(node) ==
        R"({"ID":"9h3ufxhzxporkp6nlbnx5gp12","Version":{"Index":1},)"
        R"("CreatedAt":"2023-11-14T22:13:20.000Z","UpdatedAt":"2023-11-14T22:13:20.000Z",)"
        R"("Spec":{"Labels":{"disk":"ssd"},"Role":"manager","Availability":"active"},)"
        R"("Description":{"Hostname":"ant","Platform":{"Architecture":"x86_64","OS":"linux"},)"
        R"("Resources":{"NanoCPUs":4000000000,"MemoryBytes":8000000000},)"
        R"("Engine":{"EngineVersion":"28.2.2","Plugins":[{"Type":"Network","Name":"bridge"},)"
        R"({"Type":"Network","Name":"host"},{"Type":"Volume","Name":"local"}]},"TLSInfo":{}},)"
        R"("Status":{"State":"ready","Addr":"10.0.0.1"},)"
        R"("ManagerStatus":{"Leader":false,"Reachability":"reachable","Addr":"10.0.0.1:7117"}})");
}

TEST_CASE("docker json: how a node fares, in Docker's words") {
  struct Row {
    Liveness liveness;
    bool present, up;
    const char* state;
    const char* reachability;
  };
  const Row rows[] = {
      {Liveness::kAlive, true, true, "ready", "reachable"},
      {Liveness::kSuspect, true, true, "unknown", "reachable"},
      {Liveness::kDead, true, true, "down", "unreachable"},
      {Liveness::kLeft, true, true, "down", "unreachable"},
      {Liveness::kAlive, true, false, "down", "reachable"},   // its engine does not answer
      {Liveness::kAlive, false, false, "ready", "reachable"}  // a witness
  };
  for (const Row& row : rows) {
    NodeEntry node = make_node(1, "ant");
    node.view.liveness = row.liveness;
    node.view.engine.present = row.present;
    node.view.engine.up = row.up;
    const Json json = parsed(node_json(node));
    CHECK(json["Status"]["State"] == row.state);
    CHECK(json["ManagerStatus"]["Reachability"] == row.reachability);
  }
}

TEST_CASE("docker json: a node that never said anything of itself has every field all the same") {
  NodeEntry node;
  node.view.name = "ghost";
  node.view.liveness = Liveness::kDead;
  const Json json = parsed(node_json(node));
  check_no_null(json);
  CHECK(json["CreatedAt"] == "0001-01-01T00:00:00Z");
  CHECK(json["Description"]["Resources"]["NanoCPUs"] == 0);
}

TEST_CASE("docker json: a service, whole, with what kith does not know") {
  const ServiceEntry service = make_service("web", kSpec);
  CHECK(service_json(service, {}, kNow, {.defaults = false, .status = true}) ==
        R"({"ID":")" + service.doc.id +
            R"(","Version":{"Index":7},"CreatedAt":"2023-11-14T22:13:20.000Z",)"
            R"("UpdatedAt":"2023-11-14T22:13:20.000Z","Spec":)" +
            kSpec +
            R"(,"Endpoint":{"Spec":{}},"ServiceStatus":{"RunningTasks":0,"DesiredTasks":2,)"
            R"("CompletedTasks":0}})");
}

TEST_CASE("docker json: insertDefaults fills in what was not asked for, and only then") {
  const ServiceEntry service = make_service("web", kSpec);
  const Json with = parsed(service_json(service, {}, kNow, {.defaults = true, .status = false}));
  CHECK(with["Spec"]["TaskTemplate"]["ContainerSpec"]["StopGracePeriod"] == 10'000'000'000);
  CHECK(with["Spec"]["TaskTemplate"]["RestartPolicy"]["Condition"] == "any");
  CHECK(with["Spec"]["UpdateConfig"]["FailureAction"] == "pause");
  CHECK(with["Spec"]["RollbackConfig"]["Order"] == "stop-first");
  CHECK(with["Spec"]["EndpointSpec"]["Mode"] == "vip");
  const Json without = parsed(service_json(service, {}, kNow, {}));
  CHECK_FALSE(without["Spec"].contains("UpdateConfig"));
  CHECK_FALSE(without.contains("UpdateStatus"));
  CHECK_FALSE(without.contains("PreviousSpec"));
}

TEST_CASE("docker json: published ports carry all four fields") {
  const ServiceEntry service = make_service(
      "web", R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx"}},"EndpointSpec":)"
             R"({"Ports":[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8080,)"
             R"("PublishMode":"host"}]}})");
  const Json json = parsed(service_json(service, {}, kNow, {}));
  CHECK(dump(json["Endpoint"]["Ports"]) ==
        R"([{"Protocol":"tcp","TargetPort":80,"PublishedPort":8080,"PublishMode":"host"}])");
}

TEST_CASE("docker json: a running task, whole") {
  const ServiceEntry service = make_service("web", kSpec);
  const TaskRecord task = make_task(service.doc, 2, make_node(1, "ant").view.id);
  const std::vector<ServiceEntry> services = {service};
  CHECK(task_json(task, services) ==
        R"({"ID":")" + task.id +
            R"(","Version":{"Index":1700000002000},"CreatedAt":"2023-11-14T22:13:21.000Z",)"
            R"("UpdatedAt":"2023-11-14T22:13:22.000Z","Labels":{},)"
            R"("Spec":{"ContainerSpec":{"Image":"nginx"},"FutureField":{"a":[1]}},"ServiceID":")" +
            service.doc.id +
            R"(","Slot":2,"NodeID":"9h3ufxhzxporkp6nlbnx5gp12","Status":{"Timestamp":)"
            R"("2023-11-14T22:13:22.000Z","State":"running","Message":"started",)"
            R"("ContainerStatus":{"ContainerID":"c0ffee)" +
            task.id +
            R"(","PID":4242,"ExitCode":0},"PortStatus":{}},"DesiredState":"running",)"
            R"("NetworksAttachments":[]})");
}

TEST_CASE("docker json: a task that waits has no node and says why in one line") {
  const ServiceEntry service = make_service("web", kSpec);
  TaskRecord task = make_task(service.doc, 1, {});
  task.slot.node = {};
  task.state = TaskState::kPending;
  task.container_id.clear();
  task.error = "no suitable node\n(scheduling constraints)";
  const std::vector<ServiceEntry> services = {service};
  const Json json = parsed(task_json(task, services));
  CHECK_FALSE(json.contains("NodeID"));
  CHECK(json["Status"]["Err"] == "no suitable node (scheduling constraints)");
  CHECK_FALSE(json["Status"].contains("ContainerStatus"));
}

TEST_CASE("docker json: a global slot has no number; a task of a removed service still shows") {
  const ServiceEntry service =
      make_service("g", R"({"Name":"g","TaskTemplate":{"ContainerSpec":{"Image":"a"}},)"
                        R"("Mode":{"Global":{}}})");
  const TaskRecord task = make_task(service.doc, 0, make_node(1, "ant").view.id);
  const Json json = parsed(task_json(task, {}));
  CHECK_FALSE(json.contains("Slot"));
  CHECK(json["DesiredState"] == "remove");
  CHECK(json["Spec"]["ContainerSpec"]["Image"] == "a");
  check_no_null(json);
}

TEST_CASE("docker json: a task of the generation before shows the spec it was made of") {
  ServiceEntry service = make_service("web", kSpec);
  TaskRecord task = make_task(service.doc, 1, make_node(1, "ant").view.id);
  task.image.clear();
  service.doc.previous_json = service.doc.spec_json;
  service.doc.previous_generation = 1;
  service.doc.generation = 2;
  service.doc.spec_json = R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"httpd"}}})";
  const std::vector<ServiceEntry> services = {service};
  CHECK(parsed(task_json(task, services))["Spec"]["ContainerSpec"]["Image"] == "nginx");
  task.generation = 2;
  CHECK(parsed(task_json(task, services))["Spec"]["ContainerSpec"]["Image"] == "httpd");
}

TEST_CASE("docker json: empty lists are lists") {
  CHECK(nodes_json({}) == "[]");
  CHECK(services_json({}, {}, kNow, {}) == "[]");
  CHECK(tasks_json({}, {}) == "[]");
}

TEST_CASE("docker json: info keeps what the engine said, and replaces its Swarm") {
  StatusReport status;
  status.cluster_id = "cluster";
  std::vector<NodeEntry> nodes = {make_node(1, "ant"), make_node(2, "bee")};
  nodes[0].self = true;
  status.node = nodes[0].view.id;
  const char* engine = R"({"ID":"E","NCPU":8,"Swarm":{"LocalNodeState":"inactive"},"New":[1]})";
  const Json up = parsed(info_json(engine, true, status, nodes));
  CHECK(up["ID"] == "E");
  CHECK(up["New"][0] == 1);
  CHECK(up["Swarm"]["LocalNodeState"] == "active");
  CHECK(up["Swarm"]["ControlAvailable"] == true);
  CHECK(up["Swarm"]["Nodes"] == 2);
  CHECK(up["Swarm"]["Cluster"]["ID"] == "cluster");
  CHECK_FALSE(up.contains("Warnings"));
  const Json down = parsed(info_json("", false, status, nodes));
  CHECK(down["Name"] == "ant");
  CHECK(down["NCPU"] == 4);
  CHECK(down["Warnings"].size() == 1);
}

TEST_CASE("docker json: text that is not UTF-8 does not throw") {
  NodeEntry node = make_node(1, "an\xff");
  CHECK(parse_json(node_json(node)));
}

}  // namespace
}  // namespace kith
