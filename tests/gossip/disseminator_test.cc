#include "gossip/disseminator.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "samples.h"

using namespace kith;
using namespace std::chrono_literals;

namespace {

constexpr Instant kStart = Instant(1h);

std::vector<Peer> peers(size_t n) {
  std::vector<Peer> out;
  for (size_t i = 0; i < n; ++i) {
    out.push_back({sample::node(i), {"10.0.0." + std::to_string(i + 1), 7117}});
  }
  return out;
}

std::set<NodeId> receivers(const std::vector<GossipSend>& sends) {
  std::set<NodeId> out;
  for (const GossipSend& send : sends) out.insert(send.to.id);
  return out;
}

std::vector<GossipSend> tick(Disseminator& d, Instant now, const std::vector<Peer>& to) {
  std::vector<GossipSend> out;
  d.advance(now, to, out);
  return out;
}

std::vector<GossipSend> urgent(Disseminator& d, const std::vector<MemberRumor>& news, bool own,
                               Instant now, const std::vector<Peer>& to) {
  std::vector<GossipSend> out;
  d.urgent(news, own, now, to, out);
  return out;
}

}  // namespace

TEST_CASE("disseminator: no news, no packets, no deadline") {
  Disseminator d({}, Rng(1));
  CHECK(d.next_deadline() == kNever);
  CHECK(tick(d, kStart, peers(9)).empty());
  CHECK(d.next_deadline() == kNever);
}

TEST_CASE("disseminator: news goes to fanout different peers a tick until it was told enough") {
  const GossipConfig config;
  Disseminator d(config, Rng(1));
  const auto all = peers(20);
  d.set_cluster_size(21);
  d.spread(sample::alive(sample::node(99)), kStart);
  CHECK(d.next_deadline() <= kStart);
  Instant now = kStart;
  size_t sent = 0;
  int ticks = 0;
  while (d.next_deadline() != kNever) {
    now = std::max(now, d.next_deadline());
    const auto sends = tick(d, now, all);
    CHECK(sends.size() == config.gossip_fanout);
    CHECK(receivers(sends).size() == sends.size());
    sent += sends.size();
    ++ticks;
    CHECK(tick(d, now, all).empty());
    CHECK(tick(d, now + config.gossip_interval - 1ns, all).empty());
  }
  CHECK(sent == config.retransmit_mult * 2);  // 21 members: two digits
  CHECK(now == kStart + (ticks - 1) * config.gossip_interval);
  CHECK(d.counters().gossip_sent == sent);
}

TEST_CASE("disseminator: a tick tells all its peers the same") {
  // With each peer's message drawn for itself, the third of three large records reaches one of two
  // peers only, and the other by luck of a later tick.
  const GossipConfig config;
  for (size_t records = 1; records <= config.gossip_burst; ++records) {
    Disseminator d(config, Rng(1));
    d.set_cluster_size(3);
    for (size_t i = 0; i < records; ++i)
      d.spread(sample::record("services/" + std::to_string(i), 900), kStart, false);
    std::map<NodeId, std::set<std::string>> told;
    for (const GossipSend& send : tick(d, kStart, peers(2))) {
      for (const Rumor& rumor : send.message.rumors) told[send.to.id].insert(queue_key(rumor));
    }
    REQUIRE(told.size() == 2);
    for (const auto& [id, keys] : told) CHECK(keys.size() == records);
  }
}

TEST_CASE("disseminator: a burst is bounded, and is for records that nobody was told") {
  const GossipConfig config;
  Disseminator d(config, Rng(1));
  d.set_cluster_size(3);
  for (size_t i = 0; i < config.gossip_burst + 2; ++i)
    d.spread(sample::record("services/" + std::to_string(i), 900), kStart, false);
  CHECK(tick(d, kStart, peers(2)).size() == 2 * config.gossip_burst);
  Instant now = kStart + config.gossip_interval;
  CHECK(tick(d, now, peers(2)).size() == 2 * 2);
  now += config.gossip_interval;
  CHECK(tick(d, now, peers(2)).size() == 2);
}

TEST_CASE("disseminator: a late tick is one tick") {
  Disseminator d({}, Rng(1));
  d.spread(sample::alive(sample::node(99)), kStart);
  CHECK(tick(d, kStart, peers(9)).size() == 3);
  CHECK(tick(d, kStart + 10s, peers(9)).size() == 3);
  CHECK(tick(d, kStart + 10s, peers(9)).empty());
}

TEST_CASE("disseminator: a record that changes five times in 50 ms goes out once, the last") {
  GossipConfig config;
  config.gossip_fanout = 1;
  Disseminator d(config, Rng(1));
  for (int i = 0; i < 5; ++i) {
    d.spread(sample::record("task", 20, static_cast<uint8_t>(i)), kStart + i * 10ms);
  }
  CHECK(d.next_deadline() == kStart + 50ms);
  CHECK(tick(d, kStart + 49ms, peers(5)).empty());
  Message ping{Ping{1}, 0, {}};
  d.piggyback(ping, kStart + 49ms);
  CHECK(ping.rumors.empty());
  const auto sends = tick(d, kStart + 50ms, peers(5));
  REQUIRE(sends.size() == 1);
  REQUIRE(sends[0].message.rumors.size() == 1);
  CHECK(std::get<RecordRumor>(sends[0].message.rumors[0]).envelope == Bytes(20, 4));
}

TEST_CASE("disseminator: without peers it rests, and goes on with the first") {
  Disseminator d({}, Rng(1));
  d.spread(sample::alive(sample::node(99)), kStart);
  CHECK(tick(d, kStart, {}).empty());
  CHECK(d.next_deadline() == kNever);
  CHECK(tick(d, kStart + 5s, peers(1)).size() == 1);
  CHECK(d.next_deadline() == kStart + 5s + GossipConfig{}.gossip_interval);
}

TEST_CASE("disseminator: piggyback keeps within the budget and adds behind what is there") {
  Rng rng(3);
  Disseminator d({}, Rng(1));
  d.set_cluster_size(1000);
  for (int i = 0; i < 200; ++i) d.spread(sample::random_rumor(rng), kStart);
  for (int i = 0; i < 500; ++i) {
    Message message{Ping{rng.next()}, rng.next(), {}};
    if (rng.chance(1, 2)) message.rumors.push_back(sample::record("mine", rng.below(300)));
    const size_t had = encode(message).size();
    const size_t rumors = message.rumors.size();
    const size_t budget = rng.below(kMaxPlain);
    d.piggyback(message, kStart + 1s, budget);
    REQUIRE(encode(message).size() <= std::max(had, budget));
    REQUIRE(message.rumors.size() >= rumors);
    REQUIRE(message.rumors.size() <= kMaxRumorsAMessage);
  }
}

TEST_CASE("disseminator: many small rumors fill a message up to its limit, and it decodes") {
  Disseminator d({}, Rng(1));
  for (int i = 0; i < 300; ++i) d.spread(OfferRumor{std::to_string(i), 1}, kStart);
  Message message{Ping{1}, 2, {}};
  d.piggyback(message, kStart + 1s);
  CHECK(message.rumors.size() == kMaxRumorsAMessage);
  CHECK(decode_message(encode(message)));
}

TEST_CASE("disseminator: urgent news leaves at once to different peers, and waits for a tick too") {
  const GossipConfig config;
  Disseminator d(config, Rng(1));
  const auto suspect = sample::accuse(Claim::kSuspect, sample::node(1), sample::node(2));
  const auto sends = urgent(d, {suspect}, true, kStart, peers(20));
  CHECK(sends.size() == config.urgent_fanout);
  CHECK(receivers(sends).size() == sends.size());
  for (const GossipSend& send : sends) {
    REQUIRE(send.message.rumors.size() == 1);
    CHECK(queue_key(send.message.rumors[0]) == suspect.key());
  }
  CHECK(d.queue().size() == 1);
  CHECK(urgent(d, {suspect}, false, kStart, peers(20)).empty());  // once from each first hearer
  CHECK(urgent(d, {sample::alive(sample::node(1), 2)}, false, kStart, peers(2)).size() == 2);
  CHECK(urgent(d, {sample::alive(sample::node(1), 3)}, false, kStart, {}).empty());
}

TEST_CASE("disseminator: urgent news of one message shares its datagrams") {
  const GossipConfig config;
  Disseminator d(config, Rng(1));
  std::vector<MemberRumor> news;
  for (uint64_t i = 0; i < 30; ++i) {
    news.push_back(sample::accuse(Claim::kDead, sample::node(i), sample::node(100)));
  }
  const auto sends = urgent(d, news, false, kStart, peers(20));
  std::map<std::string, size_t> told;
  for (const GossipSend& send : sends) {
    CHECK(encode(send.message).size() <= config.max_plain);
    for (const Rumor& rumor : send.message.rumors) ++told[queue_key(rumor)];
  }
  CHECK(told.size() == 30);
  for (const auto& [key, times] : told) CHECK(times == config.urgent_fanout);
  CHECK(sends.size() < 30);
}

TEST_CASE("disseminator: others' urgent news is limited to burst and rate, one's own is not") {
  GossipConfig config;
  config.urgent_fanout = 1;
  Disseminator d(config, Rng(1));
  const auto all = peers(20);
  uint64_t subject = 0;
  const auto next = [&] {
    return std::vector<MemberRumor>{
        sample::accuse(Claim::kDead, sample::node(++subject), sample::node(0))};
  };
  const auto burst = [&](Instant now, bool own) {
    size_t sent = 0;
    for (int i = 0; i < 1000; ++i) sent += urgent(d, next(), own, now, all).size();
    return sent;
  };
  CHECK(burst(kStart, false) == config.urgent_burst);
  CHECK(d.counters().urgent_limited == 1000 - config.urgent_burst);
  CHECK(burst(kStart, false) == 0);
  CHECK(burst(kStart, true) == 1000);
  CHECK(burst(kStart + 1s, false) == config.urgent_rate);
  CHECK(burst(kStart + 1s + 10ms, false) == 1);
  CHECK(burst(kStart + 1h, false) == config.urgent_burst);
}

TEST_CASE("disseminator: what the bucket refused still goes with the ticks") {
  GossipConfig config;
  config.urgent_rate = 0;
  Disseminator d(config, Rng(1));
  const auto dead = sample::accuse(Claim::kDead, sample::node(1), sample::node(2));
  CHECK(urgent(d, {dead}, false, kStart, peers(9)).empty());
  CHECK(tick(d, kStart, peers(9)).size() == config.gossip_fanout);
}

TEST_CASE("disseminator: equal seeds make equal choices, and every peer has its chance") {
  std::map<NodeId, int> told;
  std::vector<std::vector<GossipSend>> runs;
  for (int run = 0; run < 2; ++run) {
    GossipConfig config;
    config.retransmit_mult = 100'000;
    Disseminator d(config, Rng(77));
    d.spread(sample::alive(sample::node(99)), kStart);
    std::vector<GossipSend> sends;
    for (int i = 0; i < 3000; ++i) {
      d.advance(kStart + i * config.gossip_interval, peers(10), sends);
    }
    runs.push_back(std::move(sends));
  }
  REQUIRE(runs[0].size() == 9000);
  REQUIRE(runs[1].size() == 9000);
  for (size_t i = 0; i < runs[0].size(); ++i) {
    REQUIRE(runs[0][i].to == runs[1][i].to);
    ++told[runs[0][i].to.id];
  }
  REQUIRE(told.size() == 10);
  for (const auto& [id, times] : told) {
    CHECK(times > 800);
    CHECK(times < 1000);
  }
}

TEST_CASE("disseminator: everybody hears, as epidemics do") {
  // 60 nodes, each with its own disseminator, no loss: push gossip reaches all.
  constexpr size_t kNodes = 60;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    CAPTURE(seed);
    std::vector<Disseminator> nodes;
    for (size_t i = 0; i < kNodes; ++i) {
      nodes.emplace_back(GossipConfig{}, Rng(seed * 1000 + i));
      nodes.back().set_cluster_size(kNodes);
    }
    const auto all = peers(kNodes);
    std::vector<bool> heard(kNodes, false);
    const Rumor news = sample::alive(sample::node(5000));
    heard[0] = true;
    nodes[0].spread(news, kStart);
    Instant now = kStart;
    for (int round = 0; round < 40; ++round, now += 100ms) {
      std::vector<GossipSend> sends;
      for (Disseminator& node : nodes) node.advance(now, all, sends);
      for (const GossipSend& send : sends) {
        const auto to =
            static_cast<size_t>(std::find(all.begin(), all.end(), send.to) - all.begin());
        if (heard[to]) continue;
        heard[to] = true;
        nodes[to].spread(send.message.rumors.at(0), now);
      }
    }
    CHECK(std::count(heard.begin(), heard.end(), true) == kNodes);
    for (const Disseminator& node : nodes) CHECK(node.queue().empty());
  }
}
