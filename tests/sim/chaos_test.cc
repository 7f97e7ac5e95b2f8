#include <cstdlib>

#include "scenario.h"

namespace kith::sim {
namespace {

/// Three minutes of mixed faults and edits, then calm.
class Chaos {
 public:
  explicit Chaos(World& world) : world_(world), rng_(world.rng().split()) {}

  void run() {
    for (int i = 0; i < 4; ++i) edit();
    const Instant end = world_.now() + 180s;
    while (world_.now() < end) {
      world_.run_for(std::chrono::milliseconds(200 + rng_.below(4000)));
      if (rng_.chance(1, 3))
        edit();
      else
        fault();
    }
    world_.calm();
    world_.run_for(120s);
  }

 private:
  size_t any() { return rng_.below(world_.size()); }

  void later(Duration wait, std::function<void()> action) { world_.at(wait, std::move(action)); }

  Duration a_while() { return std::chrono::milliseconds(100 + rng_.below(30'000)); }

  // None of these waits for its answer: what comes of an edit is the checkers' business.
  void edit() {
    const size_t at = any();
    if (!world_.host(at).agent_up()) return;
    const std::string name = "s" + std::to_string(rng_.below(6));
    const std::string image = "image:" + std::to_string(rng_.below(4));
    const auto replicas = static_cast<uint32_t>(rng_.below(9));
    const auto& services = world_.host(at).node().catalog().services();
    const auto known = services.find(name);
    world_.tell("edit of " + name + " at " + world_.host(at).name());
    if (known == services.end()) {
      (void)world_.edit(at, CreateService{World::spec(name, replicas, image)});
    } else if (rng_.chance(1, 4)) {
      (void)world_.edit(at, RemoveService{known->second->id});
    } else if (auto update = world_.edit_of(
                   at, name, replicas, rng_.chance(1, 3) ? std::optional(image) : std::nullopt)) {
      (void)world_.edit(at, std::move(*update));
    }
  }

  void fault() {
    const size_t host = any();
    const size_t other = any();
    SimHost& at = world_.host(host);
    switch (rng_.below(10)) {
      case 0:
        world_.tell("kill the agent of " + at.name());
        at.kill_agent();
        later(a_while(), [this, host] { world_.start(host); });
        break;
      case 1:
        world_.tell("crash " + at.name());
        at.crash();
        later(a_while(), [this, host] {
          if (!world_.host(host).up()) world_.host(host).boot();
          world_.start(host);
        });
        break;
      case 2:
        world_.freeze_for(host, std::chrono::milliseconds(rng_.below(6'000)));
        break;
      case 3: {
        std::set<size_t> side;
        for (size_t i = 0; i < world_.size(); ++i)
          if (rng_.chance(1, 2)) side.insert(i);
        world_.tell("partition");
        world_.net().partition(side, world_.size());
        later(a_while(), [this] { world_.net().heal_all(); });
        break;
      }
      case 4:
        if (host == other) break;
        world_.tell("one-way cut from " + at.name() + " to " + world_.host(other).name());
        world_.net().cut_one_way(host, other);
        later(a_while(), [this, host, other] { world_.net().heal(host, other); });
        break;
      case 5:
        world_.net().set_loss(static_cast<uint32_t>(rng_.below(30)));
        world_.net().default_quality().duplicate_percent = static_cast<uint32_t>(rng_.below(20));
        later(a_while(), [this] { world_.net().set_loss(0); });
        break;
      case 6:
        world_.net().default_quality().jitter = std::chrono::milliseconds(1 + rng_.below(80));
        later(a_while(), [this] { world_.net().default_quality() = {}; });
        break;
      case 7:
        at.disk().set_full(true);
        later(a_while(), [this, host] { world_.host(host).disk().set_full(false); });
        break;
      case 8: {
        const auto running = at.engine().running();
        if (running.empty()) break;
        at.engine().exit(running[rng_.below(running.size())]->task_id,
                         static_cast<int32_t>(rng_.below(2)));
        break;
      }
      case 9:
        world_.tell("Docker of " + at.name() + " stops");
        at.engine().stop_engine();
        later(a_while(), [this, host] { world_.host(host).engine().start_engine(); });
        break;
    }
  }

  World& world_;
  Rng rng_;
};

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("sim: three minutes of anything, then calm: all that must hold does") {
  const uint64_t first = from_environment("KITH_SIM_FIRST", 1'000);
  const uint64_t seeds = from_environment("KITH_SIM_SEEDS", 6);
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    auto world = settled(seed, 10);
    Chaos(*world).run();
    sound(*world);
  }
}

}  // namespace kith::sim
