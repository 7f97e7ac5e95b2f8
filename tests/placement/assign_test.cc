#include "placement/assign.h"

#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include <array>

#include "fixture.h"

using namespace kith;
using namespace kith::test;

TEST_CASE("assign: ten replicas on five equal nodes are two each") {
  PlacementView view = cluster(5);
  for (int i = 0; i < 20; ++i) {
    view.services = {service("web" + std::to_string(i), 10)};
    const Assignment out = assign(view);
    for (uint32_t n = 1; n <= 5; ++n) CHECK(on_node(out, view.services[0].name, n) == 2);
  }
}

TEST_CASE("assign: who may get a new copy") {
  struct Row {
    std::string what;
    void (*change)(NodeView&);
    bool gets;
  };
  const std::vector<Row> rows = {
      {"alive", [](NodeView&) {}, true},
      {"suspect", [](NodeView& n) { n.liveness = Liveness::kSuspect; }, true},
      {"dead", [](NodeView& n) { n.liveness = Liveness::kDead; }, false},
      {"left", [](NodeView& n) { n.liveness = Liveness::kLeft; }, false},
      {"not ready", [](NodeView& n) { n.ready = false; }, false},
      {"paused", [](NodeView& n) { n.availability = Availability::kPause; }, false},
      {"drained", [](NodeView& n) { n.availability = Availability::kDrain; }, false},
      {"no engine", [](NodeView& n) { n.runs_tasks = false; }, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    PlacementView view = cluster(3);
    view.services = {service("web", 3)};
    row.change(view.nodes[1]);
    const Assignment out = assign(view);
    CHECK(on_node(out, "web", 2) == (row.gets ? 1 : 0));
    CHECK(on_node(out, "web", 1) + on_node(out, "web", 2) + on_node(out, "web", 3) == 3);
  }
}

TEST_CASE("assign: who may keep a copy, and the copy then stays") {
  struct Row {
    std::string what;
    void (*change)(NodeView&);
    bool keeps;
    bool move;
  };
  const std::vector<Row> rows = {
      {"suspect", [](NodeView& n) { n.liveness = Liveness::kSuspect; }, true, false},
      {"not ready", [](NodeView& n) { n.ready = false; }, true, false},
      {"paused", [](NodeView& n) { n.availability = Availability::kPause; }, true, false},
      {"engine down", [](NodeView& n) { n.runs_tasks = false; }, true, false},
      {"too small", [](NodeView& n) { n.memory_bytes = 1; }, true, false},
      {"drained", [](NodeView& n) { n.availability = Availability::kDrain; }, false, true},
      {"constraint", [](NodeView& n) { n.labels["disk"] = "hdd"; }, false, true},
      {"dead", [](NodeView& n) { n.liveness = Liveness::kDead; }, false, false},
      {"left", [](NodeView& n) { n.liveness = Liveness::kLeft; }, false, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    PlacementView view = cluster(4);
    view.services = {service("web", 1)};
    view.services[0].spec.constraints = {"node.labels.disk != hdd"};
    view.services[0].spec.reservations.memory_bytes = 1 << 20;
    for (uint32_t n = 1; n <= 4; ++n) {
      PlacementView changed = view;
      changed.seats = {seat(view.services[0], 1, n)};
      row.change(changed.nodes[n - 1]);
      const Assignment out = assign(changed);
      const SlotTarget& slot = *out.find({"web", 1, {}});
      CHECK((slot.target == node_id(n)) == row.keeps);
      CHECK_FALSE(slot.target.none());
      CHECK(slot.seated == row.keeps);
      CHECK(slot.move == row.move);
    }
  }
}

TEST_CASE("assign: readiness is ignored if nobody is ready") {
  PlacementView view = cluster(3);
  view.services = {service("web", 3)};
  for (NodeView& node : view.nodes) node.ready = false;
  const Assignment out = assign(view);
  for (uint32_t n = 1; n <= 3; ++n) CHECK(on_node(out, "web", n) == 1);
}

TEST_CASE("assign: constraints leave only the nodes that match") {
  PlacementView view = cluster(20);
  view.nodes[6].labels["disk"] = "ssd";
  view.nodes[9].labels["disk"] = "ssd";
  view.services = {service("db", 4)};
  view.services[0].spec.constraints = {"node.labels.disk == ssd"};
  Assignment out = assign(view);
  CHECK(on_node(out, "db", 7) == 2);
  CHECK(on_node(out, "db", 10) == 2);

  view.services[0].spec.constraints.push_back("node.hostname == nowhere");
  out = assign(view);
  for (const SlotTarget& slot : out.services.at("db").slots) {
    CHECK(slot.target.none());
    CHECK(slot.waiting == Waiting::kNoSuitableNode);
  }
  view.services[0].spec.constraints = {"nonsense"};
  CHECK(target(assign(view), "db", 1).none());
}

TEST_CASE("assign: an image goes to nodes of its platforms, a copy that runs elsewhere stays") {
  PlacementView view = cluster(3);
  view.nodes[0].engine.architecture = "aarch64";
  view.nodes[1].engine.architecture = "";
  view.services = {service("web", 6)};
  struct Row {
    std::vector<Platform> platforms;
    std::array<bool, 3> fits;
  };
  const std::vector<Row> rows = {
      {{}, {true, true, true}},
      {{{"linux", "amd64"}}, {false, true, true}},
      {{{"linux", "x86_64"}}, {false, true, true}},
      {{{"linux", "arm64"}}, {true, true, false}},
      {{{"Linux", "ARM64"}, {"linux", "s390x"}}, {true, true, false}},
      {{{"linux", "arm64"}, {"linux", "amd64"}}, {true, true, true}},
      {{{"linux", ""}}, {true, true, true}},
      {{{"", "amd64"}}, {false, true, true}},
      {{{"windows", "amd64"}}, {false, false, false}},
  };
  for (const Row& row : rows) {
    view.services[0].spec.platforms = row.platforms;
    const Assignment out = assign(view);
    for (uint32_t i = 0; i < 3; ++i) CHECK((on_node(out, "web", i + 1) > 0) == row.fits[i]);
  }
  view.seats = {seat(view.services[0], 1, 3)};
  CHECK(target(assign(view), "web", 1) == node_id(3));
}

TEST_CASE("assign: reservations fill a node and no further") {
  PlacementView view = cluster(3);
  view.nodes[1].memory_bytes = int64_t{2} << 30;
  view.nodes[2].nano_cpus = 500'000'000;
  view.services = {service("web", 12)};
  view.services[0].spec.reservations = {1'000'000'000, int64_t{1} << 30};
  const Assignment out = assign(view);
  CHECK(on_node(out, "web", 1) == 4);  // four processors
  CHECK(on_node(out, "web", 2) == 2);  // two GiB
  CHECK(on_node(out, "web", 3) == 0);
  size_t waiting = 0;
  for (const SlotTarget& slot : out.services.at("web").slots)
    waiting += slot.waiting == Waiting::kNoSuitableNode;
  CHECK(waiting == 6);
}

TEST_CASE("assign: the older service has first call on what is left") {
  PlacementView view = cluster(1);
  view.services = {service("young", 1), service("old", 1)};
  view.services[0].created.ms = 2;
  view.services[1].created.ms = 1;
  for (ServiceDoc& doc : view.services) doc.spec.reservations.memory_bytes = int64_t{5} << 30;
  put_in_order(view);
  CHECK(target(assign(view), "old", 1) == node_id(1));
  CHECK(target(assign(view), "young", 1).none());
  // A copy that is there, however young its service, comes before both.
  view.seats = {seat(service("young", 1), 1, 1)};
  CHECK(target(assign(view), "old", 1).none());
  CHECK(target(assign(view), "young", 1) == node_id(1));
}

TEST_CASE("assign: a host port is taken once a node, by protocol") {
  PlacementView view = cluster(2);
  const PortSpec tcp{"tcp", 80, 8080, true};
  const PortSpec udp{"udp", 80, 8080, true};
  const PortSpec routed{"tcp", 80, 8080, false};
  view.services = {service("a", 3), service("b", 2), service("c", 5)};
  view.services[0].spec.ports = {tcp};
  view.services[1].spec.ports = {udp};
  view.services[2].spec.ports = {routed};
  const Assignment out = assign(view);
  CHECK(on_node(out, "a", 1) == 1);
  CHECK(on_node(out, "a", 2) == 1);
  CHECK(target(out, "a", 3).none());
  CHECK(on_node(out, "b", 1) == 1);
  CHECK(on_node(out, "b", 2) == 1);
  CHECK(on_node(out, "c", 1) + on_node(out, "c", 2) == 5);
}

TEST_CASE("assign: max replicas per node holds even if slots must wait") {
  PlacementView view = cluster(3);
  view.services = {service("web", 8)};
  view.services[0].spec.max_replicas_per_node = 2;
  const Assignment out = assign(view);
  for (uint32_t n = 1; n <= 3; ++n) CHECK(on_node(out, "web", n) == 2);
}

TEST_CASE("assign: a node that refused this generation is passed over") {
  PlacementView view = cluster(3);
  view.services = {service("web", 1)};
  view.services[0].generation = 4;
  std::set<NodeId> tried;
  const NodeId first = target(assign(view), "web", 1);
  for (int i = 0; i < 3; ++i) {
    const Assignment out = assign(view);
    const SlotTarget& slot = *out.find({"web", 1, {}});
    CHECK_FALSE(slot.all_refused);
    CHECK(tried.insert(slot.target).second);
    view.refusals.push_back({slot.slot, slot.target, 4, "no such image"});
    put_in_order(view);
  }
  const Assignment out = assign(view);
  CHECK(out.find({"web", 1, {}})->all_refused);
  CHECK(target(out, "web", 1) == first);
  // A refusal of an earlier generation says nothing.
  view.services[0].generation = 5;
  CHECK_FALSE(assign(view).find({"web", 1, {}})->all_refused);
}

TEST_CASE("assign: a refusal of one slot is no refusal of another") {
  PlacementView view = cluster(1);
  view.services = {service("web", 2)};
  view.refusals = {{{"web", 1, {}}, node_id(1), 1, "x"}};
  const Assignment out = assign(view);
  CHECK(out.find({"web", 1, {}})->all_refused);
  CHECK_FALSE(out.find({"web", 2, {}})->all_refused);
}

TEST_CASE("assign: of several copies the healthy one of highest rank stays") {
  PlacementView view = cluster(4);
  const ServiceDoc web = service("web", 1);
  view.services = {web};
  view.seats = {seat(web, 1, 1), seat(web, 1, 2), seat(web, 1, 3)};
  CHECK(target(assign(view), "web", 1) == node_id(3));  // equal terms: the higher id
  view.seats[1].term = 2;
  CHECK(target(assign(view), "web", 1) == node_id(2));
  view.seats[1].healthy = false;
  CHECK(target(assign(view), "web", 1) == node_id(3));
  for (Seat& copy : view.seats) copy.healthy = false;
  CHECK(target(assign(view), "web", 1) == node_id(2));
  view.nodes[1].liveness = Liveness::kDead;
  CHECK(target(assign(view), "web", 1) == node_id(3));
}

TEST_CASE("assign: copies of an earlier service of the name are no seats") {
  PlacementView view = cluster(3);
  view.services = {service("web", 1)};
  const NodeId free_choice = target(assign(view), "web", 1);
  for (uint32_t n = 1; n <= 3; ++n) {
    view.seats = {seat(service("web", 1), 1, n)};
    view.seats[0].service_id = "id-earlier";
    CHECK(target(assign(view), "web", 1) == free_choice);
    CHECK_FALSE(assign(view).find({"web", 1, {}})->seated);
  }
}

TEST_CASE("assign: a copy beyond the replicas is not asked for") {
  PlacementView view = cluster(3);
  view.services = {service("web", 2)};
  view.seats = {seat(service("web", 2), 3, 1)};
  const Assignment out = assign(view);
  CHECK(out.find({"web", 3, {}}) == nullptr);
  CHECK(out.find({"web", 2, {}}) != nullptr);
  CHECK(out.find({"web", 0, {}}) == nullptr);
  CHECK(out.find({"other", 1, {}}) == nullptr);
}

TEST_CASE("assign: a pinned slot runs at its home or not at all") {
  PlacementView view = cluster(3);
  ServiceDoc db = service("db", 1);
  db.spec.failover = Failover::kPinned;
  db.homes[1] = node_id(2);
  view.services = {db};
  CHECK(target(assign(view), "db", 1) == node_id(2));

  const auto waits = [&](const PlacementView& changed) {
    const Assignment out = assign(changed);
    const SlotTarget& slot = *out.find({"db", 1, {}});
    return slot.target.none() && slot.waiting == Waiting::kHomeAway && slot.waits_for == node_id(2);
  };
  PlacementView changed = view;
  changed.nodes[1].liveness = Liveness::kDead;
  CHECK(waits(changed));
  changed = view;
  changed.nodes[1].availability = Availability::kDrain;
  CHECK(waits(changed));
  changed.seats = {seat(db, 1, 2)};
  CHECK(waits(changed));
  changed = view;
  changed.nodes.erase(changed.nodes.begin() + 1);
  CHECK(waits(changed));

  // An operator moved it: the copy is elsewhere, the target is the home.
  changed = view;
  changed.seats = {seat(db, 1, 3)};
  const Assignment moved = assign(changed);
  CHECK(target(moved, "db", 1) == node_id(2));
  CHECK(moved.find({"db", 1, {}})->move);

  // No home written yet: a seat's node counts as one, even when it is dead.
  view.services[0].homes.clear();
  view.seats = {seat(db, 1, 2)};
  CHECK(target(assign(view), "db", 1) == node_id(2));
  view.nodes[1].liveness = Liveness::kDead;
  CHECK(waits(view));
  view.seats.clear();
  CHECK_FALSE(target(assign(view), "db", 1).none());
}

TEST_CASE("assign: a manual slot waits for its last node, but leaves a drained one") {
  PlacementView view = cluster(3);
  ServiceDoc db = service("db", 1);
  db.spec.failover = Failover::kManual;
  view.services = {db};
  CHECK_FALSE(target(assign(view), "db", 1).none());
  view.seats = {seat(db, 1, 2)};
  CHECK(target(assign(view), "db", 1) == node_id(2));
  view.nodes[1].availability = Availability::kDrain;
  CHECK(assign(view).find({"db", 1, {}})->move);
  view.nodes[1].liveness = Liveness::kDead;
  const Assignment out = assign(view);
  CHECK(target(out, "db", 1).none());
  CHECK(out.find({"db", 1, {}})->waiting == Waiting::kManual);
  CHECK(out.find({"db", 1, {}})->waits_for == node_id(2));
}

TEST_CASE("assign: a global service has a slot on every eligible active node") {
  PlacementView view = cluster(6);
  ServiceDoc agent = service("agent", 1);
  agent.spec.mode = ServiceMode::kGlobal;
  agent.spec.constraints = {"node.hostname != n6"};
  agent.spec.reservations.memory_bytes = int64_t{1} << 30;
  view.services = {agent};
  view.nodes[0].liveness = Liveness::kDead;
  view.nodes[1].availability = Availability::kDrain;
  view.nodes[2].availability = Availability::kPause;
  view.nodes[3].memory_bytes = 5;
  Assignment out = assign(view);
  const auto& slots = out.services.at("agent").slots;
  REQUIRE(slots.size() == 2);
  CHECK(slots[0].slot == SlotKey{"agent", 0, node_id(4)});
  CHECK(slots[0].target.none());
  CHECK(slots[0].waiting == Waiting::kNoSuitableNode);
  CHECK(slots[1].slot == SlotKey{"agent", 0, node_id(5)});
  CHECK(slots[1].target == node_id(5));

  // What runs on a paused node stays, and counts as asked for.
  Seat copy = seat(agent, 0, 3);
  copy.slot.node = node_id(3);
  view.seats = {copy};
  out = assign(view);
  const SlotTarget* const paused = out.find({"agent", 0, node_id(3)});
  REQUIRE(paused != nullptr);
  CHECK(paused->seated);
}

TEST_CASE("assign: jobs get no slots") {
  PlacementView view = cluster(2);
  view.services = {service("once", 1)};
  view.services[0].spec.mode = ServiceMode::kReplicatedJob;
  CHECK(assign(view).services.empty());
}

TEST_CASE("assign: preferences spread over label values before nodes") {
  PlacementView view = cluster(5);
  view.nodes[0].labels["zone"] = "attic";
  for (int i = 1; i < 5; ++i) view.nodes[i].labels["zone"] = "cellar";
  view.services = {service("web", 8)};
  view.services[0].spec.spread_preferences = {"node.labels.zone"};
  const Assignment out = assign(view);
  CHECK(on_node(out, "web", 1) == 4);
  for (uint32_t n = 2; n <= 5; ++n) CHECK(on_node(out, "web", n) == 1);
  CHECK(potential(view, out).violated == 0);
}

TEST_CASE("assign: nested preferences spread at each level") {
  PlacementView view = cluster(6);
  const std::vector<std::pair<std::string, std::string>> places = {
      {"a", "1"}, {"a", "2"}, {"a", "2"}, {"b", "1"}, {"b", "1"}, {"b", "3"}};
  for (size_t i = 0; i < 6; ++i) {
    view.nodes[i].labels["zone"] = places[i].first;
    view.nodes[i].engine.labels["rack"] = places[i].second;
  }
  view.services = {service("web", 8)};
  view.services[0].spec.spread_preferences = {"node.labels.zone", "engine.labels.rack"};
  const Assignment out = assign(view);
  const std::vector<uint32_t> expected = {2, 1, 1, 1, 1, 2};
  for (uint32_t n = 1; n <= 6; ++n) CHECK(on_node(out, "web", n) == expected[n - 1]);
}

TEST_CASE("assign: a heavier node takes a heavier share") {
  PlacementView view = cluster(3);
  view.nodes[2].weight = 2;
  for (int i = 0; i < 80; ++i) view.services.push_back(service("s" + std::to_string(i), 1));
  put_in_order(view);
  const Assignment out = assign(view);
  CHECK(out.use[0].slots <= 22);  // 1.1 x 80 / 4
  CHECK(out.use[1].slots <= 22);
  CHECK(out.use[2].slots <= 44);
  CHECK(out.use[2].slots >= 36);
}

TEST_CASE("assign: the load bound gives way only when no node is below it") {
  PlacementView view = cluster(2);
  for (int i = 0; i < 10; ++i) {
    view.services.push_back(service("s" + std::to_string(i), 1));
    view.services.back().spec.constraints = {"node.hostname == n1"};
  }
  const Assignment out = assign(view);
  CHECK(out.use[0].slots == 10);
}

TEST_CASE("assign: a node's place in the walk starts with the target") {
  PlacementView view = cluster(6);
  view.services = {service("web", 3)};
  view.nodes[5].ready = false;
  view.refusals = {{{"web", 2, {}}, node_id(1), 1, "x"}};
  const Ring ring(view);
  const Assignment out = assign(view, ring);
  const SlotKey slot{"web", 2, {}};
  std::set<uint32_t> places;
  for (uint32_t n = 1; n <= 6; ++n) {
    const auto at = place(view, ring, out, slot, node_id(n));
    CHECK(at.has_value() == (n != 1 && n != 6));
    if (at) places.insert(*at);
    CHECK((at == 0u) == (target(out, "web", 2) == node_id(n)));
  }
  CHECK(places == std::set<uint32_t>{0, 1, 2, 3});
  CHECK_FALSE(place(view, ring, out, {"web", 9, {}}, node_id(2)));
  CHECK_FALSE(place(view, ring, out, slot, node_id(99)));

  view.services[0].spec.failover = Failover::kPinned;
  const Assignment pinned = assign(view, ring);
  for (uint32_t n = 1; n <= 6; ++n) {
    const auto at = place(view, ring, pinned, slot, node_id(n));
    CHECK(at.has_value() == (target(pinned, "web", 2) == node_id(n)));
  }
}

TEST_CASE("assign: nothing to do is no fault") {
  CHECK(assign(PlacementView{}).services.empty());
  PlacementView view;
  view.services = {service("web", 2)};
  CHECK(target(assign(view), "web", 1).none());
  view = cluster(2);
  view.services = {service("web", 0)};
  CHECK(assign(view).services.at("web").slots.empty());
}
