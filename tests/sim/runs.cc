#include "runs.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>

#include "defects.h"
#include "history.h"

namespace kith::sim {
namespace {

// A line an item: kind, then its fields, tabs between.
std::string encoded(const Outcome& outcome) {
  std::ostringstream out;
  out << "run\t" << outcome.steps << '\t' << outcome.digest << '\t' << outcome.took_s << '\t'
      << outcome.chaos_at.count() << '\n';
  for (const World::Violation& violation : outcome.violations)
    out << "violation\t" << violation.checker << '\t' << violation.at.time_since_epoch().count()
        << '\t' << violation.what << '\n';
  for (const auto& [about, times] : outcome.judged)
    out << "judged\t" << times << '\t' << about << '\n';
  return out.str();
}

void decode(const std::string& text, Outcome& outcome) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string kind;
    std::getline(fields, kind, '\t');
    int64_t ns = 0;
    if (kind == "run") {
      fields >> outcome.steps >> outcome.digest >> outcome.took_s >> ns;
      outcome.chaos_at = Duration(ns);
    } else if (kind == "violation") {
      World::Violation violation;
      std::getline(fields, violation.checker, '\t');
      fields >> ns;
      fields.ignore(1);
      violation.at = Instant(Duration(ns));
      std::getline(fields, violation.what);
      outcome.violations.push_back(std::move(violation));
    } else if (kind == "judged") {
      uint64_t times = 0;
      std::string about;
      fields >> times;
      fields.ignore(1);
      std::getline(fields, about);
      outcome.judged[about] = times;
    }
  }
}

struct Child {
  pid_t pid = 0;
  int from = -1;
  size_t index = 0;
};

Child begin(const RunShape& shape, size_t index) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid < 0) std::abort();
  if (pid == 0) {
    close(ends[0]);
    const std::string text = encoded(run(shape));
    for (size_t at = 0; at < text.size();) {
      const ssize_t n = write(ends[1], text.data() + at, text.size() - at);
      if (n <= 0) _exit(3);
      at += static_cast<size_t>(n);
    }
    _exit(0);
  }
  close(ends[1]);
  return {pid, ends[0], index};
}

Outcome end(const Child& child, int status, const RunShape& shape) {
  Outcome outcome;
  outcome.shape = shape;
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(child.from, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(n));
  close(child.from);
  decode(text, outcome);
  if (WIFSIGNALED(status))
    outcome.violations.push_back(
        {"crash", std::string("it ended by ") + strsignal(WTERMSIG(status)), {}});
  else if (WEXITSTATUS(status) != 0)
    outcome.violations.push_back({"crash", "it ended by itself", {}});
  return outcome;
}

}  // namespace

Outcome run(const RunShape& shape, bool stop_at_violation, const std::string& history,
            std::vector<std::string>* lines) {
  Outcome outcome;
  outcome.shape = shape;
  const auto begun = std::chrono::steady_clock::now();
  if (!plant(shape.defect)) {
    outcome.violations.push_back({"build", "this build can be given no defect", {}});
    return outcome;
  }
  World world(shape.seed, shape.hosts);
  const History* follows = nullptr;
  if (!history.empty()) {
    auto made = std::make_unique<History>(history);
    follows = made.get();
    world.watch(std::move(made));
  }
  outcome.chaos_at = play(world, shape, stop_at_violation);
  outcome.violations = world.violations();
  for (const auto& checker : world.checkers())
    for (const auto& [about, times] : checker->judged())
      outcome.judged[checker->name() + ": " + std::string(about)] += times;
  outcome.steps = world.steps();
  outcome.digest = world.digest();
  if (lines != nullptr && follows != nullptr)
    lines->assign(follows->lines().begin(), follows->lines().end());
  outcome.took_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return outcome;
}

std::vector<Outcome> run_all(const std::vector<RunShape>& shapes,
                             const std::function<bool(const Outcome&)>& done) {
  const size_t cores = std::max(1U, std::thread::hardware_concurrency());
  std::vector<Outcome> outcomes;
  for (const RunShape& shape : shapes) outcomes.emplace_back().shape = shape;
  std::vector<Child> children;
  size_t next = 0;
  bool go_on = true;
  while ((go_on && next < shapes.size()) || !children.empty()) {
    while (go_on && next < shapes.size() && children.size() < cores) {
      children.push_back(begin(shapes[next], next));
      ++next;
    }
    // What a child writes fits a pipe, so it never waits for its reader.
    int status = 0;
    const pid_t pid = waitpid(-1, &status, 0);
    const auto child = std::find_if(children.begin(), children.end(),
                                    [&](const Child& c) { return c.pid == pid; });
    if (child == children.end()) continue;
    const size_t index = child->index;
    outcomes[index] = end(*child, status, shapes[index]);
    children.erase(child);
    if (go_on && !done(outcomes[index])) {
      go_on = false;
      for (const Child& other : children) kill(other.pid, SIGKILL);
      for (const Child& other : children) {
        waitpid(other.pid, nullptr, 0);
        close(other.from);
      }
      children.clear();
    }
  }
  return outcomes;
}

void add(std::map<std::string, uint64_t>& sum, const std::map<std::string, uint64_t>& more) {
  for (const auto& [about, times] : more) sum[about] += times;
}

}  // namespace kith::sim
