#include "api/filters.h"

#include <doctest/doctest.h>

#include "api/lookup.h"
#include "fake_cluster.h"

namespace kith {
namespace {

using test::make_node;
using test::make_service;
using test::make_task;

constexpr const char* kSpec =
    R"({"Name":"web","Labels":{"tier":"front"},"TaskTemplate":{"ContainerSpec":{"Image":"i"}},)"
    R"("Mode":{"Replicated":{"Replicas":2}}})";

Filters parsed(std::string_view text) {
  auto filters = Filters::parse(text);
  REQUIRE(filters);
  return *filters;
}

TEST_CASE("filters: maps and lists say the same, and a false value counts") {
  for (const char* text : {R"({"name":["a","b"]})", R"({"name":{"a":true,"b":true}})",
                           R"({"name":{"a":true,"b":false}})"}) {
    CAPTURE(text);
    CHECK(parsed(text).values("name") == std::vector<std::string>{"a", "b"});
  }
  CHECK_FALSE(parsed("").has("name"));
  CHECK_FALSE(parsed(R"({"name":[]})").has("name"));
}

TEST_CASE("filters: garbage is a 400") {
  for (const char* text : {"x", "[]", "{", R"({"a":1})", R"({"a":[1]})", R"({"a":"b"})"}) {
    CAPTURE(text);
    const auto filters = Filters::parse(text);
    REQUIRE_FALSE(filters);
    CHECK(filters.error().status == 400);
  }
}

TEST_CASE("filters: an unknown key is refused by name, for every kind") {
  const Filters bogus = parsed(R"({"bogus":["1"]})");
  CHECK(filter_nodes({}, bogus).error().message == "Invalid filter 'bogus'");
  CHECK(filter_services({}, bogus).error().message == "Invalid filter 'bogus'");
  CHECK(filter_tasks({}, bogus, {}, {}).error().message == "Invalid filter 'bogus'");
}

TEST_CASE("filters: Docker's booleans") {
  for (const char* no : {"", "0", "no", "false", "FALSE", "none", "None"})
    CHECK_FALSE(docker_bool(no));
  for (const char* yes : {"1", "true", "yes", "x", "00"}) CHECK(docker_bool(yes));
}

TEST_CASE("filters: nodes by each key") {
  NodeEntry ant = make_node(1, "ant");
  ant.view.labels = {{"disk", "ssd"}};
  ant.view.engine.labels = {{"arch", "arm"}};
  const std::vector<NodeEntry> nodes = {ant, make_node(2, "bee")};
  struct Row {
    const char* filters;
    size_t count;
  };
  const Row rows[] = {
      {"", 2},
      {R"({"name":["a"]})", 1},
      {R"({"name":["nt"]})", 0},
      {R"({"name":["ant","bee"]})", 2},
      {R"({"id":["9h3"]})", 1},
      {R"({"role":["manager"]})", 2},
      {R"({"role":["worker"]})", 0},
      {R"({"membership":["accepted"]})", 2},
      {R"({"node.label":["disk"]})", 1},
      {R"({"node.label":["disk=ssd"]})", 1},
      {R"({"node.label":["disk=hdd"]})", 0},
      {R"({"label":["arch=arm"]})", 1},
      {R"({"label":["disk"]})", 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.filters);
    const auto some = filter_nodes(nodes, parsed(row.filters));
    REQUIRE(some);
    CHECK(some->size() == row.count);
  }
}

TEST_CASE("filters: services by label, mode and name prefix") {
  const std::vector<ServiceEntry> services = {make_service("web", kSpec)};
  struct Row {
    const char* filters;
    size_t count;
  };
  const Row rows[] = {{R"({"label":["tier"]})", 1},
                      {R"({"label":["tier=front"]})", 1},
                      {R"({"label":["tier=front","other"]})", 0},
                      {R"({"mode":["replicated"]})", 1},
                      {R"({"mode":["global"]})", 0},
                      {R"({"name":["we"]})", 1},
                      {R"({"runtime":["container"]})", 1}};
  for (const Row& row : rows) {
    CAPTURE(row.filters);
    const auto some = filter_services(services, parsed(row.filters));
    REQUIRE(some);
    CHECK(some->size() == row.count);
  }
}

TEST_CASE("filters: tasks by service, node, desired state and being up to date") {
  const std::vector<NodeEntry> nodes = {make_node(1, "ant"), make_node(2, "bee")};
  std::vector<ServiceEntry> services = {make_service("web", kSpec)};
  services[0].doc.generation = 2;
  std::vector<TaskRecord> tasks = {make_task(services[0].doc, 1, nodes[0].view.id),
                                   make_task(services[0].doc, 2, nodes[1].view.id),
                                   make_task(services[0].doc, 3, nodes[1].view.id)};
  tasks[0].generation = 1;
  struct Row {
    const char* filters;
    size_t count;
  };
  const Row rows[] = {{"", 3},
                      {R"({"service":["web"]})", 3},
                      {R"({"node":["bee"]})", 2},
                      {R"({"node":{"bee":true},"name":{"web.2":true}})", 1},
                      {R"({"_up-to-date":{"true":true},"service":{"web":true}})", 2},
                      {R"({"_up-to-date":["false"]})", 3},
                      {R"({"desired-state":["running"]})", 2},  // slot 3 is scaled away
                      {R"({"desired-state":["shutdown"]})", 1}};
  for (const Row& row : rows) {
    CAPTURE(row.filters);
    const auto some = filter_tasks(tasks, parsed(row.filters), services, nodes);
    REQUIRE(some);
    CHECK(some->size() == row.count);
  }
  CHECK(filter_tasks(tasks, parsed(R"({"service":["nope"]})"), services, nodes).error().message ==
        "service nope not found");
  CHECK_FALSE(filter_tasks(tasks, parsed(R"({"desired-state":["odd"]})"), services, nodes));
}

TEST_CASE("lookup: full id, then exact name, then id prefix, then nothing") {
  std::vector<ServiceEntry> services = {make_service("web", kSpec), make_service("db", kSpec),
                                        make_service("x", kSpec)};
  services[0].doc.id = "aaa111";
  services[1].doc.id = "aaa222";
  services[2].doc.id = "bbb333";
  services[2].doc.name = "aaa222";  // a name that is another's id
  CHECK((*find_service(services, "aaa222"))->doc.name == "db");
  CHECK((*find_service(services, "web"))->doc.id == "aaa111");
  CHECK((*find_service(services, "bbb"))->doc.id == "bbb333");
  CHECK(find_service(services, "aaa").error().status == 400);
  CHECK(find_service(services, "aaa").error().message ==
        "service aaa is ambiguous (2 matches found)");
  CHECK(find_service(services, "nope").error().status == 404);
  CHECK(find_service(services, "nope").error().message == "service nope not found");
  CHECK_FALSE(find_service(services, ""));
}

TEST_CASE("lookup: two nodes of one name are ambiguous, and self is this one") {
  std::vector<NodeEntry> nodes = {make_node(1, "ant"), make_node(2, "ant")};
  nodes[1].self = true;
  CHECK(find_node(nodes, "ant").error().message == "node ant is ambiguous (2 matches found)");
  CHECK(*find_node(nodes, "self") == &nodes[1]);
  CHECK(*find_node(nodes, nodes[0].view.id.docker_id()) == &nodes[0]);
}

}  // namespace
}  // namespace kith
