#include "agent/catalog.h"

namespace kith {

constexpr std::string_view kRoster = "roster/";

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
  if (rest == "info") {
    infos_.erase(node);
    if (record == nullptr) return;
    if (auto info = decode_node_info(record->body); info && info->node == node)
      infos_[node] = std::move(*info);
  } else if (rest.starts_with(kTask)) {
    const std::string id(rest.substr(kTask.size()));
    tasks_[node].erase(id);
    if (record == nullptr) return;
    if (auto task = decode_task(record->body); task && task->node == node && task->id == id)
      tasks_[node][id] = {std::make_shared<const TaskRecord>(std::move(*task)), record->epoch};
  } else if (rest.starts_with("refused/")) {
    Refusals& all = refusals_[node];
    std::erase_if(all, [&](const auto& item) { return refused_key(node, item.first) == key; });
    if (record == nullptr) return;
    // Of no other slot than its key says: else it could not be found to be taken back.
    if (auto refused = decode_refused(record->body);
        refused && refused->node == node && refused_key(node, refused->slot) == key) {
      const SlotKey slot = refused->slot;
      all[slot] = std::move(*refused);
    }
  }
}

void Catalog::hide(const NodeId& node) {
  hidden_.insert(node);
  roster_.erase(node);
  infos_.erase(node);
  tasks_.erase(node);
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
  return at == infos_.end() ? nullptr : &at->second;
}

std::string Catalog::name_of(const NodeId& node) const {
  if (const NodeInfo* said = info(node)) return said->name;
  const auto at = roster_.find(node);
  return at == roster_.end() || at->second.name.empty() ? node.docker_id() : at->second.name;
}

}  // namespace kith
