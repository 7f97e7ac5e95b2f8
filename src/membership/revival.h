#pragma once

#include <map>
#include <optional>

#include "base/ids.h"
#include "base/instant.h"
#include "base/rng.h"
#include "membership/config.h"
#include "membership/deadlines.h"

namespace kith {

/// When to knock at the dead again: once a second for a while, then with doubling pauses, for
/// ever, so that two halves that gave each other up always meet again. At most kKnocksASecond in
/// all, whatever their number.
class Revival {
 public:
  static constexpr unsigned kKnocksASecond = 20;

  /// `config` must outlive this.
  Revival(const SwimConfig& config, Rng rng) : config_(config), rng_(rng) {}

  /// The first knock comes after a pause, or `at_once` and with a redial.
  void add(const NodeId& dead, bool at_once, Instant now);
  void remove(const NodeId& id);
  /// Somebody came back: the others behind the same cut may be there too. Knock at all of them
  /// soon.
  void hurry(Instant now);

  struct Knock {
    NodeId id;
    bool redial = false;  ///< dial by stream too
  };
  std::optional<Knock> pop_due(Instant now);
  [[nodiscard]] Instant next_deadline() const { return deadlines_.next(); }

 private:
  struct Entry {
    Instant since;
    Duration pause{};
    unsigned knocks = 0;
  };
  [[nodiscard]] Duration jittered(Duration d);
  [[nodiscard]] bool take_token(Instant now);

  const SwimConfig& config_;
  Rng rng_;
  std::map<NodeId, Entry> dead_;
  Deadlines<NodeId> deadlines_;
  Instant window_start_{};
  unsigned knocks_in_window_ = 0;
};

}  // namespace kith
