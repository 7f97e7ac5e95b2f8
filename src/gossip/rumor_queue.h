#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.h"
#include "gossip/message.h"

namespace kith {

/// Rumors waiting to be told, each a limited number of times (SWIM section 4.1; memberlist's
/// transmit-limited queue). Told least goes first; among equals the newest.
class RumorQueue {
 public:
  static constexpr size_t kMaxQueuedRumors = 4096;

  /// `capacity` is for tests.
  explicit RumorQueue(unsigned retransmit_mult, size_t capacity = kMaxQueuedRumors);

  enum class Pushed : uint8_t {
    kQueued,     ///< new, or replaced an older rumor of its key
    kUnchanged,  ///< the same rumor waits already; nothing changed
    kTooLarge,   ///< over kMaxRumorSize: offer it instead
    kFull,       ///< no room, and nothing in the queue matters less
  };

  /// Replaces what has the same key (queue_key); it starts its count of transmits anew. It is held
  /// back until `ready`; a rumor that replaces one still held back goes when that one would have
  /// gone. A member's alive takes out accusations of it with a lower incarnation; dead and left
  /// take out accusations of it up to their own incarnation (dead spares other dead).
  /// When full, a record goes before any member's rumor, the most told first.
  Pushed push(const Rumor& rumor, Instant ready = Instant{});

  /// Takes out every rumor whose key starts with `prefix`.
  void invalidate(std::string_view prefix);

  /// Appends rumors that are ready to `out`, at most `max_rumors` and together at most
  /// `budget` encoded bytes, counts each as told to `hearers`, and drops those that reached
  /// `limit(n)`. Returns the bytes used. `n`: members of the cluster, this one included.
  size_t fill(size_t budget, size_t max_rumors, size_t n, Instant now, std::vector<Rumor>& out,
              unsigned hearers = 1);

  /// True if a record is ready that nobody was told yet.
  [[nodiscard]] bool untold_record() const {
    return !records_.empty() && records_.begin()->transmits == 0;
  }

  /// How often each rumor is told in a cluster of n: mult x max(1, ceil(log10(n + 1))).
  [[nodiscard]] unsigned limit(size_t n) const;

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] size_t size() const { return entries_.size(); }
  /// The earliest instant at which `fill` may give something: `Instant{}` if something is
  /// ready already, kNever if the queue is empty.
  [[nodiscard]] Instant ready_at() const;
  /// Rumors lost because the queue was full.
  [[nodiscard]] uint64_t dropped() const { return dropped_; }

 private:
  struct Entry {
    std::string key;
    Rumor rumor;
    size_t size = 0;  // encoded
    unsigned transmits = 0;
    Instant ready;
    bool held = false;
  };
  /// Order of telling: fewest transmits, then newest.
  struct Rank {
    unsigned transmits;
    uint64_t id;
    bool operator<(const Rank& other) const {
      return transmits != other.transmits ? transmits < other.transmits : id > other.id;
    }
  };
  using Order = std::set<Rank>;

  void insert(Entry entry);
  void erase(uint64_t id);
  void release(Instant now);
  bool make_room(bool for_record);
  void drop_accusations(const MemberRumor& news);
  Order& order_of(const Entry& entry);

  unsigned retransmit_mult_;
  size_t capacity_;
  uint64_t next_id_ = 1;
  uint64_t dropped_ = 0;
  std::map<uint64_t, Entry> entries_;
  std::map<std::string, uint64_t, std::less<>> by_key_;
  Order members_;
  Order records_;
  std::set<std::pair<Instant, uint64_t>> held_;
};

/// The largest rumor that is queued: it must fit a datagram beside a message's other parts.
constexpr size_t kMaxRumorSize = 1000;

/// Rumors of equal key replace each other. Member rumors: `member_prefix(subject)` and, for an
/// accusation, its accuser. Records and offers: "r/" and the record's key.
[[nodiscard]] std::string queue_key(const Rumor& rumor);
/// Start of the keys of all that is said of `subject`.
[[nodiscard]] std::string member_prefix(const NodeId& subject);

}  // namespace kith
