#include "engine/docker_host.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "engine/docker_task.h"
#include "io/http.h"

namespace kith {
namespace {

using Json = nlohmann::json;

constexpr int kNewestMinor = 45;  // of API 1.x that this was written against
constexpr Duration kWatchInterval = std::chrono::milliseconds(500);
constexpr size_t kMaxAnswer = 64u << 20;

int minor_of(const std::string& version) {
  const size_t dot = version.find('.');
  int minor = 0;
  if (dot != std::string::npos)
    std::from_chars(version.data() + dot + 1, version.data() + version.size(), minor);
  return minor;
}

std::string string_at(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

int32_t exit_code_of(const std::string& digits) {
  int32_t code = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), code);
  return code;
}

int64_t number_at(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_number() ? at->get<int64_t>() : 0;
}

}  // namespace

DockerHost::DockerHost(Loop& loop, std::string socket, OnEvent on_event,
                       const DockerPatience& patience)
    : loop_(loop),
      client_(loop, StreamAddress::local(std::move(socket))),
      patience_(patience),
      on_event_(std::move(on_event)),
      pause_(patience.first_pause),
      retry_(loop, [this] { reach(); }),
      watch_(loop, [this] { watch_processes(); }),
      pulse_(loop, [this] { check_pulse(); }),
      second_look_(loop, [this] { list(); }) {}

DockerHost::~DockerHost() {
  *here_ = false;
}

void DockerHost::start() {
  reach();
}

void DockerHost::tell(HostEvent event) {
  loop_.post([this, here = here_, event = std::move(event)] {
    if (*here) on_event_(event);
  });
}

HttpCall DockerHost::ask(std::string method, std::string path, std::string body, Duration timeout,
                         Answer answer) {
  HttpRequest request;
  request.method = std::move(method);
  // The ping tells the version, so it carries none.
  request.target = path == "/_ping" ? path : prefix_ + path;
  request.headers.add("Host", "docker");
  if (!body.empty()) request.headers.add("Content-Type", "application/json");
  request.body = std::move(body);
  HttpLimits limits;
  limits.timeout = timeout;
  limits.max_body = kMaxAnswer;
  return client_.request(std::move(request), limits, std::move(answer));
}

// --- Reaching the engine -----------------------------------------------------------------------

void DockerHost::reach() {
  probe_ = ask("GET", "/_ping", "", patience_.reach, [this](Result<HttpResponse> answer) {
    if (!answer) return lost(answer.error().message);
    if (answer->status != 200) return lost("/_ping: " + engine_words(*answer));
    const int minor = minor_of(answer->headers.get("Api-Version"));
    prefix_ = minor > 0 ? "/v1." + std::to_string(std::min(minor, kNewestMinor)) : "";
    probe_ = ask("GET", "/info", "", patience_.reach, [this](Result<HttpResponse> info) {
      if (!info) return lost(info.error().message);
      if (info->status != 200) return lost("/info: " + engine_words(*info));
      take_info(info->body);
    });
  });
}

void DockerHost::take_info(const std::string& body) {
  const Json info = Json::parse(body, nullptr, false);
  if (!info.is_object()) return lost("/info: no JSON");
  EngineUp up;
  up.info.up = true;
  up.info.version = string_at(info, "ServerVersion");
  up.info.api_version = prefix_.empty() ? "" : prefix_.substr(2);
  up.info.os = string_at(info, "OSType");
  up.info.architecture = string_at(info, "Architecture");
  if (const auto labels = info.find("Labels"); labels != info.end() && labels->is_array()) {
    for (const Json& label : *labels) {
      if (!label.is_string()) continue;
      const std::string text = label.get<std::string>();
      const size_t equals = text.find('=');
      up.info.labels[text.substr(0, equals)] =
          equals == std::string::npos ? "" : text.substr(equals + 1);
    }
  }
  up.nano_cpus = number_at(info, "NCPU") * 1'000'000'000;
  up.memory_bytes = number_at(info, "MemTotal");
  up.name = string_at(info, "Name");
  follow_events(std::move(up));
}

void DockerHost::follow_events(EngineUp up) {
  HttpRequest request;
  const std::string filters =
      R"({"type":["container"],"event":["die","oom","destroy","health_status"],"label":[")" +
      std::string(kTaskLabel) + R"("]})";
  request.target = prefix_ + "/events?filters=" + percent_encode(filters);
  request.headers.add("Host", "docker");
  HttpLimits limits;
  limits.timeout = patience_.reach;
  event_buffer_.clear();
  HttpClient::StreamCallbacks callbacks;
  callbacks.on_head = [this, up = std::move(up)](const HttpResponseHead& head) {
    if (head.status != 200) return;  // on_end follows
    come_up(up);
  };
  callbacks.on_data = [this](ByteView data) {
    event_buffer_ += as_text(data);
    size_t from = 0;
    for (size_t end; (end = event_buffer_.find('\n', from)) != std::string::npos; from = end + 1)
      event_line(std::string_view(event_buffer_).substr(from, end - from));
    event_buffer_.erase(0, from);
    if (event_buffer_.size() > kMaxEventLine) event_buffer_.clear();
  };
  callbacks.on_end = [this](const Status& status) {
    const std::string why = status ? "its event stream ended" : status.error().message;
    if (!up_) return lost(why);
    // Most often it restarts: ask at once, and say that it is down only if it does not answer.
    up_ = false;
    down_reason_ = one_line(why);
    stop_pulse();
    retry_.start(Duration::zero());
  };
  events_ = client_.stream(std::move(request), limits, std::move(callbacks));
}

void DockerHost::come_up(const EngineUp& up) {
  up_ = true;
  watch_.stop();
  pulse_.start_repeating(patience_.pulse_interval);
  tell(up);
  resume_stops();
}

void DockerHost::stop_pulse() {
  pulse_.stop();
  pulse_call_.cancel();
}

// A frozen engine closes nothing: its event stream is just silent.
void DockerHost::check_pulse() {
  pulse_call_ =
      ask("GET", "/_ping", "", patience_.pulse, [this](const Result<HttpResponse>& answer) {
        if (!answer) lost(answer.error().message);
      });
}

void DockerHost::lost(const std::string& reason) {
  up_ = false;
  down_reason_ = one_line(reason);
  events_.cancel();
  listing_.reset();
  stop_pulse();
  retry_.start(pause_);
  pause_ = std::min<Duration>(pause_ * 2, patience_.longest_pause);
  if (watch_.active()) return;
  alive_.assign(1, "");  // so that the first look tells
  watch_.start_repeating(kWatchInterval);
  watch_processes();
}

void DockerHost::watch_processes() {
  std::vector<std::string> alive;
  for (const auto& [id, task] : tasks_)
    if (task->pid != 0 && process_start_time(task->pid) == task->process_start) alive.push_back(id);
  if (alive == alive_) return;
  alive_ = alive;
  tell(EngineDown{down_reason_, std::move(alive)});
}

// --- Events ------------------------------------------------------------------------------------

void DockerHost::event_line(std::string_view line) {
  const Json event = Json::parse(line, nullptr, false);
  if (!event.is_object()) return;
  const auto actor = event.find("Actor");
  if (actor == event.end() || !actor->is_object()) return;
  const auto attributes = actor->find("Attributes");
  if (attributes == actor->end() || !attributes->is_object()) return;
  const std::string id = string_at(*attributes, kTaskLabel.data());
  const std::string container = string_at(*actor, "ID");
  const std::string action = string_at(event, "Action");
  if (listing_ && action == "die")
    listing_->ended[container] = exit_code_of(string_at(*attributes, "exitCode"));
  if (listing_ && action == "destroy") listing_->removed.insert(container);
  constexpr std::string_view kHealthStatus = "health_status: ";
  Health health = Health::kNone;
  if (action.starts_with(kHealthStatus)) {
    health = action.ends_with(" healthy") ? Health::kHealthy : Health::kUnhealthy;
    if (listing_) listing_->health[container] = health;
  }
  const auto at = tasks_.find(id);
  if (at == tasks_.end()) return;
  Task& task = *at->second;
  if (container != task.container) return;  // one before it
  if (action == "oom") {
    task.out_of_memory = true;
  } else if (action == "die") {
    on_end_of(task, exit_code_of(string_at(*attributes, "exitCode")));
  } else if (health != Health::kNone) {
    if (task.phase == Task::Phase::kStarting || task.phase == Task::Phase::kRunning)
      tell(TaskHealth{id, health});
  } else if (action == "destroy" &&
             (task.phase == Task::Phase::kRunning || task.phase == Task::Phase::kKnown)) {
    gone(id);
  }
}

void DockerHost::on_end_of(Task& task, int32_t exit_code) {
  task.exit_code = exit_code;
  task.pid = 0;
  if (task.phase == Task::Phase::kStarting) {
    task.exited_early = true;
  } else if (task.phase == Task::Phase::kRunning) {
    task.phase = Task::Phase::kKnown;
    tell(TaskExited{task.id, task.exit_code, task.out_of_memory, {}});
  }
}

// --- Commands ----------------------------------------------------------------------------------

void DockerHost::run(HostCommand command) {
  if (auto* start = std::get_if<StartTask>(&command)) {
    Task& task = task_of(start->task_id);
    begin(task, std::move(*start));
  } else if (const auto* stopping = std::get_if<StopTask>(&command)) {
    stop(task_of(stopping->task_id), stopping->grace);
  } else if (const auto* ended = std::get_if<RemoveTask>(&command)) {
    stop(task_of(ended->task_id), Duration::zero());
  } else {
    list();
  }
}

}  // namespace kith
