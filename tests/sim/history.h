#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "checker.h"

namespace kith::sim {

/// What happened to one node (`n3`) or one slot (`web.2`), for a person. Judges nothing.
class History final : public Checker {
 public:
  explicit History(std::string subject) : Checker("history"), subject_(std::move(subject)) {}

  void told(World& world, const std::string& line) override;
  void stepped(World& world, size_t host) override;
  /// The last of it, oldest first.
  [[nodiscard]] const std::deque<std::string>& lines() const { return lines_; }

 private:
  static constexpr size_t kMaxLines = 2'000;

  void add(World& world, const std::string& line);
  /// Says it if it is not what was said under this name before.
  void changed(World& world, const std::string& name, const std::string& now);
  [[nodiscard]] bool about(const std::string& text) const;
  void follow_node(World& world, size_t host);
  void follow_slot(World& world, size_t host);

  std::string subject_;
  std::deque<std::string> lines_;
  std::map<std::string, std::string> last_;
  std::map<size_t, std::set<std::string>> tasks_;  ///< of the slot, by host
};

}  // namespace kith::sim
