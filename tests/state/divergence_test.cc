// Stores that went far apart: months of edits on each side of many splits, and how they meet again.

#include <doctest/doctest.h>

#include "base/rng.h"
#include "state/sync.h"

using namespace kith;

namespace {

constexpr int64_t kStart = 1'790'000'000'000;
constexpr int64_t kDay = 24LL * 3600 * 1000;

NodeId node(uint8_t n) {
  NodeId id;
  id.key[0] = n;
  return id;
}

struct Peer : SyncSink {
  explicit Peer(uint8_t n)
      : self(node(n)),
        docs(DocStoreConfig{.digest_seed = 7}),
        observed(self, 1, 42, [](ByteView) { return Signature{}; }) {}
  [[nodiscard]] Now now() const { return {Instant{}, WallTime{kStart + ms}}; }
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

/// Bytes that `a` sent and took.
size_t sync(Peer& a, Peer& b) {
  SyncSession left = SyncSession::initiate(a.docs, a.observed, a);
  SyncSession right = SyncSession::respond(b.docs, b.observed, b);
  for (bool moved = true; moved;) {
    moved = false;
    for (auto [from, to] : {std::pair(&left, &right), std::pair(&right, &left)}) {
      while (const auto frame = from->next_frame()) {
        REQUIRE(to->receive(*frame));
        moved = true;
      }
    }
  }
  REQUIRE(left.done());
  REQUIRE(right.done());
  return left.counters().bytes_sent + left.counters().bytes_received;
}

bool equal(const Peer& a, const Peer& b) {
  return a.docs.root() == b.docs.root() && a.observed.root() == b.observed.root();
}

/// What a naive merge would keep: of each key the greatest version that anybody ever made.
class Oracle {
 public:
  void made(const Document& document) {
    Document& best = best_[document.key];
    if (best.key.empty() || best.version < document.version) best = document;
  }
  void check(const Peer& peer) const {
    size_t live = 0;
    for (const auto& [key, best] : best_) {
      const Document* here = peer.docs.find_any(key);
      REQUIRE(here != nullptr);
      CHECK(here->version == best.version);
      CHECK(here->body == best.body);
      if (!best.deleted) ++live;
    }
    CHECK(peer.docs.list("").size() == live);
    CHECK(peer.docs.size() == best_.size());
  }

 private:
  std::map<std::string, Document> best_;
};

/// A random edit at a peer, which knows of no other's since they parted.
void edit(Peer& peer, Rng& rng, size_t keys, Oracle& oracle) {
  const std::string key = "service/" + std::to_string(rng.below(keys));
  DocEffects out;
  if (rng.chance(1, 4) && peer.docs.find(key) != nullptr)
    REQUIRE(peer.docs.remove(key, peer.now(), peer.self, out));
  else
    REQUIRE(peer.docs.put(key, std::string(rng.below(300), 'x') + std::to_string(rng.next()),
                          peer.now(), peer.self, out));
  oracle.made(*peer.docs.find_any(key));
}

void speak(Peer& peer, Rng& rng) {
  ObservedEffects out;
  const std::string key = "node/" + peer.self.hex() + "/task/" + std::to_string(rng.below(200));
  if (rng.chance(1, 3))
    peer.observed.retract(key, Instant{}, out);
  else
    peer.observed.publish(key, Bytes(rng.below(200), static_cast<uint8_t>(rng.next())), Instant{},
                          out);
}

/// Random pairs exchange until all are equal; how many exchanges it took.
size_t meet(std::vector<Peer>& peers, Rng& rng) {
  for (size_t exchanges = 0;; ++exchanges) {
    bool all = true;
    for (const Peer& peer : peers) all = all && equal(peer, peers[0]);
    if (all) return exchanges;
    REQUIRE(exchanges < 200);
    const size_t a = rng.below(peers.size());
    const size_t b = (a + 1 + rng.below(peers.size() - 1)) % peers.size();
    sync(peers[a], peers[b]);
  }
}

}  // namespace

TEST_CASE("sync: stores that went far apart all come to what a naive merge would keep") {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    Oracle oracle;
    std::vector<Peer> peers;
    for (uint8_t n = 1; n <= 6; ++n) peers.emplace_back(n);
    for (int i = 0; i < 400; ++i) edit(peers[0], rng, 1'000, oracle);
    (void)meet(peers, rng);
    for (int split = 0; split < 3; ++split) {
      for (Peer& peer : peers) {
        peer.ms += 5 * kDay + static_cast<int64_t>(rng.below(2'000)) - 1'000;  // clocks differ
        for (int i = 0; i < 250; ++i) {
          edit(peer, rng, 1'000, oracle);
          speak(peer, rng);
          peer.ms += static_cast<int64_t>(rng.below(20));
        }
      }
      const size_t exchanges = meet(peers, rng);
      CHECK(exchanges <= 60);
      for (const Peer& peer : peers) {
        oracle.check(peer);
        CHECK(peer.docs.digests_hold());
        CHECK(peer.observed.digests_hold());
        CHECK(peer.docs.conflicts().size() <= kMaxConflicts);
        CHECK_FALSE(peer.docs.conflicts().empty());
      }
    }
  }
}

TEST_CASE("sync: an exchange costs what differs, however much is alike") {
  Rng rng(5);
  Oracle oracle;
  Peer a(1);
  Peer b(2);
  for (int i = 0; i < 6'000; ++i) edit(a, rng, 5'000, oracle);
  for (int i = 0; i < 1'000; ++i) speak(a, rng);
  const size_t all = sync(a, b);
  REQUIRE(equal(a, b));
  CHECK(sync(a, b) < 400);
  a.ms += 1'000;
  for (int i = 0; i < 10; ++i) edit(a, rng, 5'000, oracle);
  b.ms += 2'000;
  for (int i = 0; i < 10; ++i) edit(b, rng, 5'000, oracle);
  const size_t some = sync(a, b);
  CHECK(equal(a, b));
  CHECK(some < all / 10);
  MESSAGE("all " << all << " bytes, 20 of 5,000 documents " << some << " bytes");
  oracle.check(a);
}
