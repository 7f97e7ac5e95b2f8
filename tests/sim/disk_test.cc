#include "scenario.h"

namespace kith::sim {

// Found by chaos of seed 1000.
TEST_CASE("sim: what comes in while an edit is being written does not cover it on disk") {
  auto world = settled(310, 3);
  world->host(0).disk().set_pace(200ms, 0ms);
  const auto earlier = world->edit(1, CreateService{World::spec("web", 1, "nginx")});
  world->run_for(1ms);
  const auto later = world->edit(0, CreateService{World::spec("web", 2, "nginx")});
  within(*world, 2s, "both are answered", [&] { return earlier->done && later->done; });
  CHECK(earlier->result);
  CHECK(later->result);
  world->run_for(2s);
  const Document* now = world->host(0).node().documents().find_any("service/web");
  REQUIRE(now != nullptr);
  CHECK(world->host(0).disk().version_of("service/web") == now->version);
  sound(*world);
}

}  // namespace kith::sim
