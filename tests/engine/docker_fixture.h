#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/docker_host.h"
#include "io/loop.h"

namespace kith::test {

using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kPatience = seconds(10);

/// A service that runs `command` in the image `box`; `container` is merged into its ContainerSpec.
inline Json service(std::vector<std::string> command, const Json& container = Json::object()) {
  Json of_container = {{"Image", "box"}, {"Command", std::move(command)}};
  of_container.update(container);
  return {{"Name", "web"}, {"TaskTemplate", {{"ContainerSpec", of_container}}}};
}

/// Runs until it is told to end, then says so with `code`.
inline std::vector<std::string> obedient(int code) {
  return {"sh", "-c",
          "trap 'exit " + std::to_string(code) + "' TERM; while :; do sleep 0.05; done"};
}

inline StartTask start_of(const std::string& id, const Json& spec, uint32_t slot = 1) {
  StartTask start;
  start.task_id = id;
  start.slot = {.service = "web", .index = slot, .node = {}};
  start.service_id = "service1";
  start.generation = 3;
  start.term = 5;
  start.spec_json = spec.dump();
  start.node_name = "here";
  start.node.key.fill(7);
  return start;
}

inline std::string text_of(const HostEvent& event) {
  struct Visitor {
    std::string operator()(const TaskProgress& e) const {
      return e.task_id + " " + std::string(to_string(e.state)) + " (" + e.message + ")";
    }
    std::string operator()(const TaskFailed& e) const { return e.task_id + " failed: " + e.error; }
    std::string operator()(const TaskExited& e) const {
      return e.task_id + " exited " + std::to_string(e.exit_code);
    }
    std::string operator()(const TaskHealth& e) const {
      return e.task_id + " health " + std::to_string(static_cast<int>(e.health));
    }
    std::string operator()(const TaskGone& e) const { return e.task_id + " gone"; }
    std::string operator()(const EngineUp&) const { return "engine up"; }
    std::string operator()(const EngineDown& e) const {
      return "engine down (" + e.reason + "), alive: " + std::to_string(e.running.size());
    }
    std::string operator()(const Inventory& e) const {
      return "inventory of " + std::to_string(e.containers.size());
    }
  };
  return std::visit(Visitor{}, event);
}

/// A DockerHost and all that it told, in order.
class Watched {
 public:
  Watched(Loop& loop, const std::string& socket, const DockerPatience& patience = {})
      : loop_(loop),
        host_(std::make_unique<DockerHost>(
            loop, socket, [this](const HostEvent& e) { told.push_back(e); }, patience)) {}

  void start() { host_->start(); }
  void run(HostCommand command) { host_->run(std::move(command)); }
  void destroy() { host_.reset(); }
  [[nodiscard]] bool removing() const { return host_->removing(); }
  /// Started, and its EngineUp seen.
  void is_up() {
    start();
    REQUIRE(sees<EngineUp>());
  }

  using Check = std::function<bool()>;
  [[nodiscard]] bool until(const Check& done, Duration patience = kPatience) {
    if (loop_.run_until(done, patience)) return true;
    std::string all;
    for (const HostEvent& event : told) all += "\n  " + text_of(event);
    MESSAGE("waited in vain; told was:" << all);
    return false;
  }

  /// The first of that kind (and task, if the kind has one) that `fits`, from `since` on.
  template <class Event>
  [[nodiscard]] const Event* find(
      const std::string& task = "",
      const std::function<bool(const Event&)>& fits = [](const Event&) { return true; }) const {
    for (size_t i = since; i < told.size(); ++i) {
      const auto* event = std::get_if<Event>(&told[i]);
      if (event == nullptr) continue;
      if constexpr (requires { event->task_id; })
        if (!task.empty() && event->task_id != task) continue;
      if (fits(*event)) return event;
    }
    return nullptr;
  }
  template <class Event>
  [[nodiscard]] bool sees(
      const std::string& task = "",
      const std::function<bool(const Event&)>& fits = [](const Event&) { return true; },
      Duration patience = kPatience) {
    return until([&] { return find<Event>(task, fits) != nullptr; }, patience);
  }
  template <class Event>
  [[nodiscard]] size_t count(const std::string& task = "") const {
    size_t found = 0;
    for (size_t i = since; i < told.size(); ++i)
      if (const auto* event = std::get_if<Event>(&told[i])) {
        if constexpr (requires { event->task_id; })
          if (!task.empty() && event->task_id != task) continue;
        ++found;
      }
    return found;
  }
  [[nodiscard]] bool runs(const std::string& task) {
    return sees<TaskProgress>(task,
                              [](const TaskProgress& p) { return p.state == TaskState::kRunning; });
  }
  [[nodiscard]] const TaskProgress& running(const std::string& task) {
    const bool seen = runs(task);
    const auto* failed = find<TaskFailed>(task);
    REQUIRE_MESSAGE(seen, (failed ? failed->error : "nothing told"));
    return *find<TaskProgress>(
        task, [](const TaskProgress& p) { return p.state == TaskState::kRunning; });
  }
  [[nodiscard]] const TaskFailed& failure(const std::string& task) {
    REQUIRE(sees<TaskFailed>(task));
    return *find<TaskFailed>(task);
  }
  /// Stops it and sees it gone; its exit code.
  int32_t stop(const std::string& task, Duration grace = seconds(10)) {
    run(StopTask{task, grace});
    REQUIRE(sees<TaskGone>(task));
    return find<TaskGone>(task)->exit_code;
  }
  /// What a fresh ListTasks answers.
  [[nodiscard]] const Inventory& inventory() {
    since = told.size();
    run(ListTasks{});
    REQUIRE(sees<Inventory>());
    return *find<Inventory>();
  }

  std::vector<HostEvent> told;
  size_t since = 0;  ///< what was told before does not count

 private:
  Loop& loop_;
  std::unique_ptr<DockerHost> host_;
};

}  // namespace kith::test
