// A member gone wrong: it has the key and an identity of its own, and lies.

#include <msgpack.hpp>

#include "adversary.h"
#include "scenario.h"

namespace kith::sim {
namespace {

constexpr size_t kVictim = 1;

struct Lies {
  std::unique_ptr<World> world;
  std::unique_ptr<Adversary> liar;
  size_t honest;  ///< hosts before the liar's

  [[nodiscard]] NodeId victim() const { return world->host(kVictim).id(); }
  [[nodiscard]] const Node& node(size_t i) const { return world->host(i).node(); }

  /// Each honest one holds all honest ones alive, and all hold the same.
  [[nodiscard]] bool agree() const {
    for (size_t i = 0; i < honest; ++i) {
      if (node(i).documents().root() != node(0).documents().root()) return false;
      if (node(i).observed().root() != node(0).observed().root()) return false;
      for (size_t other = 0; other < honest; ++other) {
        const Member* member = node(i).membership().find(world->host(other).id());
        if (member == nullptr || member->state != MemberState::kAlive) return false;
      }
    }
    return true;
  }
  [[nodiscard]] size_t said_of_honest(const std::string& action) const {
    size_t count = 0;
    for (const World::Said& said : world->said())
      if (said.event.action == action && said.event.name != "liar") ++count;
    return count;
  }
  void goes_on(const std::string& name, Duration bound = 30s) const {
    REQUIRE(world->create(2, name, 6).result);
    within(*world, 10s, name + " runs", [&] { return world->runs_exactly(name, 6); });
    within(*world, bound, "all agree", [&] { return agree(); });
    sound(*world);
  }
};

/// Honest agents with a service, and a liar that has joined them.
Lies joined(uint64_t seed, size_t honest = 4) {
  std::printf("seed %llu, %zu hosts and a liar\n", static_cast<unsigned long long>(seed), honest);
  Lies lies{std::make_unique<World>(seed, honest + 1), nullptr, honest};
  World& world = *lies.world;
  for (size_t i = 0; i < honest; ++i) world.start(i);
  REQUIRE(world.run_until([&] { return world.converged(); }, 30s));
  REQUIRE(world.create(0, "web", 8).result);
  within(world, 10s, "web runs", [&] { return world.runs_exactly("web", 8); });
  lies.liar = std::make_unique<Adversary>(world, honest, world.key());
  lies.liar->join(0);
  within(world, 5s, "the liar is in", [&] {
    for (size_t i = 0; i < honest; ++i) {
      const Member* member = lies.node(i).membership().find(lies.liar->id());
      if (member == nullptr || !member->present()) return false;
    }
    return true;
  });
  within(world, 40s, "all agree", [&] { return lies.agree(); });
  return lies;
}

std::map<std::string, Bytes> records_of(const Node& node, const NodeId& of) {
  std::map<std::string, Bytes> out;
  for (const Observed* record : node.observed().kept(of)) out[record->key] = encode(*record);
  return out;
}

}  // namespace

TEST_CASE("sim: a member passes for a member, and is given up when it falls silent") {
  Lies lies = joined(740);
  lies.world->run_for(10s);
  CHECK(lies.world->count("suspect") == 0);
  lies.liar->answers_pings = false;
  within(*lies.world, 15s, "it is dead",
         [&] { return !lies.node(0).membership().find(lies.liar->id())->present(); });
  lies.goes_on("more");
}

TEST_CASE("sim: what a member forges in another's name changes nothing") {
  Lies lies = joined(741);
  World& world = *lies.world;
  const auto before = records_of(lies.node(0), lies.victim());
  REQUIRE(before.size() >= 2);
  const Member known = *lies.node(0).membership().find(lies.victim());
  const size_t restarts = lies.said_of_honest("restart");
  for (int round = 0; round < 50; ++round) {
    std::vector<Rumor> rumors;
    MemberRumor alive = known.alive;  // its signature, of other words
    alive.incarnation += 1 + round;
    alive.address = Network::address(lies.honest);
    rumors.emplace_back(alive);
    MemberRumor left;
    left.claim = Claim::kLeft;
    left.subject = lies.victim();
    left.incarnation = known.incarnation + 5;
    lies.liar->sign(left);  // by the wrong one
    rumors.emplace_back(left);
    for (const Claim claim : {Claim::kSuspect, Claim::kDead}) {
      MemberRumor framed = lies.liar->accusation(claim, lies.victim(), known.incarnation);
      framed.accuser = world.host(2).id();
      rumors.emplace_back(framed);
    }
    for (const auto& [key, envelope] : before) {
      Observed forged = decode_observed(envelope).value();
      forged.sequence += 100;
      forged.body.clear();
      forged.deleted = true;
      rumors.emplace_back(RecordRumor{key, encode(forged)});
      forged.signature = lies.liar->record("info", {}, 1, 1).signature;
      rumors.emplace_back(RecordRumor{key, encode(forged)});
      Observed mine = lies.liar->record("info", {1, 2, 3}, 9, 9);
      mine.key = key;
      rumors.emplace_back(RecordRumor{key, encode(mine)});
    }
    for (size_t to = 0; to < lies.honest; ++to) {
      for (const Rumor& rumor : rumors) lies.liar->say(to, std::vector<Rumor>{rumor});
      // And as a whole roster, by a stream.
      const uint64_t stream = lies.liar->open(to);
      world.run_for(20ms);
      Message roster;
      roster.body = Gossip{};
      roster.rumors = rumors;
      lies.liar->frame(stream, 0, encode(roster));
      world.run_for(5ms);
      lies.liar->close(stream);
    }
  }
  world.run_for(2s);
  CHECK(lies.said_of_honest("suspect") == 0);
  CHECK(lies.said_of_honest("dead") == 0);
  CHECK(lies.said_of_honest("left") == 0);
  CHECK(lies.said_of_honest("restart") == restarts);
  for (size_t i = 0; i < lies.honest; ++i) {
    CHECK(records_of(lies.node(i), lies.victim()).size() == before.size());
    CHECK(lies.node(i).membership().find(lies.victim())->address == Network::address(kVictim));
  }
  CHECK(world.runs_exactly("web", 8));
  lies.goes_on("more");
}

TEST_CASE("sim: one accuser, however often it accuses, gets nobody buried who answers") {
  Lies lies = joined(742);
  World& world = *lies.world;
  for (int round = 0; round < 300; ++round) {
    for (size_t to = 0; to < lies.honest; ++to) {
      if (to == kVictim) continue;
      const Member* victim = lies.node(to).membership().find(lies.victim());
      lies.liar->say(to,
                     {lies.liar->accusation(Claim::kSuspect, lies.victim(), victim->incarnation)});
    }
    world.run_for(50ms);
  }
  CHECK(lies.said_of_honest("suspect") > 0);
  CHECK(lies.said_of_honest("dead") == 0);
  CHECK(world.runs_exactly("web", 8));
  lies.goes_on("more");
}

TEST_CASE("sim: claims of huge incarnations lead nowhere that the accused cannot follow") {
  for (uint64_t seed = 743; seed < 746; ++seed) {
    Lies lies = joined(seed);
    World& world = *lies.world;
    Rng rng(seed);
    const Epoch epoch = lies.node(kVictim).membership().self().epoch;
    // In leaps, and in steps that each look small beside the last.
    for (int step = 0; step < 400; ++step) {
      const Member* victim = lies.node(0).membership().find(lies.victim());
      const Incarnation climb = rng.chance(1, 2)
                                    ? victim->incarnation + kMaxIncarnationJump
                                    : first_incarnation(victim->epoch + kMaxAccusedEpochJump);
      const Incarnation leap = rng.chance(1, 3)   ? ~Incarnation{0}
                               : rng.chance(1, 2) ? first_incarnation(victim->epoch + kMaxEpochJump)
                                                  : climb;
      const Claim claim = rng.chance(1, 2) ? Claim::kSuspect : Claim::kDead;
      // To one only, so that the accused hears late and little.
      lies.liar->say(0,
                     {lies.liar->accusation(claim, lies.victim(), step % 3 == 0 ? leap : climb)});
      if (step % 40 == 39) world.run_for(100ms);
    }
    world.run_for(1s);
    within(world, 20s, "the accused is alive for all", [&] { return lies.agree(); });
    CHECK(lies.node(kVictim).membership().self().epoch - epoch < (uint64_t{1} << 25));
    lies.goes_on("more");
  }
}

TEST_CASE("sim: a member that says monstrous numbers of itself harms itself only") {
  Lies lies = joined(746);
  World& world = *lies.world;
  MemberRumor alive = lies.liar->alive();
  for (const Incarnation huge : {~Incarnation{0}, first_incarnation(kMaxEpochJump - 1)}) {
    alive.incarnation = huge;
    alive.epoch = huge >> 32;
    lies.liar->sign(alive);
    for (size_t to = 0; to < lies.honest; ++to) lies.liar->say(to, {Rumor(alive)});
  }
  NodeInfo info;
  info.node = lies.liar->id();
  info.name = std::string("\xff\x1b[2J\0x", 7);
  info.weight = UINT32_MAX;
  info.nano_cpus = INT64_MIN;
  info.memory_bytes = INT64_MIN;
  info.ready = true;
  info.inventory_epoch = UINT64_MAX;
  info.engine.up = true;
  TaskRecord task;
  task.id = "x";
  task.node = lies.liar->id();
  task.slot = {"nosuch", UINT32_MAX, {}};
  task.generation = UINT64_MAX;
  task.term = UINT64_MAX;
  task.state = TaskState::kRunning;
  task.created = {INT64_MIN};
  task.since = {INT64_MAX};
  for (const Observed& record :
       {lies.liar->record("info", encode(info), UINT64_MAX, UINT64_MAX),
        lies.liar->record("task/x", encode(task), UINT64_MAX, UINT64_MAX - 1)}) {
    for (size_t to = 0; to < lies.honest; ++to)
      lies.liar->say(to, {RecordRumor{record.key, encode(record)}});
  }
  world.run_for(20s);
  CHECK(lies.said_of_honest("dead") == 0);
  // Its host may be given work, and does none of it: it is not held to be what it says for long.
  lies.liar->answers_pings = false;
  world.run_for(30s);
  lies.goes_on("more");
}

TEST_CASE("sim: datagrams in another's name, from the end of its sequence, silence nobody") {
  Lies lies = joined(747);
  World& world = *lies.world;
  Message gossip;
  gossip.body = Gossip{};
  const Bytes plain = encode(gossip);
  for (int round = 0; round < 100; ++round) {
    for (size_t to = 0; to < lies.honest; ++to) {
      const Member* victim = lies.node(to).membership().find(lies.victim());
      if (to != kVictim)
        lies.liar->spoof(to, lies.victim(), victim->boot, UINT64_MAX - 200 + round, plain);
    }
    world.run_for(300ms);
  }
  // It does harm: what the accused sends itself looks old from then on, and only its streams count.
  CHECK(lies.node(0).status(world.host(0).now()).counters.at("datagrams_replayed") > 50);
  CHECK(lies.said_of_honest("dead") == 0);
  CHECK(world.runs_exactly("web", 8));
  // What it says then comes with the exchanges, a random peer's turn every 30 to 33 s.
  lies.goes_on("more", 70s);
}

TEST_CASE("sim: documents from beyond all clocks, and horizons from the future, change nothing") {
  Lies lies = joined(748);
  World& world = *lies.world;
  const int64_t now = world.host(0).now().wall.ms;
  const std::string key = service_key("web");
  const Document stands = *lies.node(0).documents().find(key);
  for (const Stamp stamp : {Stamp{kLatestStamp.value + 1},
                            Stamp::from_wall({now + (int64_t{1} << 45)}), Stamp{UINT64_MAX}}) {
    Document document = stands;
    document.ancestors.clear();
    document.version.stamp = stamp;
    document.version.author = lies.liar->id();
    document.deleted = true;
    document.body.clear();
    document.version.content_hash = content_hash_of(document);
    for (size_t to = 0; to < lies.honest; ++to)
      lies.liar->say(to, {RecordRumor{key, encode(document)}});
  }
  world.run_for(2s);
  for (size_t i = 0; i < lies.honest; ++i) {
    const Node& node = lies.node(i);
    REQUIRE(node.documents().find(key) != nullptr);
    CHECK(node.documents().find(key)->version == stands.version);
    CHECK(node.documents().last_stamp() < Stamp::from_wall({now + 30'000}));
  }
  // An exchange in which the liar has nothing, and says that all of it was deleted long ago.
  for (size_t to = 0; to < lies.honest; ++to) {
    const size_t documents = lies.node(to).documents().size();
    for (const uint64_t horizon : {UINT64_MAX, Stamp::from_wall({now + 60'000}).value}) {
      const uint64_t stream = lies.liar->open(to);
      world.run_for(50ms);
      const auto send = [&](auto pack) {
        msgpack::sbuffer buffer;
        msgpack::packer<msgpack::sbuffer> packer(buffer);
        pack(packer);
        CHECK(lies.liar->frame(stream, 1, as_bytes({buffer.data(), buffer.size()})));
        world.run_for(50ms);
      };
      const auto end = [](auto& packer) { packer.pack_array(1).pack(7); };
      send([&](auto& packer) { packer.pack_array(3).pack(1).pack(12345).pack(horizon); });
      send(end);
      send([&](auto& packer) {
        packer.pack_array(2).pack(3).pack_array(2).pack(0).pack_bin(32);
        packer.pack_bin_body(std::string(32, '\xff').data(), 32);
      });
      send(end);
      world.run_for(100ms);
      lies.liar->close(stream);
    }
    CHECK(lies.node(to).documents().size() == documents);
    CHECK(lies.node(to).documents().horizon() == Stamp{});
  }
  CHECK(world.runs_exactly("web", 8));
  lies.goes_on("more");
}

TEST_CASE("sim: a document under a key of another kind does not keep two nodes apart") {
  Lies lies = joined(749);
  World& world = *lies.world;
  for (const std::string& key : {"node/" + lies.victim().hex() + "/info", lost_key(7)}) {
    Document document;
    document.key = key;
    document.version.stamp = Stamp::from_wall(world.host(0).now().wall);
    document.version.author = lies.liar->id();
    document.body = "{}";
    document.version.content_hash = content_hash_of(document);
    lies.liar->say(0, {RecordRumor{"service/x", encode(document)}});
  }
  // And services and nodes that are not what their key says.
  for (const auto& [key, body] :
       {std::pair{service_key("other"), lies.node(0).documents().find(service_key("web"))->body},
        std::pair{roster_key(lies.liar->id()),
                  lies.node(0).documents().find(roster_key(lies.victim()))->body}}) {
    Document document;
    document.key = key;
    document.version.stamp = Stamp::from_wall(world.host(0).now().wall);
    document.version.author = lies.liar->id();
    document.body = body;
    document.version.content_hash = content_hash_of(document);
    lies.liar->say(0, {RecordRumor{key, encode(document)}});
  }
  world.run_for(2s);
  within(world, 30s, "all agree", [&] { return lies.agree(); });
  for (size_t i = 0; i < lies.honest; ++i) {
    CHECK(lies.node(i).documents().find(service_key("other")) != nullptr);  // kept, not believed
    CHECK(lies.node(i).documents().find(roster_key(lies.liar->id())) != nullptr);
    CHECK(lies.node(i).catalog().services().size() == 1);
    CHECK_FALSE(lies.node(i).catalog().roster().contains(lies.liar->id()));
  }
  CHECK(world.runs_exactly("web", 8));
  lies.goes_on("more");
}

TEST_CASE("sim: a flood of datagrams by a member: the others stay, and work goes on") {
  Lies lies = joined(750);
  World& world = *lies.world;
  Rng rng(750);
  const Bytes padding(900, 0x5a);
  for (int round = 0; round < 200; ++round) {
    for (size_t to = 0; to < lies.honest; ++to) {
      for (int i = 0; i < 25; ++i) {
        Message ping;
        ping.body = Ping{rng.next()};
        ping.root = rng.next();
        lies.liar->say(to, ping);
      }
      // Its own records, ever new, and offers of what there is not.
      const Observed record = lies.liar->record("task/" + std::to_string(round % 50), padding, 1,
                                                static_cast<uint64_t>(round) * 10 + to + 1);
      lies.liar->say(to, {RecordRumor{record.key, encode(record)}});
      lies.liar->say(to, {OfferRumor{"service/" + std::to_string(rng.next()), rng.next()}});
    }
    world.run_for(10ms);
  }
  CHECK(lies.said_of_honest("dead") == 0);
  CHECK(world.runs_exactly("web", 8));
  lies.goes_on("more");
}

}  // namespace kith::sim
