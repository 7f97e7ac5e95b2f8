#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/host.h"
#include "io/http_client.h"
#include "io/loop.h"
#include "io/timer.h"

namespace kith {

/// Carries out HostCommands through a host's own Docker engine, and tells what happens there.
///
/// The event stream is always open before EngineUp is told, so nothing is missed between an
/// Inventory and the events after it. An engine that is silent for long counts as away. While the
/// engine does not answer, the processes of running tasks are watched, and EngineDown says which
/// still live.
class DockerHost {
 public:
  using OnEvent = std::function<void(const HostEvent&)>;
  static constexpr size_t kMaxParallelStarts = 16;
  static constexpr size_t kMaxParallelInspects = 8;
  static constexpr size_t kMaxEventLine = 1024 * 1024;
  static constexpr Duration kFirstPause = std::chrono::milliseconds(250);
  static constexpr Duration kLongestPause = std::chrono::seconds(2);

  /// `on_event` is never called from inside `run` or `start`.
  DockerHost(Loop& loop, std::string socket, OnEvent on_event);
  ~DockerHost();
  DockerHost(const DockerHost&) = delete;
  DockerHost& operator=(const DockerHost&) = delete;

  void start();
  void run(HostCommand command);

 private:
  struct Task;
  struct Listing;
  using Answer = std::function<void(Result<HttpResponse>)>;

  // docker_host.cc: reaching the engine.
  void reach();
  void take_info(const std::string& body);
  void follow_events(EngineUp up);
  void event_line(std::string_view line);
  void on_end_of(Task& task, const std::string& container, std::string_view code);
  void lost(const std::string& reason);
  void come_up(const EngineUp& up);
  void check_pulse();
  void stop_pulse();
  void watch_processes();
  void tell(HostEvent event);
  HttpCall ask(std::string method, std::string path, std::string body, Duration timeout,
               Answer answer);

  // docker_task.cc: one task at a time.
  Task& task_of(const std::string& id);
  void begin(Task& task, StartTask start);
  void wait_for_place(Task& task);
  void start_waiting();
  void pull(Task& task);
  void pull_line(Task& task, std::string_view line);
  [[nodiscard]] bool stop_instead(Task& task);
  void create(Task& task, bool retried);
  void created(Task& task, bool retried, Result<HttpResponse> answer);
  void start_container(Task& task);
  void inspect(Task& task);
  void started(Task& task, const std::string& inspected);
  void failed(Task& task, TaskState phase, std::string error);
  void give_up(Task& task, TaskState phase, std::string error, bool removed);
  void stop(Task& task, Duration grace);
  void begin_stop(Task& task, Duration grace);
  void remove(Task& task);
  void retry_stop(Task& task);
  void resume_stops();
  void gone(std::string id);

  // docker_list.cc
  void list();
  void listed(const std::string& body);
  void inspect_next();
  void finish_list();

  Loop& loop_;
  HttpClient client_;
  OnEvent on_event_;
  std::string prefix_;
  bool up_ = false;
  Duration pause_ = kFirstPause;  ///< before the engine is tried again
  HttpCall probe_;
  HttpCall events_;
  std::string event_buffer_;
  std::string down_reason_;
  std::vector<std::string> alive_;  ///< as the last EngineDown said
  Timer retry_;
  Timer watch_;
  Timer pulse_;
  HttpCall pulse_call_;
  std::map<std::string, std::unique_ptr<Task>> tasks_;
  std::deque<std::string> waiting_;  ///< task ids whose start waits for a place
  std::unique_ptr<Listing> listing_;
  std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}  // namespace kith
