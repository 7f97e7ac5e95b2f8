// Who has no key, or only an old one, or sits on the wire.

#include "adversary.h"
#include "scenario.h"

namespace kith::sim {
namespace {

Bytes noise(World& world, size_t size) {
  Bytes out(size);
  for (uint8_t& byte : out) byte = static_cast<uint8_t>(world.rng().below(256));
  return out;
}

ClusterKey other_key(World& world) {
  ClusterKey key = world.key();
  key.secret[world.rng().below(32)] ^= 1;
  return key;
}

/// Agents at the first hosts, nobody at the last.
std::unique_ptr<World> all_but_last(uint64_t seed, size_t hosts) {
  std::printf("seed %llu, %zu hosts and a stranger\n", static_cast<unsigned long long>(seed),
              hosts - 1);
  auto world = std::make_unique<World>(seed, hosts);
  for (size_t i = 0; i + 1 < hosts; ++i) world->start(i);
  const auto took = world->run_until([&] { return world->converged(); }, 30s);
  REQUIRE(took);
  world->run_for(5s);
  return world;
}

}  // namespace

TEST_CASE("sim: a stranger without the key, or with an old one, gets no reply whatsoever") {
  for (uint64_t seed = 700; seed < 703; ++seed) {
    auto world = all_but_last(seed, 4);
    Adversary stranger(*world, 3, other_key(*world));
    const uint64_t root = world->host(0).node().documents().root();
    for (int i = 0; i < 300; ++i) {
      const size_t to = world->rng().below(3);
      stranger.raw(to, noise(*world, world->rng().below(1500)));
      Bytes like = noise(*world, 60 + world->rng().below(200));
      std::copy_n("kith\x01", 5, like.begin());
      stranger.raw(to, like);
      Message ping;
      ping.body = Ping{world->rng().next()};
      ping.rumors = {stranger.alive()};
      stranger.say(to, ping);
      if (i % 10 == 0) {
        const uint64_t stream = stranger.open(to, i % 20 == 0);  // a hello of the other key
        world->run_for(10ms);
        if (i % 20 != 0) stranger.write(stream, noise(*world, 1 + world->rng().below(400)));
      }
      world->run_for(5ms);
    }
    world->run_for(10s);
    CHECK(stranger.datagrams_heard == 0);
    CHECK(stranger.stream_bytes_heard == 0);
    CHECK(stranger.streams_closed == 30);
    for (const size_t i : world->live()) {
      CHECK(world->host(i).node().membership().find(stranger.id()) == nullptr);
      CHECK(world->host(i).node().documents().root() == root);
    }
    CHECK(world->count("suspect") == 0);
    sound(*world);
  }
}

TEST_CASE("sim: strangers who connect and say nothing keep nobody out") {
  auto world = std::make_unique<World>(710, 5);
  for (size_t i = 0; i < 3; ++i) world->start(i);
  REQUIRE(world->run_until([&] { return world->converged(); }, 30s));
  Adversary stranger(*world, 4, other_key(*world));
  // More than fit, at each host, again and again.
  bool going = true;
  std::function<void()> knock = [&] {
    if (!going) return;
    for (size_t to = 0; to < 3; ++to)
      for (int i = 0; i < 20; ++i) stranger.open(to, false);
    world->at(250ms, knock);
  };
  knock();
  world->run_for(10s);
  world->start(3);
  const Duration took =
      within(*world, 20s, "the newcomer is in", [&] { return world->converged(); });
  MESSAGE("joined in " << in_seconds(took) << " s");
  CHECK(took <= 5s);
  CHECK(world->count("dead") == 0);
  going = false;
  CHECK(stranger.stream_bytes_heard == 0);
  sound(*world);
}

TEST_CASE(
    "sim: what is replayed, reordered, cut, damaged or reflected on the wire changes nothing") {
  for (uint64_t seed = 720; seed < 724; ++seed) {
    auto world = all_but_last(seed, 5);
    REQUIRE(world->create(0, "web", 8).result);
    within(*world, 10s, "web runs", [&] { return world->runs_exactly("web", 8); });
    Adversary wire(*world, 4, other_key(*world));
    struct Heard {
      size_t from;
      size_t to;
      Bytes bytes;
    };
    std::vector<Heard> heard;
    Rng rng(seed);
    world->net().tap = [&](size_t from, const Endpoint& to, const Bytes& bytes) {
      const int host = Network::host_of(to);
      if (from == 4 || host < 0) return;
      heard.push_back({from, static_cast<size_t>(host), bytes});
      if (heard.size() > 4'000) heard.erase(heard.begin(), heard.begin() + 2'000);
    };
    size_t sent = 0;
    for (int i = 0; i < 2'000; ++i) {
      world->run_for(10ms);
      if (heard.empty()) continue;
      const Heard& one = heard[rng.below(heard.size())];
      Bytes bytes = one.bytes;
      size_t to = one.to;
      switch (rng.below(5)) {
        case 0:  // again, late, and out of order
          break;
        case 1:
          bytes.resize(rng.below(bytes.size()));
          break;
        case 2:
          bytes[rng.below(bytes.size())] ^= static_cast<uint8_t>(1U << rng.below(8));
          break;
        case 3:
          to = one.from;
          break;
        default:
          to = rng.below(4);
      }
      wire.raw(to, bytes);
      ++sent;
    }
    world->net().tap = nullptr;
    CHECK(sent > 1'500);
    // It was all seen for what it is: what came again, and what was sealed for another.
    uint64_t replayed = 0;
    uint64_t unauthentic = 0;
    for (size_t i = 0; i < 4; ++i) {
      const auto counters = world->host(i).node().status(world->host(i).now()).counters;
      replayed += counters.at("datagrams_replayed");
      unauthentic += counters.at("datagrams_unauthentic");
    }
    CHECK(replayed > sent / 8);
    CHECK(unauthentic > sent / 4);
    CHECK(wire.datagrams_heard == 0);
    CHECK(world->count("suspect") == 0);
    CHECK(world->runs_exactly("web", 8));
    CHECK(world->converged());
    REQUIRE(world->scale(1, "web", 12).result);
    within(*world, 10s, "web grows", [&] { return world->runs_exactly("web", 12); });
    sound(*world);
  }
}

TEST_CASE("sim: a stranger that replays a whole stream gets no further than the first answer") {
  auto world = all_but_last(730, 4);
  Adversary stranger(*world, 3, other_key(*world));
  // A hello of the right key, as an eavesdropper has it.
  SecureChannel member =
      SecureChannel::client(world->host(0).identity(), KeyRing(world->key()), cluster_id_of("sim"));
  const Bytes hello = member.start();
  const uint64_t stream = stranger.open(1, false);
  world->run_for(100ms);
  REQUIRE(stranger.connected(stream));
  stranger.write(stream, hello);
  world->run_for(100ms);
  stranger.write(stream, noise(*world, 4'000));
  world->run_for(10s);
  CHECK(stranger.stream_bytes_heard <= 200);
  CHECK(stranger.streams_closed == 1);
  CHECK(world->converged());
  sound(*world);
}

}  // namespace kith::sim
