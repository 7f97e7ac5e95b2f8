#include "placement/preference.h"

#include <algorithm>
#include <map>
#include <utility>

#include "placement/constraint.h"

namespace kith {

PreferenceTree::PreferenceTree(const PlacementView& view,
                               const std::vector<std::string>& descriptors,
                               const std::vector<uint8_t>& member)
    : leaf_(view.nodes.size(), 0) {
  const size_t levels = std::min(descriptors.size(), kMaxPreferenceLevels);
  groups_.resize(levels);
  std::vector<uint32_t> above(view.nodes.size(), kRoot);
  for (size_t level = 0; level < levels; ++level) {
    std::map<std::pair<uint32_t, std::string>, uint32_t> known;
    for (uint32_t node = 0; node < view.nodes.size(); ++node) {
      if (member[node] == 0) continue;
      const uint32_t next = static_cast<uint32_t>(groups_[level].size());
      const auto [at, fresh] = known.try_emplace(
          {above[node], spread_value(descriptors[level], view.nodes[node])}, next);
      if (fresh) {
        groups_[level].push_back({above[node], 0, {}});
        auto& siblings = level == 0 ? outermost_ : groups_[level - 1][above[node]].children;
        siblings.push_back(next);
      }
      above[node] = at->second;
    }
  }
  if (levels == 0) {
    path_.emplace_back();
    return;
  }
  leaves_ = static_cast<uint32_t>(groups_.back().size());
  for (uint32_t leaf = 0; leaf < leaves_; ++leaf) {
    std::vector<uint32_t> path(levels);
    for (uint32_t group = leaf, level = static_cast<uint32_t>(levels); level-- > 0;) {
      path[level] = group;
      group = groups_[level][group].parent;
    }
    path_.push_back(std::move(path));
  }
  for (uint32_t node = 0; node < view.nodes.size(); ++node)
    if (member[node] != 0) leaf_[node] = above[node];
}

void PreferenceTree::add(uint32_t leaf, int change) {
  const auto moved = [change](uint64_t count) {
    return change < 0 ? count - static_cast<uint64_t>(-change)
                      : count + static_cast<uint64_t>(change);
  };
  total_ = moved(total_);
  for (size_t level = 0; level < groups_.size(); ++level) {
    uint64_t& count = groups_[level][path_[leaf][level]].count;
    count = moved(count);
  }
}

uint64_t PreferenceTree::violated_below(const std::vector<uint32_t>& siblings, size_t level,
                                        uint64_t total) const {
  if (siblings.empty()) return 0;
  const uint64_t low = total / siblings.size();
  const uint64_t high = (total + siblings.size() - 1) / siblings.size();
  uint64_t sum = 0;
  for (const uint32_t group : siblings) {
    const uint64_t count = groups_[level][group].count;
    sum += count > high ? count - high : count < low ? low - count : 0;
  }
  return sum;
}

uint64_t PreferenceTree::violated() const {
  if (groups_.empty()) return 0;
  uint64_t sum = violated_below(outermost_, 0, total_);
  for (size_t level = 0; level + 1 < groups_.size(); ++level)
    for (const Group& group : groups_[level])
      sum += violated_below(group.children, level + 1, group.count);
  return sum;
}

/// Of the sibling groups at `from_level` and below that the leaf's ancestors stand among.
uint64_t PreferenceTree::violated_around(uint32_t leaf, size_t from_level) const {
  uint64_t sum = 0;
  for (size_t level = from_level; level < groups_.size(); ++level) {
    if (level == 0) {
      sum += violated_below(outermost_, 0, total_);
    } else {
      const Group& parent = groups_[level - 1][path_[leaf][level - 1]];
      sum += violated_below(parent.children, level, parent.count);
    }
  }
  return sum;
}

int64_t PreferenceTree::gain(uint32_t from, uint32_t to) {
  if (from == to) return 0;
  size_t parting = 0;  // the first level at which they are in different groups
  while (path_[from][parting] == path_[to][parting]) ++parting;
  const auto around = [&] {
    return violated_around(from, parting) + violated_around(to, parting + 1);
  };
  const uint64_t before = around();
  add(from, -1);
  add(to, 1);
  const uint64_t after = around();
  add(to, -1);
  add(from, 1);
  return static_cast<int64_t>(before) - static_cast<int64_t>(after);
}

}  // namespace kith
