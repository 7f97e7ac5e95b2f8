#include "state/persist.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "base/rng.h"

using namespace kith;

namespace {

constexpr WallTime kNow{1'790'000'000'000};

struct Directory {
  Directory() {
    char pattern[] = "/tmp/kith-state-XXXXXX";
    path = mkdtemp(pattern);
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string path;
};

NodeId author() {
  NodeId id;
  id.key[0] = 1;
  return id;
}
Now at(int64_t ms) {
  return {Instant{}, WallTime{kNow.ms + ms}};
}

}  // namespace

TEST_CASE("persist: what was written is loaded again") {
  const Directory dir;
  DocStore store(DocStoreConfig{});
  DocStore other(DocStoreConfig{});
  DocEffects out;
  REQUIRE(store.put("service/web", "left", at(0), author(), out));
  REQUIRE(store.put("service/gone", "x", at(1), author(), out));
  REQUIRE(store.remove("service/gone", at(2), author(), out));
  DocEffects theirs;
  REQUIRE(other.put("service/web", "right", at(5), author(), theirs));
  store.merge(*other.find("service/web"), at(5), out);
  REQUIRE(store.conflicts().size() == 1);
  out.batch.horizon = Stamp{77};
  out.batch.meta["epoch"] = Bytes{9};
  {
    Result<Database> database = Database::open(dir.path, "home", kNow);
    REQUIRE(database);
    CHECK(database->set_aside().empty());
    CHECK(database->load()->documents.empty());
    REQUIRE(database->write(out.batch));
    REQUIRE(database->write({}));
  }
  Result<Database> database = Database::open(dir.path, "home", kNow);
  REQUIRE(database);
  const Result<LoadedState> loaded = database->load();
  REQUIRE(loaded);
  CHECK(loaded->documents.size() == 2);
  REQUIRE(loaded->conflicts.size() == 1);
  CHECK(loaded->conflicts[0].lost.body == "left");
  CHECK(loaded->horizon == Stamp{77});
  CHECK(loaded->last_stamp == store.last_stamp());
  CHECK(loaded->meta.at("epoch") == Bytes{9});
  DocStore again(DocStoreConfig{}, loaded->last_stamp);
  again.restore(loaded->documents, loaded->conflicts, {});
  CHECK(again.root() == store.root());
  StoreBatch purge;
  purge.purged = {"service/gone"};
  purge.settled = {loaded->conflicts[0].id()};
  REQUIRE(database->write(purge));
  CHECK(database->load()->documents.size() == 1);
  CHECK(database->load()->conflicts.empty());
}

TEST_CASE("persist: a second agent on the directory is refused, and the first goes on") {
  const Directory dir;
  Result<Database> first = Database::open(dir.path, "home", kNow);
  REQUIRE(first);
  const Result<Database> second = Database::open(dir.path, "home", kNow);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == ErrorCode::kConflict);
  CHECK(second.error().message.find(std::to_string(getpid())) != std::string::npos);
  StoreBatch batch;
  batch.meta["a"] = Bytes{1};
  CHECK(first->write(batch));
}

TEST_CASE("persist: the directory of another cluster is refused, both named") {
  const Directory dir;
  { REQUIRE(Database::open(dir.path, "home", kNow)); }
  const Result<Database> other = Database::open(dir.path, "work", kNow);
  REQUIRE_FALSE(other);
  CHECK(other.error().code == ErrorCode::kInvalid);
  CHECK(other.error().message.find("`home`") != std::string::npos);
  CHECK(other.error().message.find("`work`") != std::string::npos);
  CHECK(Database::open(dir.path, "home", kNow));
}

TEST_CASE("persist: a corrupt file is kept aside and named at every start until accepted") {
  const std::pair<std::streamoff, std::streamoff> damages[] = {{0, 100}, {4096, 8192}};
  for (const auto& [from, to] : damages) {
    CAPTURE(from);
    const Directory dir;
    const std::string file = dir.path + "/state.db";
    {
      Result<Database> database = Database::open(dir.path, "home", kNow);
      DocStore store(DocStoreConfig{});
      DocEffects out;
      for (int i = 0; i < 200; ++i)
        REQUIRE(store.put("k" + std::to_string(i), std::string(500, 'x'), at(i), author(), out));
      REQUIRE(database->write(out.batch));
    }
    std::fstream damage(file, std::ios::in | std::ios::out | std::ios::binary);
    damage.seekp(from);
    for (std::streamoff i = from; i < to; ++i) damage.put('\x5a');
    damage.close();
    for (int start = 0; start < 2; ++start) {
      Result<Database> database = Database::open(dir.path, "home", kNow);
      REQUIRE(database);
      CHECK(database->set_aside() == file + ".corrupt-" + std::to_string(kNow.ms));
      CHECK(std::filesystem::exists(database->set_aside()));
      CHECK(database->load()->documents.empty());
      if (start == 1) CHECK(database->accept_loss());
    }
    CHECK(Database::open(dir.path, "home", kNow)->set_aside().empty());
  }
}

TEST_CASE("persist: a directory that cannot be made is named") {
  const Directory dir;
  std::ofstream(dir.path + "/file") << "x";
  const Result<Database> database = Database::open(dir.path + "/file/data", "home", kNow);
  REQUIRE_FALSE(database);
  CHECK(database.error().code == ErrorCode::kUnavailable);
  CHECK(database.error().message.find(dir.path) != std::string::npos);
}

TEST_CASE("persist: a full disk refuses the write with the reason, and the next may succeed") {
  const Directory dir;
  Result<Database> database = Database::open(dir.path, "home", kNow);
  REQUIRE(database);
  DocStore store(DocStoreConfig{});
  DocEffects large;
  for (int i = 0; i < 20; ++i)
    REQUIRE(store.put("k" + std::to_string(i), std::string(60'000, 'x'), at(i), author(), large));
  // Stands in for the full disk: the kernel refuses to let files grow.
  struct rlimit before {};
  getrlimit(RLIMIT_FSIZE, &before);
  struct rlimit low = before;
  low.rlim_cur = 200'000;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &low);
  const Status refused = database->write(large.batch);
  setrlimit(RLIMIT_FSIZE, &before);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::kUnavailable);
  CHECK(refused.error().message.find("state.db") != std::string::npos);
  CHECK(database->load()->documents.empty());
  CHECK(database->write(large.batch));
  CHECK(database->load()->documents.size() == 20);
}

TEST_CASE("persist: whatever was acknowledged is there after kill -9 at any moment") {
  const Directory dir;
  Rng rng(1);
  uint64_t acknowledged = 0;
  for (int round = 0; round < 25; ++round) {
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    const pid_t child = fork();
    if (child == 0) {
      // Each transaction writes the same number into two documents: never one without the other.
      Result<Database> database = Database::open(dir.path, "home", kNow);
      if (!database) _exit(1);
      const Result<LoadedState> loaded = database->load();
      if (!loaded) _exit(2);
      DocStore store(DocStoreConfig{}, loaded->last_stamp);
      store.restore(loaded->documents, loaded->conflicts, loaded->horizon);
      for (uint64_t n = acknowledged + 1;; ++n) {
        DocEffects out;
        for (const char* key : {"a", "b"})
          if (!store.put(key, std::to_string(n) + std::string(n % 5000, ' '), at(0), author(), out))
            _exit(3);
        if (!database->write(out.batch)) _exit(4);
        if (write(pipe_ends[1], &n, sizeof n) != sizeof n) _exit(5);
      }
    }
    close(pipe_ends[1]);
    const uint64_t until = rng.below(20);
    uint64_t n = 0;
    for (uint64_t i = 0; i <= until && read(pipe_ends[0], &n, sizeof n) == sizeof n; ++i)
      acknowledged = n;
    for (uint64_t spin = rng.below(200'000); spin > 0; --spin) asm volatile("");
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    while (read(pipe_ends[0], &n, sizeof n) == sizeof n) acknowledged = n;
    close(pipe_ends[0]);
    Result<Database> database = Database::open(dir.path, "home", kNow);
    REQUIRE(database);
    REQUIRE(database->set_aside().empty());
    const Result<LoadedState> loaded = database->load();
    REQUIRE(loaded);
    REQUIRE(loaded->documents.size() == 2);
    REQUIRE(std::stoull(loaded->documents[0].body) >= acknowledged);
    REQUIRE(loaded->documents[0].body == loaded->documents[1].body);
    acknowledged = std::stoull(loaded->documents[0].body);
  }
}
