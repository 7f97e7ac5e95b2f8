// The cluster's key is rotated while hosts are away, apart, or dying; and somebody is banned.

#include <algorithm>
#include <ranges>

#include "adversary.h"
#include "gossip/crypto.h"
#include "scenario.h"

namespace kith::sim {
namespace {

ClusterKey new_key(uint8_t n) {
  ClusterKey key;
  key.secret.fill(n);
  return key;
}

Edit rotation(const ClusterKey& fresh) {
  return KeyEdit{KeyEdit::kRotate, 0, fresh, {}, false};
}

const SharedRing& ring(const World& world, size_t host) {
  return world.host(host).node().keys().ring();
}

bool all_seal_with(const World& world, const ClusterKey& key) {
  const std::vector<size_t> live = world.live();
  return std::all_of(live.begin(), live.end(),
                     [&](size_t i) { return ring(world, i).primary() == key; });
}

bool all_have_only(const World& world, const ClusterKey& key) {
  const std::vector<size_t> live = world.live();
  return all_seal_with(world, key) && std::all_of(live.begin(), live.end(), [&](size_t i) {
           return ring(world, i).live().size() == 1;
         });
}

/// Every host but the last of these sees the others, and nothing of the last.
bool all_but(const World& world, const NodeId& banned) {
  for (const size_t i : world.live()) {
    const Node& node = world.host(i).node();
    if (node.self() == banned) continue;
    if (node.membership().known(banned) || node.catalog().roster().contains(banned) ||
        !node.keys().banned(banned))
      return false;
  }
  return true;
}

/// What knocks in every way it can: with its key, as itself and as `as`, whose boot it knows.
void knock(World& world, Adversary& who, size_t hosts, const NodeId& as, uint64_t boot) {
  for (int i = 0; i < 100; ++i) {
    const size_t to = world.rng().below(hosts);
    Message ping;
    ping.body = Ping{world.rng().next()};
    ping.rumors = {who.alive()};
    who.say(to, ping);
    if (!as.none()) {
      Message like;
      like.body = Ping{world.rng().next()};
      who.spoof(to, as, boot, 1'000'000 + static_cast<uint64_t>(i), encode(like));
    }
    if (i % 10 == 0) who.join(to);
    world.run_for(50ms);
  }
  world.run_for(10s);
}

struct Untouched {
  uint64_t root;
  size_t dead;
};
Untouched look(const World& world) {
  return {world.host(0).node().documents().root(), world.count("dead")};
}
void nothing_came_of_it(const World& world, const Adversary& who, const Untouched& before) {
  CHECK(who.datagrams_heard == 0);
  CHECK(who.stream_bytes_heard == 0);
  for (const size_t i : world.live()) {
    CHECK(world.host(i).node().documents().root() == before.root);
    CHECK_FALSE(world.host(i).node().membership().known(who.id()));
  }
  CHECK(world.count("dead") == before.dead);
}

}  // namespace

TEST_CASE("sim: the key is rotated under loss; who was away comes back with the old one") {
  for (uint64_t seed = 900; seed < 903; ++seed) {
    auto world = settled(seed, 5);
    REQUIRE(world->create(0, "web", 8).result);
    world->host(4).kill_agent();
    world->run_for(10s);
    world->net().set_loss(10);
    REQUIRE(world->ask(1, rotation(new_key(7))).result);
    const Duration took =
        within(*world, 30s, "all seal with it", [&] { return all_seal_with(*world, new_key(7)); });
    MESSAGE("all four use it after " << in_seconds(took) << " s");
    world->run_for(20s);
    // It is kept for the one that is away, and named.
    CHECK(ring(*world, 0).standing(world->key().id()) == KeyStanding::kOlder);
    const auto entries = world->host(2).node().key_entries();
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].primary);
    CHECK(entries[0].lacking == std::vector<std::string>{"n5"});
    CHECK(entries[1].needed_by == std::vector<std::string>{"n5"});
    CHECK(world->ask(3, KeyEdit{KeyEdit::kRemove, world->key().id(), {}, {}, false})
              .error.value()
              .message.find("n5") != std::string::npos);

    world->start(4);  // its disk and its configuration know the old key alone
    CHECK(ring(*world, 4).primary() == world->key());
    within(*world, 30s, "it has the new one", [&] { return all_seal_with(*world, new_key(7)); });
    world->net().set_loss(0);
    within(*world, 30s, "nobody has the old one",
           [&] { return all_have_only(*world, new_key(7)) && world->converged(); });

    // All start anew, with the old key in their configuration.
    world->run_for(1s);  // what is in use is on disk
    for (size_t i = 0; i < 5; ++i) world->host(i).kill_agent();
    world->run_for(2s);
    world->start_all();
    CHECK(all_have_only(*world, new_key(7)));
    within(*world, 30s, "they meet again", [&] { return world->converged(); });
    const auto warnings = world->host(0).node().status(world->host(0).now()).warnings;
    CHECK(std::any_of(warnings.begin(), warnings.end(), [](const std::string& warning) {
      return warning.find("not the cluster's key of today") != std::string::npos;
    }));
    within(*world, 30s, "web runs", [&] { return world->runs_exactly("web", 8); });
    sound(*world);
  }
}

TEST_CASE("sim: a rotation disturbs nobody") {
  auto world = settled(910, 8);
  const size_t suspected = world->count("suspect");
  for (uint8_t n = 1; n <= 5; ++n) {
    REQUIRE(world->ask(n, rotation(new_key(n))).result);
    within(*world, 10s, "it is the only one", [&] { return all_have_only(*world, new_key(n)); });
  }
  CHECK(world->count("suspect") == suspected);
  sound(*world);
}

TEST_CASE("sim: add, use and rm one by one, each refused while it would cut somebody off") {
  auto world = settled(912, 4);
  const uint64_t old_id = world->key().id();
  const uint64_t fresh = new_key(1).id();
  REQUIRE(world->ask(0, KeyEdit{KeyEdit::kAdd, 0, new_key(1), {}, false}).result);
  // It is not out yet.
  const Answer early = world->ask(0, KeyEdit{KeyEdit::kUse, fresh, {}, {}, false});
  REQUIRE(early.error);
  CHECK(early.error->message.find("n2, n3 and n4") != std::string::npos);
  within(*world, 10s, "all have it, and all know", [&] {
    return std::ranges::all_of(world->live(), [&](size_t i) {
      const auto entries = world->host(i).node().key_entries();
      return entries.size() == 2 && entries[1].lacking.empty();
    });
  });
  CHECK(all_seal_with(*world, world->key()));
  CHECK(world->ask(2, KeyEdit{KeyEdit::kRemove, old_id, {}, {}, false}).error->code ==
        ErrorCode::kConflict);  // the primary
  REQUIRE(world->ask(3, KeyEdit{KeyEdit::kUse, fresh, {}, {}, false}).result);
  CHECK(world->ask(3, KeyEdit{KeyEdit::kRemove, old_id, {}, {}, false})
            .error->message.find("n1, n2 and n3") != std::string::npos);
  within(*world, 10s, "all use it", [&] {
    return all_seal_with(*world, new_key(1)) &&
           world->host(0).node().key_entries()[0].lacking.empty();
  });
  world->run_for(10s);
  CHECK(ring(*world, 1).live().size() == 2);  // nobody asked for its end
  REQUIRE(world->ask(0, KeyEdit{KeyEdit::kRemove, old_id, {}, {}, false}).result);
  within(*world, 10s, "it is gone", [&] { return all_have_only(*world, new_key(1)); });
  CHECK(world->ask(0, KeyEdit{KeyEdit::kUse, old_id, {}, {}, true}).error->code ==
        ErrorCode::kNotFound);
  CHECK(world->count("suspect") == 0);
  sound(*world);
}

TEST_CASE("sim: both sides of a split rotate, and come to one key") {
  for (uint64_t seed = 920; seed < 923; ++seed) {
    auto world = settled(seed, 6);
    world->net().partition({0, 1, 2}, 6);
    world->run_for(15s);
    REQUIRE(world->ask(0, rotation(new_key(1))).result);
    world->run_for(2s);
    REQUIRE(world->ask(5, rotation(new_key(2))).result);
    world->run_for(15s);
    CHECK(ring(*world, 2).primary() == new_key(1));
    CHECK(ring(*world, 3).primary() == new_key(2));
    world->net().heal_all();
    const Duration took = within(*world, 60s, "they meet", [&] { return world->converged(); });
    MESSAGE("met after " << in_seconds(took) << " s");
    within(*world, 30s, "the later key is the only one",
           [&] { return all_have_only(*world, new_key(2)); });
    sound(*world);
  }
}

TEST_CASE("sim: with an old key nobody gets into the roster through who was away meanwhile") {
  for (uint64_t seed = 985; seed < 988; ++seed) {
    std::printf("seed %llu, 5 hosts and a stranger\n", static_cast<unsigned long long>(seed));
    auto world = std::make_unique<World>(seed, 6);
    for (size_t i = 0; i < 5; ++i) world->start(i);
    REQUIRE(world->run_until([&] { return world->converged(); }, 30s));
    world->run_for(5s);
    const auto is_known = [&](size_t host) {
      const Node& node = world->host(host).node();
      return node.catalog().roster().contains(world->host(5).id()) ||
             node.membership().known(world->host(5).id());
    };
    world->net().partition({1, 2, 3, 4}, 6);
    world->run_for(15s);
    REQUIRE(world->ask(1, rotation(new_key(3))).result);
    world->run_for(5s);
    world->start(5);  // has the old key, and only the one that is away answers to that
    within(*world, 20s, "it is in, over there",
           [&] { return world->host(0).node().catalog().roster().contains(world->host(5).id()); });
    REQUIRE(world->create(0, "kept", 1).result);
    REQUIRE(world->create(5, "told", 1).result);
    world->run_for(2s);
    const size_t joined = world->count("join");
    world->net().heal_all();
    within(*world, 30s, "who was away is back", [&] {
      return ring(*world, 0).primary() == new_key(3) &&
             world->host(1).node().membership().alive_count() == 5 &&
             world->host(0).node().membership().alive_count() == 5;
    });
    for (int i = 0; i < 200; ++i) {
      world->run_for(100ms);
      for (size_t host = 1; host < 5; ++host) REQUIRE_FALSE(is_known(host));
    }
    CHECK_FALSE(is_known(0));
    CHECK(world->count("join") == joined);
    CHECK(ring(*world, 5).primary() == world->key());
    CHECK(ring(*world, 5).live().size() == 1);
    for (size_t host = 0; host < 5; ++host) {  // no edit is lost
      const auto& services = world->host(host).node().catalog().services();
      CHECK(services.contains("kept"));
      CHECK(services.contains("told"));
      CHECK(ring(*world, host).live().size() == 1);
    }
    // It stays so over a restart. With today's key by hand the same host is let in.
    for (size_t i = 0; i < 5; ++i) world->host(i).kill_agent();
    world->run_for(1s);
    for (size_t i = 0; i < 5; ++i) world->start(i);
    world->run_for(10s);
    for (size_t host = 0; host < 5; ++host) CHECK_FALSE(is_known(host));
    world->host(5).kill_agent();
    world->host(5).start_agent(new_key(3));
    within(*world, 30s, "it is in", [&] { return world->converged(); });
    CHECK(is_known(1));
    CHECK(all_have_only(*world, new_key(3)));
    // And stays in over the next rotation, which lists it.
    REQUIRE(world->ask(5, rotation(new_key(4))).result);
    within(*world, 10s, "the next is the only one",
           [&] { return all_have_only(*world, new_key(4)); });
    world->run_for(5s);
    CHECK(world->converged());
    CHECK(is_known(1));
  }
}

TEST_CASE("sim: who came in on one side of a split stays, though the other's rotation wins") {
  std::printf("seed 989, 4 hosts and a new one\n");
  auto world = std::make_unique<World>(989, 5);
  for (size_t i = 0; i < 4; ++i) world->start(i);
  REQUIRE(world->run_until([&] { return world->converged(); }, 30s));
  world->run_for(5s);
  world->net().partition({0, 1, 4}, 5);
  world->run_for(15s);
  REQUIRE(world->ask(0, rotation(new_key(1))).result);
  within(*world, 10s, "in use", [&] { return ring(*world, 1).primary() == new_key(1); });
  world->run_for(2s);
  world->host(4).start_agent(new_key(1));
  within(*world, 20s, "it is in",
         [&] { return world->host(0).node().catalog().roster().contains(world->host(4).id()); });
  REQUIRE(world->ask(3, rotation(new_key(2))).result);
  world->run_for(5s);
  world->net().heal_all();
  within(*world, 60s, "all are together, with the later key alone",
         [&] { return world->converged() && all_have_only(*world, new_key(2)); });
  world->run_for(20s);
  for (size_t i = 0; i < 5; ++i)
    CHECK(world->host(i).node().catalog().roster().contains(world->host(4).id()));
  CHECK(world->converged());
  sound(*world);
}

TEST_CASE(
    "sim: a rotation beyond a split, later than a ban, leaves no key that the banned one has") {
  for (uint64_t seed = 990; seed < 993; ++seed) {
    std::printf("seed %llu, 6 hosts and a stranger\n", static_cast<unsigned long long>(seed));
    auto world = std::make_unique<World>(seed, 7);
    for (size_t i = 0; i < 6; ++i) world->start(i);
    REQUIRE(world->run_until([&] { return world->converged(); }, 30s));
    world->run_for(5s);
    const NodeId banned = world->host(5).id();
    world->net().partition({0, 1, 2}, 7);
    world->run_for(15s);
    REQUIRE(world->ask(0, KeyEdit{KeyEdit::kBan, 0, new_key(1), banned, true}).result);
    world->run_for(2s);
    REQUIRE(world->ask(3, rotation(new_key(2))).result);  // with the banned one among them
    world->run_for(10s);
    REQUIRE(ring(*world, 5).primary() == new_key(2));
    world->net().heal_all();
    within(*world, 60s, "the others have one key, and it has another", [&] {
      const ClusterKey& now = ring(*world, 0).primary();
      for (size_t i = 0; i < 5; ++i)
        if (ring(*world, i).primary() != now || ring(*world, i).live().size() != 1) return false;
      const auto theirs = ring(*world, 5).live();
      return !theirs.contains(now.id()) && all_but(*world, banned);
    });
    // With no key it has does it come back as somebody else.
    world->host(5).kill_agent();
    const Untouched before = look(*world);
    for (const ClusterKey& key : {world->key(), new_key(2)}) {
      Adversary as_another(*world, 6, key);
      knock(*world, as_another, 5, {}, 0);
      nothing_came_of_it(*world, as_another, before);
    }
  }
}

TEST_CASE("sim: whoever dies in the middle of a rotation, nobody is locked out") {
  for (uint64_t seed = 930; seed < 938; ++seed) {
    auto world = settled(seed, 5);
    const auto answer = world->edit(seed % 5, rotation(new_key(9)));
    for (int i = 0; i < 4; ++i) {
      world->run_for(std::chrono::milliseconds(world->rng().below(300)));
      const size_t host = world->rng().below(5);
      world->host(host).crash();
      world->run_for(std::chrono::milliseconds(world->rng().below(500)));
      if (world->rng().chance(1, 2)) world->host(seed % 5).crash();
    }
    world->run_for(3s);
    const bool done = answer->done && answer->result;
    world->calm();
    within(*world, 60s, "all are together", [&] { return world->converged(); });
    within(*world, 60s, "with one key", [&] {
      return all_have_only(*world, new_key(9)) || (!done && all_have_only(*world, world->key()));
    });
    world->run_for(40s);
    sound(*world);
  }
}

TEST_CASE("sim: nobody relies on a key that a host with a full disk could not keep") {
  auto world = settled(980, 4);
  world->host(3).disk().set_full(true);
  REQUIRE(world->ask(0, rotation(new_key(2))).result);
  world->run_for(10s);
  CHECK(ring(*world, 3).standing(new_key(2).id()) == KeyStanding::kNewer);  // in use, not kept
  CHECK(all_seal_with(*world, world->key()));
  CHECK(world->host(1).node().key_entries()[1].lacking == std::vector<std::string>{"n4"});
  world->host(3).kill_agent();
  world->host(3).disk().set_full(false);
  world->run_for(15s);
  world->start(3);
  CHECK(ring(*world, 3).untouched());
  within(*world, 30s, "it is let in", [&] { return all_have_only(*world, new_key(2)); });
  CHECK(world->converged());
  sound(*world);
}

TEST_CASE("sim: with an old key alone nobody gets a reply, while it is kept for somebody else") {
  std::printf("seed 940, 5 hosts and a stranger\n");
  auto world = std::make_unique<World>(940, 6);
  for (size_t i = 0; i < 5; ++i) world->start(i);
  REQUIRE(world->run_until([&] { return world->converged(); }, 30s));
  world->run_for(5s);
  const NodeId away = world->host(4).id();
  const uint64_t boot = world->host(0).node().membership().find(away)->boot;
  world->host(4).kill_agent();
  world->run_for(15s);
  REQUIRE(world->ask(0, rotation(new_key(3))).result);
  within(*world, 10s, "all use it", [&] { return all_seal_with(*world, new_key(3)); });
  world->run_for(10s);
  REQUIRE(ring(*world, 0).standing(world->key().id()) == KeyStanding::kOlder);
  const Untouched before = look(*world);
  {
    Adversary stranger(*world, 5, world->key());
    knock(*world, stranger, 4, away, boot);
    nothing_came_of_it(*world, stranger, before);
  }
  // And the one it is kept for is let in.
  world->start(4);
  within(*world, 30s, "it is back", [&] { return all_have_only(*world, new_key(3)); });
  sound(*world);
}

TEST_CASE("sim: who is banned while connected is cut off at once, whatever key it has") {
  for (uint64_t seed = 950; seed < 953; ++seed) {
    auto world = settled(seed, 5);
    REQUIRE(world->create(0, "web", 10).result);
    within(*world, 10s, "web runs", [&] { return world->runs_exactly("web", 10); });
    const NodeId banned = world->host(4).id();
    REQUIRE(world->ask(1, KeyEdit{KeyEdit::kBan, 0, new_key(5), banned, true}).result);
    const Duration took =
        within(*world, 5s, "nobody knows it", [&] { return all_but(*world, banned); });
    MESSAGE("banned everywhere after " << in_seconds(took) << " s");
    uint64_t sent = 0;
    world->net().tap = [&](size_t, const Endpoint& to, const Bytes&) {
      if (Network::host_of(to) == 4) ++sent;
    };
    within(*world, 10s, "the others have another key", [&] {
      for (size_t i = 0; i < 4; ++i)
        if (ring(*world, i).primary() != new_key(5) || ring(*world, i).live().size() != 1)
          return false;
      return true;
    });
    world->run_for(20s);
    CHECK(sent == 0);
    CHECK(ring(*world, 4).primary() == world->key());
    // Its copies are nobody's business any more: their slots run elsewhere.
    size_t elsewhere = 0;
    for (const auto& [slot, hosts] : world->running())
      elsewhere += std::count_if(hosts.begin(), hosts.end(), [](size_t i) { return i != 4; });
    CHECK(elsewhere == 10);
    world->host(4).kill_agent();
    const Untouched before = look(*world);
    for (const ClusterKey& key : {world->key(), new_key(5)}) {
      Adversary liar(*world, 4, key);
      knock(*world, liar, 4, {}, 0);
      nothing_came_of_it(*world, liar, before);
    }
    CHECK(sent == 0);
    // It stays so over a restart of everybody.
    for (size_t i = 0; i < 4; ++i) world->host(i).kill_agent();
    world->run_for(1s);
    for (size_t i = 0; i < 4; ++i) world->start(i);
    world->start(4);
    world->run_for(20s);
    CHECK(all_but(*world, banned));
    for (size_t i = 0; i < 4; ++i) CHECK(world->host(i).node().membership().alive_count() == 4);
  }
}

TEST_CASE("sim: while a ban's new key waits for a full disk, the old one lets nobody new in") {
  auto world = settled(980, 5);
  world->host(3).disk().set_full(true);
  const NodeId banned = world->host(4).id();
  REQUIRE(world->ask(0, KeyEdit{KeyEdit::kBan, 0, new_key(9), banned, true}).result);
  within(*world, 5s, "nobody knows it", [&] { return all_but(*world, banned); });
  world->run_for(5s);
  REQUIRE(ring(*world, 0).rotating());
  world->host(4).kill_agent();
  const Untouched before = look(*world);
  {
    Adversary as_another(*world, 4, world->key());
    knock(*world, as_another, 3, {}, 0);
    nothing_came_of_it(*world, as_another, before);
  }
  world->host(3).disk().set_full(false);
  within(*world, 30s, "all have it", [&] { return all_have_only(*world, new_key(9)); });
}

TEST_CASE("sim: a ban is heard of by who was away, who then is in and the banned one is not") {
  auto world = settled(960, 5);
  const NodeId banned = world->host(4).id();
  world->host(3).kill_agent();
  world->run_for(15s);
  REQUIRE(world->ask(0, KeyEdit{KeyEdit::kBan, 0, new_key(6), banned, true}).result);
  world->run_for(15s);
  // Both have the old key, and at first nobody else to talk to.
  world->start(3);
  within(*world, 60s, "it heard",
         [&] { return all_but(*world, banned) && ring(*world, 3).primary() == new_key(6); });
  within(*world, 30s, "the old key is gone", [&] { return ring(*world, 0).live().size() == 1; });
  within(*world, 10s, "the four are one cluster", [&] {
    return std::ranges::all_of(std::views::iota(0, 4), [&](size_t i) {
      return world->host(i).node().membership().alive_count() == 4;
    });
  });
  CHECK(world->ask(0, KeyEdit{KeyEdit::kBan, 0, new_key(8), world->host(0).id(), true})
            .error->message.find("cannot ban itself") != std::string::npos);
  CHECK(world->ask(0, KeyEdit{KeyEdit::kBan, 0, new_key(8), banned, true}).error->code ==
        ErrorCode::kNotFound);
}

TEST_CASE("sim: a member's key from the end of time is taken by nobody, and a ban gets rid of it") {
  auto world = settled(975, 5);
  const NodeId banned = world->host(4).id();
  SharedRing late(world->key());
  REQUIRE(late.add(new_key(6), world->host(0).now().wall));
  REQUIRE(late.use(new_key(6).id(), world->host(0).now().wall));
  Bytes bytes = late.encode();
  constexpr uint64_t kEnd = (4'102'444'800'000 - 1'577'836'800'000ULL) << 16;
  const auto id = u64_bytes(new_key(6).id());
  const auto at = std::search(bytes.begin(), bytes.end(), id.begin(), id.end());
  put_u64(&*at + 16, kEnd);
  REQUIRE(SharedRing::decode(bytes));
  world->host(4).kill_agent();
  {
    Adversary liar(*world, 4, world->key());
    Bytes frame(8 + bytes.size(), 1);  // first a digest that nobody has
    std::copy(bytes.begin(), bytes.end(), frame.begin() + 8);
    for (size_t to = 0; to < 4; ++to) {
      const uint64_t stream = liar.open(to);
      world->run_for(1s);
      CHECK(liar.frame(stream, 2, frame));
    }
    world->run_for(3s);
    CHECK(liar.stream_bytes_heard > 0);
    for (size_t i = 0; i < 4; ++i) CHECK(ring(*world, i).untouched());
    REQUIRE(world->ask(1, KeyEdit{KeyEdit::kBan, 0, new_key(5), banned, true}).result);
  }
  within(*world, 20s, "the ban's key is the only one", [&] {
    for (size_t i = 0; i < 4; ++i)
      if (ring(*world, i).primary() != new_key(5) || ring(*world, i).live().size() != 1)
        return false;
    return true;
  });
}

TEST_CASE("sim: a host that --force locked out is let in with the new key by hand") {
  auto world = settled(970, 4);
  world->host(3).kill_agent();
  world->run_for(15s);
  REQUIRE(world->ask(0, rotation(new_key(4))).result);
  within(*world, 10s, "all use it", [&] { return all_seal_with(*world, new_key(4)); });
  REQUIRE(world->ask(0, KeyEdit{KeyEdit::kRemove, world->key().id(), {}, {}, true}).result);
  within(*world, 10s, "it is gone", [&] { return all_have_only(*world, new_key(4)); });
  world->start(3);
  world->run_for(20s);
  CHECK(world->host(0).node().membership().alive_count() == 3);
  world->host(3).kill_agent();
  world->host(3).start_agent(new_key(4));
  within(*world, 30s, "it is in", [&] { return world->converged(); });
  CHECK(all_have_only(*world, new_key(4)));
  sound(*world);
}

}  // namespace kith::sim
