#include "api/metrics.h"

#include <cctype>
#include <map>

#include "api/native_json.h"
#include "api/service_view.h"

namespace kith {
namespace {

std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    out += c;
  }
  return out;
}

std::string label(std::string_view name, std::string_view value) {
  return std::string(name) + "=\"" + escaped(value) + "\"";
}

class Writer {
 public:
  void head(const std::string& name, const char* type, const std::string& help) {
    out_ += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  }
  void value(const std::string& name, const std::string& labels, uint64_t value) {
    out_ += name + (labels.empty() ? "" : "{" + labels + "}") + " " + std::to_string(value) + "\n";
  }
  void one(const std::string& name, const char* type, const std::string& help, uint64_t number) {
    head(name, type, help);
    value(name, "", number);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

std::string metric_name(std::string_view counter) {
  std::string out = "kith_";
  for (const char c : counter) out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return out + "_total";
}

}  // namespace

std::string metrics_text(const StatusReport& status, std::span<const NodeEntry> nodes,
                         std::span<const ServiceEntry> services,
                         std::span<const TaskRecord> tasks) {
  Writer out;
  out.head("kith_info", "gauge", "What this agent is.");
  out.value("kith_info",
            label("version", KITH_VERSION) + "," + label("cluster", status.cluster) + "," +
                label("node", status.node_name) + "," + label("node_id", status.node.docker_id()),
            1);
  out.one("kith_epoch", "gauge", "How often this node has started.", status.epoch);
  out.one("kith_health_multiplier", "gauge", "Lifeguard's local health; 0 is well.",
          status.health_multiplier);
  out.one("kith_warnings", "gauge", "Lines that `kith status` warns with.", status.warnings.size());

  std::map<std::string, uint64_t> states = {{"ready", 0}, {"suspect", 0}, {"dead", 0}};
  for (const NodeEntry& node : nodes) ++states[node_state(node)];
  out.head("kith_nodes", "gauge", "Rostered nodes, by state as this node sees them.");
  for (const auto& [state, count] : states) out.value("kith_nodes", label("state", state), count);

  out.head("kith_service_tasks_desired", "gauge", "Tasks that a service should run.");
  std::map<std::string, ServiceCounts> counts;
  for (const ServiceEntry& one : services) counts[one.doc.name] = count_tasks(one.doc, tasks);
  for (const auto& [name, count] : counts)
    out.value("kith_service_tasks_desired", label("service", name), count.desired);
  out.head("kith_service_tasks_running", "gauge", "Slots of a service that run.");
  for (const auto& [name, count] : counts)
    out.value("kith_service_tasks_running", label("service", name), count.running);

  std::map<std::string, uint64_t> by_state;
  for (const TaskRecord& task : tasks) ++by_state[std::string(to_string(task.state))];
  out.head("kith_tasks", "gauge", "Tasks by state.");
  for (const auto& [state, count] : by_state) out.value("kith_tasks", label("state", state), count);

  for (const auto& [name, value] : status.counters)
    out.one(metric_name(name), "counter", "Since this agent started.", value);
  return out.take();
}

}  // namespace kith
