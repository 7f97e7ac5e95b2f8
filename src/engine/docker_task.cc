#include "engine/docker_task.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "io/http.h"

namespace kith {
namespace {

using Json = nlohmann::json;

constexpr Duration kAnswerTime = std::chrono::seconds(60);
constexpr Duration kStopSlack = std::chrono::seconds(20);
constexpr Duration kStopRetry = std::chrono::seconds(1);
constexpr size_t kMaxPullLine = 64 * 1024;

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

/// `name:tag` or `name@digest` as the two parts that a pull is asked for; no tag means `latest`.
std::pair<std::string, std::string> image_parts(const std::string& image) {
  if (image.find('@') != std::string::npos) return {image, ""};
  const size_t slash = image.rfind('/');
  const size_t colon = image.find(':', slash == std::string::npos ? 0 : slash);
  if (colon == std::string::npos) return {image, "latest"};
  return {image.substr(0, colon), image.substr(colon + 1)};
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
  for (int i = 3; i < 22; ++i) fields >> skipped;
  uint64_t start = 0;
  fields >> start;
  return start;
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

void DockerHost::gone(std::string id) {
  const auto at = tasks_.find(id);
  if (at == tasks_.end()) return;
  const int32_t exit_code = at->second->exit_code;
  const bool held_a_place = at->second->phase == Task::Phase::kStarting;
  tasks_.erase(at);
  if (held_a_place) --starting_;
  tell(TaskGone{std::move(id), exit_code});
  start_waiting();
}

// --- Starting ----------------------------------------------------------------------------------

void DockerHost::begin(Task& task, StartTask start) {
  if (task.phase != Task::Phase::kKnown || !task.container.empty()) return;  // begun already
  task.start = std::move(start);
  auto spec = container_spec(task.start);
  if (!spec) {
    tell(TaskFailed{task.id, TaskState::kPreparing, spec.error().message});
    tasks_.erase(task.id);
    return;
  }
  task.spec = std::move(*spec);
  task.phase = Task::Phase::kWaiting;
  waiting_.push_back(task.id);
  start_waiting();
}

void DockerHost::start_waiting() {
  while (starting_ < kMaxParallelStarts && !waiting_.empty()) {
    const auto at = tasks_.find(waiting_.front());
    waiting_.pop_front();
    if (at == tasks_.end() || at->second->phase != Task::Phase::kWaiting) continue;
    Task& task = *at->second;
    task.phase = Task::Phase::kStarting;
    task.container = container_name(task.start);
    ++starting_;
    tell(TaskProgress{task.id, TaskState::kPreparing, "preparing", {}, 0, Health::kNone, {}});
    if (task.spec.pull_always)
      pull(task);
    else
      look_for_image(task);
  }
}

void DockerHost::look_for_image(Task& task) {
  // Not percent-encoded: the engine takes the slashes of a repository as they are.
  task.call = ask("GET", "/images/" + task.spec.image + "/json", "", kAnswerTime,
                  [this, &task](Result<HttpResponse> answer) {
                    if (!answer) return failed(task, TaskState::kPreparing, answer.error().message);
                    if (answer->status == 404) return pull(task);
                    if (answer->status != 200)
                      return failed(task, TaskState::kPreparing, engine_words(*answer));
                    create(task, false);
                  });
}

void DockerHost::pull(Task& task) {
  const auto [name, tag] = image_parts(task.spec.image);
  HttpRequest request;
  request.method = "POST";
  request.target = prefix_ + "/images/create?fromImage=" + percent_encode(name) +
                   (tag.empty() ? "" : "&tag=" + percent_encode(tag));
  request.headers.add("Host", "docker");
  HttpLimits limits;
  limits.timeout = std::chrono::minutes(5);  // of the head: registries take their time
  auto status = std::make_shared<int>(0);
  HttpClient::StreamCallbacks callbacks;
  callbacks.on_head = [status](const HttpResponseHead& head) { *status = head.status; };
  callbacks.on_data = [this, &task](ByteView data) {
    task.line += as_text(data);
    size_t from = 0;
    for (size_t end; (end = task.line.find('\n', from)) != std::string::npos; from = end + 1)
      pull_line(task, std::string_view(task.line).substr(from, end - from));
    task.line.erase(0, from);
    if (task.line.size() > kMaxPullLine) task.line.clear();
  };
  callbacks.on_end = [this, &task, status](const Status& ended) {
    pull_line(task, task.line);
    if (!ended) return failed(task, TaskState::kPreparing, ended.error().message);
    if (*status != 200 && task.pull_error.empty())
      task.pull_error = "pull: HTTP " + std::to_string(*status);
    if (!task.pull_error.empty())
      return failed(task, TaskState::kPreparing, std::string(task.pull_error));
    create(task, false);
  };
  task.line.clear();
  task.call = client_.stream(std::move(request), limits, std::move(callbacks));
}

void DockerHost::pull_line(Task& task, std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return;
  for (const char* key : {"error", "message"})
    if (json.contains(key) && json[key].is_string())
      task.pull_error = one_line(json[key].get<std::string>());
  if (!json.contains("id") || !json.contains("status")) return;
  const std::string status = json["status"].is_string() ? json["status"].get<std::string>() : "";
  const std::string id = json["id"].is_string() ? json["id"].get<std::string>() : "";
  if (status == "Pulling fs layer")
    task.layers[id] = false;
  else if (status == "Pull complete" || status == "Already exists")
    task.layers[id] = true;
  const auto done = static_cast<size_t>(std::count_if(
      task.layers.begin(), task.layers.end(), [](const auto& layer) { return layer.second; }));
  if (task.layers.empty() || done == task.layers_told) return;
  task.layers_told = done;
  tell(TaskProgress{task.id,
                    TaskState::kPreparing,
                    "pulling " + task.spec.image + ", " + std::to_string(done) + " of " +
                        std::to_string(task.layers.size()) + " layers",
                    {},
                    0,
                    Health::kNone,
                    {}});
}

void DockerHost::create(Task& task, bool retried) {
  const std::string path = "/containers/create?name=" + percent_encode(container_name(task.start));
  task.call =
      ask("POST", path, task.spec.body, kAnswerTime,
          [this, &task, retried](Result<HttpResponse> answer) {
            if (!answer) return failed(task, TaskState::kPreparing, answer.error().message);
            if (answer->status == 409 && !retried) {  // left by a start that was cut off
              task.call =
                  ask("DELETE", container_path(task.container) + "?force=1&v=1", "", kAnswerTime,
                      [this, &task](const Result<HttpResponse>&) { create(task, true); });
              return;
            }
            if (answer->status != 201)
              return failed(task, TaskState::kPreparing, engine_words(*answer));
            const Json body = Json::parse(answer->body, nullptr, false);
            if (body.is_object() && body.contains("Id") && body["Id"].is_string())
              task.container = body["Id"].get<std::string>();
            start_container(task);
          });
}

void DockerHost::start_container(Task& task) {
  tell(TaskProgress{
      task.id, TaskState::kStarting, "starting", task.container, 0, Health::kNone, {}});
  task.call = ask("POST", container_path(task.container) + "/start", "", kAnswerTime,
                  [this, &task](Result<HttpResponse> answer) {
                    if (!answer) return failed(task, TaskState::kStarting, answer.error().message);
                    if (answer->status != 204 && answer->status != 304)
                      return failed(task, TaskState::kStarting, engine_words(*answer));
                    task.call = ask("GET", container_path(task.container) + "/json", "",
                                    kAnswerTime, [this, &task](Result<HttpResponse> inspected) {
                                      if (!inspected || inspected->status != 200)
                                        return failed(task, TaskState::kStarting,
                                                      inspected ? engine_words(*inspected)
                                                                : inspected.error().message);
                                      started(task, inspected->body);
                                    });
                  });
}

void DockerHost::started(Task& task, const std::string& inspected) {
  --starting_;
  task.phase = Task::Phase::kRunning;
  TaskProgress progress{task.id, TaskState::kRunning, "started", task.container,
                        0,       Health::kNone,       {}};
  if (auto info = container_info(inspected)) {
    progress.pid = info->pid;
    progress.health = info->health;
    progress.ports = info->ports;
    task.pid = info->pid;
    task.process_start = process_start_time(info->pid);
  }
  tell(std::move(progress));
  if (task.exited_early) {
    task.phase = Task::Phase::kKnown;
    tell(TaskExited{task.id, task.exit_code, task.out_of_memory, {}});
  }
  start_waiting();
}

void DockerHost::failed(Task& task, TaskState phase, std::string error) {
  // Whatever was made of it goes first: nothing of a failed start is left behind.
  auto finish = [this, &task, phase, error = std::move(error)](const Result<HttpResponse>&) {
    tell(TaskFailed{task.id, phase, error});
    --starting_;
    tasks_.erase(std::string(task.id));
    start_waiting();
  };
  task.call = ask("DELETE", container_path(task.container) + "?force=1&v=1", "", kAnswerTime,
                  std::move(finish));
}

// --- Ending ------------------------------------------------------------------------------------

void DockerHost::begin_stop(Task& task, Duration grace) {
  if (task.phase == Task::Phase::kStarting) --starting_;
  const bool begun = !task.container.empty();
  task.phase = Task::Phase::kStopping;
  task.grace = grace;
  task.call.cancel();
  if (!begun) {
    gone(task.id);
    return;
  }
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(grace).count();
  task.call = ask("POST", container_path(task.container) + "/stop?t=" + std::to_string(seconds), "",
                  grace + kStopSlack, [this, &task](const Result<HttpResponse>&) { remove(task); });
  start_waiting();
}

void DockerHost::remove(Task& task) {
  if (task.container.empty()) {
    gone(task.id);
    return;
  }
  task.call = ask("DELETE", container_path(task.container) + "?force=1&v=1", "", kAnswerTime,
                  [this, &task](Result<HttpResponse> answer) {
                    const bool over = answer && (answer->status == 204 || answer->status == 404);
                    if (over) return gone(task.id);
                    task.retry.start(kStopRetry);
                  });
}

}  // namespace kith
