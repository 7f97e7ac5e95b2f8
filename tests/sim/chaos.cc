#include "chaos.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "defects.h"

namespace kith::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kMeet = 30s;
constexpr Duration kRest = 5s;
constexpr size_t kMostReplicas = 9;
constexpr size_t kFlood = Node::kMaxQueuedEdits + 100;

/// Plays faults on a world. What a fault began it ends itself, at the latest when the chaos does.
class Player {
 public:
  Player(World& world, Duration length) : world_(world), end_(world.now() + length) {}

  void begin(const Fault& fault) {
    at_ = fault.host % world_.size();
    other_ = fault.other % world_.size();
    rng_ = Rng(fault.draw);
    until_ = std::min(world_.now() + fault.lasts, end_);
    const bool pair = fault.kind == FaultKind::kOneWay || fault.kind == FaultKind::kLink ||
                      fault.kind == FaultKind::kClone;
    if (pair && at_ == other_) return;
    world_.tell("fault " + std::to_string(fault.number) + ": " + std::string(name_of(fault.kind)) +
                " " + world_.host(at_).name() + (pair ? " to " + world_.host(other_).name() : ""));
    play(fault.kind);
  }

 private:
  void play(FaultKind kind) {
    switch (kind) {
      case FaultKind::kEdit:
        return edit();
      case FaultKind::kFlood:
        return flood();
      case FaultKind::kKill:
      case FaultKind::kCrash:
      case FaultKind::kLoseDisk:
      case FaultKind::kClone:
      case FaultKind::kFreeze:
      case FaultKind::kStall:
      case FaultKind::kClock:
      case FaultKind::kFull:
        return of_host(kind);
      case FaultKind::kPartition:
      case FaultKind::kOneWay:
      case FaultKind::kLoss:
      case FaultKind::kReorder:
      case FaultKind::kLink:
        return of_network(kind);
      case FaultKind::kExit:
      case FaultKind::kVanish:
      case FaultKind::kUnhealthy:
        return of_container(kind);
      case FaultKind::kEngine:
      case FaultKind::kSlowPull:
      case FaultKind::kBadStart:
        return of_engine(kind);
    }
  }

  // `host` as it is in `action`: the world outlives what waits in its queue.
  void later(std::function<void(World&, size_t)> action) {
    world_.at(until_ - world_.now(),
              [&world = world_, host = at_, action = std::move(action)] { action(world, host); });
  }

  // None of these waits for its answer: what comes of an edit is the checkers' business.
  void edit() {
    if (!world_.host(at_).agent_up()) return;
    const std::string name = "s" + std::to_string(rng_.below(6));
    const std::string image = "image:" + std::to_string(rng_.below(4));
    const auto replicas =
        static_cast<uint32_t>(rng_.below(std::max<size_t>(world_.size(), kMostReplicas)));
    const auto& services = world_.host(at_).node().catalog().services();
    const auto known = services.find(name);
    if (known == services.end()) {
      (void)world_.edit(at_, CreateService{World::spec(name, replicas, image)});
    } else if (rng_.chance(1, 4)) {
      (void)world_.edit(at_, RemoveService{known->second->id});
    } else if (auto update = world_.edit_of(
                   at_, name, replicas, rng_.chance(1, 3) ? std::optional(image) : std::nullopt)) {
      (void)world_.edit(at_, std::move(*update));
    }
  }

  // All of one service as it stands: the first that is stored wins, the rest are refused as stale.
  void flood() {
    if (!world_.host(at_).agent_up()) return;
    const auto& services = world_.host(at_).node().catalog().services();
    if (services.empty()) return;
    auto which = services.begin();
    std::advance(which, static_cast<ptrdiff_t>(rng_.below(services.size())));
    const std::string name = which->first;
    for (size_t i = 0; i < kFlood; ++i)
      if (auto update = world_.edit_of(at_, name, {}, {}))
        (void)world_.edit(at_, std::move(*update));
  }

  void of_host(FaultKind kind) {
    SimHost& at = world_.host(at_);
    const auto start = [](World& world, size_t host) {
      if (!world.host(host).up()) world.host(host).boot();
      world.start(host);
    };
    if (kind == FaultKind::kKill) {
      at.kill_agent();
      later(start);
    } else if (kind == FaultKind::kCrash) {
      at.crash();
      later(start);
    } else if (kind == FaultKind::kLoseDisk) {
      if (rng_.chance(1, 2))
        at.crash();
      else
        at.kill_agent();
      at.lose_disk();
      later(start);
    } else if (kind == FaultKind::kClone) {
      world_.clone(other_, at_);
      later([start](World& world, size_t host) {
        world.host(host).kill_agent();
        world.host(host).lose_disk();
        start(world, host);
      });
    } else if (kind == FaultKind::kFreeze) {
      world_.freeze_for(at_, std::min<Duration>(6s, until_ - world_.now()));
    } else if (kind == FaultKind::kStall) {
      world_.net().stall(at_, std::min(until_, world_.now() + 8s));
    } else if (kind == FaultKind::kClock) {
      jump();
    } else {
      at.disk().set_full(true);
      later([](World& world, size_t host) { world.host(host).disk().set_full(false); });
    }
  }

  // Up to a day, ahead or behind.
  void jump() {
    const auto most = int64_t{1} << (8 + rng_.below(19));
    const int64_t by = static_cast<int64_t>(rng_.below(static_cast<uint64_t>(2 * most))) - most;
    world_.host(at_).clocks().wall_offset_ms += by;
    later([by](World& world, size_t host) { world.host(host).clocks().wall_offset_ms -= by; });
  }

  void of_network(FaultKind kind) {
    Network& net = world_.net();
    LinkQuality& any = net.default_quality();
    if (kind == FaultKind::kPartition) {
      std::set<size_t> side;
      const uint64_t share = 1 + rng_.below(4);
      for (size_t i = 0; i < world_.size(); ++i)
        if (rng_.chance(1, share + 1)) side.insert(i);
      net.partition(side, world_.size());
      later([side](World& world, size_t) { world.net().rejoin(side, world.size()); });
    } else if (kind == FaultKind::kOneWay) {
      net.cut_one_way(at_, other_);
      later([to = other_](World& world, size_t from) { world.net().heal_one_way(from, to); });
    } else if (kind == FaultKind::kLoss) {
      any.loss_percent = static_cast<uint32_t>(rng_.below(30));
      any.duplicate_percent = static_cast<uint32_t>(rng_.below(20));
      later([](World& world, size_t) {
        world.net().default_quality().loss_percent = 0;
        world.net().default_quality().duplicate_percent = 0;
      });
    } else if (kind == FaultKind::kReorder) {
      any.jitter = std::chrono::milliseconds(1 + rng_.below(80));
      later([](World& world, size_t) {
        world.net().default_quality().jitter = LinkQuality{}.jitter;
      });
    } else {
      LinkQuality& link = net.quality(at_, other_);
      link.delay = std::chrono::milliseconds(rng_.below(400));
      link.jitter = std::chrono::milliseconds(1 + rng_.below(200));
      link.loss_percent = static_cast<uint32_t>(rng_.below(80));
      link.duplicate_percent = static_cast<uint32_t>(rng_.below(30));
      later([to = other_](World& world, size_t from) { world.net().as_default(from, to); });
    }
  }

  void of_container(FaultKind kind) {
    FakeEngine& engine = world_.host(at_).engine();
    const auto running = engine.running();
    if (running.empty()) return;
    const std::string task = running[rng_.below(running.size())]->task_id;
    if (kind == FaultKind::kExit) {
      engine.exit(task, static_cast<int32_t>(rng_.below(2)));
    } else if (kind == FaultKind::kVanish) {
      engine.vanish(task);
    } else {
      engine.set_health(task, Health::kUnhealthy);
      later([task](World& world, size_t host) {
        world.host(host).engine().set_health(task, Health::kHealthy);
      });
    }
  }

  void of_engine(FaultKind kind) {
    FakeEngine& engine = world_.host(at_).engine();
    if (kind == FaultKind::kEngine) {
      engine.stop_engine();
      later([](World& world, size_t host) { world.host(host).engine().start_engine(); });
    } else if (kind == FaultKind::kSlowPull) {
      engine.pace().start_least = std::chrono::milliseconds(rng_.below(20'000));
      later([](World& world, size_t host) { world.host(host).engine().pace() = {}; });
    } else {
      engine.set_start_fault("no space left on device");
      later([](World& world, size_t host) { world.host(host).engine().set_start_fault({}); });
    }
  }

  World& world_;
  Instant end_;
  size_t at_ = 0;
  size_t other_ = 0;
  Instant until_;
  Rng rng_{0};
};

std::string minutes(Duration time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", std::chrono::duration<double>(time).count() / 60);
  return text;
}

}  // namespace

std::vector<Fault> schedule_of(const RunShape& shape) {
  std::vector<Fault> faults =
      draw_schedule({shape.seed, shape.drawn_for != 0 ? shape.drawn_for : shape.hosts, shape.length,
                     shape.kinds});
  if (shape.only)
    std::erase_if(faults, [&](const Fault& fault) {
      return !std::binary_search(shape.only->begin(), shape.only->end(), fault.number);
    });
  return faults;
}

std::string command_line(const RunShape& shape) {
  std::string line = "./run sim --seed " + std::to_string(shape.seed) + " --nodes " +
                     std::to_string(shape.hosts) + " --minutes " + minutes(shape.length);
  if (shape.drawn_for != 0 && shape.drawn_for != shape.hosts)
    line += " --drawn-for " + std::to_string(shape.drawn_for);
  if (shape.calm != RunShape{}.calm) line += " --calm " + minutes(shape.calm);
  const auto list = [&](const std::string& option, const auto& items, const auto& text) {
    line += " --" + option + " ";
    for (size_t i = 0; i < items.size(); ++i) line += (i == 0 ? "" : ",") + text(items[i]);
    if (items.empty()) line += "none";
  };
  if (shape.kinds != usual_faults())
    list("faults", shape.kinds, [](FaultKind kind) { return std::string(name_of(kind)); });
  if (shape.defect != Defect::kNone) line += " --defect " + std::string(name_of(shape.defect));
  if (shape.only) list("only", *shape.only, [](size_t n) { return std::to_string(n); });
  return line;
}

Duration play(World& world, const RunShape& shape, bool stop_at_violation) {
  const auto over = [&] { return stop_at_violation && !world.violations().empty(); };
  world.start_all();
  if (!world.run_until([&] { return world.converged(); }, kMeet))
    world.violated("start", "the hosts do not find each other within 30 s");
  world.run_for(kRest);
  Player player(world, shape.length);
  const Instant begun = world.now();
  for (const Fault& fault : schedule_of(shape)) {
    world.run_for(begun + fault.at - world.now());
    if (over()) return begun.time_since_epoch();
    player.begin(fault);
  }
  world.run_for(begun + shape.length - world.now());
  world.calm();
  for (Duration left = shape.calm; left > Duration{} && !over(); left -= 1s)
    world.run_for(std::min<Duration>(left, 1s));
  return begun.time_since_epoch();
}

}  // namespace kith::sim
