#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "io/http_client.h"
#include "io/loop.h"

namespace kith::test {

/// A dockerd of the test's own, and a registry. Wants namespaces of its own for mounts, network
/// and processes (see meson.build): the kernel ends and unmounts whatever is left.
class DockerEngine {
 public:
  /// Mounts a tmpfs for everything, starts both, and imports the image `box` (busybox).
  explicit DockerEngine(Loop& loop);
  ~DockerEngine();
  DockerEngine(const DockerEngine&) = delete;
  DockerEngine& operator=(const DockerEngine&) = delete;

  [[nodiscard]] std::string socket() const { return dir_ + "/docker.sock"; }
  [[nodiscard]] const std::string& dir() const { return dir_; }
  static constexpr int kRegistryPort = 5000;

  /// With live restore, containers outlive the engine. Returns once it answers.
  void start(bool live_restore);
  void kill();       ///< as a crash would
  void terminate();  ///< as systemd would

  /// One call to its API, waited for.
  HttpResponse call(const std::string& method, const std::string& path, std::string body = {});
  /// Ids of every container there is.
  std::vector<std::string> containers();
  void remove_all();
  /// Makes an image of busybox and a file that says `mark`.
  void import(const std::string& name, const std::string& tag, const std::string& mark);

 private:
  Loop& loop_;
  std::string dir_;
  pid_t engine_ = 0;
  pid_t registry_ = 0;
};

}  // namespace kith::test
