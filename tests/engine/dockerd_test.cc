// Against a real engine: `meson test --suite docker`.

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "docker_engine.h"
#include "docker_fixture.h"

namespace kith::test {
namespace {

Loop& loop() {
  static Loop one;
  return one;
}

/// One engine for all cases; each finds and leaves it empty.
struct Real {
  DockerEngine& engine = shared();
  Watched host{loop(), engine.socket()};

  Real() { host.is_up(); }
  ~Real() {
    host.destroy();
    engine.remove_all();
  }

  /// Every container, within a while: a task is gone before its container is. The loop goes on.
  bool removed() {
    const Instant end = read_now().mono + kPatience;
    while (!engine.containers().empty())
      if (read_now().mono >= end) return false;
    return true;
  }

  static DockerEngine& shared() {
    static DockerEngine one(loop());
    return one;
  }
};

/// It has set its trap: as process 1 it would not be ended by SIGTERM before.
bool traps_term(uint32_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("SigCgt:"))
      return (std::stoull(line.substr(7), nullptr, 16) >> (SIGTERM - 1) & 1) != 0;
  return false;
}

std::string name_of(uint32_t pid) {
  std::ifstream comm("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  std::getline(comm, name);
  return name;
}

bool lives(uint32_t pid) {
  return pid != 0 && ::kill(static_cast<pid_t>(pid), 0) == 0;
}

TEST_SUITE("dockerd") {
  TEST_CASE_FIXTURE(Real, "docker: a task starts, runs, and is stopped within its grace") {
    const auto* up = host.find<EngineUp>();
    CHECK(up->info.up);
    CHECK(up->info.os == "linux");
    CHECK(up->info.api_version == "1.41");
    CHECK(up->nano_cpus >= 1'000'000'000);
    CHECK(up->memory_bytes > 0);
    CHECK_FALSE(up->name.empty());

    Json spec = service(obedient(7));
    spec["EndpointSpec"]["Ports"] = {
        {{"PublishMode", "host"}, {"TargetPort", 80}, {"PublishedPort", 18080}}};
    host.run(start_of("t1", spec));
    const TaskProgress started = host.running("t1");
    CHECK(lives(started.pid));
    CHECK(started.container_id.size() == 64);
    CHECK(started.health == Health::kNone);
    REQUIRE(started.ports.size() == 1);
    CHECK(started.ports[0].target == 80);
    CHECK(started.ports[0].published == 18080);
    CHECK(started.ports[0].protocol == "tcp");

    REQUIRE(host.until([&] { return traps_term(started.pid); }));
    host.run(StopTask{"t1", seconds(10)});
    CHECK(host.stop("t1") == 7);  // said twice, done once
    CHECK(host.count<TaskGone>("t1") == 1);
    CHECK(host.count<TaskExited>("t1") == 0);
    CHECK_FALSE(lives(started.pid));
    CHECK(removed());
  }

  TEST_CASE_FIXTURE(Real, "docker: a task that does not listen is killed after its grace") {
    host.run(start_of("t1", service({"sleep", "1000"})));
    const uint32_t pid = host.running("t1").pid;
    // Until then it is the engine's own launcher, which listens.
    REQUIRE(host.until([&] { return name_of(pid) == "sleep"; }));
    const Instant before = read_now().mono;
    CHECK(host.stop("t1", seconds(1)) == 137);
    const Duration took = read_now().mono - before;
    CHECK(took >= seconds(1));
    CHECK(took < seconds(4));
    CHECK(removed());
  }

  TEST_CASE_FIXTURE(Real, "docker: an exit code is told, and the container is kept until removed") {
    host.run(start_of("t1", service({"sh", "-c", "sleep 0.3; exit 3"})));
    CHECK(host.running("t1").pid != 0);
    REQUIRE(host.sees<TaskExited>("t1"));
    CHECK(host.find<TaskExited>("t1")->exit_code == 3);
    CHECK(engine.containers().size() == 1);
    host.run(RemoveTask{"t1"});
    REQUIRE(host.sees<TaskGone>("t1"));
    CHECK(host.find<TaskGone>("t1")->exit_code == 3);
    CHECK(host.count<TaskExited>("t1") == 1);
    CHECK(removed());
  }

  TEST_CASE_FIXTURE(Real,
                    "docker: a task that ends at once is told to have run, then to have ended") {
    for (const std::string id : {"t1", "t2", "t3", "t4", "t5"}) {
      host.run(start_of(id, service({"sh", "-c", "exit 4"})));
      REQUIRE(host.sees<TaskExited>(id));
      CHECK(host.find<TaskExited>(id)->exit_code == 4);
      CHECK(host.runs(id));
      CHECK(host.count<TaskExited>(id) == 1);
      host.run(RemoveTask{id});
      REQUIRE(host.sees<TaskGone>(id));
    }
    CHECK(removed());
  }

  TEST_CASE_FIXTURE(Real, "docker: a killed process is told promptly, and a successor soon runs") {
    std::vector<double> to_exit;
    std::vector<double> to_run;
    host.run(start_of("t0", service({"sleep", "1000"})));
    uint32_t pid = host.running("t0").pid;
    for (int i = 1; i <= 9; ++i) {
      const std::string before = "t" + std::to_string(i - 1);
      const std::string after = "t" + std::to_string(i);
      const Instant killed = read_now().mono;
      ::kill(static_cast<pid_t>(pid), SIGKILL);
      REQUIRE(host.sees<TaskExited>(before));
      CHECK(host.find<TaskExited>(before)->exit_code == 137);
      to_exit.push_back(std::chrono::duration<double>(read_now().mono - killed).count());
      host.run(start_of(after, service({"sleep", "1000"})));
      host.run(RemoveTask{before});
      pid = host.running(after).pid;
      to_run.push_back(std::chrono::duration<double>(read_now().mono - killed).count());
      REQUIRE(host.sees<TaskGone>(before));
    }
    std::sort(to_exit.begin(), to_exit.end());
    std::sort(to_run.begin(), to_run.end());
    MESSAGE("killed -> told: median " << to_exit[4] << " s, worst " << to_exit[8]);
    MESSAGE("killed -> successor runs: median " << to_run[4] << " s, worst " << to_run[8]);
    CHECK(to_run[4] <= 2.0);  // 0.3 s on an idle machine of two cores
  }

  TEST_CASE_FIXTURE(Real,
                    "docker: what cannot start fails in the engine's words and leaves nothing") {
    struct Row {
      const char* what;
      Json spec;
      TaskState phase;
      std::string words;
    };
    Json bad_mount = service({"sleep", "1"});
    bad_mount["TaskTemplate"]["ContainerSpec"]["Mounts"] = {
        {{"Type", "bind"}, {"Source", "/nowhere/at/all"}, {"Target", "/x"}}};
    Json bad_network = service({"sleep", "1"});
    bad_network["TaskTemplate"]["Networks"] = {{{"Target", "nonet"}}};
    const std::vector<Row> rows = {
        {"no image and no registry", service({"sleep"}, {{"Image", "127.0.0.1:1/none:1"}}),
         TaskState::kPreparing, "connection refused"},
        {"an image that the registry does not have",
         service({"sleep"}, {{"Image", "127.0.0.1:5000/none:1"}}), TaskState::kPreparing,
         "manifest for 127.0.0.1:5000/none:1 not found"},
        {"an image that cannot be", service({"sleep"}, {{"Image", "NO SUCH?x=/../ image"}}),
         TaskState::kPreparing, "invalid reference format"},
        {"a mount", bad_mount, TaskState::kPreparing,
         "bind source path does not exist: /nowhere/at/all"},
        {"a command", service({"/no/such"}), TaskState::kStarting, "no such file or directory"},
        {"a network", bad_network, TaskState::kStarting, "network nonet not found"},
        {"no JSON", Json("x"), TaskState::kPreparing, "not JSON"},
    };
    for (size_t i = 0; i < rows.size(); ++i) {
      CAPTURE(rows[i].what);
      const std::string id = "t" + std::to_string(i);
      const Instant before = read_now().mono;
      host.run(start_of(id, rows[i].spec));
      const TaskFailed& failed = host.failure(id);
      CAPTURE(failed.error);
      CHECK(failed.phase == rows[i].phase);
      CHECK(failed.error.find(rows[i].words) != std::string::npos);
      CHECK(failed.error.find('\n') == std::string::npos);
      CHECK(read_now().mono - before < seconds(5));
      CHECK(host.count<TaskFailed>(id) == 1);
      CHECK(host.count<TaskGone>(id) == 0);
      CHECK(engine.containers().empty());
    }
  }

  TEST_CASE_FIXTURE(Real, "docker: a port that is taken fails the second, not the first") {
    Json spec = service({"sleep", "1000"});
    spec["EndpointSpec"]["Ports"] = {
        {{"PublishMode", "host"}, {"TargetPort", 80}, {"PublishedPort", 18081}}};
    host.run(start_of("t1", spec, 1));
    CHECK(host.running("t1").ports.size() == 1);
    host.run(start_of("t2", spec, 2));
    const TaskFailed& failed = host.failure("t2");
    CHECK(failed.phase == TaskState::kStarting);
    CHECK(failed.error.find("port is already allocated") != std::string::npos);
    CHECK(engine.containers().size() == 1);
  }

  TEST_CASE_FIXTURE(Real, "docker: an image is pulled when it is absent, layer by layer told") {
    const std::string image = "127.0.0.1:5000/far";
    engine.import(image, "1", "other");  // its layer is like no other
    const HttpResponse pushed = engine.call("POST", "/images/" + image + "/push?tag=1");
    REQUIRE_MESSAGE(pushed.body.find("\"Digest\"") != std::string::npos, pushed.body);
    REQUIRE(engine.call("DELETE", "/images/" + image + ":1").status == 200);

    host.run(start_of("t1", service({"sleep", "1000"}, {{"Image", image + ":1"}})));
    CHECK(host.running("t1").pid != 0);
    CHECK(host.find<TaskProgress>("t1", [](const TaskProgress& p) {
      return p.message.find("pulling 127.0.0.1:5000/far:1, 1 of 1 layers") == 0;
    }) != nullptr);
    engine.remove_all();
    REQUIRE(host.sees<TaskGone>("t1"));
  }

  TEST_CASE_FIXTURE(Real, "docker: a start that is stopped at any moment leaves nothing") {
    for (int ms = 0; ms <= 240; ms += 20) {
      const std::string id = "t" + std::to_string(ms);
      host.run(start_of(id, service({"sleep", "1000"})));
      const Instant at = read_now().mono + milliseconds(ms);
      REQUIRE(host.until([&] { return read_now().mono >= at; }));
      host.run(StopTask{id, Duration::zero()});
      REQUIRE(host.sees<TaskGone>(id));
      CHECK(host.count<TaskGone>(id) == 1);
      CHECK(host.count<TaskFailed>(id) == 0);
      CHECK(host.count<TaskExited>(id) == 0);
      CHECK(engine.containers().empty());
    }
  }

  TEST_CASE_FIXTURE(Real, "docker: a new agent takes over what runs and what ended") {
    host.run(start_of("runs", service(obedient(7)), 1));
    host.run(start_of("ends", service({"sh", "-c", "exit 9"}), 2));
    const uint32_t pid = host.running("runs").pid;
    REQUIRE(host.sees<TaskExited>("ends"));
    host.destroy();

    Watched next(loop(), engine.socket());
    next.is_up();
    const Inventory inventory = next.inventory();
    REQUIRE(inventory.containers.size() == 2);
    for (const ContainerInfo& c : inventory.containers) {
      CHECK(c.slot.service == "web");
      CHECK(c.service_id == "service1");
      CHECK(c.generation == 3);
      CHECK(c.term == 5);
      CHECK(c.image == "box");
      CHECK(c.created.ms > 0);
      if (c.task_id == "runs") {
        CHECK(c.slot.index == 1);
        CHECK(c.status == ContainerStatus::kRunning);
        CHECK(c.pid == pid);
      } else {
        CHECK(c.slot.index == 2);
        CHECK(c.status == ContainerStatus::kExited);
        CHECK(c.exit_code == 9);
      }
    }
    // It still gets what happens to them, and may command them.
    ::kill(static_cast<pid_t>(pid), SIGKILL);
    REQUIRE(next.sees<TaskExited>("runs"));
    next.run(RemoveTask{"runs"});
    next.run(RemoveTask{"ends"});
    REQUIRE(next.sees<TaskGone>("runs"));
    REQUIRE(next.sees<TaskGone>("ends"));
    CHECK(next.find<TaskGone>("ends")->exit_code == 9);
    CHECK(removed());
    CHECK(next.inventory().containers.empty());
  }

  TEST_CASE_FIXTURE(Real, "docker: a container removed behind the agent's back is gone") {
    host.run(start_of("t1", service({"sleep", "1000"})));
    const std::string container = host.running("t1").container_id;
    engine.call("DELETE", "/containers/" + container + "?force=1");
    REQUIRE(host.sees<TaskGone>("t1"));
    CHECK(host.count<TaskGone>("t1") == 1);
    CHECK(host.inventory().containers.empty());
  }

  TEST_CASE_FIXTURE(Real, "docker: a health check is told as it changes") {
    const Json check = {{"Test", {"CMD-SHELL", "test -e /tmp/well"}},
                        {"Interval", 100'000'000},
                        {"Timeout", 2'000'000'000},
                        {"Retries", 2},
                        {"StartPeriod", 0}};
    host.run(start_of(
        "t1", service({"sh", "-c", "touch /tmp/well; sleep 1000"}, {{"Healthcheck", check}})));
    const TaskProgress started = host.running("t1");
    CHECK(started.health == Health::kStarting);
    CHECK(host.sees<TaskHealth>("t1",
                                [](const TaskHealth& h) { return h.health == Health::kHealthy; }));
    host.run(start_of("t2", service({"sleep", "1000"}, {{"Healthcheck", check}}), 2));
    CHECK(host.sees<TaskHealth>(
        "t2", [](const TaskHealth& h) { return h.health == Health::kUnhealthy; }));
  }

  TEST_CASE_FIXTURE(Real, "docker: twenty starts at once all run") {
    const Instant before = read_now().mono;
    for (uint32_t i = 0; i < 20; ++i)
      host.run(start_of("t" + std::to_string(i), service(obedient(0)), i + 1));
    std::vector<uint32_t> pids;
    for (uint32_t i = 0; i < 20; ++i) pids.push_back(host.running("t" + std::to_string(i)).pid);
    const auto took = std::chrono::duration<double>(read_now().mono - before).count();
    MESSAGE("20 starts at once: " << took << " s");
    CHECK(host.inventory().containers.size() == 20);
    for (const uint32_t pid : pids) REQUIRE(host.until([&] { return traps_term(pid); }));
    for (uint32_t i = 0; i < 20; ++i) host.run(StopTask{"t" + std::to_string(i), seconds(5)});
    for (uint32_t i = 0; i < 20; ++i) CHECK(host.sees<TaskGone>("t" + std::to_string(i)));
    CHECK(removed());
  }

  TEST_CASE_FIXTURE(Real, "docker: an engine that crashes and comes back loses no container") {
    host.run(start_of("t1", service(obedient(7))));
    host.run(start_of("t2", service({"sleep", "1000"}), 2));
    const uint32_t pid = host.running("t1").pid;
    const uint32_t other = host.running("t2").pid;
    REQUIRE(host.until([&] { return traps_term(pid); }));
    host.since = host.told.size();
    const Instant crashed = read_now().mono;
    engine.kill();
    REQUIRE(host.sees<EngineDown>());
    CHECK(read_now().mono - crashed < seconds(2));
    CHECK(host.find<EngineDown>()->running == std::vector<std::string>{"t1", "t2"});
    CHECK_FALSE(host.find<EngineDown>()->reason.empty());
    // One of them ends meanwhile: only the kernel can tell.
    host.since = host.told.size();
    ::kill(static_cast<pid_t>(other), SIGKILL);
    REQUIRE(host.sees<EngineDown>());
    CHECK(host.find<EngineDown>()->running == std::vector<std::string>{"t1"});

    host.since = host.told.size();
    engine.start(true);
    REQUIRE(host.sees<EngineUp>());
    CHECK(host.count<TaskExited>("t1") == 0);
    const Inventory inventory = host.inventory();
    REQUIRE(inventory.containers.size() == 2);
    for (const ContainerInfo& c : inventory.containers) {
      CHECK(c.status == (c.task_id == "t1" ? ContainerStatus::kRunning : ContainerStatus::kExited));
      if (c.task_id == "t1") CHECK(c.pid == pid);
    }
    CHECK(host.stop("t1") == 7);
    host.run(RemoveTask{"t2"});
    CHECK(host.sees<TaskGone>("t2"));
    CHECK(removed());
  }

  TEST_CASE_FIXTURE(Real, "docker: without live restore an engine that comes back has ended them") {
    engine.terminate();
    engine.start(false);
    host.since = host.told.size();
    host.run(start_of("t1", service(obedient(7))));
    CHECK(host.running("t1").pid != 0);
    host.since = host.told.size();
    engine.terminate();
    REQUIRE(host.sees<EngineDown>("", [](const EngineDown& d) { return d.running.empty(); }));
    host.since = host.told.size();
    engine.start(true);
    REQUIRE(host.sees<EngineUp>());
    const Inventory inventory = host.inventory();
    REQUIRE(inventory.containers.size() == 1);
    CHECK(inventory.containers[0].status == ContainerStatus::kExited);
    host.run(RemoveTask{"t1"});
    CHECK(host.sees<TaskGone>("t1"));
  }

  TEST_CASE_FIXTURE(Real, "docker: what is asked while the engine is away is done or answered") {
    host.run(start_of("t1", service(obedient(7))));
    const uint32_t pid = host.running("t1").pid;
    REQUIRE(host.until([&] { return traps_term(pid); }));
    host.since = host.told.size();
    engine.kill();
    REQUIRE(host.sees<EngineDown>());
    host.run(start_of("t2", service(obedient(7)), 2));
    host.run(StopTask{"t1", seconds(5)});
    host.run(ListTasks{});
    CHECK(host.failure("t2").phase == TaskState::kPreparing);
    CHECK(host.count<TaskGone>("t1") == 0);
    engine.start(true);
    REQUIRE(host.sees<EngineUp>());
    REQUIRE(host.sees<TaskGone>("t1"));
    CHECK(removed());
  }
}

}  // namespace
}  // namespace kith::test
