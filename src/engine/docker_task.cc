#include "engine/docker_task.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "io/http.h"

namespace kith {
namespace {

using Json = nlohmann::json;

bool is_removed(const Result<HttpResponse>& answer) {
  return answer && (answer->status == 204 || answer->status == 404);
}

std::string container_path(const std::string& container) {
  return "/containers/" + percent_encode(container);
}

}  // namespace

uint64_t process_start_time(uint32_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string stat;
  if (!std::getline(in, stat)) return 0;
  // The name in brackets may hold anything; field 3 follows the last bracket, 22 is wanted.
  const size_t bracket = stat.rfind(')');
  if (bracket == std::string::npos) return 0;
  std::istringstream fields(stat.substr(bracket + 1));
  std::string skipped;
  fields >> skipped;
  if (skipped == "Z" || skipped == "X") return 0;
  for (int i = 4; i < 22; ++i) fields >> skipped;
  uint64_t start = 0;
  fields >> start;
  return start;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  if (text.size() <= kMaxWords) return text;
  constexpr std::string_view kMore = " ...";
  size_t end = kMaxWords - kMore.size();
  const auto inside = [&] { return (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80; };
  for (int i = 0; i < 3 && inside(); ++i) --end;  // UTF-8 has at most three such bytes in a row
  return text.substr(0, end).append(kMore);
}

std::string engine_words(const HttpResponse& response) {
  const Json body = Json::parse(response.body, nullptr, false);
  if (body.is_object() && body.contains("message") && body["message"].is_string())
    return one_line(body["message"].get<std::string>());
  return "HTTP " + std::to_string(response.status);
}

DockerHost::Task& DockerHost::task_of(const std::string& id) {
  std::unique_ptr<Task>& slot = tasks_[id];
  if (!slot) {
    slot = std::make_unique<Task>(loop_, [this, id] {
      const auto at = tasks_.find(id);
      if (at != tasks_.end()) begin_stop(*at->second, at->second->grace);
    });
    slot->id = id;
  }
  return *slot;
}

void DockerHost::gone(const std::string& id) {
  const auto at = tasks_.find(id);
  if (at == tasks_.end()) return;
  if (listing_ && !at->second->container.empty()) listing_->removed.insert(at->second->container);
  tell_gone(*at->second);
  tasks_.erase(at);
  start_waiting();
}

void DockerHost::tell_gone(Task& task) {
  if (std::exchange(task.told_gone, true)) return;
  task.pid = 0;
  tell(TaskGone{task.id, task.exit_code});
}

bool DockerHost::removing() const {
  return std::any_of(tasks_.begin(), tasks_.end(),
                     [](const auto& item) { return item.second->phase == Task::Phase::kStopping; });
}

// --- Starting ----------------------------------------------------------------------------------

void DockerHost::begin(Task& task, StartTask start) {
  if (task.phase != Task::Phase::kKnown || !task.container.empty()) return;  // begun already
  task.start = std::move(start);
  auto spec = container_spec(task.start);
  if (!spec) {
    const std::string id = task.id;
    tasks_.erase(id);
    tell(TaskFailed{id, TaskState::kPreparing, one_line(spec.error().message)});
    return;
  }
  task.spec = std::move(*spec);
  tell_preparing(task, "preparing");
  if (task.spec.pull_always)
    pull(task);
  else
    wait_for_place(task);
}

void DockerHost::tell_preparing(const Task& task, std::string message) {
  tell(TaskProgress{
      task.id, TaskState::kPreparing, one_line(std::move(message)), {}, 0, Health::kNone, {}});
}

void DockerHost::wait_for_place(Task& task) {
  task.phase = Task::Phase::kWaiting;
  waiting_.push_back(task.id);
  start_waiting();
}

void DockerHost::start_waiting() {
  auto starting = static_cast<size_t>(std::count_if(tasks_.begin(), tasks_.end(), [](auto& item) {
    return item.second->phase == Task::Phase::kStarting;
  }));
  while (starting < kMaxParallelStarts && !waiting_.empty()) {
    const auto at = tasks_.find(waiting_.front());
    waiting_.pop_front();
    if (at == tasks_.end() || at->second->phase != Task::Phase::kWaiting) continue;
    ++starting;
    at->second->phase = Task::Phase::kStarting;
    create(*at->second, false);
  }
}

// A create or start that was asked for is awaited even if a stop comes: the engine finishes it
// whether anybody listens or not, and what it makes afterwards would stay.
bool DockerHost::stop_instead(Task& task) {
  if (!task.stop_after_answer) return false;
  begin_stop(task, *std::exchange(task.stop_after_answer, std::nullopt));
  return true;
}

void DockerHost::create(Task& task, bool retried) {
  task.container = container_name(task.start);
  const std::string path = "/containers/create?name=" + percent_encode(task.container);
  task.call = ask("POST", path, task.spec.body, patience_.answer,
                  [this, &task, retried](Result<HttpResponse> answer) {
                    created(task, retried, std::move(answer));
                  });
}

void DockerHost::created(Task& task, bool retried, Result<HttpResponse> answer) {
  if (answer && answer->status == 201) {
    const Json body = Json::parse(answer->body, nullptr, false);
    if (body.is_object() && body.contains("Id") && body["Id"].is_string())
      task.container = body["Id"].get<std::string>();
  }
  if (!answer) {
    looks_left_ = kLooksForLate;  // it may be made yet, when nobody waits for it any more
    look_again();
  }
  if (stop_instead(task)) return;
  if (!answer) return failed(task, TaskState::kPreparing, answer.error().message);
  if (answer->status == 201) return start_container(task);
  const std::string words = engine_words(*answer);
  if (answer->status == 404 && !task.image_pulled &&
      words.find("o such image") != std::string::npos)
    return pull(task);
  if (answer->status != 409 || retried) return failed(task, TaskState::kPreparing, words);
  // Left by a start that was cut off.
  task.call = ask("DELETE", container_path(task.container) + "?force=1&v=1", "", patience_.answer,
                  [this, &task](const Result<HttpResponse>&) {
                    if (!stop_instead(task)) create(task, true);
                  });
}

void DockerHost::start_container(Task& task) {
  tell(TaskProgress{
      task.id, TaskState::kStarting, "starting", task.container, 0, Health::kNone, {}});
  task.call = ask("POST", container_path(task.container) + "/start", "", patience_.start,
                  [this, &task](Result<HttpResponse> answer) {
                    if (stop_instead(task)) return;
                    if (!answer) return failed(task, TaskState::kStarting, answer.error().message);
                    if (answer->status != 204 && answer->status != 304)
                      return failed(task, TaskState::kStarting, engine_words(*answer));
                    inspect(task);
                  });
}

void DockerHost::inspect(Task& task) {
  task.call = ask("GET", container_path(task.container) + "/json", "", patience_.answer,
                  [this, &task](Result<HttpResponse> answer) {
                    if (stop_instead(task)) return;
                    if (!answer) return failed(task, TaskState::kStarting, answer.error().message);
                    if (answer->status != 200)
                      return failed(task, TaskState::kStarting, engine_words(*answer));
                    started(task, answer->body);
                  });
}

void DockerHost::started(Task& task, const std::string& inspected) {
  task.phase = Task::Phase::kRunning;
  TaskProgress progress{task.id, TaskState::kRunning, "started", task.container,
                        0,       Health::kNone,       {}};
  if (auto info = container_info(inspected)) {
    progress.pid = info->pid;
    progress.health = info->health;
    progress.ports = info->ports;
    task.pid = info->pid;
    task.process_start = process_start_time(info->pid);
    if (listing_) {
      listing_->started.insert(info->container_id);
      listing_->found.insert_or_assign(info->container_id, std::move(*info));
    }
  }
  tell(std::move(progress));
  if (task.exited_early) {
    task.phase = Task::Phase::kKnown;
    task.pid = 0;
    tell(TaskExited{task.id, task.exit_code, task.out_of_memory, {}});
  }
  start_waiting();
}

// Whatever was made of it goes first: nothing of a failed start is left behind.
void DockerHost::failed(Task& task, TaskState phase, std::string error) {
  if (task.container.empty()) return give_up(task, phase, std::move(error), true);
  task.call = ask("DELETE", container_path(task.container) + "?force=1&v=1", "", patience_.answer,
                  [this, &task, phase, error](const Result<HttpResponse>& answer) {
                    give_up(task, phase, error, is_removed(answer));
                  });
}

void DockerHost::give_up(Task& task, TaskState phase, std::string error, bool removed) {
  const std::string id = task.id;
  const bool stopped = task.stop_after_answer.has_value();
  if (!stopped) tell(TaskFailed{id, phase, one_line(std::move(error))});
  if (!removed) {  // what may be left of it is seen to later
    task.phase = Task::Phase::kStopping;
    retry_stop(task);
  } else if (stopped) {
    return gone(id);
  } else {
    tasks_.erase(id);
  }
  start_waiting();
}

// --- Ending ------------------------------------------------------------------------------------

void DockerHost::stop(Task& task, Duration grace) {
  if (task.phase == Task::Phase::kStopping) return;  // under way; TaskGone follows
  if (task.phase == Task::Phase::kStarting)
    task.stop_after_answer = grace;
  else
    begin_stop(task, grace);
}

void DockerHost::begin_stop(Task& task, Duration grace) {
  const bool ended = task.phase == Task::Phase::kKnown;
  const bool again = task.phase == Task::Phase::kStopping;
  task.phase = Task::Phase::kStopping;
  task.grace = grace;
  task.call.cancel();
  start_waiting();
  if (task.container.empty()) return gone(task.id);
  if (ended || task.told_gone) return see_ended(task);
  if (grace <= Duration::zero()) return again ? see_ended(task) : remove(task);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(grace).count();
  task.call = ask("POST", container_path(task.container) + "/stop?t=" + std::to_string(seconds), "",
                  grace + patience_.stop_slack, [this, &task](const Result<HttpResponse>&) {
                    // Without the engine there is no killing it either.
                    if (up_)
                      see_ended(task);
                    else
                      retry_stop(task);
                  });
}

// A removal may be slow, or fail for long: what has ended is told before. The engine may say so, by
// an event or the answer to a stop, before its ports are free: an inspection waits for that.
void DockerHost::see_ended(Task& task) {
  if (task.told_gone) return remove(task);
  task.call = ask("GET", container_path(task.container) + "/json", "", patience_.inspect,
                  [this, &task](const Result<HttpResponse>& answer) {
                    if (answer && answer->status == 200) {
                      const auto info = container_info(answer->body);
                      const bool ended = info && info->status == ContainerStatus::kExited;
                      if (ended) task.exit_code = info->exit_code;
                      if (ended) tell_gone(task);
                    }
                    remove(task);
                  });
}

void DockerHost::remove(Task& task) {
  task.call = ask("DELETE", container_path(task.container) + "?force=1&v=1", "", patience_.answer,
                  [this, &task](const Result<HttpResponse>& answer) {
                    if (is_removed(answer))
                      gone(task.id);
                    else
                      retry_stop(task);
                  });
}

// Until the engine does it; while there is none, its return is awaited.
void DockerHost::retry_stop(Task& task) {
  task.retry_pause = std::clamp<Duration>(task.retry_pause * 2, patience_.first_stop_retry,
                                          patience_.longest_stop_retry);
  if (up_) task.retry.start(task.retry_pause);
}

void DockerHost::resume_stops() {
  for (const auto& [id, task] : tasks_) {
    if (task->phase != Task::Phase::kStopping || task->retry_pause == Duration{}) continue;
    task->retry_pause = {};
    task->retry.start(Duration::zero());
  }
}

}  // namespace kith
