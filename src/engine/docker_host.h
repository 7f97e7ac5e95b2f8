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

/// How long the engine may take.
struct DockerPatience {
  Duration reach = std::chrono::seconds(5);
  Duration answer = std::chrono::seconds(60);
  Duration start = std::chrono::minutes(2);  ///< it may mount what is far away
  Duration list = std::chrono::seconds(30);
  /// One that hangs must not hold up the inventory of all others.
  Duration inspect = std::chrono::seconds(10);
  /// A pull may take hours, but not this long without a byte of progress.
  Duration pull_silence = std::chrono::minutes(5);
  Duration first_stop_retry = std::chrono::milliseconds(250);
  Duration longest_stop_retry = std::chrono::seconds(30);
  Duration first_pause = std::chrono::milliseconds(250);  ///< before the engine is tried again
  Duration longest_pause = std::chrono::seconds(2);
  Duration stop_slack = std::chrono::seconds(20);  ///< beyond the grace of a stop
  Duration pulse_interval = std::chrono::seconds(10);
  Duration pulse = std::chrono::seconds(8);  ///< a busy engine may be slow
  /// Between looks at a container that could not be inspected; doubles up to the longest.
  Duration first_second_look = std::chrono::seconds(5);
  Duration longest_second_look = std::chrono::minutes(5);
};

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
  static constexpr unsigned kLooksForLate = 8;  ///< after a create that was not answered
  static constexpr size_t kMaxEventLine = 1024 * 1024;

  /// `on_event` is never called from inside `run` or `start`.
  DockerHost(Loop& loop, std::string socket, OnEvent on_event, const DockerPatience& patience = {});
  ~DockerHost();
  DockerHost(const DockerHost&) = delete;
  DockerHost& operator=(const DockerHost&) = delete;

  void start();
  void run(HostCommand command);
  /// Something that is to go is still there.
  [[nodiscard]] bool removing() const;

 private:
  struct Task;
  struct Listing;
  using Answer = std::function<void(Result<HttpResponse>)>;

  // docker_host.cc: reaching the engine.
  void reach();
  void take_info(const std::string& body);
  void follow_events(EngineUp up);
  void event_line(std::string_view line);
  void on_end_of(Task& task, int32_t exit_code);
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
  void tell_preparing(const Task& task, std::string message);
  void start_waiting();
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
  void see_ended(Task& task);
  void remove(Task& task);
  void retry_stop(Task& task);
  void resume_stops();
  void gone(const std::string& id);
  void tell_gone(Task& task);

  // docker_pull.cc
  void pull(Task& task);
  void pull_line(Task& task, std::string_view line);
  void tell_progress(Task& task, bool at_once);

  // docker_list.cc
  void list();
  void listed(const std::string& body);
  void inspect_next();
  void inspected(const std::string& container, const Result<HttpResponse>& answer);
  void look_again();
  void settle(Listing& listing);
  void finish_list();

  Loop& loop_;
  HttpClient client_;
  DockerPatience patience_;
  OnEvent on_event_;
  std::string prefix_;
  bool up_ = false;
  Duration pause_;  ///< before the engine is tried again
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
  Timer second_look_;
  Duration second_look_pause_{};
  unsigned looks_left_ = 0;
  std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}  // namespace kith
