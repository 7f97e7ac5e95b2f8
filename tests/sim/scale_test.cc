// Many whole Nodes at once: what a simulated second of one costs. Only when asked for:
// KITH_SIM_SCALE=1000 [KITH_SIM_MINUTES=10] build/tests/sim/test_sim -tc="*scale*"

#include <sys/resource.h>

#include <chrono>
#include <cstdlib>

#include "scenario.h"

namespace kith::sim {
namespace {

struct Cost {
  std::chrono::steady_clock::time_point wall = std::chrono::steady_clock::now();
  double cpu = 0;
  Instant at;
  uint64_t steps = 0;
};

rusage used() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage;
}

Cost cost_at(const World& world) {
  Cost cost;
  const rusage usage = used();
  cost.cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
             static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  cost.at = world.now();
  cost.steps = world.steps();
  return cost;
}

/// Prints what was spent since `last`, and is the next `last`.
Cost report(const World& world, const char* phase, const Cost& last) {
  const Cost cost = cost_at(world);
  const double virtual_s = in_seconds(cost.at - last.at);
  const double wall = std::chrono::duration<double>(cost.wall - last.wall).count();
  std::printf(
      "%-28s %7.1f s virtual %8.1f s wall %8.1f s cpu %9llu steps %8.1f us/node-s %6ld MB\n", phase,
      virtual_s, wall, cost.cpu - last.cpu,
      static_cast<unsigned long long>(cost.steps - last.steps),
      virtual_s <= 0 ? 0.0
                     : (cost.cpu - last.cpu) * 1e6 / virtual_s / static_cast<double>(world.size()),
      used().ru_maxrss / 1024);
  std::fflush(stdout);
  return cost;
}

}  // namespace

TEST_CASE("sim: what the nodes of a world share changes nothing but the time it takes") {
  const auto run = [](bool share) {
    World world(301, 6);
    for (size_t i = 0; i < world.size(); ++i) {
      CHECK(world.host(i).verified);
      CHECK(world.host(i).placements);
      if (share) continue;
      world.host(i).verified = nullptr;
      world.host(i).placements = nullptr;
    }
    world.start_all();
    within(world, 30s, "all know all", [&] { return world.converged(); });
    REQUIRE(world.create(1, "web", 8).done);
    world.run_for(10s);
    world.host(2).crash();
    world.run_for(10s);
    world.calm();
    world.run_for(20s);
    sound(world);
    return std::pair(world.digest(), world.steps());
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("sim: at scale, whole nodes join, run services, lose hosts and come to rest") {
  const char* asked = std::getenv("KITH_SIM_SCALE");
  if (asked == nullptr) return;
  const size_t hosts = std::strtoull(asked, nullptr, 10);
  const char* minutes = std::getenv("KITH_SIM_MINUTES");
  const auto total = std::chrono::minutes(minutes == nullptr ? 10 : std::atoi(minutes));
  World world(77, hosts);
  const Instant end = world.now() + total;
  Cost last = cost_at(world);
  const Cost begun = last;
  world.start_all();
  within(world, 120s, "all know all", [&] { return world.converged(); });
  last = report(world, "all started at once", last);
  world.run_for(5s);
  last = report(world, "rest", last);

  const auto replicas = static_cast<uint32_t>(hosts / 10 + 3);
  for (const char* name : {"a", "b", "c", "d", "e"})
    REQUIRE(world.create(world.rng().below(hosts), name, replicas).done);
  const auto all_run = [&](uint32_t of_a) {
    return world.runs_exactly("a", of_a) && world.runs_exactly("b", replicas);
  };
  within(world, 60s, "the services run", [&] { return all_run(replicas); });
  last = report(world, "5 services", last);

  for (size_t i = 0; i < std::max<size_t>(1, hosts / 100); ++i) world.host(i * 7 + 3).crash();
  within(world, 60s, "the work of lost hosts runs elsewhere", [&] { return all_run(replicas); });
  last = report(world, "1% of hosts lost", last);
  (void)world.scale(hosts - 1, "a", replicas * 2);
  within(world, 60s, "a service doubled", [&] { return all_run(replicas * 2); });
  last = report(world, "a service doubled", last);
  world.calm();
  within(world, 120s, "the lost hosts are back", [&] { return world.converged(); });
  last = report(world, "they come back", last);
  world.run_for(30s);
  last = report(world, "and settle", last);
  if (world.now() < end) world.run_for(end - world.now());
  report(world, "rest", last);
  report(world, "all", begun);
  std::printf("digest %016llx\n", static_cast<unsigned long long>(world.digest()));
  sound(world);
}

}  // namespace kith::sim
