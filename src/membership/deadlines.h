#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/instant.h"

namespace kith {

/// Timers as data: at most one instant a key, the earliest first, ties by key, so that equal
/// inputs fire in an equal order.
template <class Key>
class Deadlines {
 public:
  void set(const Key& key, Instant at) {
    erase(key);
    at_.emplace(key, at);
    order_.emplace(at, key);
  }
  void erase(const Key& key) {
    const auto it = at_.find(key);
    if (it == at_.end()) return;
    order_.erase({it->second, key});
    at_.erase(it);
  }
  void clear() {
    at_.clear();
    order_.clear();
  }
  [[nodiscard]] bool contains(const Key& key) const { return at_.contains(key); }
  [[nodiscard]] size_t size() const { return at_.size(); }
  [[nodiscard]] const std::map<Key, Instant>& all() const { return at_; }
  [[nodiscard]] Instant next() const { return order_.empty() ? kNever : order_.begin()->first; }
  /// Removes and returns the earliest key if its instant is `now` or before.
  std::optional<Key> pop_due(Instant now) {
    if (order_.empty() || order_.begin()->first > now) return std::nullopt;
    Key key = order_.begin()->second;
    erase(key);
    return key;
  }

 private:
  std::map<Key, Instant> at_;
  std::set<std::pair<Instant, Key>> order_;
};

}  // namespace kith
