#include "agent/catalog.h"

#include <utility>

#include "base/hash.h"
#include "engine/plan.h"

namespace kith {
namespace {

constexpr std::string_view kRoster = "roster/";

/// Of all that a Seat is made of; 0 if it makes none.
uint64_t seat_hash(const TaskRecord& task) {
  if (!present(task)) return 0;
  uint64_t hash = hash_combine(task.slot.hash(), task.node.short_id());
  hash = hash_combine(hash, stable_hash(task.service_id));
  hash = hash_combine(hash_combine(hash, task.generation), task.term);
  return hash_combine(hash, (healthy(task) ? 2U : 0U) + (task.moving ? 1U : 0U));
}

uint64_t refusal_hash(const RefusedRecord& refused) {
  const uint64_t hash = hash_combine(refused.slot.hash(), refused.node.short_id());
  return hash_combine(hash_combine(hash, refused.generation), stable_hash(refused.reason));
}

}  // namespace

std::optional<NodeId> node_of_roster_key(std::string_view key) {
  if (!key.starts_with(kRoster)) return std::nullopt;
  return NodeId::from_hex(key.substr(kRoster.size()));
}

void Catalog::document_changed(const DocStore& docs, const std::string& key) {
  constexpr std::string_view kService = "service/";
  const Document* document = docs.find(key);
  if (key.starts_with(kService)) {
    const std::string name = key.substr(kService.size());
    services_.erase(name);
    if (document == nullptr) return;
    if (auto doc = service_from_json(document->body); doc && doc->name == name)
      services_[name] = std::make_shared<const ServiceDoc>(std::move(*doc));
  } else if (const auto node = node_of_roster_key(key)) {
    if (hidden_.contains(*node)) return;
    roster_.erase(*node);
    if (document == nullptr) return;
    if (auto doc = roster_from_json(document->body); doc && doc->node == *node && counts_(*doc))
      roster_[*node] = std::move(*doc);
  }
}

void Catalog::observed_changed(const ObservedStore& observed, const NodeId& node,
                               const std::string& key) {
  const std::string prefix = "node/" + node.hex() + "/";
  if (!key.starts_with(prefix) || hidden_.contains(node)) return;
  const std::string_view rest = std::string_view(key).substr(prefix.size());
  const Observed* record = observed.find(node, key);
  constexpr std::string_view kTask = "task/";
  if (rest == "info")
    info_changed(node, record);
  else if (rest.starts_with(kTask))
    task_changed(node, std::string(rest.substr(kTask.size())), record);
  else if (rest.starts_with("refused/"))
    refusal_changed(node, key, record);
}

void Catalog::info_changed(const NodeId& node, const Observed* record) {
  if (const auto before = infos_.find(node); before != infos_.end()) {
    digest_ -= before->second.hash;
    infos_.erase(before);
  }
  if (record == nullptr) return;
  auto info = decode_node_info(record->body);
  if (!info || info->node != node) return;
  const uint64_t hash = stable_hash(record->body);
  digest_ += hash;
  infos_[node] = {std::move(*info), hash};
}

void Catalog::task_changed(const NodeId& node, const std::string& id, const Observed* record) {
  Tasks& tasks = tasks_[node];
  if (const auto before = tasks.find(id); before != tasks.end()) {
    digest_ -= seat_hash(*before->second.record);
    by_slot_->erase(*before->second.record);
    tasks.erase(before);
  }
  if (record == nullptr) return;
  auto decoded = decode_task(record->body);
  if (!decoded || decoded->node != node || decoded->id != id) return;
  const Task task{std::make_shared<const TaskRecord>(std::move(*decoded)), record->epoch};
  digest_ += seat_hash(*task.record);
  by_slot_->set(task.record, task.epoch);
  tasks[id] = task;
}

void Catalog::refusal_changed(const NodeId& node, const std::string& key, const Observed* record) {
  Refusals& all = refusals_[node];
  std::erase_if(all, [&](const auto& item) {
    if (refused_key(node, item.first) != key) return false;
    digest_ -= refusal_hash(item.second);
    return true;
  });
  if (record == nullptr) return;
  // Of no other slot than its key says: else it could not be found to be taken back.
  auto refused = decode_refused(record->body);
  if (!refused || refused->node != node || refused_key(node, refused->slot) != key) return;
  digest_ += refusal_hash(*refused);
  const SlotKey slot = refused->slot;
  all[slot] = std::move(*refused);
}

void Catalog::hide(const NodeId& node) {
  hidden_.insert(node);
  roster_.erase(node);
  info_changed(node, nullptr);
  for (const auto& [id, task] : tasks_[node]) {
    digest_ -= seat_hash(*task.record);
    by_slot_->erase(*task.record);
  }
  tasks_.erase(node);
  for (const auto& [slot, refused] : refusals_[node]) digest_ -= refusal_hash(refused);
  refusals_.erase(node);
}

std::shared_ptr<const TaskRecord> Catalog::task(const NodeId& node, const std::string& key) const {
  const auto of_node = tasks_.find(node);
  const size_t slash = key.rfind('/');
  if (of_node == tasks_.end() || slash == std::string::npos) return nullptr;
  const auto at = of_node->second.find(key.substr(slash + 1));
  return at == of_node->second.end() || task_key(node, at->first) != key ? nullptr
                                                                         : at->second.record;
}

const NodeInfo* Catalog::info(const NodeId& node) const {
  const auto at = infos_.find(node);
  return at == infos_.end() ? nullptr : &at->second.said;
}

std::string Catalog::name_of(const NodeId& node) const {
  if (const NodeInfo* said = info(node)) return said->name;
  const auto at = roster_.find(node);
  return at == roster_.end() || at->second.name.empty() ? node.docker_id() : at->second.name;
}

}  // namespace kith
