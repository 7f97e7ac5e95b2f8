#pragma once

#include "docker_fixture.h"
#include "scripted_engine.h"

namespace kith::test {

inline DockerPatience quick_patience() {
  DockerPatience patience;
  patience.first_stop_retry = milliseconds(5);
  patience.longest_stop_retry = milliseconds(50);
  patience.first_pause = milliseconds(5);
  patience.longest_pause = milliseconds(50);
  patience.first_second_look = milliseconds(30);
  patience.longest_second_look = milliseconds(60);
  return patience;
}

// Only for an engine that does not answer: whatever else is slow must not look so.
inline DockerPatience short_patience() {
  DockerPatience patience = quick_patience();
  patience.reach = milliseconds(300);
  patience.answer = milliseconds(400);
  patience.start = milliseconds(400);
  patience.list = milliseconds(300);
  patience.inspect = milliseconds(100);
  patience.pull_silence = milliseconds(1000);
  patience.stop_slack = milliseconds(100);
  return patience;
}

struct Scripted {
  Loop loop;
  ScriptedEngine engine{loop};
  Watched host;

  explicit Scripted(Fault fault = Fault::kNone)
      : host(loop, engine.socket(), fault == Fault::kNever ? short_patience() : quick_patience()) {
    host.is_up();
  }

  [[nodiscard]] bool ended(const std::string& id) const {
    return host.find<TaskFailed>(id) != nullptr || host.find<TaskGone>(id) != nullptr;
  }
  [[nodiscard]] bool settled(const std::string& id) const {
    return ended(id) || host.find<TaskProgress>(id, [](const TaskProgress& p) {
      return p.state == TaskState::kRunning;
    }) != nullptr;
  }
  /// However the start came out: what is told is so, and a stop leaves nothing.
  void check_start_and_stop(const std::string& id) {
    REQUIRE(host.until([&] { return settled(id); }));
    if (ended(id)) {
      CHECK_FALSE(host.failure(id).error.empty());
      CHECK(host.failure(id).error.find('\n') == std::string::npos);
    } else {
      CHECK(engine.running() == 1);
      host.run(StopTask{id, Duration::zero()});
      CHECK(host.sees<TaskGone>(id));
      CHECK(host.count<TaskFailed>(id) == 0);
    }
    engine.rules.clear();
    CHECK(host.until([&] { return engine.containers.empty(); }));
    CHECK(host.count<TaskFailed>(id) <= 1);
    CHECK(host.count<TaskGone>(id) <= 1);
    CHECK(engine.most_running <= 1);
  }
};

constexpr Fault kFaults[] = {Fault::kError,   Fault::kHalf,   Fault::kNever,
                             Fault::kGarbage, Fault::kNoJson, Fault::kClose};

}  // namespace kith::test
