#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <vector>

#include "gossip/message.h"

namespace kith {

/// Which of the last kSize sequences of one sender's boot came already (RFC 6479's idea): each is
/// accepted once, those further back never.
class ReplayWindow {
 public:
  static constexpr uint64_t kSize = 1024;

  /// True the first time, if not older than the window. Zero is no sequence.
  [[nodiscard]] bool accept(uint64_t sequence);
  [[nodiscard]] uint64_t highest() const { return highest_; }

 private:
  uint64_t highest_ = 0;
  std::bitset<kSize> seen_;  // bit (sequence mod kSize)
};

enum class ReplayVerdict : uint8_t {
  kFresh,        ///< of the sender's current boot, for the first time: handle it
  kReplay,       ///< seen before, too old, or of a boot known to be over: drop it
  kUnknownBoot,  ///< sender unknown, or a boot not heard of: use nothing but a signed alive in it
};

struct ReplayCounters {
  uint64_t fresh = 0;
  uint64_t replayed = 0;
  uint64_t unknown_boot = 0;
  uint64_t refused = 0;  ///< senders not learned because the table is full
};

/// Knows each sender's current boot and what came of it.
///
/// Order of calls: `accept` for every datagram that opened; on kUnknownBoot look for an alive in
/// it that the sender itself signed, check it, call `learn`, and `accept` again. An alive of the
/// sender that came through others is learned in the same way.
class ReplayGuard {
 public:
  static constexpr size_t kMaxSenders = 10'000;
  static constexpr size_t kMaxPastBoots = 4;

  [[nodiscard]] ReplayVerdict accept(uint64_t sender, uint64_t boot, uint64_t sequence);

  /// From an alive that `sender` signed. Makes `boot` current if `epoch` is above the known one;
  /// the boot before it is over. False, and nothing changes, if the epoch is not above (an old
  /// alive, or the same one again) or the table is full.
  bool learn(uint64_t sender, Epoch epoch, uint64_t boot);

  /// The member was removed.
  void forget(uint64_t sender) { senders_.erase(sender); }

  [[nodiscard]] size_t size() const { return senders_.size(); }
  [[nodiscard]] const ReplayCounters& counters() const { return counters_; }

 private:
  struct Sender {
    Epoch epoch = 0;
    uint64_t boot = 0;
    ReplayWindow window;
    std::vector<uint64_t> past_boots;  // newest last
  };
  std::map<uint64_t, Sender> senders_;
  ReplayCounters counters_;
};

}  // namespace kith
