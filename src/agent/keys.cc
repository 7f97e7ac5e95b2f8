#include "agent/keys.h"

#include <utility>

namespace kith {

Keys::Keys(const ClusterKey& configured, ByteView stored)
    : configured_(configured), ring_(configured), stored_(configured), wire_(configured) {
  if (!stored.empty()) {
    auto kept = SharedRing::decode(stored);
    if (!kept)
      damage_ = kept.error().message;
    else if (!kept->untouched())
      ring_ = std::move(*kept);
  }
  stored_ = ring_;
  wire_ = ring_.keys();
  digest_ = ring_.digest();
}

void Keys::set(SharedRing ring) {
  ring_ = std::move(ring);
  wire_ = ring_.keys();
  digest_ = ring_.digest();
  unsaved = true;
}

std::vector<ClusterKey> Keys::candidates() const {
  std::vector<ClusterKey> out{wire_.primary()};
  out.insert(out.end(), wire_.others().begin(), wire_.others().end());
  const uint64_t id = configured_.id();
  if (wire_.find(id) == nullptr && !ring_.gone(id)) out.push_back(configured_);
  return out;
}

KeyRing Keys::to_dial(const Endpoint& to) const {
  const auto turn = turns_.find(to);
  if (turn == turns_.end()) return KeyRing(wire_.primary());
  const std::vector<ClusterKey> all = candidates();
  return KeyRing(all[turn->second % all.size()]);
}

bool Keys::turned_away(const Endpoint& by) {
  if (turns_.size() >= kMaxTurns && !turns_.contains(by)) turns_.clear();
  const size_t all = candidates().size();
  return ++turns_[by] % all != 0;
}

}  // namespace kith
