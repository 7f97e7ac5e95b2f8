#include "state/sync.h"

#include <doctest/doctest.h>

#include "base/rng.h"

using namespace kith;

namespace {

constexpr int64_t kStart = 1'790'000'000'000;
constexpr int64_t kDay = 24LL * 3600 * 1000;

NodeId node(uint8_t n) {
  NodeId id;
  id.key[0] = n;
  return id;
}

/// A node with its stores, which takes in what a session hands it.
struct Peer : SyncSink {
  explicit Peer(uint8_t n)
      : self(node(n)),
        docs(DocStoreConfig{.digest_seed = 7}),
        observed(self, 1, 42, [](ByteView) { return Signature{}; }) {}

  Now now() const { return {Instant{}, WallTime{kStart + ms}}; }
  void put(const std::string& key, std::string body) {
    DocEffects out;
    REQUIRE(docs.put(key, std::move(body), now(), self, out));
  }
  void remove(const std::string& key) {
    DocEffects out;
    REQUIRE(docs.remove(key, now(), self, out));
  }
  void say(const std::string& name, std::string_view text) {
    ObservedEffects out;
    const std::string key = "node/" + self.hex() + "/" + name;
    observed.publish(key, Bytes(as_bytes(text).begin(), as_bytes(text).end()), {}, out);
  }
  void take_documents(std::vector<Document> documents, DocSource source) override {
    DocEffects out;
    for (Document& document : documents) docs.merge(std::move(document), now(), out, source);
  }
  void take_observed(std::vector<Observed> records) override {
    ObservedEffects out;
    for (Observed& record : records) observed.merge(std::move(record), out);
  }
  void drop_documents(std::vector<std::string> keys, Stamp horizon) override {
    DocEffects out;
    for (const std::string& key : keys) docs.drop(key, horizon, now(), out);
  }
  void raise_horizon(Stamp horizon) override {
    DocEffects out;
    docs.raise_horizon(horizon, now(), out);
  }

  NodeId self;
  DocStore docs;
  ObservedStore observed;
  int64_t ms = 0;
};

/// Runs both sides to their end; the number of frames.
size_t run(SyncSession& a, SyncSession& b) {
  size_t frames = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (auto [from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
      while (std::optional<Bytes> frame = from->next_frame()) {
        REQUIRE(frame->size() <= kMaxSyncFrame);
        REQUIRE(to->receive(*frame));
        ++frames;
        moved = true;
      }
    }
  }
  CHECK(a.done());
  CHECK(b.done());
  return frames;
}
SyncSession::Counters sync(Peer& a, Peer& b) {
  SyncSession left = SyncSession::initiate(a.docs, a.observed, a);
  SyncSession right = SyncSession::respond(b.docs, b.observed, b);
  run(left, right);
  return left.counters();
}
bool equal(const Peer& a, const Peer& b) {
  const auto x = a.observed.vectors();
  const auto y = b.observed.vectors();
  return a.docs.root() == b.docs.root() &&
         std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const auto& p, const auto& q) {
           return p.node == q.node && p.digest == q.digest;
         });
}

}  // namespace

TEST_CASE("sync: one exchange makes two random stores equal") {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    std::vector<Peer> peers;
    for (uint8_t n = 1; n <= 3; ++n) peers.emplace_back(n);
    for (int i = 0; i < 200; ++i) {
      Peer& peer = peers[rng.below(peers.size())];
      peer.ms = i;
      const std::string key = "service/" + std::to_string(rng.below(20));
      if (rng.chance(1, 4) && peer.docs.find(key) != nullptr)
        peer.remove(key);
      else
        peer.put(key, std::to_string(rng.next()));
      if (rng.chance(1, 2)) peer.say("task/" + std::to_string(rng.below(10)), key);
      if (rng.chance(1, 30)) {
        Peer& other = peers[rng.below(peers.size())];
        if (&other != &peer) {
          sync(peer, other);
          REQUIRE(equal(peer, other));
        }
      }
    }
    sync(peers[0], peers[1]);
    sync(peers[1], peers[2]);
    sync(peers[2], peers[0]);
    REQUIRE(equal(peers[0], peers[1]));
    REQUIRE(equal(peers[0], peers[2]));
    for (const Peer& peer : peers) REQUIRE(peer.docs.digests_hold());
  }
}

TEST_CASE("sync: equal stores exchange digests and nothing else") {
  Peer a(1);
  Peer b(2);
  for (int i = 0; i < 100; ++i) a.put("service/" + std::to_string(i), std::string(1000, 'x'));
  a.say("info", "a");
  sync(a, b);
  const auto again = sync(a, b);
  CHECK(again.documents_sent + again.documents_received == 0);
  CHECK(again.observed_sent + again.observed_received == 0);
  CHECK(again.bytes_sent + again.bytes_received < 1000);
  a.put("service/7", "y");
  const auto one = sync(a, b);
  CHECK(one.documents_sent == 1);
  CHECK(one.documents_received == 0);
}

TEST_CASE("sync: of what lies beside a difference nothing is sent again, whoever starts") {
  for (const bool turned : {false, true}) {
    Peer a(1);
    Peer b(2);
    for (int i = 0; i < 5'000; ++i) a.put("service/" + std::to_string(i), "x");
    sync(a, b);
    REQUIRE(equal(a, b));
    a.ms = 1;
    a.put("service/7", "y");
    const auto one = turned ? sync(b, a) : sync(a, b);
    CHECK(equal(a, b));
    CHECK(one.documents_sent + one.documents_received == 1);
  }
}

TEST_CASE("sync: both sides learn of a conflict, whoever starts") {
  for (const bool turned : {false, true}) {
    Peer a(1);
    Peer b(2);
    a.put("service/web", "left");
    b.ms = 5;
    b.put("service/web", "right");
    turned ? sync(b, a) : sync(a, b);
    CHECK(equal(a, b));
    CHECK(a.docs.find("service/web")->body == "right");
    CHECK(a.docs.conflicts().size() == 1);
    // The responder fetched the loser; the initiator had it, or hears it as a rumor.
    if (!turned) CHECK(b.docs.conflicts().size() == 1);
  }
}

TEST_CASE("sync: large stores travel in bounded frames") {
  Peer a(1);
  Peer b(2);
  for (int i = 0; i < 40; ++i) a.put("service/" + std::to_string(i), std::string(60'000, 'x'));
  for (int i = 0; i < 6000; ++i) b.put("config/" + std::to_string(i), "y");
  for (int i = 0; i < 4000; ++i) b.say("task/" + std::to_string(i), "z");
  SyncSession left = SyncSession::initiate(a.docs, a.observed, a);
  SyncSession right = SyncSession::respond(b.docs, b.observed, b);
  CHECK(run(left, right) > 12);
  CHECK(equal(a, b));
}

TEST_CASE("sync: a fetch brings the named records only") {
  Peer a(1);
  Peer b(2);
  b.put("service/web", "x");
  b.put("service/db", "y");
  b.say("info", "b");
  SyncSession left = SyncSession::fetch(a.docs, a.observed, a,
                                        {"service/web", "node/" + b.self.hex() + "/info", "gone"});
  SyncSession right = SyncSession::respond(b.docs, b.observed, b);
  run(left, right);
  CHECK(a.docs.find("service/web") != nullptr);
  CHECK(a.docs.find("service/db") == nullptr);
  CHECK(a.observed.of_node(b.self).size() == 1);
}

TEST_CASE("sync: who slept past the deletes does not bring them back, whoever starts") {
  for (const bool turned : {false, true}) {
    Peer awake(1);
    Peer asleep(2);
    awake.put("service/gone", "x");
    awake.put("service/stays", "x");
    sync(awake, asleep);
    awake.ms = asleep.ms = kDay;
    awake.remove("service/gone");
    asleep.put("service/own", "made while away, before the horizon");
    awake.ms = asleep.ms = 40 * kDay;
    awake.put("service/new", "x");
    DocEffects out;
    awake.docs.purge(awake.now(), out);
    REQUIRE(awake.docs.horizon() > Stamp{});
    turned ? sync(asleep, awake) : sync(awake, asleep);
    for (const Peer* peer : {&awake, &asleep}) {
      CHECK(peer->docs.find("service/gone") == nullptr);
      CHECK(peer->docs.find("service/stays") != nullptr);
      CHECK(peer->docs.find("service/new") != nullptr);
      CHECK(peer->docs.horizon() == awake.docs.horizon());
    }
    CHECK(equal(awake, asleep));
    CHECK_FALSE(asleep.docs.conflicts().empty());
  }
}

TEST_CASE("sync: who slept past the deletes drops them although its clock is at 1970") {
  for (const bool turned : {false, true}) {
    Peer awake(1);
    Peer asleep(2);
    awake.put("service/gone", "x");
    sync(awake, asleep);
    awake.ms = kDay;
    awake.remove("service/gone");
    awake.ms = 40 * kDay;
    awake.put("service/new", "x");
    DocEffects out;
    awake.docs.purge(awake.now(), out);
    asleep.ms = -kStart;
    // The first exchange brings what is later than the horizon.
    for (int i = 0; i < 2; ++i) turned ? sync(asleep, awake) : sync(awake, asleep);
    CHECK(asleep.docs.find("service/gone") == nullptr);
    CHECK(asleep.docs.find("service/new") != nullptr);
    CHECK(equal(awake, asleep));
  }
}

TEST_CASE("sync: a newcomer gets everything, from before the horizon too") {
  for (const bool turned : {false, true}) {
    Peer elder(1);
    Peer newcomer(2);
    elder.put("service/old", "x");
    elder.put("service/gone", "x");
    elder.ms = 1;
    elder.remove("service/gone");
    elder.ms = newcomer.ms = 40 * kDay;
    DocEffects out;
    elder.docs.purge(elder.now(), out);
    turned ? sync(newcomer, elder) : sync(elder, newcomer);
    CHECK(newcomer.docs.find("service/old") != nullptr);
    CHECK(elder.docs.find("service/old") != nullptr);
    CHECK(equal(elder, newcomer));
  }
}

TEST_CASE("sync: garbage is an error, never a crash, whatever the moment") {
  Rng rng(11);
  for (int round = 0; round < 400; ++round) {
    Peer a(1);
    Peer b(2);
    for (int i = 0; i < 5; ++i) a.put("service/" + std::to_string(i), "x");
    for (int i = 3; i < 8; ++i) b.put("service/" + std::to_string(i), "y");
    a.say("info", "a");
    b.say("info", "b");
    SyncSession left = SyncSession::initiate(a.docs, a.observed, a);
    SyncSession right = SyncSession::respond(b.docs, b.observed, b);
    bool broken = false;
    for (bool moved = true; moved && !broken;) {
      moved = false;
      for (auto [from, to] : {std::pair(&left, &right), std::pair(&right, &left)}) {
        while (std::optional<Bytes> frame = from->next_frame()) {
          if (rng.chance(1, 4))
            (*frame)[rng.below(frame->size())] = static_cast<uint8_t>(rng.next());
          if (rng.chance(1, 12)) frame->resize(rng.below(frame->size()));
          moved = true;
          if (!to->receive(*frame)) {
            broken = true;
            break;
          }
        }
        if (broken) break;
      }
    }
    REQUIRE(a.docs.digests_hold());
    REQUIRE(b.docs.digests_hold());
  }
  Peer a(1);
  SyncSession session = SyncSession::respond(a.docs, a.observed, a);
  CHECK_FALSE(session.receive(Bytes(kMaxSyncFrame + 1)));
  CHECK_FALSE(session.receive(Bytes{}));
  CHECK_FALSE(session.receive(Bytes{0x91, 0x06}));  // records before a hello
}
