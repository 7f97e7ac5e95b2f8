// Services whose data is on one host: they wait for it.

#include "scenario.h"

namespace kith::sim {
namespace {

const std::string kSpec =
    R"({"Name":"db","TaskTemplate":{"ContainerSpec":{"Image":"pg","Mounts":[{"Type":"volume",)"
    R"("Source":"data","Target":"/data"}]},"Placement":{"Constraints":["node.labels.disk==ssd"]}},)"
    R"("Mode":{"Replicated":{"Replicas":1}}})";

Answer label(World& world, size_t host, size_t of) {
  UpdateNode update;
  update.node = world.host(of).id();
  update.expected_index = index_of(world.host(host).node().documents(), roster_key(update.node));
  update.labels = {{"disk", "ssd"}};
  return world.ask(host, update);
}

bool runs_on(World& world, size_t host) {
  return world.runs_exactly("db", 1) && !world.host(host).engine().running().empty();
}

const ServiceDoc& doc(World& world, size_t host) {
  return *world.host(host).node().catalog().services().at("db");
}

/// A pinned service that no host suited when it was created, and that host 1 runs since.
std::unique_ptr<World> late(uint64_t seed) {
  auto world = settled(seed, 3);
  REQUIRE(world->ask(0, CreateService{kSpec}).result);
  world->run_for(5s);
  CHECK(world->running_count("db") == 0);
  REQUIRE(label(*world, 0, 1).result);
  within(*world, 10s, "it runs where it may", [&] { return runs_on(*world, 1); });
  world->run_for(10s);
  REQUIRE(label(*world, 0, 2).result);
  world->run_for(5s);
  return world;
}

}  // namespace

TEST_CASE("sim: a pinned slot that found no host at first waits for the one it came to run on") {
  auto world = late(60);
  CHECK(doc(*world, 2).homes == std::map<uint32_t, NodeId>{{1, world->host(1).id()}});
  CHECK(doc(*world, 2).generation == 1);
  CHECK(doc(*world, 2).previous_json.empty());
  for (size_t i = 0; i < 3; ++i) CHECK(world->host(i).node().documents().conflicts().empty());
  world->host(1).crash();
  world->run_for(60s);
  CHECK(world->running_count("db") == 0);
  world->host(1).boot();
  world->start(1);
  within(*world, 20s, "it runs at home", [&] { return runs_on(*world, 1); });
  sound(*world);
}

TEST_CASE("sim: a pinned slot whose home was removed gets another with the next update") {
  auto world = late(61);
  world->host(1).crash();
  world->run_for(10s);
  REQUIRE(world->ask(0, RemoveNode{world->host(1).id()}).result);
  world->run_for(20s);
  CHECK(world->running_count("db") == 0);
  auto update = world->edit_of(0, "db", {}, {});
  REQUIRE(update);
  std::get<UpdateService>(*update).spec_json = kSpec;
  REQUIRE(world->ask(0, std::move(*update)).result);
  within(*world, 20s, "it runs elsewhere", [&] { return runs_on(*world, 2); });
  CHECK(doc(*world, 0).homes == std::map<uint32_t, NodeId>{{1, world->host(2).id()}});
  sound(*world);
}

TEST_CASE("sim: a home that a node writes by itself undoes nothing that somebody asked for") {
  auto world = settled(62, 3);
  REQUIRE(world->ask(0, CreateService{kSpec}).result);
  world->run_for(5s);
  world->net().partition({1}, 3);
  world->run_for(10s);
  auto update = world->edit_of(0, "db", {}, {});
  REQUIRE(update);
  std::string spec = kSpec;
  std::get<UpdateService>(*update).spec_json = spec.replace(spec.find("pg"), 2, "pg:2");
  REQUIRE(world->ask(0, std::move(*update)).result);
  world->run_for(1s);
  REQUIRE(label(*world, 1, 1).result);  // on the other side, and later
  within(*world, 10s, "it runs there", [&] { return runs_on(*world, 1); });
  within(*world, 10s, "it has a home", [&] { return !doc(*world, 1).homes.empty(); });
  world->net().heal_all();
  within(*world, 60s, "what was asked for runs at home", [&] {
    return runs_on(*world, 1) && world->host(1).engine().running()[0]->image == "pg:2" &&
           world->converged() && !doc(*world, 0).homes.empty();
  });
  for (size_t i = 0; i < 3; ++i) {
    CHECK(doc(*world, i).spec.image == "pg:2");
    CHECK(doc(*world, i).homes == std::map<uint32_t, NodeId>{{1, world->host(1).id()}});
  }
  sound(*world);
}

}  // namespace kith::sim
