#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>

#include "chaos.h"
#include "scenario.h"

namespace kith::sim {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

using Judged = std::map<std::string, uint64_t>;

void run(const RunShape& shape, Judged& judged) {
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(shape.seed),
              command_line(shape).c_str());
  World world(shape.seed, shape.hosts);
  (void)play(world, shape);
  sound(world);
  for (const auto& checker : world.checkers())
    for (const auto& [about, times] : checker->judged())
      judged[checker->name() + ": " + std::string(about)] += times;
}

}  // namespace

TEST_CASE("sim: three minutes of anything, then calm: all that must hold does") {
  const uint64_t first = from_environment("KITH_SIM_FIRST", 1'000);
  const uint64_t seeds = from_environment("KITH_SIM_SEEDS", 3);
  Judged judged;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    RunShape shape;
    shape.seed = seed;
    run(shape, judged);
  }
  for (const auto& [about, times] : judged)
    std::printf("%-48s %12llu\n", about.c_str(), static_cast<unsigned long long>(times));
  // What no run gave occasion for, nobody has checked.
  for (const char* about : {"documents: acknowledged edits found again",
                            "documents: acknowledged edits on disk",
                            "documents: rows written",
                            "documents: stores compared",
                            "growth: documents",
                            "growth: others' incarnations",
                            "growth: own epochs",
                            "growth: own incarnations",
                            "growth: starts",
                            "limits: digests",
                            "limits: documents",
                            "limits: edits that wait",
                            "limits: members",
                            "limits: records of a node",
                            "limits: tasks",
                            "limits: wake-ups",
                            "membership: hold-downs",
                            "membership: own verdicts",
                            "membership: the gone",
                            "membership: the living",
                            "placement: equal views",
                            "slots: copies",
                            "slots: slots",
                            "starts: starts",
                            "starts: terms",
                            "stops: stops",
                            "stops: stops confirmed",
                            "stops: stops nobody asked for"}) {
    INFO(about);
    CHECK(judged[about] >= 10);
  }
}

// Half of them are others each time; the seed is printed first.
TEST_CASE("sim: a minute of anything in a small cluster, of many seeds") {
  constexpr uint64_t kSeeds = 12;
  Judged judged;
  for (const uint64_t first : {uint64_t{2'000}, uint64_t{std::random_device()()}}) {
    for (uint64_t seed = first; seed < first + kSeeds; ++seed) {
      RunShape shape;
      shape.seed = seed;
      shape.hosts = 2 + seed % 4;
      shape.length = 1min;
      shape.calm = 80s;
      run(shape, judged);
    }
  }
  CHECK(judged["slots: slots"] > 0);
}

TEST_CASE("sim: a schedule is a function of its seed, a shorter one is its beginning") {
  const auto draw = [](uint64_t seed, Duration length) {
    return draw_schedule({seed, 10, length, usual_faults()});
  };
  const std::vector<Fault> longer = draw(7, 180s);
  const std::vector<Fault> shorter = draw(7, 60s);
  REQUIRE(longer.size() > shorter.size());
  REQUIRE(shorter.size() > 10);
  for (size_t i = 0; i < shorter.size(); ++i) {
    CHECK(shorter[i].at == longer[i].at);
    CHECK(shorter[i].kind == longer[i].kind);
    CHECK(shorter[i].draw == longer[i].draw);
  }
  CHECK(draw(8, 60s).front().draw != shorter.front().draw);
}

TEST_CASE("sim: what is left out of a schedule changes nothing of the rest") {
  RunShape shape;
  shape.seed = 7;
  const std::vector<Fault> all = schedule_of(shape);
  shape.only = std::vector<size_t>{3, 5, 17};
  const std::vector<Fault> some = schedule_of(shape);
  REQUIRE(some.size() == 3);
  for (const Fault& fault : some) {
    CHECK(fault.at == all[fault.number].at);
    CHECK(fault.draw == all[fault.number].draw);
  }
  CHECK(command_line(shape) == "./run sim --seed 7 --nodes 10 --minutes 3 --only 3,5,17");
}

}  // namespace kith::sim
