#include "scenario.h"

namespace kith::sim {
namespace {

const std::set<size_t> kTwo{0, 1};

bool same_everywhere(const World& world, const std::string& service) {
  std::optional<DocVersion> first;
  for (size_t i = 0; i < world.size(); ++i) {
    const Document* doc = world.host(i).node().documents().find(service_key(service));
    if (doc == nullptr) return false;
    if (first && *first != doc->version) return false;
    first = doc->version;
  }
  return true;
}

size_t conflicts(const World& world) {
  size_t most = 0;
  for (size_t i = 0; i < world.size(); ++i)
    most = std::max(most, world.host(i).node().conflicts().size());
  return most;
}

}  // namespace

TEST_CASE("sim: both halves create, scale and remove: all of it holds after the heal") {
  for (const Duration apart : {Duration(3s), Duration(60s)}) {
    for (uint64_t seed = 200; seed < 203; ++seed) {
      auto world = settled(seed, 5);
      for (const char* name : {"a", "b", "c", "d"}) REQUIRE(world->create(0, name, 4).result);
      world->run_for(10s);
      world->net().partition(kTwo, 5);
      world->run_for(apart);
      REQUIRE(world->create(0, "left", 3).result);
      REQUIRE(world->create(4, "right", 3).result);
      REQUIRE(world->scale(1, "a", 7).result);
      REQUIRE(world->scale(3, "b", 2).result);
      REQUIRE(world->remove(0, "c").result);
      REQUIRE(world->remove(2, "d").result);
      world->run_for(apart);
      world->net().heal_all();
      within(*world, 8s, "documents agree", [&] { return world->converged(); });
      within(*world, 15s, "each slot once", [&] {
        return world->runs_exactly("left", 3) && world->runs_exactly("right", 3) &&
               world->runs_exactly("a", 7) && world->runs_exactly("b", 2) &&
               world->running_count("c") == 0 && world->running_count("d") == 0;
      });
      world->calm();
      world->run_for(90s);
      sound(*world);
    }
  }
}

TEST_CASE("sim: both halves create one name: one winner, one conflict, its slots run once") {
  auto world = settled(210, 5);
  world->net().partition(kTwo, 5);
  world->run_for(5s);
  REQUIRE(world->create(0, "web", 3, "nginx:left").result);
  world->run_for(1s);
  REQUIRE(world->create(3, "web", 4, "nginx:right").result);
  world->run_for(10s);
  world->net().heal_all();
  within(*world, 8s, "one winner", [&] { return same_everywhere(*world, "web"); });
  CHECK(conflicts(*world) == 1);
  world->calm();
  world->run_for(120s);
  const uint32_t wanted = world->host(0).node().catalog().services().at("web")->spec.replicas;
  INFO(world->story(20));
  CHECK(wanted == 4);
  CHECK(world->runs_exactly("web", wanted));
  sound(*world);
}

TEST_CASE("sim: both halves change one image: every copy runs the winner's") {
  for (uint64_t seed = 211; seed < 215; ++seed) {
    auto world = settled(seed, 5);
    REQUIRE(world->create(0, "web", 5).result);
    world->run_for(10s);
    world->net().partition(kTwo, 5);
    world->run_for(5s);
    REQUIRE(world->set_image(0, "web", "nginx:left").result);
    world->run_for(1s);
    REQUIRE(world->set_image(3, "web", "nginx:right").result);
    world->run_for(40s);
    world->net().heal_all();
    within(*world, 8s, "one winner", [&] { return same_everywhere(*world, "web"); });
    CHECK(conflicts(*world) == 1);
    world->calm();
    world->run_for(150s);
    CHECK(world->runs_exactly("web", 5));
    sound(*world);
  }
}

}  // namespace kith::sim
