// World: questions about the whole cluster.

#include <algorithm>

#include "world.h"

namespace kith::sim {

std::vector<size_t> World::live() const {
  std::vector<size_t> out;
  for (size_t i = 0; i < size(); ++i)
    if (hosts_[i]->up() && hosts_[i]->agent_up() && !hosts_[i]->frozen() && !hosts_[i]->is_clone())
      out.push_back(i);
  return out;
}

std::optional<size_t> World::index_of(const NodeId& node) const {
  for (size_t i = 0; i < size(); ++i)
    if (hosts_[i]->id() == node && !hosts_[i]->is_clone()) return i;
  return std::nullopt;
}

bool World::connected(size_t a, size_t b) const {
  return !network_.is_cut(a, b) && !network_.is_cut(b, a);
}

bool World::views_agree() const {
  const std::vector<size_t> agents = live();
  for (const size_t i : agents)  // what is cheap to see first
    if (hosts_[i]->node().membership().alive_count() != agents.size()) return false;
  for (const size_t i : agents) {
    const Swim& swim = hosts_[i]->node().membership();
    for (const size_t other : agents) {
      const Member* member = swim.find(hosts_[other]->id());
      if (member == nullptr || member->state != MemberState::kAlive) return false;
    }
  }
  return true;
}

bool World::converged() const {
  const std::vector<size_t> agents = live();
  for (const size_t i : agents) {
    const Node& node = hosts_[i]->node();
    if (!node.synced() || node.documents().root() != hosts_[agents[0]]->node().documents().root())
      return false;
  }
  if (!views_agree()) return false;
  const auto enrolled = [&](size_t other) {  // of the documents, which are equal everywhere
    return hosts_[agents[0]]->node().catalog().roster().contains(hosts_[other]->id());
  };
  return std::all_of(agents.begin(), agents.end(), enrolled);
}

std::map<SlotKey, std::vector<size_t>> World::running() const {
  std::map<SlotKey, std::vector<size_t>> out;
  for (size_t i = 0; i < size(); ++i) {
    if (!hosts_[i]->up()) continue;
    for (const ContainerInfo* container : hosts_[i]->engine().running())
      out[container->slot].push_back(i);
  }
  return out;
}

const std::vector<TaskRecord>& World::tasks_of(size_t host) const {
  static const std::vector<TaskRecord> kNothing;
  return host < tasks_.size() ? tasks_[host].records : kNothing;
}

uint64_t World::tasks_changes(size_t host) const {
  return host < tasks_.size() ? tasks_[host].changes : 0;
}

size_t World::running_count(const std::string& service) const {
  size_t count = 0;
  for (const auto& [slot, hosts] : running())
    if (slot.service == service) count += hosts.size();
  return count;
}

bool World::runs_exactly(const std::string& service, uint32_t replicas) const {
  const auto all = running();
  if (running_count(service) != replicas) return false;
  for (uint32_t index = 1; index <= replicas; ++index) {
    const auto at = all.find(SlotKey{service, index, {}});
    if (at == all.end() || at->second.size() != 1) return false;
  }
  return true;
}

}  // namespace kith::sim
