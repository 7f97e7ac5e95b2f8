// ./run sim: chaos of one seed or of many, what the checkers made of it, and a smaller run where
// something did not hold.

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "defects.h"
#include "runs.h"
#include "shrink.h"

namespace kith::sim {
namespace {

constexpr char kHelp[] =
    R"(./run sim: whole nodes in virtual time, faults drawn from a seed, then calm; checkers look on.

  --seed S         the seed [1]; printed first. The same options give the same run.
  --nodes N        hosts [10]
  --minutes M      of faults, virtual [3]; fractions are allowed
  --calm M         without faults after that [2]
  --faults LIST    kinds, with commas; `none`; `all` [all but clone]:
                   kill crash freeze stall partition oneway loss reorder link clock full losedisk
                   clone exit vanish unhealthy engine slowpull badstart flood. Edits always come.
  --only LIST      of the faults drawn, these by number (what a shrunk run replays)
  --drawn-for N    hosts the faults are drawn for [--nodes]; a host beyond --nodes wraps round
  --seeds COUNT    so many seeds from --seed on, a process each, one a core at a time
  --defect NAME    a mistake planted in the product (a build with -Ddefects=true)
  --defects        the table of all defects: which checker finds each, within how many seeds
  --history WHAT   of one seed: what happened to a node (n3) or a slot (s1.2)
  --schedule       print the faults drawn, and do no more
  --no-shrink      leave a failing run as it is; else it is made smaller and its command line printed
  --shrink-for S   seconds for that [300]

It ends with `N seeds, N failed`, after the counts of what each checker judged. 1 if one failed.
)";

struct Options {
  RunShape shape;
  size_t seeds = 1;
  std::string history;
  bool schedule = false;
  bool defects = false;
  bool shrink = true;
  double shrink_s = 300;
};

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "sim: %s; --help says what there is\n", why.c_str());
  std::exit(2);
}

template <class Number>
Number number(std::string_view option, std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    refuse(std::string(option) + ": '" + std::string(text) + "' is no number");
  return value;
}

Duration minutes(std::string_view option, std::string_view text) {
  const auto value = number<double>(option, text);
  if (value < 0 || value > 100'000) refuse(std::string(option) + " is out of range");
  return std::chrono::milliseconds(static_cast<int64_t>(value * 60'000 + 0.5));
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    if (comma > 0) parts.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

std::vector<FaultKind> kinds_of(std::string_view text) {
  std::vector<FaultKind> kinds;
  if (text == "all") return usual_faults();
  for (const std::string& name : split(text == "none" ? "" : text)) {
    const auto kind = fault_kind(name);
    if (!kind) refuse("--faults: there is no '" + name + "'");
    kinds.push_back(*kind);
  }
  return kinds;
}

std::vector<size_t> numbers_of(std::string_view text) {
  std::vector<size_t> numbers;
  for (const std::string& part : split(text == "none" ? "" : text))
    numbers.push_back(number<size_t>("--only", part));
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Defect known_defect(std::string_view name) {
  const auto defect = defect_of(name);
  if (!defect) refuse("--defect: there is no '" + std::string(name) + "'");
  if (!plant(*defect)) refuse("this build can be given no defect");
  (void)plant(Defect::kNone);
  return *defect;
}

Options parse(int argc, char** argv) {
  Options options;
  RunShape& shape = options.shape;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--help" || option == "-h") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    }
    if (option == "--schedule") {
      options.schedule = true;
      continue;
    }
    if (option == "--defects") {
      options.defects = true;
      continue;
    }
    if (option == "--no-shrink") {
      options.shrink = false;
      continue;
    }
    if (i + 1 == argc) refuse(option + " is not understood, or wants a value");
    const std::string_view value = argv[++i];
    if (option == "--seed")
      shape.seed = number<uint64_t>(option, value);
    else if (option == "--nodes")
      shape.hosts = number<size_t>(option, value);
    else if (option == "--minutes")
      shape.length = minutes(option, value);
    else if (option == "--calm")
      shape.calm = minutes(option, value);
    else if (option == "--faults")
      shape.kinds = kinds_of(value);
    else if (option == "--only")
      shape.only = numbers_of(value);
    else if (option == "--drawn-for")
      shape.drawn_for = number<size_t>(option, value);
    else if (option == "--seeds")
      options.seeds = number<size_t>(option, value);
    else if (option == "--defect")
      shape.defect = known_defect(value);
    else if (option == "--history")
      options.history = value;
    else if (option == "--shrink-for")
      options.shrink_s = number<double>(option, value);
    else
      refuse(option + " is not understood");
  }
  if (shape.hosts < 1 || shape.hosts > 10'000) refuse("--nodes: 1 to 10000");
  if (options.seeds == 0) refuse("--seeds: at least 1");
  if (options.seeds > 1 && (!options.history.empty() || options.schedule))
    refuse("--history and --schedule are of one seed");
  return options;
}

void print_schedule(const RunShape& shape) {
  for (const Fault& fault : schedule_of(shape))
    std::printf("%5zu  at %8.3f s  for %6.3f s  n%-4zu n%-4zu %s\n", fault.number,
                std::chrono::duration<double>(fault.at).count(),
                std::chrono::duration<double>(fault.lasts).count(), fault.host + 1, fault.other + 1,
                std::string(name_of(fault.kind)).c_str());
}

void print_judged(const std::map<std::string, uint64_t>& judged) {
  std::printf("what the checkers judged:\n");
  for (const auto& [about, times] : judged)
    std::printf("  %-48s %12llu\n", about.c_str(), static_cast<unsigned long long>(times));
}

void print(const Outcome& outcome, const Options& options) {
  const double virtual_s =
      std::chrono::duration<double>(outcome.shape.length + outcome.shape.calm).count();
  std::printf("seed %-10llu %s  %9llu steps  %6.1f s (%.0f virtual)  digest %016llx\n",
              static_cast<unsigned long long>(outcome.shape.seed),
              outcome.failed() ? "FAILED" : "ok    ",
              static_cast<unsigned long long>(outcome.steps), outcome.took_s, virtual_s,
              static_cast<unsigned long long>(outcome.digest));
  for (const World::Violation& violation : outcome.violations)
    std::printf("    %s: %s\n", violation.checker.c_str(), violation.what.c_str());
  if (outcome.failed() && options.seeds > 1)
    std::printf("    replay: %s\n", command_line(outcome.shape).c_str());
  std::fflush(stdout);
}

/// Of the first host or slot that the violation names.
std::string subject_of(const World::Violation& violation) {
  std::string word;
  for (const char c : violation.what + " ") {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.') {
      word += c;
      continue;
    }
    const bool named = word.size() > 1 && (word[0] == 'n' || word[0] == 's') &&
                       std::isdigit(static_cast<unsigned char>(word[1])) != 0;
    if (named) return word;
    word.clear();
  }
  return "n1";
}

void print_history(const RunShape& shape, const std::string& subject) {
  std::vector<std::string> lines;
  (void)run(shape, true, subject, &lines);
  std::printf("history of %s:\n", subject.c_str());
  for (const std::string& line : lines) std::printf("%s\n", line.c_str());
}

void make_smaller(const Outcome& failed, const Options& options) {
  std::printf("shrinking seed %llu (%zu faults, %zu nodes)\n",
              static_cast<unsigned long long>(failed.shape.seed), schedule_of(failed.shape).size(),
              failed.shape.hosts);
  const Outcome small = shrink(failed, {.seconds = options.shrink_s}, [](const std::string& text) {
    std::printf("  %s\n", text.c_str());
    std::fflush(stdout);
  });
  print_schedule(small.shape);
  for (const World::Violation& violation : small.violations)
    std::printf("    %s: %s\n", violation.checker.c_str(), violation.what.c_str());
  const std::string subject = subject_of(small.violations.front());
  if (small.violations.front().checker != "crash") print_history(small.shape, subject);
  std::printf("replay: %s --history %s\n", command_line(small.shape).c_str(), subject.c_str());
}

/// Each is looked for seed by seed until the checker meant for it says something.
int print_defects(uint64_t first_seed) {
  if (!plant(Defect::kNoSuspicion)) refuse("this build can be given no defect");
  (void)plant(Defect::kNone);
  std::printf("%-22s %-12s %6s  %s\n", "defect", "checker", "seeds", "what it said");
  size_t missed = 0;
  for (const DefectCase& wanted : defect_cases()) {
    std::vector<RunShape> shapes;
    for (size_t i = 0; i < wanted.seeds; ++i) {
      shapes.push_back(wanted.shape);
      shapes.back().seed = first_seed + i;
      shapes.back().defect = wanted.defect;
    }
    std::string said;
    std::map<std::string, size_t> others;
    size_t seeds = 0;
    (void)run_all(shapes, [&](const Outcome& outcome) {
      ++seeds;
      for (const World::Violation& violation : outcome.violations) {
        if (violation.checker != wanted.checker)
          ++others[violation.checker];
        else if (said.empty())
          said = violation.what;
      }
      return said.empty();
    });
    for (const auto& [checker, times] : others) said += " (" + checker + " too)";
    const bool found = said.find(' ') != 0 && !said.empty();
    missed += found || wanted.seeds == 0 ? 0 : 1;
    std::printf("%-22s %-12s %6s  %s\n", std::string(wanted.name).c_str(),
                std::string(wanted.checker).c_str(),
                found ? std::to_string(seeds).c_str() : ("-/" + std::to_string(seeds)).c_str(),
                found               ? said.c_str()
                : wanted.seeds == 0 ? "not looked for: a unit test has it"
                                    : ("NOT FOUND" + said).c_str());
    std::fflush(stdout);
  }
  std::printf("%zu defects, %zu not found\n", defect_cases().size(), missed);
  return missed == 0 ? 0 : 1;
}

int main_of(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.defects) return print_defects(options.shape.seed);
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(options.shape.seed),
              command_line(options.shape).c_str());
  std::fflush(stdout);
  if (options.schedule) {
    print_schedule(options.shape);
    return 0;
  }
  if (!options.history.empty()) print_history(options.shape, options.history);
  std::vector<RunShape> shapes;
  for (size_t i = 0; i < options.seeds; ++i) {
    shapes.push_back(options.shape);
    shapes.back().seed += i;
  }
  std::map<std::string, uint64_t> judged;
  std::optional<Outcome> first_failed;
  size_t failed = 0;
  (void)run_all(shapes, [&](const Outcome& outcome) {
    print(outcome, options);
    add(judged, outcome.judged);
    failed += outcome.failed() ? 1 : 0;
    if (outcome.failed() && !first_failed) first_failed = outcome;
    return true;
  });
  print_judged(judged);
  if (first_failed && options.shrink) make_smaller(*first_failed, options);
  std::printf("%zu seeds, %zu failed\n", options.seeds, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace kith::sim

int main(int argc, char** argv) {
  return kith::sim::main_of(argc, argv);
}
