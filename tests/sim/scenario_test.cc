// Named scenarios: each once went wrong in some system, or was feared.
#include <set>

#include "scenario.h"

namespace kith::sim {
namespace {

/// Of `subject`'s copies that run, those that some other live node does not know as running.
size_t unknown_tasks(const World& world, size_t subject) {
  size_t missing = 0;
  const NodeId id = world.host(subject).id();
  std::set<SlotKey> here;
  for (const auto& [slot, hosts] : world.running())
    if (std::count(hosts.begin(), hosts.end(), subject) != 0) here.insert(slot);
  for (const size_t viewer : world.live()) {
    if (viewer == subject) continue;
    std::set<SlotKey> known;
    for (const TaskRecord& task : world.host(viewer).node().tasks())
      if (task.node == id && task.state == TaskState::kRunning) known.insert(task.slot);
    for (const SlotKey& slot : here) missing += known.contains(slot) ? 0 : 1;
  }
  return missing;
}

bool warned(const World& world, size_t host, const std::string& of) {
  const StatusReport report = world.host(host).node().status(world.host(host).now());
  return std::any_of(
      report.warnings.begin(), report.warnings.end(),
      [&](const std::string& warning) { return warning.find(of) != std::string::npos; });
}

/// Since then, none of the hosts but the `bad` ones has had a doubt about another of them: what a
/// bad one says of them is heard by all, and refuted.
void accused_only(const World& world, Instant since, const std::set<size_t>& bad) {
  size_t refuted = 0;
  for (const World::Said& said : world.said()) {
    const std::string& text = said.event.text;
    const auto is_subject = [&](size_t host) {
      return said.event.id == world.host(host).id().docker_id();
    };
    const auto is_accuser = [&](size_t host) {
      return text.ends_with("says " + world.host(host).name());
    };
    if (said.at < since || bad.contains(said.host) || std::ranges::any_of(bad, is_subject))
      continue;
    CHECK_MESSAGE(said.event.action != "dead", text);
    if (said.event.action != "suspect") continue;
    CHECK_MESSAGE(std::ranges::any_of(bad, is_accuser), text);
    ++refuted;
  }
  MESSAGE(refuted << " times some host heard it accuse another");
}

}  // namespace

TEST_CASE("sim: halves that gave each other up for dead an hour ago merge") {
  auto world = settled(3001, 4);
  REQUIRE(world->create(0, "web", 8).result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 8); });
  world->net().partition({0, 1}, 4);
  world->run_for(1h);
  CHECK_FALSE(world->views_agree());
  world->net().heal_all();
  within(*world, 10s, "one cluster", [&] { return world->converged(); });
  within(*world, 60s, "each slot once", [&] { return world->runs_exactly("web", 8); });
  sound(*world);
}

TEST_CASE("sim: all hosts lose their power and their disks at once: a new cluster, not none") {
  auto world = settled(3002, 5);
  REQUIRE(world->create(0, "old", 5).result);
  within(*world, 5s, "old runs", [&] { return world->runs_exactly("old", 5); });
  for (size_t i = 0; i < 5; ++i) world->host(i).crash();
  world->run_for(20s);
  for (size_t i = 0; i < 5; ++i) {
    world->host(i).lose_disk();
    world->host(i).boot();
    world->start(i);
  }
  within(*world, 15s, "one cluster", [&] { return world->converged(); });
  CHECK(world->host(0).node().nodes(world->host(0).now()).size() == 5);
  CHECK(world->host(0).node().services().empty());
  REQUIRE(world->create(1, "new", 10).result);
  within(*world, 10s, "new runs", [&] { return world->runs_exactly("new", 10); });
}

TEST_CASE("sim: all hosts lose their power at once and keep their disks: all runs again, once") {
  auto world = settled(3003, 5);
  REQUIRE(world->create(0, "web", 10).result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 10); });
  for (size_t i = 0; i < 5; ++i) world->host(i).crash();
  world->run_for(60s);
  for (size_t i = 0; i < 5; ++i) {
    world->host(i).boot();
    world->start(i);
  }
  within(*world, 10s, "one cluster", [&] { return world->converged(); });
  within(*world, 30s, "each slot once", [&] { return world->runs_exactly("web", 10); });
  sound(*world);
}

TEST_CASE("sim: UDP blocked and TCP open: nobody is called dead, and the status names it") {
  auto world = settled(3004, 5);
  REQUIRE(world->create(0, "web", 10).result);
  within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 10); });
  const size_t deaths = world->count("dead");
  for (size_t i = 0; i < 4; ++i) {
    world->net().block_datagrams(i, 4);
    world->net().block_datagrams(4, i);
  }
  within(*world, 20s, "the status names it",
         [&] { return warned(*world, 0, "UDP between this host and " + world->host(4).name()); });
  world->run_for(60s);
  CHECK(world->count("dead") == deaths);
  CHECK(warned(*world, 4, "UDP between this host and"));
  CHECK(world->views_agree());
  CHECK(world->runs_exactly("web", 10));
  REQUIRE(world->scale(4, "web", 12).result);
  within(*world, 20s, "edits still travel", [&] { return world->runs_exactly("web", 12); });
  world->net().heal_all();
  within(*world, 20s, "no longer said",
         [&] { return !warned(*world, 0, "UDP between this host and " + world->host(4).name()); });
  sound(*world);
}

TEST_CASE("sim: cut off for 10 to 30 s and back: its tasks are valid everywhere within 3 s") {
  for (const Duration apart : {10s, 20s, 30s}) {
    auto world = settled(3010 + static_cast<uint64_t>(apart.count()), 5);
    REQUIRE(world->create(0, "web", 10).result);
    within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 10); });
    world->run_for(10s);
    world->net().isolate(3, 5);
    world->run_for(apart);
    CHECK(unknown_tasks(*world, 3) > 0);
    world->net().heal_all();
    const Duration took =
        within(*world, 3s, "its tasks are known", [&] { return unknown_tasks(*world, 3) == 0; });
    MESSAGE("after " << in_seconds(apart) << " s: " << in_seconds(took) << " s");
    within(*world, 60s, "each slot once", [&] { return world->runs_exactly("web", 10); });
    sound(*world);
  }
}

TEST_CASE("sim: one of twelve flip-flops: a stable view of the rest, no work after the second") {
  auto world = settled(3020, 12);
  REQUIRE(world->create(0, "web", 24).result);
  within(*world, 10s, "web runs", [&] { return world->runs_exactly("web", 24); });
  world->run_for(10s);
  const Instant began = world->now();
  size_t starts_after_second = 0;
  for (int flap = 0; flap < 5; ++flap) {
    world->net().isolate(7, 12);
    world->run_for(5s);
    world->net().heal_all();
    within(*world, 4s, "back", [&] { return world->views_agree(); });
    if (flap < 1) continue;
    // Held down from the second return on: nothing new is placed on it, so nothing moves back.
    const size_t before = world->host(7).engine().running().size();
    world->run_for(5s);
    const size_t after = world->host(7).engine().running().size();
    starts_after_second += after > before ? after - before : 0;
  }
  CHECK(starts_after_second == 0);
  for (const World::Said& said : world->said())
    if (said.at >= began && said.event.action == "dead" && said.host != 7)
      CHECK(said.event.id == world->host(7).id().docker_id());
  sound(*world);
}

TEST_CASE("sim: who starts while another is suspect gives it up no later than the rest") {
  for (uint64_t seed = 3050; seed < 3060; ++seed) {
    auto world = settled(seed, 5);
    world->host(4).kill_agent();
    world->run_for(10s);
    world->host(0).kill_agent();
    within(*world, 3s, "suspect", [&] {
      return world->host(1).node().membership().find(world->host(0).id())->state ==
             MemberState::kSuspect;
    });
    world->start(4);
    within(*world, 6s, "given up by the newcomer too", [&] {
      const Member* gone = world->host(4).node().membership().find(world->host(0).id());
      return world->host(4).node().synced() && gone != nullptr && !gone->present();
    });
  }
}

TEST_CASE("sim: two agents with one copied data_dir: the elder stays, the newer says the mend") {
  for (const uint64_t seed : {3030ULL, 3031ULL, 3032ULL}) {
    auto world = settled(seed, 4);
    const size_t copy = world->add_host();
    world->host(copy).become(world->host(2));
    world->start(copy);
    within(*world, 20s, "the copy has stopped", [&] { return !world->host(copy).agent_up(); });
    CHECK(world->host(2).agent_up());
    const auto named = [&](size_t host, const std::string& word) {
      return std::any_of(world->said().begin(), world->said().end(), [&](const World::Said& said) {
        return said.host == host && said.event.text.find(word) != std::string::npos;
      });
    };
    CHECK(named(2, "two agents run with the identity"));
    CHECK(named(copy, "two agents run with the identity"));
    const auto whole = [&] {
      for (size_t i = 0; i < 4; ++i) {
        for (const auto& [id, member] : world->host(i).node().membership().members())
          if (member.state != MemberState::kAlive) return false;
      }
      return true;
    };
    within(*world, 10s, "the elder is a member everywhere", whole);
    world->run_for(20s);
    CHECK(world->host(2).agent_up());
    CHECK(whole());
  }
}

TEST_CASE("sim: two hosts with one address: the others see one view, and the mend mends") {
  for (const bool both_have_it : {false, true}) {  // it only says so, or it is configured so
    CAPTURE(both_have_it);
    auto world = settled(3060, 5);
    REQUIRE(world->create(0, "web", 10).result);
    within(*world, 5s, "web runs", [&] { return world->runs_exactly("web", 10); });
    const Instant began = world->now();
    const size_t other = world->add_host();
    std::set<size_t> bad{other};
    world->host(other).address = Network::address(2);
    if (both_have_it) {
      world->net().share_address(2, other);
      bad.insert(2);
    }
    world->start(other);
    world->run_for(60s);
    accused_only(*world, began, bad);
    CHECK(world->running_count("web") >= 10);
    // The mend: an address of its own, and a start.
    world->host(other).kill_agent();
    world->net().unshare();
    world->host(other).address.reset();
    world->start(other);
    within(*world, 20s, "one cluster", [&] { return world->converged(); });
    within(*world, 60s, "each slot once", [&] { return world->runs_exactly("web", 10); });
    sound(*world);
  }
}

TEST_CASE("sim: one of twenty loses four of five packets: one view of the rest, no work moves") {
  auto world = settled(3070, 20);
  REQUIRE(world->create(0, "web", 40).result);
  within(*world, 10s, "web runs", [&] { return world->runs_exactly("web", 40); });
  world->run_for(10s);
  const auto starts = [&] {
    uint64_t sum = 0;
    for (size_t i = 0; i < 20; ++i) sum += world->host(i).engine().starts();
    return sum;
  };
  constexpr size_t kBad = 7;
  const Instant began = world->now();
  const uint64_t starts_before = starts();
  uint64_t starts_at_second = 0;
  for (size_t i = 0; i < 20; ++i) {
    if (i == kBad) continue;
    world->net().quality(i, kBad).loss_percent = 80;
    world->net().quality(kBad, i).loss_percent = 80;
  }
  for (int second = 0; second < 45; ++second) {
    world->run_for(1s);
    if (starts_at_second == 0 && warned(*world, kBad, "this node flapped")) {
      world->run_for(3s);  // what the second flap itself moved
      starts_at_second = starts();
    }
  }
  accused_only(*world, began, {kBad});
  const uint64_t moved = starts() - starts_before;
  MESSAGE(moved << " starts");
  if (starts_at_second == 0) starts_at_second = starts_before;  // no flap counted: nothing may move
  CHECK(starts() == starts_at_second);
  sound(*world);
}

TEST_CASE("sim: two hundred nodes join in one second") {
  if (std::getenv("KITH_SIM_LARGE") == nullptr) return;
  World world(3040, 203);
  for (size_t i = 0; i < 3; ++i) world.start(i);
  world.run_for(5s);
  for (size_t i = 3; i < 203; ++i) {
    world.at(std::chrono::milliseconds(5 * (i - 3)), [&world, i] { world.start(i); });
  }
  const Duration took = within(world, 30s, "all know all", [&] { return world.views_agree(); });
  MESSAGE("all know all " << in_seconds(took) << " s after the first");
  CHECK(world.count("dead") == 0);
  sound(world);
}

}  // namespace kith::sim
