#include "state/persist.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

namespace kith {
namespace {

constexpr int kSchema = 1;
constexpr std::string_view kMetaCluster = "cluster";
constexpr std::string_view kMetaHorizon = "horizon";
constexpr std::string_view kMetaLastStamp = "last_stamp";
constexpr std::string_view kMetaSetAside = "set_aside";

struct CloseDatabase {
  void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
};
struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Handle = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

bool corrupt(int code) {
  return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

Bytes to_bytes(uint64_t value) {
  Bytes bytes(8);
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
  return bytes;
}
uint64_t from_bytes(ByteView bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8 && i < bytes.size(); ++i) value |= uint64_t{bytes[i]} << (8 * i);
  return value;
}

/// Takes the lock that keeps a second agent out, and leaves our pid in it for people.
Result<Descriptor> lock_directory(const std::string& dir) {
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(ErrorCode::kUnavailable,
                "data_dir " + dir + ": cannot create it: " + std::strerror(errno));
  const std::string path = dir + "/lock";
  Descriptor lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.get() < 0)
    return fail(ErrorCode::kUnavailable, path + ": cannot open: " + std::strerror(errno));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> pid{};
    const ssize_t got = pread(lock.get(), pid.data(), pid.size() - 1, 0);
    const std::string who = got > 0 ? " (pid " + std::string(pid.data()) + ")" : "";
    return fail(ErrorCode::kConflict, "data_dir " + dir + ": in use by another agent" + who +
                                          "; give each agent its own");
  }
  // The pid is a courtesy: without room on the disk for it the lock holds all the same.
  const std::string pid = std::to_string(getpid());
  if (ftruncate(lock.get(), 0) == 0) (void)!pwrite(lock.get(), pid.data(), pid.size(), 0);
  return lock;
}

}  // namespace

struct Database::Impl {
  // Closed in the reverse order: the statements, the file, and only then the lock.
  Descriptor lock;
  std::string path;
  Handle handle;
  Statement put_document, delete_document, put_conflict, delete_conflict, put_meta, delete_meta;
  std::string set_aside;

  [[nodiscard]] int code() const { return sqlite3_extended_errcode(handle.get()); }
  [[nodiscard]] Error error() const {
    std::string why = sqlite3_errmsg(handle.get());
    if (const int system = sqlite3_system_errno(handle.get()); system != 0)
      why += std::string(" (") + std::strerror(system) + ")";
    return {ErrorCode::kUnavailable, path + ": " + why};
  }
  [[nodiscard]] bool run(const char* sql) {
    return sqlite3_exec(handle.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK;
  }
  [[nodiscard]] Statement prepare(const char* sql, unsigned flags = 0) {
    sqlite3_stmt* statement = nullptr;
    sqlite3_prepare_v3(handle.get(), sql, -1, flags, &statement, nullptr);
    return Statement(statement);
  }

  bool connect();
  bool healthy();
  bool create();
  bool prepare_all();
  Result<int64_t> number(const char* sql);
  Result<std::map<std::string, Bytes>> meta();
  Status apply(const StoreBatch& batch);
  Status write(const StoreBatch& batch);
};

bool Database::Impl::connect() {
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  handle.reset(raw);
  if (code != SQLITE_OK) return false;
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_LOOKASIDE, nullptr, 128, 64);
  // Exclusive: the lock file keeps others out, and SQLite needs no shared memory. The cache is
  // small since reads happen once, at start.
  return run(
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
      "PRAGMA cache_size=-256; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
      "PRAGMA wal_autocheckpoint=128; PRAGMA journal_size_limit=1048576;");
}

/// False leaves a code that says what is wrong; SQLITE_OK with false: the check found damage.
bool Database::Impl::healthy() {
  const Statement check = prepare("PRAGMA quick_check(1)");
  if (!check || sqlite3_step(check.get()) != SQLITE_ROW) return false;
  const auto* answer = reinterpret_cast<const char*>(sqlite3_column_text(check.get(), 0));
  return answer != nullptr && std::string_view(answer) == "ok";
}

bool Database::Impl::create() {
  return run(
      "BEGIN IMMEDIATE;"
      "CREATE TABLE IF NOT EXISTS documents(key TEXT PRIMARY KEY, envelope BLOB NOT NULL);"
      "CREATE TABLE IF NOT EXISTS conflicts(id INTEGER PRIMARY KEY, record BLOB NOT NULL);"
      "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
      "PRAGMA user_version=1; COMMIT;");
}

bool Database::Impl::prepare_all() {
  const auto keep = [&](Statement& into, const char* sql) {
    into = prepare(sql, SQLITE_PREPARE_PERSISTENT);
    return into != nullptr;
  };
  return keep(put_document, "INSERT OR REPLACE INTO documents VALUES(?1, ?2)") &&
         keep(delete_document, "DELETE FROM documents WHERE key=?1") &&
         keep(put_conflict, "INSERT OR REPLACE INTO conflicts VALUES(?1, ?2)") &&
         keep(delete_conflict, "DELETE FROM conflicts WHERE id=?1") &&
         keep(put_meta, "INSERT OR REPLACE INTO meta VALUES(?1, ?2)") &&
         keep(delete_meta, "DELETE FROM meta WHERE key=?1");
}

Result<int64_t> Database::Impl::number(const char* sql) {
  const Statement statement = prepare(sql);
  if (!statement || sqlite3_step(statement.get()) != SQLITE_ROW) return fail(error());
  return sqlite3_column_int64(statement.get(), 0);
}

namespace {

Bytes blob_at(sqlite3_stmt* row, int column) {
  const auto* data = static_cast<const uint8_t*>(sqlite3_column_blob(row, column));
  const auto size = static_cast<size_t>(sqlite3_column_bytes(row, column));
  return data == nullptr ? Bytes{} : Bytes(data, data + size);
}
std::string text_at(sqlite3_stmt* row, int column) {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(row, column));
  return data == nullptr
             ? std::string{}
             : std::string(data, static_cast<size_t>(sqlite3_column_bytes(row, column)));
}

/// Runs a prepared statement once. What is bound must live until then.
bool step(sqlite3_stmt* statement) {
  const bool good = sqlite3_step(statement) == SQLITE_DONE;
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return good;
}
void bind_text(sqlite3_stmt* to, int at, std::string_view text) {
  sqlite3_bind_text(to, at, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}
void bind_blob(sqlite3_stmt* to, int at, ByteView bytes) {
  // A null pointer would bind NULL.
  const void* data = bytes.empty() ? static_cast<const void*>("") : bytes.data();
  sqlite3_bind_blob(to, at, data, static_cast<int>(bytes.size()), SQLITE_STATIC);
}
void bind_id(sqlite3_stmt* to, int at, uint64_t id) {
  sqlite3_bind_int64(to, at, static_cast<int64_t>(id));
}

}  // namespace

Result<std::map<std::string, Bytes>> Database::Impl::meta() {
  std::map<std::string, Bytes> found;
  const Statement rows = prepare("SELECT key, value FROM meta");
  if (!rows) return fail(error());
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(rows.get())) == SQLITE_ROW)
    found.emplace(text_at(rows.get(), 0), blob_at(rows.get(), 1));
  if (code != SQLITE_DONE) return fail(error());
  return found;
}

namespace {

/// Moves a file that SQLite cannot read out of the way, with what belongs to it.
Result<std::string> keep_aside(const std::string& path, WallTime now) {
  const std::string kept = path + ".corrupt-" + std::to_string(now.ms);
  if (rename(path.c_str(), kept.c_str()) != 0)
    return fail(ErrorCode::kUnavailable, path + ": is corrupt and cannot be renamed to " + kept +
                                             ": " + std::strerror(errno));
  for (const char* part : {"-wal", "-shm"})
    (void)rename((path + part).c_str(), (kept + part).c_str());
  return kept;
}

}  // namespace

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::open(const std::string& data_dir, const std::string& cluster,
                                WallTime now) {
  auto impl = std::make_unique<Impl>();
  Result<Descriptor> lock = lock_directory(data_dir);
  if (!lock) return fail(lock.error());
  impl->lock = std::move(*lock);
  impl->path = data_dir + "/state.db";
  // SQLite would create it readable for all.
  Descriptor file(::open(impl->path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (file.get() < 0)
    return fail(ErrorCode::kUnavailable, impl->path + ": cannot open: " + std::strerror(errno));
  file = Descriptor();
  std::string aside;
  if (!impl->connect() || !impl->healthy()) {
    const int code = impl->code();
    const bool damaged = corrupt(code) || code == SQLITE_OK || code == SQLITE_ROW;
    if (!damaged) return fail(impl->error());
    impl->handle.reset();
    Result<std::string> kept = keep_aside(impl->path, now);
    if (!kept) return fail(kept.error());
    aside = *kept;
    Descriptor fresh(::open(impl->path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!impl->connect()) return fail(impl->error());
  }
  const Result<int64_t> schema = impl->number("PRAGMA user_version");
  if (!schema) return fail(schema.error());
  if (*schema > kSchema)
    return fail(ErrorCode::kInvalid, impl->path + ": written by a newer kith (format " +
                                         std::to_string(*schema) + ", this one knows " +
                                         std::to_string(kSchema) + "); install that again");
  if (*schema < kSchema && !impl->create()) return fail(impl->error());
  if (!impl->prepare_all()) return fail(impl->error());
  Result<std::map<std::string, Bytes>> meta = impl->meta();
  if (!meta) return fail(meta.error());
  const std::string owner(as_text((*meta)[std::string(kMetaCluster)]));
  if (!owner.empty() && owner != cluster)
    return fail(ErrorCode::kInvalid, "data_dir " + data_dir + ": belongs to cluster `" + owner +
                                         "`, the configuration says `" + cluster +
                                         "`; use another data_dir or the right cluster name");
  StoreBatch first;
  const auto as_value = [](std::string_view text) {
    return Bytes(as_bytes(text).begin(), as_bytes(text).end());
  };
  if (owner.empty()) first.meta[std::string(kMetaCluster)] = as_value(cluster);
  if (!aside.empty()) first.meta[std::string(kMetaSetAside)] = as_value(aside);
  if (const Status written = impl->write(first); !written) return fail(written.error());
  impl->set_aside =
      aside.empty() ? std::string(as_text((*meta)[std::string(kMetaSetAside)])) : aside;
  return Database(std::move(impl));
}

const std::string& Database::set_aside() const {
  return impl_->set_aside;
}

Status Database::accept_loss() {
  StoreBatch batch;
  batch.meta[std::string(kMetaSetAside)] = {};
  if (const Status written = impl_->write(batch); !written) return written;
  impl_->set_aside.clear();
  return {};
}

Result<LoadedState> Database::load() {
  LoadedState state;
  const auto each = [&](const char* sql, auto&& take) -> Status {
    const Statement rows = impl_->prepare(sql);
    if (!rows) return fail(impl_->error());
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(rows.get())) == SQLITE_ROW) {
      if (const Status taken = take(blob_at(rows.get(), 1)); !taken)
        return fail(ErrorCode::kInvalid,
                    impl_->path + ": row " + text_at(rows.get(), 0) + ": " + taken.error().message);
    }
    if (code != SQLITE_DONE) return fail(impl_->error());
    return {};
  };
  const auto into = [](auto& list, auto decoded) -> Status {
    if (!decoded) return fail(decoded.error());
    list.push_back(std::move(*decoded));
    return {};
  };
  Status read = each("SELECT key, envelope FROM documents ORDER BY key",
                     [&](const Bytes& row) { return into(state.documents, decode_document(row)); });
  if (!read) return fail(read.error());
  read = each("SELECT id, record FROM conflicts ORDER BY id",
              [&](const Bytes& row) { return into(state.conflicts, decode_conflict(row)); });
  if (!read) return fail(read.error());
  Result<std::map<std::string, Bytes>> meta = impl_->meta();
  if (!meta) return fail(meta.error());
  state.meta = std::move(*meta);
  const auto number = [&](std::string_view key) {
    const auto at = state.meta.find(std::string(key));
    return at == state.meta.end() ? 0 : from_bytes(at->second);
  };
  state.horizon = {number(kMetaHorizon)};
  state.last_stamp = {number(kMetaLastStamp)};
  return state;
}

Status Database::write(const StoreBatch& batch) {
  return impl_->write(batch);
}

Status Database::Impl::write(const StoreBatch& batch) {
  if (batch.empty()) return {};
  if (!run("BEGIN IMMEDIATE")) return fail(error());
  Status applied = apply(batch);
  if (applied && !run("COMMIT")) applied = fail(error());
  // A full disk can have rolled back by itself already; then this fails, and that is fine.
  if (!applied && sqlite3_get_autocommit(handle.get()) == 0) (void)run("ROLLBACK");
  return applied;
}

Status Database::Impl::apply(const StoreBatch& batch) {
  bool good = true;
  const auto row = [&](Statement& statement, auto&& bind) {
    if (!good) return;
    bind(statement.get());
    good = step(statement.get());
  };
  for (const StoreBatch::Row& document : batch.documents)
    row(put_document, [&](sqlite3_stmt* to) {
      bind_text(to, 1, document.key);
      bind_blob(to, 2, document.envelope);
    });
  for (const std::string& key : batch.purged)
    row(delete_document, [&](sqlite3_stmt* to) { bind_text(to, 1, key); });
  for (const Conflict& conflict : batch.conflicts) {
    const Bytes record = encode(conflict);
    row(put_conflict, [&](sqlite3_stmt* to) {
      bind_id(to, 1, conflict.id());
      bind_blob(to, 2, record);
    });
  }
  for (const uint64_t id : batch.settled)
    row(delete_conflict, [&](sqlite3_stmt* to) { bind_id(to, 1, id); });
  std::map<std::string, Bytes> meta = batch.meta;
  if (batch.horizon) meta[std::string(kMetaHorizon)] = to_bytes(batch.horizon->value);
  if (batch.last_stamp) meta[std::string(kMetaLastStamp)] = to_bytes(batch.last_stamp->value);
  for (const auto& [key, value] : meta) {
    Statement& statement = value.empty() ? delete_meta : put_meta;
    row(statement, [&, &name = key, &bytes = value](sqlite3_stmt* to) {
      bind_text(to, 1, name);
      if (!bytes.empty()) bind_blob(to, 2, bytes);
    });
  }
  if (!good) return fail(error());
  return {};
}

}  // namespace kith
