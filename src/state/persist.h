#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/instant.h"
#include "base/result.h"
#include "state/doc_store.h"

namespace kith {

/// What was on disk.
struct LoadedState {
  std::vector<Document> documents;
  std::vector<Conflict> conflicts;
  Stamp horizon;
  Stamp last_stamp;
  std::map<std::string, Bytes> meta;
};

/// The agent's SQLite file, `<data_dir>/state.db`: synchronous=FULL, so what write() has returned
/// from is on disk as far as the disk honours fsync. Blocking: used by one worker thread, never by
/// the loop's. The destructor gives the directory free.
class Database {
 public:
  /// Creates `data_dir` (mode 0700) and the file (0600) if need be, and locks the directory.
  /// `cluster` is stored at first use. `now` names a file that is set aside. Errors, with nothing
  /// changed: kConflict, another agent uses the directory; kInvalid, it belongs to another cluster
  /// (both named) or was written by a newer kith; kUnavailable, disk or permissions.
  [[nodiscard]] static Result<Database> open(const std::string& data_dir,
                                             const std::string& cluster, WallTime now);

  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  /// Not empty: the file was corrupt, was kept under this path, and this one started empty. Said at
  /// every open until accept_loss(): the agent names it and refuses, or goes on if told to.
  [[nodiscard]] const std::string& set_aside() const;
  [[nodiscard]] Status accept_loss();

  /// kInvalid: a row that does not decode, named.
  [[nodiscard]] Result<LoadedState> load();
  /// One transaction: all of it is on disk, or nothing. kUnavailable: disk full or failing, with
  /// the reason; trying again later may do. An empty batch writes nothing.
  [[nodiscard]] Status write(const StoreBatch& batch);

 private:
  struct Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kith
