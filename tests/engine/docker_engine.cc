#include "docker_engine.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace kith::test {
namespace {

constexpr Duration kPatience = std::chrono::seconds(30);
constexpr const char* kParent = "/kith-test";  ///< control group of the containers

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[65536];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  REQUIRE_MESSAGE(pclose(pipe) == 0, command);
  return out;
}

pid_t spawn(std::vector<std::string> words, const std::string& log) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child > 0) return child;
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  dup2(fd, 1);
  dup2(fd, 2);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  _exit(127);
}

void end(pid_t& child, int signal) {
  if (child == 0) return;
  ::kill(child, signal);
  waitpid(child, nullptr, 0);
  child = 0;
}

}  // namespace

DockerEngine::DockerEngine(Loop& loop) : loop_(loop) {
  // In a process namespace of its own whatever is killed here is its own.
  REQUIRE_MESSAGE(getppid() == 1, "start it by `meson test --suite docker`");
  output_of("ip link set lo up");
  char name[] = "/tmp/kith-docker-XXXXXX";
  REQUIRE(mkdtemp(name) != nullptr);
  dir_ = name;
  REQUIRE(mount("tmpfs", name, "tmpfs", 0, nullptr) == 0);
  std::ofstream(dir_ + "/registry.yml")
      << "version: 0.1\nlog: {level: error}\nhttp: {addr: '127.0.0.1:" << kRegistryPort
      << "'}\nstorage: {filesystem: {rootdirectory: " << dir_ << "/registry}}\n";
  registry_ = spawn({"docker-registry", "serve", dir_ + "/registry.yml"}, dir_ + "/registry.log");
  start(true);
  import("box", "latest", "box");
}

DockerEngine::~DockerEngine() {
  end(engine_, SIGTERM);
  end(registry_, SIGKILL);
  umount2(dir_.c_str(), MNT_DETACH);
  rmdir(dir_.c_str());
  std::error_code ignored;
  for (const auto& at : std::filesystem::directory_iterator("/sys/fs/cgroup", ignored))
    rmdir((at.path().string() + kParent).c_str());
}

void DockerEngine::start(bool live_restore) {
  std::vector<std::string> words = {"dockerd",
                                    "--data-root=" + dir_ + "/data",
                                    "--exec-root=" + dir_ + "/exec",
                                    "--pidfile=" + dir_ + "/docker.pid",
                                    "--host=unix://" + socket(),
                                    "--cgroup-parent=" + std::string(kParent),
                                    "--iptables=false",
                                    "--ip-masq=false",
                                    "--bip=172.31.99.1/24"};
  if (live_restore) words.push_back("--live-restore");
  std::error_code ignored;
  std::filesystem::remove(dir_ + "/docker.pid", ignored);
  engine_ = spawn(std::move(words), dir_ + "/dockerd.log");
  bool answers = false;
  for (int i = 0; i < 1500 && !answers; ++i) {
    usleep(20'000);
    answers = access(socket().c_str(), F_OK) == 0 && call("GET", "/_ping").status == 200;
  }
  REQUIRE_MESSAGE(answers, output_of("tail -5 " + dir_ + "/dockerd.log"));
}

void DockerEngine::kill() {
  end(engine_, SIGKILL);
}

void DockerEngine::terminate() {
  end(engine_, SIGTERM);
}

HttpResponse DockerEngine::call(const std::string& method, const std::string& path,
                                std::string body) {
  HttpRequest request;
  request.method = method;
  request.target = path;
  request.headers.add("Host", "docker");
  request.headers.add("X-Registry-Auth", "e30=");
  if (body.starts_with('{')) request.headers.add("Content-Type", "application/json");
  request.body = std::move(body);
  HttpResponse response;
  bool done = false;
  HttpClient client(loop_, StreamAddress::local(socket()));
  const HttpCall call = client.request(std::move(request), {}, [&](Result<HttpResponse> answer) {
    done = true;
    if (answer) response = std::move(*answer);
  });
  REQUIRE(loop_.run_until([&] { return done; }, kPatience));
  return response;
}

std::vector<std::string> DockerEngine::containers() {
  const auto all = nlohmann::json::parse(call("GET", "/containers/json?all=1").body);
  std::vector<std::string> ids;
  for (const auto& one : all) ids.push_back(one["Id"]);
  return ids;
}

void DockerEngine::remove_all() {
  for (const std::string& id : containers()) call("DELETE", "/containers/" + id + "?force=1&v=1");
}

void DockerEngine::import(const std::string& name, const std::string& tag,
                          const std::string& mark) {
  const std::string root = dir_ + "/root-" + mark;
  output_of("mkdir -p " + root + "/bin " + root + "/tmp && cp /bin/busybox " + root +
            "/bin/ && echo " + mark + " >" + root +
            "/mark && for i in sh sleep test touch; do ln -s busybox " + root + "/bin/$i; done");
  const HttpResponse imported =
      call("POST",
           "/images/create?fromSrc=-&repo=" + name + "&tag=" + tag + "&changes=ENV%20PATH%3D/bin",
           output_of("tar -C " + root + " -c ."));
  REQUIRE_MESSAGE(imported.status == 200, imported.body);
}

}  // namespace kith::test
