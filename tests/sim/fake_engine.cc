#include "fake_engine.h"

#include <algorithm>
#include <utility>

#include "state/service_spec.h"

namespace kith::sim {

FakeEngine::FakeEngine(EventQueue& queue, Rng rng, std::function<void()> changed,
                       std::function<void(const ContainerInfo&)> stopping)
    : queue_(&queue), rng_(rng), changed_(std::move(changed)), stopping_(std::move(stopping)) {}

void FakeEngine::changed() {
  ++changes_;
  changed_();
}

Duration FakeEngine::between(Duration least, Duration spread) {
  return least +
         Duration(static_cast<int64_t>(rng_.below(static_cast<uint64_t>(spread.count()) + 1)));
}

void FakeEngine::tell(HostEvent event) {
  if (!listener_ || !up_) return;
  queue_->after(std::chrono::milliseconds(1),
                [this, attachment = attachment_, event = std::move(event)]() mutable {
                  if (attachment == attachment_ && listener_) listener_(std::move(event));
                });
}

void FakeEngine::announce() {
  EngineUp up;
  up.info.up = true;
  up.info.version = "24.0.0";
  up.info.api_version = "1.43";
  up.info.os = "linux";
  up.info.architecture = "x86_64";
  up.nano_cpus = 4'000'000'000;
  up.memory_bytes = int64_t{8} << 30;
  tell(up);
}

void FakeEngine::attach(Listener listener) {
  listener_ = std::move(listener);
  ++attachment_;
  queue_->after(between(std::chrono::milliseconds(5), std::chrono::milliseconds(40)),
                [this, attachment = attachment_] {
                  if (attachment == attachment_ && up_) announce();
                });
}

void FakeEngine::detach() {
  listener_ = nullptr;
  ++attachment_;
  for (auto at = containers_.begin(); at != containers_.end();) {
    Container& container = at->second;
    if (container.info.status == ContainerStatus::kCreated && !container.stopping) {
      container.step = next_step_++;  // the requests that were not sent yet never will be
      if (!container.created) {
        at = containers_.erase(at);
        continue;
      }
      if (rng_.chance(1, 2)) run_now(container);
    }
    ++at;
  }
  changed();
}

void FakeEngine::run(const HostCommand& command) {
  if (!up_) return;
  queue_->after(pace_.answer, [this, attachment = attachment_, command] {
    if (attachment != attachment_ || !up_) return;
    if (const auto* begin = std::get_if<StartTask>(&command)) start(*begin);
    if (const auto* end = std::get_if<StopTask>(&command)) stop(*end);
    if (const auto* rest = std::get_if<RemoveTask>(&command)) remove(rest->task_id);
    if (std::holds_alternative<ListTasks>(command)) list();
  });
}

void FakeEngine::later(const std::string& task_id, Duration wait,
                       std::function<void(Container&)> action) {
  const auto at = containers_.find(task_id);
  if (at == containers_.end()) return;
  at->second.step = next_step_++;
  queue_->after(wait, [this, task_id, step = at->second.step, action = std::move(action)] {
    const auto found = containers_.find(task_id);
    if (found == containers_.end() || found->second.step != step) return;
    action(found->second);
  });
}

void FakeEngine::run_now(Container& container) {
  container.info.status = ContainerStatus::kRunning;
  container.info.pid = static_cast<uint32_t>(1000 + next_step_);
  container.info.started =
      WallTime{queue_->now().time_since_epoch() / std::chrono::milliseconds(1)};
  ++starts_;
  changed();
}

void FakeEngine::start(const StartTask& command) {
  if (containers_.contains(command.task_id)) return;
  TaskProgress preparing{command.task_id, TaskState::kPreparing, "preparing", {}, 0, {}, {}};
  tell(preparing);
  const auto spec = parse_service_spec(command.spec_json);
  const std::string image = spec ? spec->image : "unreadable";
  Container& made = containers_[command.task_id];
  made.info.container_id = "c" + std::to_string(next_id_++);
  made.info.task_id = command.task_id;
  made.info.slot = command.slot;
  made.info.service_id = command.service_id;
  made.info.generation = command.generation;
  made.info.term = command.term;
  made.info.image = image;
  const Duration takes = between(pace_.start_least, pace_.start_spread);
  if (image.starts_with("missing")) {
    later(command.task_id, takes, [this, id = command.task_id, image](Container&) {
      containers_.erase(id);
      tell(TaskFailed{id, TaskState::kPreparing, "No such image: " + image});
    });
    return;
  }
  later(command.task_id, takes / 2, [this, rest = takes / 2](Container& container) {
    container.created = true;
    container.info.created =
        WallTime{queue_->now().time_since_epoch() / std::chrono::milliseconds(1)};
    tell(TaskProgress{container.info.task_id,
                      TaskState::kStarting,
                      "starting",
                      container.info.container_id,
                      0,
                      {},
                      {}});
    later(container.info.task_id, rest, [this](Container& ready) {
      if (!start_fault_.empty()) {
        const std::string id = ready.info.task_id;
        containers_.erase(id);
        tell(TaskFailed{id, TaskState::kStarting, start_fault_});
        return;
      }
      run_now(ready);
      tell(TaskProgress{ready.info.task_id,
                        TaskState::kRunning,
                        "started",
                        ready.info.container_id,
                        ready.info.pid,
                        {},
                        {}});
    });
  });
}

void FakeEngine::stop(const StopTask& command) {
  const auto at = containers_.find(command.task_id);
  if (at == containers_.end()) {
    tell(TaskGone{command.task_id, 0});
    return;
  }
  Container& container = at->second;
  if (container.stopping) return;
  container.stopping = true;
  const bool runs = container.info.status == ContainerStatus::kRunning;
  if (runs) stopping_(container.info);
  const Duration takes =
      runs ? std::min(between(pace_.stop_least, pace_.stop_spread), command.grace) : pace_.answer;
  later(command.task_id, takes, [this, id = command.task_id, by = attachment_](Container& ended) {
    if (by != attachment_) {  // who would have removed it is gone
      ended.info.status = ContainerStatus::kExited;
      ended.stopping = false;
    } else {
      containers_.erase(id);
    }
    changed();
    if (by == attachment_) tell(TaskGone{id, 0});
  });
}

void FakeEngine::remove(const std::string& task_id) {
  containers_.erase(task_id);
  changed();
  tell(TaskGone{task_id, 0});
}

void FakeEngine::list() {
  Inventory inventory;
  for (const auto& [id, container] : containers_)
    if (container.created) inventory.containers.push_back(container.info);
  tell(std::move(inventory));
}

void FakeEngine::crash() {
  listener_ = nullptr;
  ++attachment_;
  up_ = true;  // it is started with the host
  for (auto at = containers_.begin(); at != containers_.end();) {
    Container& container = at->second;
    container.step = next_step_++;
    container.stopping = false;
    if (!container.created) {
      at = containers_.erase(at);
      continue;
    }
    if (container.info.status == ContainerStatus::kRunning) {
      container.info.status = ContainerStatus::kExited;
      container.info.exit_code = 255;
    }
    ++at;
  }
  changed();
}

void FakeEngine::stop_engine() {
  if (!up_) return;
  tell(EngineDown{"connection refused", {}});
  up_ = false;
  for (auto& [id, container] : containers_) {
    container.step = next_step_++;
    container.stopping = false;
    if (container.info.status == ContainerStatus::kRunning) {
      container.info.status = ContainerStatus::kExited;
      container.info.exit_code = 0;
    }
  }
  std::erase_if(containers_, [](const auto& item) { return !item.second.created; });
  changed();
}

void FakeEngine::start_engine() {
  if (up_) return;
  up_ = true;
  if (listener_) announce();
}

void FakeEngine::exit(const std::string& task_id, int32_t code) {
  const auto at = containers_.find(task_id);
  if (at == containers_.end() || at->second.info.status != ContainerStatus::kRunning) return;
  at->second.info.status = ContainerStatus::kExited;
  at->second.info.exit_code = code;
  if (!at->second.stopping) tell(TaskExited{task_id, code, false, {}});
  changed();
}

void FakeEngine::vanish(const std::string& task_id) {
  const auto at = containers_.find(task_id);
  if (at == containers_.end() || at->second.info.status != ContainerStatus::kRunning) return;
  if (!at->second.stopping) tell(TaskExited{task_id, 137, false, {}});
  containers_.erase(at);
  tell(TaskGone{task_id, 0});
  changed_();
}

void FakeEngine::set_health(const std::string& task_id, Health health) {
  const auto at = containers_.find(task_id);
  if (at == containers_.end() || at->second.info.status != ContainerStatus::kRunning) return;
  at->second.info.health = health;
  tell(TaskHealth{task_id, health});
}

std::vector<const ContainerInfo*> FakeEngine::running() const {
  std::vector<const ContainerInfo*> out;
  for (const auto& [id, container] : containers_)
    if (container.info.status == ContainerStatus::kRunning) out.push_back(&container.info);
  return out;
}

}  // namespace kith::sim
