#include "api/filters.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "api/json.h"
#include "api/lookup.h"
#include "api/service_view.h"
#include "api/words.h"

namespace kith {
namespace {

constexpr size_t kMaxFilterBytes = 64 * 1024;

const ServiceDoc* service_of(const std::vector<ServiceEntry>& services, const std::string& id) {
  for (const ServiceEntry& one : services)
    if (one.doc.id == id) return &one.doc;
  return nullptr;
}

template <class T, class Keep>
std::vector<T> keep_if(std::vector<T> all, Keep keep) {
  std::erase_if(all, [&](const T& one) { return !keep(one); });
  return all;
}

}  // namespace

Answer<Filters> Filters::parse(std::string_view text) {
  Filters out;
  if (text.empty()) return out;
  if (text.size() > kMaxFilterBytes) return refuse(400, "invalid filter: too long");
  const auto json = parse_json(text);
  if (!json) return refuse(400, "invalid filter: " + json.error().message);
  if (!json->is_object()) return refuse(400, "invalid filter: not a JSON object");
  for (const auto& [key, wanted] : json->items()) {
    auto& values = out.values_[key];
    if (wanted.is_object()) {
      for (const auto& [value, counts] : wanted.items()) values.push_back(value);
    } else if (wanted.is_array()) {
      for (const Json& value : wanted) {
        if (!value.is_string()) return refuse(400, "invalid filter '" + key + "'");
        values.push_back(value.get<std::string>());
      }
    } else {
      return refuse(400, "invalid filter '" + key + "'");
    }
    if (values.empty()) out.values_.erase(key);
  }
  return out;
}

Answer<void> Filters::only(std::span<const std::string_view> known) const {
  for (const auto& [key, values] : values_)
    if (std::find(known.begin(), known.end(), key) == known.end())
      return refuse(400, "Invalid filter '" + key + "'");
  return {};
}

bool Filters::has(std::string_view key) const {
  return values_.find(key) != values_.end();
}

const std::vector<std::string>& Filters::values(std::string_view key) const {
  static const std::vector<std::string> kNone;
  const auto found = values_.find(key);
  return found == values_.end() ? kNone : found->second;
}

bool Filters::exact(std::string_view key, std::string_view value) const {
  const auto& all = values(key);
  return all.empty() || std::find(all.begin(), all.end(), value) != all.end();
}

bool Filters::prefix(std::string_view key, std::string_view value) const {
  const auto& all = values(key);
  return all.empty() || std::any_of(all.begin(), all.end(), [&](const std::string& start) {
           return value.starts_with(start);
         });
}

bool Filters::labels(std::string_view key, const std::map<std::string, std::string>& labels) const {
  for (const std::string& wanted : values(key)) {
    const size_t equals = wanted.find('=');
    const auto found = labels.find(wanted.substr(0, equals));
    if (found == labels.end()) return false;
    if (equals != wanted.npos && found->second != wanted.substr(equals + 1)) return false;
  }
  return true;
}

bool docker_bool(std::string_view text) {
  std::string lower;
  for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return !(lower.empty() || lower == "0" || lower == "no" || lower == "false" || lower == "none");
}

Answer<std::vector<NodeEntry>> filter_nodes(std::vector<NodeEntry> nodes, const Filters& filters) {
  constexpr std::array<std::string_view, 6> kKeys = {"id",   "name",       "label",
                                                     "role", "membership", "node.label"};
  if (auto known = filters.only(kKeys); !known) return tl::unexpected(known.error());
  for (const std::string& role : filters.values("role"))
    if (role != "manager" && role != "worker")
      return refuse(400, "Invalid role filter: '" + role + "'");
  for (const std::string& state : filters.values("membership"))
    if (state != "accepted" && state != "pending")
      return refuse(400, "Invalid membership filter: '" + state + "'");
  return keep_if(std::move(nodes), [&](const NodeEntry& node) {
    return filters.prefix("id", node.view.id.docker_id()) &&
           filters.prefix("name", node.view.name) && filters.exact("role", "manager") &&
           filters.exact("membership", "accepted") &&
           filters.labels("label", node.view.engine.labels) &&
           filters.labels("node.label", node.view.labels);
  });
}

Answer<std::vector<ServiceEntry>> filter_services(std::vector<ServiceEntry> services,
                                                  const Filters& filters) {
  constexpr std::array<std::string_view, 5> kKeys = {"id", "name", "label", "mode", "runtime"};
  if (auto known = filters.only(kKeys); !known) return tl::unexpected(known.error());
  return keep_if(std::move(services), [&](const ServiceEntry& one) {
    return filters.prefix("id", one.doc.id) && filters.prefix("name", one.doc.name) &&
           filters.labels("label", one.doc.spec.labels) &&
           filters.exact("mode", mode_word(one.doc.spec.mode)) &&
           filters.exact("runtime", "container");
  });
}

Answer<std::vector<TaskRecord>> filter_tasks(std::vector<TaskRecord> tasks, const Filters& filters,
                                             const std::vector<ServiceEntry>& services,
                                             const std::vector<NodeEntry>& nodes) {
  constexpr std::array<std::string_view, 8> kKeys = {
      "id", "name", "label", "service", "node", "desired-state", "_up-to-date", "runtime"};
  if (auto known = filters.only(kKeys); !known) return tl::unexpected(known.error());
  std::set<std::string> wanted_services;
  for (const std::string& key : filters.values("service")) {
    const auto found = find_service(services, key);
    if (!found) return tl::unexpected(found.error());
    wanted_services.insert((*found)->doc.id);
  }
  std::set<NodeId> wanted_nodes;
  for (const std::string& key : filters.values("node")) {
    const auto found = find_node(nodes, key);
    if (!found) return tl::unexpected(found.error());
    wanted_nodes.insert((*found)->view.id);
  }
  for (const std::string& state : filters.values("desired-state"))
    if (state != "running" && state != "shutdown" && state != "accepted")
      return refuse(400, "Invalid desired-state filter: '" + state + "'");
  const bool up_to_date =
      !filters.values("_up-to-date").empty() && docker_bool(filters.values("_up-to-date").front());
  return keep_if(std::move(tasks), [&](const TaskRecord& task) {
    const ServiceDoc* service = service_of(services, task.service_id);
    if (up_to_date && (service == nullptr || service->generation != task.generation)) return false;
    if (!wanted_services.empty() && !wanted_services.contains(task.service_id)) return false;
    if (!wanted_nodes.empty() && !wanted_nodes.contains(task.node)) return false;
    // Swarm files `remove` under shutdown, and `accepted` is what it is before it may run.
    const TaskState desired = desired_state(task, service);
    const bool goes = desired != TaskState::kRunning && desired != TaskState::kComplete;
    return filters.prefix("id", task.id) && filters.prefix("name", task.slot.text()) &&
           filters.exact("desired-state", goes ? "shutdown" : "running") &&
           filters.labels("label", service == nullptr ? std::map<std::string, std::string>{}
                                                      : service->spec.labels) &&
           filters.exact("runtime", "container");
  });
}

}  // namespace kith
