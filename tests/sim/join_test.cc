#include <doctest/doctest.h>

#include <cstdio>

#include "world.h"

namespace kith::sim {
namespace {

using namespace std::chrono_literals;

double in_seconds(Duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

TEST_CASE("sim: nodes that share seeds form one cluster") {
  for (const size_t n : {3, 5, 20}) {
    World world(n, n);
    world.start_all();
    const auto took = world.run_until([&] { return world.converged(); }, 30s);
    INFO(world.story());
    REQUIRE(took);
    MESSAGE(n << " nodes agree after " << in_seconds(*took) << " s");
    CHECK(world.violations().empty());
  }
}

}  // namespace kith::sim
