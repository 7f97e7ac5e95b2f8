#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "agent/node.h"
#include "base/rng.h"
#include "event_queue.h"

namespace kith::sim {

/// What a host keeps over a crash: the rows that the agent's database would hold. Transactions are
/// carried out one after the other; what was acknowledged stays, what was not may or may not.
class FakeDisk {
 public:
  using Written = std::function<void(uint64_t persist, const Status& status)>;

  using Applied = std::function<void(const StoreBatch& batch)>;

  /// `applied`: told of each transaction that came about.
  FakeDisk(EventQueue& queue, Rng rng, Applied applied)
      : queue_(&queue), rng_(rng), applied_(std::move(applied)) {}

  void write(Persist persist, Written written);
  /// The agent died: nobody waits any more. Each transaction under way came about, or not.
  void crash();
  /// Nothing is left of what it held.
  void lose();
  /// Holds what the other holds, and nothing else.
  void copy(const FakeDisk& other);
  void set_full(bool full) { full_ = full; }
  [[nodiscard]] bool full() const { return full_; }
  void set_pace(Duration least, Duration spread) {
    least_ = least;
    spread_ = spread;
  }

  [[nodiscard]] LoadedState load() const;
  /// Of the document as it would be read; none if there is none.
  [[nodiscard]] std::optional<DocVersion> version_of(const std::string& key) const;
  /// As the agent does before its Node begins: one more than ever before, at once on disk.
  [[nodiscard]] Epoch next_epoch();
  [[nodiscard]] uint64_t writes() const { return writes_; }

 private:
  void begin();
  void apply(const StoreBatch& batch);

  EventQueue* queue_;
  Rng rng_;
  Applied applied_;
  struct Waiting {
    Persist persist;
    Written written;
  };
  std::deque<Waiting> waiting_;
  uint64_t life_ = 0;
  bool full_ = false;
  Duration least_ = std::chrono::milliseconds(2);
  Duration spread_ = std::chrono::milliseconds(15);
  uint64_t writes_ = 0;

  /// Equal contents are kept once for all disks of the process: to save memory, nothing else.
  using Row = std::shared_ptr<const Bytes>;
  [[nodiscard]] static Row row(const Bytes& content);

  std::map<std::string, Row> documents_;
  std::map<uint64_t, Bytes> conflicts_;
  std::map<std::string, Row> meta_;
  Stamp horizon_;
  Stamp last_stamp_;
};

}  // namespace kith::sim
