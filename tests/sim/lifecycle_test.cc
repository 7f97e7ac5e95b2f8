// What happens to services on purpose: drain, global and pinned services, start-first updates, slow
// stops, failing starts, and hosts that leave, are removed, or come back as another.

#include <set>

#include "scenario.h"

namespace kith::sim {
namespace {

std::string spec_with(const std::string& name, const std::string& mode, const std::string& image,
                      const std::string& container_more = "",
                      const std::string& update = R"("FailureAction":"continue")") {
  return R"({"Name":")" + name + R"(","TaskTemplate":{"ContainerSpec":{"Image":")" + image + "\"" +
         container_more + R"(}},"Mode":)" + mode + R"(,"UpdateConfig":{"Parallelism":1,)" + update +
         "}}";
}

std::string replicated(uint32_t replicas) {
  return R"({"Replicated":{"Replicas":)" + std::to_string(replicas) + "}}";
}

Answer create_spec(World& world, size_t host, const std::string& spec) {
  return world.ask(host, CreateService{spec});
}

Answer update_spec(World& world, size_t host, const std::string& name, const std::string& spec) {
  auto edit = world.edit_of(host, name, {}, {});
  REQUIRE(edit);
  std::get<UpdateService>(*edit).spec_json = spec;
  return world.ask(host, std::move(*edit));
}

Answer set_availability(World& world, size_t host, size_t of, Availability availability) {
  world.tell("availability of " + world.host(of).name());
  UpdateNode update;
  update.node = world.host(of).id();
  update.expected_index =
      kith::index_of(world.host(host).node().documents(), roster_key(update.node));
  update.availability = availability;
  return world.ask(host, update);
}

size_t on(const World& world, size_t host, const std::string& service) {
  size_t count = 0;
  for (const ContainerInfo* container : world.host(host).engine().running())
    count += container->slot.service == service ? 1 : 0;
  return count;
}

/// The fewest slots of `service` that ran at any moment until `condition`.
template <class Condition>
size_t fewest_until(World& world, const std::string& service, Duration limit,
                    const std::string& what, Condition condition) {
  size_t fewest = 1'000;
  within(world, limit, what, [&] {
    std::set<SlotKey> running;
    for (const auto& [slot, hosts] : world.running())
      if (slot.service == service) running.insert(slot);
    fewest = std::min(fewest, running.size());
    return condition();
  });
  return fewest;
}

bool one_on_each_of(const World& world, const std::string& service, const std::set<size_t>& hosts) {
  for (size_t i = 0; i < world.size(); ++i)
    if (on(world, i, service) != (hosts.contains(i) ? 1U : 0U)) return false;
  return true;
}

void rest(World& world) {
  world.calm();
  world.run_for(100s);
  sound(world);
}

}  // namespace

TEST_CASE("sim: a drained host gives its work away, make before break, and gets some back") {
  for (uint64_t seed = 400; seed < 404; ++seed) {
    auto world = settled(seed, 5);
    REQUIRE(world->create(0, "web", 10).result);
    within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 10); });
    world->run_for(8s);
    REQUIRE(set_availability(*world, 1, 3, Availability::kDrain).result);
    const size_t fewest = fewest_until(*world, "web", 30s, "n4 is empty", [&] {
      return on(*world, 3, "web") == 0 && world->runs_exactly("web", 10);
    });
    CHECK(fewest == 10);
    world->run_for(10s);
    CHECK(on(*world, 3, "web") == 0);
    REQUIRE(set_availability(*world, 2, 3, Availability::kActive).result);
    CHECK(fewest_until(*world, "web", 40s, "even again", [&] {
            return on(*world, 3, "web") == 2 && world->runs_exactly("web", 10);
          }) == 10);
    rest(*world);
  }
}

TEST_CASE("sim: all hosts but one are drained at once, and one of these dies") {
  auto world = settled(405, 5);
  REQUIRE(world->create(0, "web", 6).result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 6); });
  world->run_for(8s);
  for (size_t i = 0; i < 4; ++i)
    REQUIRE(set_availability(*world, 4, i, Availability::kDrain).result);
  world->run_for(1s);
  world->host(1).crash();
  within(*world, 40s, "all on n5",
         [&] { return on(*world, 4, "web") == 6 && world->runs_exactly("web", 6); });
  for (size_t i = 0; i < 4; ++i)
    REQUIRE(set_availability(*world, 4, i, Availability::kActive).result);
  rest(*world);
}

TEST_CASE("sim: a global service has one copy on each host that is there and not drained") {
  auto world = settled(410, 5);
  REQUIRE(create_spec(*world, 0, spec_with("agent", R"({"Global":{}})", "a:1")).result);
  within(*world, 5s, "one each", [&] { return one_on_each_of(*world, "agent", {0, 1, 2, 3, 4}); });
  REQUIRE(set_availability(*world, 1, 2, Availability::kDrain).result);
  within(*world, 10s, "none on n3", [&] { return one_on_each_of(*world, "agent", {0, 1, 3, 4}); });
  REQUIRE(set_availability(*world, 1, 2, Availability::kActive).result);
  within(*world, 10s, "n3 again", [&] { return one_on_each_of(*world, "agent", {0, 1, 2, 3, 4}); });
  world->host(4).crash();
  world->run_for(10s);
  CHECK(one_on_each_of(*world, "agent", {0, 1, 2, 3}));
  const size_t newcomer = world->add_host();
  world->start(newcomer);
  world->host(4).boot();
  world->start(4);
  within(*world, 20s, "six", [&] {
    return one_on_each_of(*world, "agent", {0, 1, 2, 3, 4, newcomer});
  });
  REQUIRE(update_spec(*world, 2, "agent", spec_with("agent", R"({"Global":{}})", "a:2")).result);
  within(*world, 90s, "the new image on all", [&] {
    for (size_t i = 0; i < world->size(); ++i)
      for (const ContainerInfo* container : world->host(i).engine().running())
        if (container->image != "a:2") return false;
    return one_on_each_of(*world, "agent", {0, 1, 2, 3, 4, newcomer});
  });
  world->net().partition({0, 1, 2}, world->size());
  world->run_for(15s);
  world->net().heal_all();
  world->run_for(15s);
  CHECK(one_on_each_of(*world, "agent", {0, 1, 2, 3, 4, newcomer}));
  rest(*world);
}

TEST_CASE("sim: a pinned service waits for its host, and moves to nobody") {
  auto world = settled(415, 5);
  const std::string volume = R"(,"Mounts":[{"Type":"volume","Source":"data","Target":"/data"}])";
  REQUIRE(create_spec(*world, 0, spec_with("db", replicated(3), "db:1", volume)).result);
  within(*world, 5s, "db runs", [&] { return world->runs_exactly("db", 3); });
  std::set<size_t> homes;
  for (const auto& [slot, hosts] : world->running()) homes.insert(hosts[0]);
  REQUIRE(homes.size() == 3);
  const size_t lost = *homes.begin();
  const size_t stays = *std::next(homes.begin());
  world->host(lost).crash();
  world->run_for(30s);
  CHECK(world->running_count("db") == 2);
  REQUIRE(update_spec(*world, stays, "db", spec_with("db", replicated(4), "db:1", volume)).result);
  within(*world, 10s, "a fourth", [&] { return world->running_count("db") == 3; });
  world->host(lost).boot();
  world->start(lost);
  within(*world, 20s, "all four", [&] { return world->runs_exactly("db", 4); });
  CHECK(on(*world, lost, "db") == 1);
  std::set<size_t> side = {lost};
  world->net().partition(side, world->size());
  world->run_for(20s);
  CHECK(world->runs_exactly("db", 4));
  world->net().heal_all();
  world->run_for(20s);
  CHECK(world->runs_exactly("db", 4));
  CHECK(on(*world, lost, "db") == 1);
  rest(*world);
}

TEST_CASE("sim: a start-first update never runs fewer, and ends with as many") {
  for (uint64_t seed = 420; seed < 424; ++seed) {
    auto world = settled(seed, 5);
    const std::string first = R"("FailureAction":"continue","Order":"start-first")";
    REQUIRE(create_spec(*world, 0, spec_with("web", replicated(6), "w:1", "", first)).result);
    within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 6); });
    world->run_for(8s);
    REQUIRE(
        update_spec(*world, 1, "web", spec_with("web", replicated(6), "w:2", "", first)).result);
    const bool crash = seed % 2 == 1;
    if (crash) world->at(9s, [&] { world->host(4).crash(); });
    const size_t fewest = fewest_until(*world, "web", 120s, "all new", [&] {
      for (size_t i = 0; i < world->size(); ++i)
        for (const ContainerInfo* container : world->host(i).engine().running())
          if (container->image != "w:2") return false;
      return world->runs_exactly("web", 6);
    });
    CHECK(fewest >= (crash ? 3U : 6U));
    rest(*world);
  }
}

TEST_CASE("sim: containers that ignore SIGTERM: every change still ends with each slot once") {
  for (uint64_t seed = 430; seed < 433; ++seed) {
    auto world = settled(seed, 5);
    for (size_t i = 0; i < 5; ++i) world->host(i).engine().pace().stop_least = 60s;
    REQUIRE(world->create(0, "web", 8).result);
    within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 8); });
    world->run_for(8s);
    world->net().partition({0, 1}, 5);
    world->run_for(15s);
    world->net().heal_all();
    within(*world, 40s, "once each after the heal", [&] { return world->runs_exactly("web", 8); });
    world->run_for(40s);
    REQUIRE(world->set_image(2, "web", "nginx:2").result);
    world->run_for(3s);
    REQUIRE(world->scale(3, "web", 5).result);
    world->run_for(2s);
    REQUIRE(world->scale(4, "web", 9).result);
    within(*world, 240s, "nine of the new image", [&] {
      for (size_t i = 0; i < world->size(); ++i)
        for (const ContainerInfo* container : world->host(i).engine().running())
          if (container->image != "nginx:2") return false;
      return world->runs_exactly("web", 9);
    });
    rest(*world);
  }
}

TEST_CASE("sim: a host whose starts fail is passed over, and gets work once they do not") {
  auto world = settled(440, 5);
  world->host(2).engine().set_start_fault("driver failed: port is already allocated");
  REQUIRE(world->create(0, "web", 10).result);
  within(*world, 20s, "all elsewhere", [&] { return world->runs_exactly("web", 10); });
  CHECK(on(*world, 2, "web") == 0);
  world->host(2).engine().set_start_fault("");
  REQUIRE(world->set_image(1, "web", "nginx:2").result);
  within(*world, 150s, "even", [&] { return on(*world, 2, "web") == 2; });
  rest(*world);
}

TEST_CASE("sim: starts that fail everywhere are tried again, and come about once they can") {
  auto world = settled(441, 3);
  for (size_t i = 0; i < 3; ++i) world->host(i).engine().set_start_fault("no space left on device");
  REQUIRE(world->create(0, "web", 4).result);
  world->run_for(40s);
  CHECK(world->running_count("web") == 0);
  for (size_t i = 0; i < 3; ++i) world->host(i).engine().set_start_fault("");
  within(*world, 90s, "all run", [&] { return world->runs_exactly("web", 4); });
  rest(*world);
}

TEST_CASE("sim: where all refused, the one that gets well runs it, whoever is first in the walk") {
  for (size_t well = 0; well < 3; ++well) {
    auto world = settled(442 + well, 3);
    for (size_t i = 0; i < 3; ++i) world->host(i).engine().set_start_fault("no space left");
    REQUIRE(world->create(0, "web", 4).result);
    world->run_for(30s);
    world->host(well).engine().set_start_fault("");
    within(*world, 120s, "all run", [&] { return world->runs_exactly("web", 4); });
    CHECK(on(*world, well, "web") == 4);
    rest(*world);
  }
}

TEST_CASE("sim: a host that leaves gives its work away first; one that left can come back") {
  for (const bool keep : {false, true}) {
    auto world = settled(keep ? 450 : 451, 5);
    REQUIRE(world->create(0, "web", 10).result);
    within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 10); });
    world->run_for(8s);
    world->tell("n3 leaves");
    world->host(2).leave(keep);
    within(*world, 30s, "its agent ended", [&] { return !world->host(2).agent_up(); });
    world->run_for(10s);
    for (const size_t i : world->live())
      CHECK(world->host(i).node().membership().find(world->host(2).id())->state ==
            MemberState::kLeft);
    if (!keep) CHECK(world->runs_exactly("web", 10));
    world->start(2);
    within(*world, 60s, "n3 takes part again", [&] {
      return world->converged() && world->runs_exactly("web", 10) && on(*world, 2, "web") == 2;
    });
    rest(*world);
  }
}

TEST_CASE("sim: a host that lost its disk is a new node; the old one can be removed") {
  auto world = settled(460, 5);
  REQUIRE(world->create(0, "web", 10).result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 10); });
  world->run_for(8s);
  const NodeId old = world->host(3).id();
  world->tell("n4 loses its disk");
  world->host(3).crash();
  world->host(3).lose_disk();
  world->run_for(3s);
  world->host(3).boot();
  world->start(3);
  within(*world, 30s, "n4 is back as another", [&] { return world->converged(); });
  within(*world, 60s, "even",
         [&] { return world->runs_exactly("web", 10) && on(*world, 3, "web") == 2; });
  REQUIRE(world->ask(1, RemoveNode{old}).result);
  world->run_for(10s);
  for (const size_t i : world->live()) {
    CHECK(!world->host(i).node().catalog().roster().contains(old));
    CHECK(world->host(i).node().membership().find(old) == nullptr);
  }
  rest(*world);
}

TEST_CASE("sim: an agent that lost its identity ends what its host ran twice") {
  auto world = settled(462, 5);
  REQUIRE(world->create(0, "web", 10).result);
  REQUIRE(create_spec(*world, 0, spec_with("agent", R"({"Global":{}})", "a:1")).result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 10); });
  world->run_for(8s);
  world->tell("n4 loses its identity, its containers run on");
  world->host(3).kill_agent();
  world->host(3).lose_disk();
  world->start(3);
  within(*world, 60s, "each once", [&] {
    return world->converged() && world->runs_exactly("web", 10) &&
           one_on_each_of(*world, "agent", {0, 1, 2, 3, 4});
  });
  rest(*world);
}

TEST_CASE("sim: a node that was removed while it was away comes back as a member") {
  auto world = settled(461, 5);
  REQUIRE(world->create(0, "web", 10).result);
  REQUIRE(create_spec(*world, 0, spec_with("agent", R"({"Global":{}})", "a:1")).result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 10); });
  world->run_for(8s);
  world->net().isolate(3, 5);
  world->run_for(10s);
  REQUIRE(world->ask(1, RemoveNode{world->host(3).id()}).result);
  world->run_for(10s);
  world->net().heal_all();
  within(*world, 60s, "back, and each slot once", [&] {
    return world->converged() && world->runs_exactly("web", 10) &&
           one_on_each_of(*world, "agent", {0, 1, 2, 3, 4});
  });
  rest(*world);
}

}  // namespace kith::sim
