// A member of a newer version among ours: what it says more than we know is kept, or passed over.

#include <msgpack.hpp>

#include "adversary.h"
#include "scenario.h"

namespace kith::sim {
namespace {

struct Mixed {
  std::unique_ptr<World> world;
  std::unique_ptr<Adversary> newer;
};

Mixed mixed(uint64_t seed) {
  std::printf("seed %llu, 3 hosts and a newer one\n", static_cast<unsigned long long>(seed));
  Mixed out{std::make_unique<World>(seed, 4), nullptr};
  for (size_t i = 0; i < 3; ++i) out.world->start(i);
  REQUIRE(out.world->run_until([&] { return out.world->converged(); }, 30s));
  REQUIRE(out.world->create(0, "web", 3).result);
  within(*out.world, 10s, "web runs", [&] { return out.world->runs_exactly("web", 3); });
  out.newer = std::make_unique<Adversary>(*out.world, 3, out.world->key());
  out.newer->join(0);
  out.world->run_for(5s);
  return out;
}

Document next_of(const World& world, const Document& parent, std::string body,
                 const NodeId& author) {
  Document next;
  next.key = parent.key;
  next.version.stamp = Stamp{((parent.version.stamp.ms() + 5) << 16)};
  next.version.author = author;
  next.ancestors = {{parent.version.stamp, parent.version.content_hash}};
  next.body = std::move(body);
  next.version.content_hash = content_hash_of(next);
  CHECK(next.version.stamp <= Stamp::from_wall({world.host(0).now().wall.ms + 5'000}));
  return next;
}

}  // namespace

TEST_CASE("sim: a newer version's fields of a service survive the edits of older nodes") {
  Mixed it = mixed(780);
  World& world = *it.world;
  const std::string key = service_key("web");
  const Document stands = *world.host(0).node().documents().find(key);
  std::string body = stands.body;
  body.insert(1, R"("later":{"a":[1,true]},)");
  const Document document = next_of(world, stands, body, it.newer->id());
  it.newer->say(1, {RecordRumor{key, encode(document)}});
  world.run_for(1s);
  REQUIRE(world.scale(2, "web", 5).result);
  world.run_for(1s);  // an edit of what was there before would win over it
  REQUIRE(world.set_image(0, "web", "caddy").result);
  within(world, 60s, "web runs", [&] { return world.runs_exactly("web", 5); });
  for (size_t i = 0; i < 3; ++i) {
    const Document* now = world.host(i).node().documents().find(key);
    REQUIRE(now != nullptr);
    CHECK(now->body.find(R"("later":{"a":[1,true]})") != std::string::npos);
    CHECK(world.host(i).node().catalog().services().at("web")->spec.replicas == 5);
  }
  sound(world);
}

TEST_CASE("sim: records with fields of a newer version travel through older nodes as they are") {
  Mixed it = mixed(781);
  World& world = *it.world;
  msgpack::sbuffer body;
  msgpack::packer<msgpack::sbuffer> packer(body);
  packer.pack_map(4);
  packer.pack("node").pack_bin(32).pack_bin_body(
      reinterpret_cast<const char*>(it.newer->id().key.data()), 32);
  packer.pack("name").pack("newer");
  packer.pack("later").pack_array(2).pack(1).pack("x");
  packer.pack("ready").pack(false);
  const Observed record =
      it.newer->record("info", Bytes(body.data(), body.data() + body.size()), 1, 1);
  const Observed unknown = it.newer->record("wishes", Bytes{1, 2, 3}, 1, 2);
  for (const Observed& said : {record, unknown})
    it.newer->say(0, {RecordRumor{said.key, encode(said)}});
  // Who comes later has it from the others alone.
  world.run_for(2s);
  world.host(2).kill_agent();
  world.run_for(500ms);
  world.start(2);
  world.run_for(10s);
  for (size_t i = 0; i < 3; ++i) {
    for (const Observed& said : {record, unknown}) {
      const Observed* kept = world.host(i).node().observed().find(said.node, said.key);
      REQUIRE(kept != nullptr);
      CHECK(encode(*kept) == encode(said));
    }
    const NodeInfo* info = world.host(i).node().catalog().info(it.newer->id());
    REQUIRE(info != nullptr);
    CHECK(info->name == "newer");
  }
  sound(world);
}

TEST_CASE("sim: messages with more fields and kinds of news than we know are understood as far") {
  Mixed it = mixed(782);
  World& world = *it.world;
  const Observed record = it.newer->record("wishes", Bytes{1}, 1, 1);
  const Bytes envelope = encode(record);
  msgpack::sbuffer plain;
  msgpack::packer<msgpack::sbuffer> packer(plain);
  packer.pack_array(5);                               // one more than a message has
  packer.pack(5).pack_array(2).pack(1).pack("more");  // gossip with fields
  packer.pack(0);
  packer.pack_array(3);
  packer.pack_array(2).pack(77).pack("a kind of rumor that is not known");
  packer.pack_array(4).pack(1).pack(record.key);
  packer.pack_bin(static_cast<uint32_t>(envelope.size()))
      .pack_bin_body(reinterpret_cast<const char*>(envelope.data()),
                     static_cast<uint32_t>(envelope.size()));
  packer.pack("a field more");
  packer.pack_array(1).pack(78);
  packer.pack("and one more");
  const Member* self = world.host(0).node().membership().find(it.newer->id());
  REQUIRE(self != nullptr);
  it.newer->spoof(0, it.newer->id(), self->boot, 5'000, as_bytes({plain.data(), plain.size()}));
  world.run_for(2s);
  for (size_t i = 0; i < 3; ++i)
    CHECK(world.host(i).node().observed().find(it.newer->id(), record.key) != nullptr);
  CHECK(world.count("dead") == 0);
  sound(world);
}

TEST_CASE("sim: another version of the wire itself is not answered, and harms nobody") {
  Mixed it = mixed(783);
  World& world = *it.world;
  const uint64_t heard = it.newer->datagrams_heard;
  std::vector<Bytes> seen;
  world.net().tap = [&](size_t from, const Endpoint&, const Bytes& bytes) {
    if (from != 3) seen.push_back(bytes);
  };
  world.run_for(1s);
  world.net().tap = nullptr;
  it.newer->answers_pings = false;
  for (Bytes bytes : seen) {
    bytes[4] = 2;  // the wire's version
    it.newer->raw(0, bytes);
    it.newer->raw(1, bytes);
  }
  const uint64_t before = it.newer->stream_bytes_heard;
  const uint64_t stream = it.newer->open(0, false);
  world.run_for(50ms);
  Bytes hello(77, 0);
  std::copy_n("kths\x03", 5, hello.begin());
  it.newer->write(stream, hello);
  world.run_for(100ms);
  CHECK_FALSE(it.newer->connected(stream));
  CHECK(it.newer->stream_bytes_heard == before);
  CHECK(it.newer->datagrams_heard >= heard);
  // It fell silent, so it is given up; nobody else is.
  world.run_for(20s);
  for (const World::Said& said : world.said())
    if (said.event.action == "dead") CHECK(said.event.name == "liar");
  CHECK(world.runs_exactly("web", 3));
  sound(world);
}

}  // namespace kith::sim
