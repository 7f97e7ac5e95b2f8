#pragma once

// How a sync's frames are laid down; for the sources of this folder only.

#include <deque>

#include "state/sync.h"
#include "state/wire.h"

namespace kith {

/// A frame is an array: its type, then as many entries as fit.
enum class SyncFrame : uint8_t {
  kHello = 1,  ///< root, horizon, then none or kDocBuckets digests
  kVectors,    ///< [node, digest]...
  kSummary,    ///< [kBuckets, bitmap] [kDocument, key, stamp, author, hash]
               ///< [kNode, node] [kRecord, key, epoch, sequence, hash]...
  kWants,      ///< key...
  kDrops,      ///< key...
  kRecords,    ///< [0, document] or [1, observed]...
  kEnd,        ///< of a phase; with an entry: cut short, not everything was sent
};

enum class SummaryEntry : uint8_t { kBuckets, kDocument, kNode, kRecord };

constexpr size_t kMaxSyncEntries = 500'000;  ///< of one session

/// Fills frames of one type with entries, and starts another when one is full.
class FrameWriter {
 public:
  explicit FrameWriter(SyncFrame type) : type_(type) {}

  /// What `pack` writes is one entry; it goes into the open frame or, if that is full, a new one.
  template <class Pack>
  void add(Pack&& pack) {
    wire::Buffer buffer;
    wire::Packer packer(buffer);
    pack(packer);
    add_packed(buffer.take());
  }
  void add_packed(Bytes entry);
  [[nodiscard]] bool fits(size_t entry_size) const {
    return kHeader + entries_.size() + entry_size <= kMaxSyncFrame;
  }
  [[nodiscard]] size_t count() const { return count_; }
  /// The full frames and the open one, if it has any entry.
  [[nodiscard]] std::deque<Bytes> finish();
  /// The open frame, whatever is in it.
  [[nodiscard]] Bytes take();

 private:
  static constexpr size_t kHeader = 8;

  SyncFrame type_;
  Bytes entries_;
  uint32_t count_ = 0;
  std::deque<Bytes> full_;
};

}  // namespace kith
