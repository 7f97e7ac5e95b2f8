#include "gossip/rumor_queue.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "samples.h"

using namespace kith;
using Pushed = RumorQueue::Pushed;
using namespace std::chrono_literals;

namespace {

constexpr size_t kPlenty = 100'000;
constexpr Instant kStart = Instant(1h);

std::vector<std::string> keys(const std::vector<Rumor>& rumors) {
  std::vector<std::string> out;
  for (const Rumor& rumor : rumors) out.push_back(queue_key(rumor));
  return out;
}

std::vector<std::string> take(RumorQueue& queue, size_t max = 100, size_t budget = kPlenty,
                              Instant now = kStart, size_t n = 9) {
  std::vector<Rumor> out;
  queue.fill(budget, max, n, now, out);
  return keys(out);
}

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("rumor queue: each is told mult x ceil(log10(n + 1)) times") {
  struct Row {
    size_t n;
    unsigned mult;
    unsigned times;
  };
  constexpr Row kRows[] = {{0, 4, 4},  {1, 4, 4},    {2, 4, 4},    {9, 4, 4},     {10, 4, 8},
                           {99, 4, 8}, {100, 4, 12}, {999, 6, 18}, {1000, 6, 24}, {10'000, 1, 5}};
  for (const Row& row : kRows) {
    CAPTURE(row.n);
    RumorQueue queue(row.mult);
    CHECK(queue.limit(row.n) == row.times);
    queue.push(sample::record("a"));
    unsigned times = 0;
    while (!take(queue, 100, kPlenty, kStart, row.n).empty()) ++times;
    CHECK(times == row.times);
    CHECK(queue.empty());
  }
}

TEST_CASE("rumor queue: told least goes first, among equals the newest") {
  RumorQueue queue(10);
  queue.push(sample::record("a"));
  queue.push(sample::record("b"));
  CHECK(take(queue, 1) == Keys{"r/b"});
  CHECK(take(queue, 1) == Keys{"r/a"});
  queue.push(sample::record("c"));
  CHECK(take(queue, 2) == Keys{"r/c", "r/b"});
  CHECK(take(queue, 3) == Keys{"r/c", "r/a", "r/b"});
}

TEST_CASE("rumor queue: a newer rumor of the same key replaces the older and is told anew") {
  RumorQueue queue(1);
  CHECK(queue.push(sample::record("a", 10, 1)) == Pushed::kQueued);
  CHECK(queue.push(sample::record("a", 10, 1)) == Pushed::kUnchanged);
  CHECK(queue.push(sample::record("a", 10, 2)) == Pushed::kQueued);
  CHECK(queue.size() == 1);
  std::vector<Rumor> out;
  queue.fill(kPlenty, 10, 1, kStart, out);
  REQUIRE(out.size() == 1);
  CHECK(std::get<RecordRumor>(out[0]).envelope == Bytes(10, 2));

  RumorQueue again(2);
  again.push(sample::record("a", 10, 1));
  (void)take(again, 1);
  again.push(sample::record("a", 10, 2));
  CHECK(take(again).size() + take(again).size() + take(again).size() == 2);
  again.push(sample::record("a", 10, 3));
  again.push(OfferRumor{"a", 4});
  CHECK(again.size() == 1);
}

TEST_CASE("rumor queue: a member's news takes out the accusations it overtakes") {
  const NodeId x = sample::node(1);
  const NodeId y = sample::node(2);
  const NodeId a = sample::node(3);
  const NodeId b = sample::node(4);
  const auto suspect = [&](const NodeId& by, Incarnation i) {
    return sample::accuse(Claim::kSuspect, x, by, i);
  };
  const auto dead = [&](const NodeId& by, Incarnation i) {
    return sample::accuse(Claim::kDead, x, by, i);
  };
  struct Case {
    const char* what;
    std::vector<MemberRumor> before;
    MemberRumor news;
    size_t left;
  };
  const Case kCases[] = {
      {"alive overtakes lower", {suspect(a, 1), dead(b, 1)}, sample::alive(x, 2), 1},
      {"alive spares equal", {suspect(a, 2), dead(b, 1)}, sample::alive(x, 2), 2},
      {"left overtakes equal", {suspect(a, 2), dead(b, 2)}, sample::left(x, 2), 1},
      {"left spares higher", {suspect(a, 3)}, sample::left(x, 2), 2},
      {"dead overtakes suspicions", {suspect(a, 2)}, dead(b, 2), 1},
      {"dead spares another accuser's dead", {dead(a, 2)}, dead(b, 2), 2},
      {"two accusers both count", {suspect(a, 2)}, suspect(b, 2), 2},
      {"the same accuser counts once", {suspect(a, 2)}, dead(a, 2), 1},
      {"others are spared", {sample::accuse(Claim::kSuspect, y, a, 1)}, sample::alive(x, 9), 2},
  };
  for (const Case& c : kCases) {
    CAPTURE(c.what);
    RumorQueue queue(4);
    for (const MemberRumor& rumor : c.before) queue.push(rumor);
    CHECK(queue.push(c.news) == Pushed::kQueued);
    CHECK(queue.size() == c.left);
    const Keys told = take(queue);
    CHECK(std::find(told.begin(), told.end(), c.news.key()) != told.end());
  }
}

TEST_CASE("rumor queue: invalidate takes out a prefix and nothing else") {
  RumorQueue queue(4);
  const NodeId x = sample::node(1);
  queue.push(sample::alive(x));
  queue.push(sample::accuse(Claim::kSuspect, x, sample::node(2)));
  queue.push(sample::alive(sample::node(3)));
  queue.push(sample::record("node/1/task"), kStart + 1s);
  queue.push(sample::record("node/2/task"));
  queue.invalidate(member_prefix(x));
  CHECK(queue.size() == 3);
  queue.invalidate("r/node/1/");
  CHECK(queue.size() == 2);
  CHECK(queue.ready_at() == Instant{});
  queue.invalidate("nobody");
  CHECK(take(queue).size() == 2);
}

TEST_CASE("rumor queue: never exceeds the byte budget, and lets smaller ones pass a large one") {
  RumorQueue queue(4);
  queue.push(sample::record("small", 10));
  queue.push(sample::record("large", 500));
  CHECK(take(queue, 100, 100) == Keys{"r/small"});
  CHECK(take(queue, 100, 5).empty());
  CHECK(take(queue, 100, 0).empty());

  Rng rng(6);
  RumorQueue many(3);
  for (int i = 0; i < 500; ++i) {
    many.push(sample::random_rumor(rng));
    const size_t budget = rng.below(1500);
    std::vector<Rumor> out;
    const size_t used = many.fill(budget, 64, 100, kStart, out);
    size_t sum = 0;
    for (const Rumor& rumor : out) sum += encode(rumor).size();
    REQUIRE(sum == used);
    REQUIRE(used <= budget);
    REQUIRE(out.size() <= 64);
  }
}

TEST_CASE("rumor queue: what would not fit a datagram is refused") {
  RumorQueue queue(4);
  CHECK(queue.push(sample::record("a", kMaxRumorSize)) == Pushed::kTooLarge);
  CHECK(queue.push(sample::record("a", kMaxRumorSize - 20)) == Pushed::kQueued);
  // A version too large replaces nothing: the caller offers it instead, under the same key.
  CHECK(queue.push(sample::record("a", kMaxRecordSize)) == Pushed::kTooLarge);
  CHECK(queue.push(OfferRumor{"a", 1}) == Pushed::kQueued);
  CHECK(queue.size() == 1);
}

TEST_CASE("rumor queue: the largest rumor fits a datagram beside the largest message") {
  Message message{
      PingReq{UINT64_MAX, sample::node(1), {std::string(64, 'x'), 65535}}, UINT64_MAX, {}};
  CHECK(encode(message).size() + 2 + kMaxRumorSize <= kMaxPlain);
}

TEST_CASE("rumor queue: held back until its instant, and not longer for changing meanwhile") {
  RumorQueue queue(4);
  CHECK(queue.ready_at() == kNever);
  for (int i = 0; i < 5; ++i) {
    queue.push(sample::record("a", 10, static_cast<uint8_t>(i)), kStart + 50ms + i * 10ms);
  }
  CHECK(queue.ready_at() == kStart + 50ms);
  CHECK(take(queue, 9, kPlenty, kStart + 49ms).empty());
  std::vector<Rumor> out;
  queue.fill(kPlenty, 9, 9, kStart + 50ms, out);
  REQUIRE(out.size() == 1);
  CHECK(std::get<RecordRumor>(out[0]).envelope == Bytes(10, 4));

  // Once it was told, a newer version waits its own time.
  queue.push(sample::record("a", 10, 9), kStart + 110ms);
  CHECK(queue.ready_at() == kStart + 110ms);
}

TEST_CASE("rumor queue: full, records go before members and the most told before the rest") {
  RumorQueue queue(10, 4);
  queue.push(sample::record("old"));
  CHECK(take(queue) == Keys{"r/old"});
  queue.push(sample::record("new"));
  queue.push(sample::alive(sample::node(1)));
  queue.push(sample::alive(sample::node(2)));

  CHECK(queue.push(sample::record("newer")) == Pushed::kQueued);
  CHECK(queue.dropped() == 1);
  Keys told = take(queue);
  CHECK(std::count(told.begin(), told.end(), "r/old") == 0);

  CHECK(queue.push(sample::alive(sample::node(3))) == Pushed::kQueued);
  CHECK(queue.push(sample::alive(sample::node(4))) == Pushed::kQueued);
  told = take(queue);
  CHECK(std::count_if(told.begin(), told.end(), [](auto& k) { return k[0] == 'r'; }) == 0);

  CHECK(queue.push(sample::record("late")) == Pushed::kFull);
  CHECK(queue.push(sample::alive(sample::node(5))) == Pushed::kQueued);
  CHECK(queue.size() == 4);
  CHECK(queue.dropped() == 5);
}

TEST_CASE("rumor queue: full of what is held back it still takes news") {
  RumorQueue queue(4, 3);
  for (const char* key : {"a", "b", "c", "d"}) queue.push(sample::record(key), kStart + 1s);
  CHECK(queue.size() == 3);
  CHECK(queue.push(sample::alive(sample::node(1))) == Pushed::kQueued);
  CHECK(queue.size() == 3);
  CHECK(take(queue, 9, kPlenty, kStart + 1s).size() == 3);
}

// The obvious queue: a list, searched every time.
namespace {

struct NaiveQueue {
  struct Item {
    std::string key;
    Rumor rumor;
    unsigned told = 0;
    uint64_t age = 0;
    Instant ready{};
  };
  unsigned mult;
  std::vector<Item> items{};
  uint64_t clock = 0;

  void push(const Rumor& rumor, Instant ready, Instant now) {
    const std::string key = queue_key(rumor);
    for (const Item& item : items) {
      if (item.key != key) continue;
      if (encode(item.rumor) == encode(rumor)) return;
      if (item.told == 0 && item.ready > now) ready = std::min(ready, item.ready);
    }
    std::erase_if(items, [&](const Item& item) { return item.key == key; });
    items.push_back({key, rumor, 0, ++clock, ready});
  }

  Keys fill(size_t max, size_t n, Instant now) {
    std::vector<Item*> order;
    for (Item& item : items) {
      if (item.ready <= now) order.push_back(&item);
    }
    std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
      return a->told != b->told ? a->told < b->told : a->age > b->age;
    });
    if (order.size() > max) order.resize(max);
    Keys out;
    for (Item* item : order) {
      out.push_back(item->key);
      ++item->told;
    }
    unsigned digits = n == 0 ? 1 : static_cast<unsigned>(std::to_string(n).size());
    std::erase_if(items, [&](const Item& item) { return item.told >= mult * digits; });
    return out;
  }
};

}  // namespace

TEST_CASE("rumor queue: agrees with the obvious one over random histories") {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    RumorQueue queue(3);
    NaiveQueue naive{3};
    Instant now = kStart;
    const size_t n = rng.below(2000);
    for (int i = 0; i < 400; ++i) {
      now += rng.below(30) * 1ms;
      if (rng.chance(1, 2)) {
        // The queue learns that time passed from a fill only.
        const Rumor rumor = sample::record("k" + std::to_string(rng.below(20)), 8,
                                           static_cast<uint8_t>(rng.below(3)));
        const Instant ready = rng.chance(1, 2) ? now + 50ms : Instant{};
        (void)take(queue, 0, 0, now);
        queue.push(rumor, ready);
        naive.push(rumor, ready, now);
      } else {
        const size_t max = rng.below(6);
        REQUIRE(take(queue, max, kPlenty, now, n) == naive.fill(max, n, now));
      }
      REQUIRE(queue.size() == naive.items.size());
    }
  }
}
