// The experiments as a program: one run a call, its figures on one line. bench/lifeguard.py and
// bench/load.py ask.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "membership/experiments.h"
#include "membership/scale.h"

using namespace kith;
using namespace kith::test;

namespace {

Duration ms(const char* text) {
  return std::chrono::milliseconds(std::atoll(text));
}

size_t count(const char* text) {
  return static_cast<size_t>(std::atoll(text));
}

void print(const char* name, const std::vector<double>& values) {
  std::printf("%s", name);
  for (const double value : values) std::printf(" %.4f", value);
  std::printf("\n");
}

void print(const FaultResult& result) {
  std::printf("%zu %zu %zu %.3f %.3f\n", result.suspected, result.dead, result.dead_at_faulty,
              result.known, result.healed);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "interval" && argc == 9) {
    const Anomaly kind = std::string(argv[7]) == "stopped" ? Anomaly::kStopped : Anomaly::kHeld;
    const IntervalCell cell{128, count(argv[3]), ms(argv[4]), ms(argv[5]), kind, ms(argv[8])};
    const IntervalResult r = run_interval(cell, argv[2], count(argv[6]));
    std::printf("%zu %zu %zu %zu %zu %zu\n", r.at_healthy, r.at_anomalous_own, r.at_anomalous_heard,
                r.datagrams, r.bytes, r.stream_pings);
  } else if (what == "threshold" && argc == 6) {
    const Latencies seen = run_threshold(128, count(argv[3]), ms(argv[4]), argv[2], count(argv[5]));
    print("first", seen.first);
    print("all", seen.all);
    std::printf("missed %zu\n", seen.missed);
  } else if (what == "bursts" && argc == 7) {
    print(run_bursts(count(argv[3]), static_cast<unsigned>(count(argv[4])), ms(argv[5]), argv[2],
                     count(argv[6])));
  } else if ((what == "deaf" || what == "mute") && argc == 6) {
    print(run_one_way(count(argv[3]), what == "deaf", ms(argv[4]), argv[2], count(argv[5])));
  } else if ((what == "host" || what == "agent") && argc == 6) {
    print("all",
          run_deaths(count(argv[3]), what == "agent", count(argv[4]), argv[2], count(argv[5])));
  } else if ((what == "load" || what == "load-some") && argc == 6) {
    const auto last = count(argv[3]);
    const Load load =
        what == "load"
            ? load_of_all(count(argv[2]), static_cast<unsigned>(last), ms(argv[4]), count(argv[5]))
            : load_of_some(count(argv[2]), last, ms(argv[4]), count(argv[5]));
    std::printf("%.3f %.1f\n", load.datagrams, load.bytes);
  } else if (what == "spread" && argc == 6) {
    const bool urgent = std::string(argv[4]) == "urgent";
    const auto loss = static_cast<unsigned>(count(argv[3]));
    const Spread spread = spread_of_news(count(argv[2]), loss, urgent, count(argv[5]));
    std::printf("%zu %.4f %.4f %.2f %u\n", spread.reached, spread.half, spread.all,
                spread.datagrams,
                rounds_by_theory(count(argv[2]), SwimConfig::lan().gossip_fan_out, loss));
  } else {
    std::fprintf(stderr,
                 "swim_lab interval CONFIG ANOMALOUS BLOCKED_MS BETWEEN_MS SEED held|stopped MS\n"
                 "         threshold CONFIG ANOMALOUS BLOCKED_MS SEED\n"
                 "         bursts CONFIG MEMBERS PERCENT MS SEED\n"
                 "         deaf|mute CONFIG MEMBERS MS SEED\n"
                 "         host|agent CONFIG MEMBERS TRIALS SEED\n"
                 "         load MEMBERS PERCENT MS SEED\n"
                 "         load-some MEMBERS WHOLE MS SEED\n"
                 "         spread MEMBERS PERCENT urgent|tick SEED\n");
    return 2;
  }
  return 0;
}
