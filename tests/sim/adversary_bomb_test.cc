// A member that sends bombs: few bytes that ask for many, streams that trickle or never end.

#include "adversary.h"
#include "scenario.h"

namespace kith::sim {
namespace {

struct Bombed {
  std::unique_ptr<World> world;
  std::unique_ptr<Adversary> liar;
};

/// Three agents with a service, and a member gone wrong.
Bombed bombed(uint64_t seed) {
  std::printf("seed %llu, 3 hosts and a liar\n", static_cast<unsigned long long>(seed));
  Bombed out{std::make_unique<World>(seed, 4), nullptr};
  for (size_t i = 0; i < 3; ++i) out.world->start(i);
  REQUIRE(out.world->run_until([&] { return out.world->converged(); }, 30s));
  REQUIRE(out.world->create(0, "web", 6).result);
  within(*out.world, 10s, "web runs", [&] { return out.world->runs_exactly("web", 6); });
  out.liar = std::make_unique<Adversary>(*out.world, 3, out.world->key());
  out.liar->join(0);
  out.world->run_for(5s);
  return out;
}

void goes_on(World& world) {
  CHECK(world.count("dead") == 0);
  REQUIRE(world.create(2, "more", 3).result);
  within(world, 10s, "more runs", [&] { return world.runs_exactly("more", 3); });
  sound(world);
}

/// msgpack by hand: what no encoder lays down.
Bytes text(const std::string& value) {
  Bytes out = {0xda, static_cast<uint8_t>(value.size() >> 8), static_cast<uint8_t>(value.size())};
  out.insert(out.end(), value.begin(), value.end());
  return out;
}

}  // namespace

TEST_CASE("sim: who asks for one record a hundred thousand times gets it once") {
  Bombed it = bombed(760);
  World& world = *it.world;
  const uint64_t before = it.liar->stream_bytes_heard;
  const uint64_t stream = it.liar->open(0);
  world.run_for(100ms);
  const Bytes key = text(service_key("web"));
  for (int frame = 0; frame < 10; ++frame) {
    constexpr uint16_t kKeys = 10'000;
    Bytes wants = {0xdc, (kKeys + 1) >> 8, static_cast<uint8_t>(kKeys + 1), 4};
    for (int i = 0; i < kKeys; ++i) wants.insert(wants.end(), key.begin(), key.end());
    REQUIRE(it.liar->frame(stream, 1, wants));
  }
  REQUIRE(it.liar->frame(stream, 1, Bytes{0x91, 7}));
  world.run_for(1s);
  CHECK(it.liar->stream_bytes_heard - before > 500);
  CHECK(it.liar->stream_bytes_heard - before < 10'000);
  goes_on(world);
}

TEST_CASE("sim: lengths and depths that are not there end the stream, and nothing else") {
  Bombed it = bombed(761);
  World& world = *it.world;
  const auto deep = [](uint8_t byte, size_t size) { return Bytes(size, byte); };
  const std::vector<Bytes> bombs = {
      {0xdd, 0xff, 0xff, 0xff, 0xff},           // an array of 4 billion
      {0xdf, 0xff, 0xff, 0xff, 0xff},           // a map of them
      {0xc6, 0xff, 0xff, 0xff, 0xff, 1},        // 4 GiB of bytes
      {0x92, 6, 0xdd, 0x7f, 0xff, 0xff, 0xff},  // inside a frame of records
      deep(0x91, 100'000),                      // arrays in arrays
      deep(0x81, 100'000),                      // maps in maps
      deep(0xc1, 1'000),                        // what means nothing
      Bytes(1024 * 1024 - 1, 0x90),             // as long as a frame may be
      {},
  };
  for (const Bytes& bomb : bombs) {
    for (const uint8_t type : {uint8_t{0}, uint8_t{1}, uint8_t{9}}) {
      const uint64_t stream = it.liar->open(1);
      world.run_for(50ms);
      REQUIRE(it.liar->frame(stream, type, bomb));
      world.run_for(50ms);
      if (type == 1) CHECK_FALSE(it.liar->established(stream));
      it.liar->close(stream);
    }
  }
  // The same sealed as datagrams, which only members can: passed over.
  for (const Bytes& bomb : bombs) {
    if (bomb.size() > 1000) continue;
    const Member* liar = world.host(1).node().membership().find(it.liar->id());
    REQUIRE(liar != nullptr);
    it.liar->spoof(1, it.liar->id(), liar->boot, 1'000'000 + bomb.size(), bomb);
  }
  // A frame's own length: 4 GiB, and one byte more than a frame may have.
  for (const Bytes& head : {Bytes{0xff, 0xff, 0xff, 0xff}, Bytes{0x00, 0x10, 0x00, 0x12}}) {
    const uint64_t stream = it.liar->open(1);
    world.run_for(50ms);
    REQUIRE(it.liar->established(stream));
    it.liar->write(stream, head);
    world.run_for(50ms);
    CHECK_FALSE(it.liar->established(stream));
  }
  goes_on(world);
}

TEST_CASE("sim: streams that trickle, or never end, are ended; one peer holds only so many") {
  Bombed it = bombed(762);
  World& world = *it.world;
  // A frame of which a byte comes twice a second.
  const uint64_t trickle = it.liar->open(0);
  world.run_for(50ms);
  REQUIRE(it.liar->established(trickle));
  it.liar->write(trickle, Bytes{0x00, 0x08, 0x00, 0x00});
  for (int i = 0; i < 60 && it.liar->established(trickle); ++i) {
    it.liar->write(trickle, Bytes{0x00});
    world.run_for(500ms);
  }
  CHECK_FALSE(it.liar->established(trickle));
  // Whole frames without end.
  const uint64_t endless = it.liar->open(0);
  world.run_for(50ms);
  Message gossip;
  gossip.body = Gossip{};
  const Instant begun = world.now();
  while (it.liar->established(endless) && world.now() - begun < 20min) {
    it.liar->frame(endless, 0, encode(gossip));
    world.run_for(5s);
  }
  MESSAGE("a stream without end ended after " << in_seconds(world.now() - begun) << " s");
  CHECK(world.now() - begun <= Links::kServeTime + Links::kIdleTime + 10s);
  // As many as can be.
  std::vector<uint64_t> many;
  for (int i = 0; i < 200; ++i) {
    many.push_back(it.liar->open(0));
    world.run_for(10ms);
  }
  world.run_for(100ms);
  size_t open = 0;
  for (const uint64_t stream : many) open += it.liar->established(stream) ? 1 : 0;
  CHECK(open == Links::kMaxAcceptedAPeer);
  world.host(2).kill_agent();
  world.run_for(1s);
  world.start(2);
  within(world, 10s, "it is back and in step", [&] {
    return world.host(2).node().synced() &&
           world.host(2).node().documents().root() == world.host(0).node().documents().root();
  });
  goes_on(world);
}

TEST_CASE("sim: a member that says more than it may have said keeps to its limit everywhere") {
  Bombed it = bombed(763);
  World& world = *it.world;
  // 8,000 records, and then large ones: through exchanges, where much fits.
  const uint64_t stream = it.liar->open(0);
  world.run_for(50ms);
  const auto hand_over = [&](const std::vector<Observed>& records) {
    Bytes frame = {0xdc, static_cast<uint8_t>((records.size() + 1) >> 8),
                   static_cast<uint8_t>(records.size() + 1), 6};
    for (const Observed& record : records) {
      const Bytes envelope = encode(record);
      const Bytes head = {0x92, 1, 0xc5, static_cast<uint8_t>(envelope.size() >> 8),
                          static_cast<uint8_t>(envelope.size())};
      frame.insert(frame.end(), head.begin(), head.end());
      frame.insert(frame.end(), envelope.begin(), envelope.end());
    }
    REQUIRE(it.liar->frame(stream, 1, frame));
    world.run_for(20ms);
  };
  // hello, end: then the responder waits for versions, and after their end for records.
  for (const Bytes& frame : {Bytes{0x93, 1, 1, 0}, Bytes{0x91, 7}, Bytes{0x91, 7}}) {
    REQUIRE(it.liar->frame(stream, 1, frame));
    world.run_for(20ms);
  }
  uint64_t sequence = 0;
  for (int batch = 0; batch < 80; ++batch) {
    std::vector<Observed> records;
    for (int i = 0; i < 100; ++i)
      records.push_back(
          it.liar->record("task/" + std::to_string(batch * 100 + i), Bytes(40, 1), 1, ++sequence));
    hand_over(records);
  }
  CHECK(world.host(0).node().observed().kept(it.liar->id()).size() == kMaxObservedPerNode);
  for (int i = 0; i < 200; ++i)
    hand_over({it.liar->record("task/" + std::to_string(i), Bytes(60'000, 2), 1, ++sequence)});
  for (size_t i = 0; i < 3; ++i) {
    size_t bytes = 0;
    for (const Observed* record : world.host(i).node().observed().kept(it.liar->id()))
      bytes += record->key.size() + record->body.size();
    CHECK(bytes <= kMaxObservedBytesPerNode);
  }
  goes_on(world);
}

}  // namespace kith::sim
