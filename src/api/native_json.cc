#include "api/native_json.h"

#include <map>

#include "api/json.h"
#include "api/registry_auth.h"
#include "api/service_view.h"
#include "api/time_text.h"
#include "api/words.h"

namespace kith {
namespace {

Json map_of(const std::map<std::string, std::string>& values) {
  Json out = Json::object();
  for (const auto& [name, value] : values) out[name] = value;
  return out;
}

const char* health_of(Health health) {
  switch (health) {
    case Health::kNone:
      return "";
    case Health::kStarting:
      return "starting";
    case Health::kHealthy:
      return "healthy";
    case Health::kUnhealthy:
      return "unhealthy";
  }
  return "";
}

std::string ports_text(const std::vector<PortSpec>& ports) {
  std::string out;
  for (const PortSpec& port : ports) {
    if (!out.empty()) out += ", ";
    out += "*:" + std::to_string(port.published) + "->" + std::to_string(port.target) + "/" +
           port.protocol;
  }
  return out;
}

// `web.2`, or `web.nas` for a global slot.
std::string slot_text(const SlotKey& slot, const std::map<NodeId, std::string>& names) {
  if (slot.node.none()) return slot.text();
  const auto found = names.find(slot.node);
  return found == names.end() ? slot.text() : slot.service + "." + found->second;
}

/// As far as anybody may see it: a service's has two specs, each with its registry's credentials.
/// What cannot be read may hold them too.
Json lost_document(const std::string& body) {
  auto document = parse_json(body);
  if (!document) return "not shown: " + document.error().message;
  for (const char* spec : {"spec", "previous"})
    if (document->is_object() && document->contains(spec)) hide_registry_auth((*document)[spec]);
  return std::move(*document);
}

}  // namespace

std::string node_state(const NodeEntry& node) {
  switch (node.view.liveness) {
    case Liveness::kDead:
      return "dead";
    case Liveness::kLeft:
      return "left";
    case Liveness::kSuspect:
      return "suspect";
    case Liveness::kAlive:
      break;
  }
  if (!node.view.engine.present) return "witness";
  if (!node.view.engine.up) return "engine down";
  return node.view.ready ? "ready" : "held down";
}

std::string status_json(const StatusReport& status, std::span<const NodeEntry> nodes,
                        size_t services) {
  Json states = Json::object();
  for (const NodeEntry& node : nodes) {
    Json& count = states[node_state(node)];
    count = count.is_null() ? 1 : count.get<int>() + 1;
  }
  Json counters = Json::object();
  for (const auto& [name, value] : status.counters) counters[name] = value;
  return dump(Json{{"cluster", status.cluster},
                   {"cluster_id", status.cluster_id},
                   {"version", KITH_VERSION},
                   {"node", status.node_name},
                   {"node_id", status.node.docker_id()},
                   {"epoch", status.epoch},
                   {"started", rfc3339(status.started)},
                   {"nodes", nodes.size()},
                   {"node_states", std::move(states)},
                   {"services", services},
                   {"docs_root", std::to_string(status.docs_root)},
                   {"health_multiplier", status.health_multiplier},
                   {"counters", std::move(counters)},
                   {"warnings", status.warnings}});
}

std::string native_nodes_json(std::span<const NodeEntry> nodes) {
  Json out = Json::array();
  for (const NodeEntry& node : nodes)
    out.push_back({{"id", node.view.id.docker_id()},
                   {"name", node.view.name},
                   {"self", node.self},
                   {"state", node_state(node)},
                   {"since", rfc3339(node.since)},
                   {"availability", availability_word(node.view.availability)},
                   {"address", node.address.text()},
                   {"version", node.info ? node.info->version : ""},
                   {"engine", node.view.engine.version},
                   {"engine_error", node.view.engine.error},
                   {"labels", map_of(node.view.labels)},
                   {"weight", node.view.weight},
                   {"nano_cpus", node.view.nano_cpus},
                   {"memory_bytes", node.view.memory_bytes}});
  return dump(out);
}

std::string native_services_json(std::span<const ServiceEntry> services,
                                 std::span<const TaskRecord> tasks, WallTime now) {
  Json out = Json::array();
  for (const ServiceEntry& one : services) {
    const ServiceCounts counts = count_tasks(one.doc, tasks);
    const auto update = update_report(one.doc, tasks, now);
    out.push_back({{"id", one.doc.id},
                   {"name", one.doc.name},
                   {"mode", mode_word(one.doc.spec.mode)},
                   {"running", counts.running},
                   {"desired", counts.desired},
                   {"image", one.doc.spec.image},
                   {"ports", ports_text(one.doc.spec.ports)},
                   {"generation", one.doc.generation},
                   {"updated", rfc3339(one.doc.updated)},
                   {"update", update ? update->state : ""},
                   {"update_message", update ? update->message : ""}});
  }
  return dump(out);
}

std::string native_tasks_json(std::span<const TaskRecord> tasks,
                              std::span<const ServiceEntry> services,
                              std::span<const NodeEntry> nodes, bool containers) {
  std::map<NodeId, std::string> names;
  for (const NodeEntry& node : nodes) names[node.view.id] = node.view.name;
  std::map<std::string, const ServiceDoc*> docs;
  for (const ServiceEntry& one : services) docs[one.doc.id] = &one.doc;
  Json out = Json::array();
  for (const TaskRecord& task : tasks) {
    if (containers && task.container_id.empty()) continue;
    const auto doc = docs.find(task.service_id);
    const auto desired = desired_state(task, doc == docs.end() ? nullptr : doc->second);
    const auto node = names.find(task.node);
    out.push_back({{"id", task.id},
                   {"slot", slot_text(task.slot, names)},
                   {"service", task.slot.service},
                   {"node", node == names.end() ? "" : node->second},
                   {"node_id", task.node.none() ? "" : task.node.docker_id()},
                   {"image", task.image},
                   {"state", to_string(task.state)},
                   {"desired", to_string(desired)},
                   {"health", health_of(task.health)},
                   {"since", rfc3339(task.since)},
                   {"created", rfc3339(task.created)},
                   {"message", task.message},
                   {"error", task.error},
                   {"container", task.container_id},
                   {"exit_code", task.exit_code},
                   {"failures", task.failures},
                   {"generation", task.generation},
                   {"term", task.term},
                   {"ports", ports_text(task.ports)}});
  }
  return dump(out);
}

std::string explanation_json(const Explanation& explanation) {
  Json seats = Json::array();
  for (const auto& seat : explanation.seats)
    seats.push_back({{"node", seat.node}, {"state", seat.state}, {"note", seat.note}});
  Json walk = Json::array();
  for (const auto& step : explanation.walk)
    walk.push_back({{"node", step.node}, {"chosen", step.chosen}, {"reason", step.reason}});
  return dump(Json{{"slot", explanation.slot},
                   {"verdict", explanation.verdict},
                   {"seats", std::move(seats)},
                   {"walk", std::move(walk)}});
}

std::string conflicts_json(std::span<const ConflictEntry> conflicts) {
  Json out = Json::array();
  for (const ConflictEntry& one : conflicts) {
    out.push_back({{"key", one.key},
                   {"reason", one.reason},
                   {"lost_at", rfc3339(one.lost_at)},
                   {"lost_author", one.lost_author},
                   {"won_at", rfc3339(one.won_at)},
                   {"won_author", one.won_author},
                   {"lost", lost_document(one.lost_body)}});
  }
  return dump(out);
}

std::string keys_json(std::span<const KeyEntry> keys) {
  Json out = Json::array();
  for (const KeyEntry& key : keys)
    out.push_back({{"id", key.id},
                   {"created", key.created.ms == 0 ? "" : rfc3339(key.created)},
                   {"used", key.used.ms == 0 ? "" : rfc3339(key.used)},
                   {"primary", key.primary},
                   {"configured", key.configured},
                   {"next", key.next},
                   {"leaving", key.leaving},
                   {"lacking", key.lacking},
                   {"needed_by", key.needed_by}});
  return dump(out);
}

std::string key_json(const std::string& id) {
  return dump(Json{{"id", id}});
}

std::string native_event_json(const ClusterEvent& event) {
  return dump(Json{{"at", rfc3339(event.at)},
                   {"at_ms", event.at.ms},
                   {"type", event.type},
                   {"action", event.action},
                   {"id", event.id},
                   {"name", event.name},
                   {"text", event.text},
                   {"attributes", map_of(event.attributes)}});
}

}  // namespace kith
