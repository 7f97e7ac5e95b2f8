#include "placement/explain.h"

#include <map>

#include <doctest/doctest.h>

#include "fixture.h"

using namespace kith;
using namespace kith::test;

namespace {

SlotExplanation explained(const PlacementView& view, const SlotKey& slot) {
  const Ring ring(view);
  auto out = explain(view, ring, assign(view, ring), slot);
  REQUIRE(out.has_value());
  return *out;
}

std::map<std::string, std::string> reasons(const SlotExplanation& explanation) {
  std::map<std::string, std::string> out;
  for (const NodeVerdict& line : explanation.walk) out[line.name] = line.reason;
  return out;
}

}  // namespace

TEST_CASE("explain: every node is listed with its reason") {
  PlacementView view = cluster(11);
  ServiceDoc web = service("web", 1);
  web.spec.constraints = {"node.labels.disk == ssd"};
  web.spec.reservations = {500'000'000, int64_t{512} << 20};
  web.spec.ports = {{"tcp", 80, 8080, true}};
  ServiceDoc old = service("a", 1);
  old.spec.ports = web.spec.ports;
  view.services = {old, web};
  for (NodeView& node : view.nodes) node.labels["disk"] = "ssd";
  view.seats = {seat(old, 1, 1)};
  view.nodes[1].labels.clear();
  view.nodes[2].memory_bytes = int64_t{100} << 20;
  view.nodes[3].nano_cpus = 250'000'000;
  view.nodes[4].liveness = Liveness::kDead;
  view.nodes[5].availability = Availability::kDrain;
  view.nodes[6].availability = Availability::kPause;
  view.nodes[7].ready = false;
  view.nodes[8].runs_tasks = false;
  view.nodes[8].engine.error = "connection refused";
  view.nodes[9].runs_tasks = false;
  view.nodes[9].engine.present = false;
  view.nodes.push_back(node(12));
  view.nodes[11].labels["disk"] = "ssd";
  view.nodes[11].engine.architecture = "aarch64";
  view.services[1].spec.platforms = {{"linux", "amd64"}};
  view.refusals = {{{"web", 1, {}}, node_id(11), 1, "no such image: x"}};

  // n11 is tried again, since whoever else could have refused; its use is its own.
  SlotExplanation out = explained(view, {"web", 1, {}});
  CHECK(out.slot.all_refused);
  CHECK(out.verdict == "web.1 is tried again on n11: every node that could run it refused");
  CHECK(out.error == "every node refused, tried again with back-off: no such image: x");

  view.nodes[10].liveness = Liveness::kLeft;
  out = explained(view, {"web", 1, {}});
  const std::map<std::string, std::string> expected = {
      {"n1", "port 8080/tcp taken by a.1"},
      {"n2", "constraint node.labels.disk == ssd does not match"},
      {"n3", "needs 512 MiB, 100 MiB free"},
      {"n4", "needs 0.50 CPUs, 0.25 CPUs free"},
      {"n5", "dead"},
      {"n6", "drained"},
      {"n7", "paused"},
      {"n8", "not ready"},
      {"n9", "engine is down: connection refused"},
      {"n10", "runs no containers"},
      {"n11", "left"},
      {"n12", "image is not for linux/aarch64"},
  };
  CHECK(reasons(out) == expected);
  CHECK(out.verdict == "web.1 waits: " + out.error);
}

TEST_CASE("explain: the error counts nodes by reason, the most first") {
  PlacementView view = cluster(3);
  view.services = {service("web", 1)};
  view.services[0].spec.constraints = {"node.labels.disk==ssd"};
  view.services[0].spec.reservations.memory_bytes = int64_t{1} << 40;
  view.nodes[2].labels["disk"] = "ssd";
  CHECK(explained(view, {"web", 1, {}}).error ==
        "no suitable node (2 nodes: constraint node.labels.disk==ssd does not match; "
        "1 node: insufficient memory)");
  view.services[0].spec.constraints = {"disk is ssd"};
  CHECK(explained(view, {"web", 1, {}}).error ==
        "no suitable node (3 nodes: constraint \"disk is ssd\": has neither == nor !=)");
  view.nodes.clear();
  CHECK(explained(view, {"web", 1, {}}).error == "no suitable node (the cluster has none)");
}

TEST_CASE("explain: bounds are named") {
  PlacementView view = cluster(2);
  const ServiceDoc web = service("web", 4);
  view.services = {web};
  view.seats = {seat(web, 1, 1), seat(web, 2, 1)};
  const SlotExplanation out = explained(view, {"web", 3, {}});
  CHECK(reasons(out).at("n1") == "spread bound 2 reached");
  CHECK(reasons(out).at("n2").empty());
  CHECK(out.verdict == "web.3 goes to n2, the first in its walk that can run it");
}

TEST_CASE("explain: a load bound is named") {
  PlacementView view = cluster(2);
  ServiceDoc a = service("a", 4);
  a.spec.constraints = {"node.hostname == n1"};
  view.services = {a, service("b", 2)};
  view.seats = {};
  for (uint32_t i = 1; i <= 4; ++i) view.seats.push_back(seat(a, i, 1));
  const Assignment all = assign(view);
  CHECK(target(all, "b", 1) == node_id(2));
  CHECK(target(all, "b", 2) == node_id(2));
  CHECK(reasons(explained(view, {"b", 1, {}})).at("n1") == "load bound 4 reached");
}

TEST_CASE("explain: seats come highest rank first, and hold the slot") {
  PlacementView view = cluster(3);
  const ServiceDoc web = service("web", 1);
  view.services = {web};
  view.seats = {seat(web, 1, 1), seat(web, 1, 3)};
  view.seats[0].term = 9;
  const SlotExplanation out = explained(view, {"web", 1, {}});
  REQUIRE(out.seats.size() == 2);
  CHECK(out.seats[0].node == node_id(1));
  CHECK(out.verdict == "web.1 stays on n1, where it has a copy");
  size_t seated = 0;
  for (const NodeVerdict& line : out.walk) seated += line.seated;
  CHECK(seated == 2);
  view.nodes[0].availability = Availability::kDrain;
  view.nodes[2].availability = Availability::kDrain;
  CHECK(explained(view, {"web", 1, {}}).verdict ==
        "web.1 moves to n2, since it may not stay where it is");
}

TEST_CASE("explain: a pinned or manual slot says what it waits for") {
  PlacementView view = cluster(2);
  ServiceDoc db = service("db", 1);
  db.spec.failover = Failover::kPinned;
  db.homes[1] = node_id(2);
  view.services = {db};
  CHECK(explained(view, {"db", 1, {}}).verdict == "db.1 goes to n2, its home");
  view.nodes[1].liveness = Liveness::kDead;
  SlotExplanation out = explained(view, {"db", 1, {}});
  CHECK(out.error == "waits for its home n2: dead");
  CHECK(reasons(out).at("n1") == "not the slot's home");
  view.services[0].homes[1] = node_id(50);
  CHECK(explained(view, {"db", 1, {}}).error ==
        "waits for its home " + node_id(50).docker_id() +
            ": not in the cluster any more; `docker service update --force " +
            view.services[0].name + "` gives it another");

  view.services[0].spec.failover = Failover::kManual;
  view.seats = {seat(db, 1, 2)};
  CHECK(explained(view, {"db", 1, {}}).error == "waits for n2: dead; failover is manual");
}

TEST_CASE("explain: a global slot speaks of its own node only") {
  PlacementView view = cluster(3);
  view.services = {service("agent", 1)};
  view.services[0].spec.mode = ServiceMode::kGlobal;
  view.services[0].spec.reservations.memory_bytes = int64_t{1} << 30;
  view.nodes[1].memory_bytes = 0;
  CHECK(explained(view, {"agent", 0, node_id(2)}).error ==
        "no suitable node (1 node: insufficient memory)");
  CHECK(explained(view, {"agent", 0, node_id(1)}).verdict ==
        "agent." + node_id(1).docker_id() + " goes to n1: a copy on every node");
}

TEST_CASE("explain: a slot nobody asked for is not found") {
  PlacementView view = cluster(1);
  view.services = {service("web", 1)};
  const Ring ring(view);
  const auto out = explain(view, ring, assign(view, ring), {"web", 2, {}});
  REQUIRE_FALSE(out.has_value());
  CHECK(out.error().code == ErrorCode::kNotFound);
}
