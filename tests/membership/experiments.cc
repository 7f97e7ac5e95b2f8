#include "membership/experiments.h"

#include <algorithm>
#include <map>
#include <memory>

#include "membership/net.h"

namespace kith::test {

namespace {

constexpr Duration kRest = 15s;

std::vector<bool> pick(size_t of, size_t count, Rng& rng) {
  std::vector<bool> chosen(of, false);
  while (count > 0) {
    const size_t i = rng.below(of);
    if (chosen[i]) continue;
    chosen[i] = true;
    --count;
  }
  return chosen;
}

double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}

void block(Net& net, size_t i, Anomaly kind, Duration time) {
  if (kind == Anomaly::kHeld) {
    net.hold(i, time);
  } else {
    net.freeze(i, time);
  }
}

/// Each host is for a while cut off and for a while not; a datagram passes if neither end of it is.
class Bursts {
 public:
  Bursts(size_t hosts, unsigned percent, Rng rng) : rng_(rng), hosts_(hosts) {
    // Both ends count: 1 - (1 - p)^2 is the average that was asked for.
    double p = 0;
    while (1 - (1 - p) * (1 - p) < percent / 100.0) p += 0.0001;
    good_ = kBad * (1 - p) / p;
  }
  bool bad(size_t host, Instant now) {
    Host& h = hosts_[host];
    while (h.until <= now) {
      h.bad = h.begun && !h.bad;
      h.begun = true;
      h.until += length(h.bad ? kBad : good_);
    }
    return h.bad;
  }

 private:
  static constexpr double kBad = 0.1;
  struct Host {
    bool begun = false;
    bool bad = false;
    Instant until = Instant{} + 1h;
  };
  Duration length(double mean) {  // geometric, in steps of a millisecond
    const auto chance = static_cast<uint64_t>(mean * 1000);
    Duration d = 1ms;
    while (rng_.below(chance) != 0) d += 1ms;
    return d;
  }
  Rng rng_;
  std::vector<Host> hosts_;
  double good_ = 1;
};

}  // namespace

SwimConfig config_named(std::string_view name, size_t members) {
  constexpr std::string_view kPlain = "-plain";
  if (name == "paper") return SwimConfig::paper(members);
  if (name == "lifeguard") {  // as published: without what kith adds to it
    SwimConfig c = SwimConfig::paper(members).plain();
    const SwimConfig whole = SwimConfig::paper(members);
    c.nacks = true;
    c.tell_accused = true;
    c.suspicion_max_factor = whole.suspicion_max_factor;
    c.confirmations = whole.confirmations;
    c.max_health_multiplier = whole.max_health_multiplier;
    return c;
  }
  if (name == "plain") return SwimConfig::paper(members).plain();
  if (name.ends_with(kPlain))
    return config_named(name.substr(0, name.size() - kPlain.size()), members).plain();
  return SwimConfig::profile(name).value();
}

IntervalResult run_interval(const IntervalCell& cell, std::string_view config, uint64_t seed) {
  Net net(cell.members, config_named(config, cell.members), seed);
  Rng rng(seed + 1);
  const std::vector<bool> anomalous = pick(cell.members, cell.anomalous, rng);
  net.run(kRest);
  const size_t datagrams = net.datagrams;
  const size_t bytes = net.bytes;
  const Instant end = net.now() + cell.time;
  while (net.now() < end) {
    for (size_t i = 0; i < cell.members; ++i) {
      if (anomalous[i]) block(net, i, cell.kind, std::min(cell.blocked, end - net.now()));
    }
    net.run(cell.blocked + cell.between);
  }
  IntervalResult result;
  result.datagrams = net.datagrams - datagrams;
  result.bytes = net.bytes - bytes;
  result.stream_pings = net.stream_pings;
  for (const Net::Log& entry : net.log) {
    if (entry.event.kind != MemberEventKind::kDead || anomalous[net.index(entry.event.node)])
      continue;
    const bool own = entry.event.by == net.id(entry.node);
    ++(!anomalous[entry.node] ? result.at_healthy
       : own                  ? result.at_anomalous_own
                              : result.at_anomalous_heard);
  }
  return result;
}

Latencies run_threshold(size_t members, size_t anomalous, Duration blocked, std::string_view config,
                        uint64_t seed) {
  Net net(members, config_named(config, members), seed);
  Rng rng(seed + 1);
  const std::vector<bool> chosen = pick(members, anomalous, rng);
  net.run(kRest + Duration(rng.below(1'000'000'000)));
  const Instant began = net.now();
  for (size_t i = 0; i < members; ++i) {
    if (chosen[i]) net.hold(i, blocked);
  }
  net.run(blocked);
  std::map<size_t, std::vector<double>> seen;
  for (const Net::Log& entry : net.log) {
    const size_t subject = net.index(entry.event.node);
    if (entry.event.kind == MemberEventKind::kDead && chosen[subject] && !chosen[entry.node])
      seen[subject].push_back(seconds(entry.at - began));
  }
  Latencies out;
  for (size_t i = 0; i < members; ++i) {
    if (!chosen[i]) continue;
    const std::vector<double>& times = seen[i];
    if (!times.empty()) out.first.push_back(times.front());
    if (times.size() >= members - anomalous) {
      out.all.push_back(times.back());
    } else {
      ++out.missed;
    }
  }
  return out;
}

FaultResult run_bursts(size_t members, unsigned percent, Duration time, std::string_view config,
                       uint64_t seed) {
  Net net(members, config_named(config, members), seed);
  Bursts bursts(members, percent, Rng(seed + 1));
  net.run(kRest);
  net.cut = [&](size_t from, size_t to) {
    return bursts.bad(from, net.now()) || bursts.bad(to, net.now());
  };
  net.run(time);
  net.cut = [](size_t, size_t) { return false; };
  const Instant end = net.now();
  FaultResult result;
  result.suspected = net.count(MemberEventKind::kSuspect);
  result.dead = net.count(MemberEventKind::kDead);
  if (net.run_until([&] { return net.all_alive(); }, 60s)) result.healed = seconds(net.now() - end);
  return result;
}

FaultResult run_one_way(size_t members, bool deaf, Duration time, std::string_view config,
                        uint64_t seed) {
  Net net(members, config_named(config, members), seed);
  net.run(kRest);
  const Instant began = net.now();
  net.cut = [deaf](size_t from, size_t to) { return (deaf ? to : from) == 0; };
  FaultResult result;
  if (net.run_until([&] { return net.all_see(0, MemberState::kDead); }, time))
    result.known = seconds(net.now() - began);
  net.run(began + time - net.now());
  net.cut = [](size_t, size_t) { return false; };
  const Instant end = net.now();
  if (net.run_until([&] { return net.all_alive(); }, 60s)) result.healed = seconds(net.now() - end);
  for (const Net::Log& entry : net.log) {
    if (entry.event.node == net.id(0)) continue;
    if (entry.event.kind == MemberEventKind::kSuspect && entry.node != 0) ++result.suspected;
    if (entry.event.kind == MemberEventKind::kDead)
      ++(entry.node != 0 ? result.dead : result.dead_at_faulty);
  }
  return result;
}

std::vector<double> run_deaths(size_t members, bool agent_alone, size_t trials,
                               std::string_view config, uint64_t seed) {
  std::vector<double> out;
  for (size_t t = 0; t < trials; ++t) {
    Net net(members, config_named(config, members), seed + t);
    net.run(3s + Duration(net.rng().below(1'000'000'000)));
    const size_t victim = net.rng().below(members);
    const Instant began = net.now();
    if (agent_alone) {
      net.kill(victim);
    } else {
      net.crash(victim);
    }
    if (net.run_until([&] { return net.all_see(victim, MemberState::kDead); }, 120s))
      out.push_back(seconds(net.now() - began));
  }
  return out;
}

}  // namespace kith::test
