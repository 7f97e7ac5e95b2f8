#include "cli/commands.h"

#include <cstdio>
#include <ctime>

#include "api/json.h"
#include "api/time_text.h"
#include "cli/table.h"
#include "io/http.h"
#include "io/loop.h"

namespace kith {
namespace {

constexpr size_t kShortId = 12;
constexpr size_t kErrorWidth = 60;

int fail_with(const Error& error) {
  std::fprintf(stderr, "kith: %s\n", error.message.c_str());
  return 1;
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

// The agent's answer, or the exit status.
tl::expected<Json, int> fetch(const AgentClient& agent, const std::string& target) {
  const auto body = agent.ask("GET", target);
  if (!body) return tl::unexpected(fail_with(body.error()));
  try {
    // Trusted, and longer than what parse_json lets in from outside.
    return Json::parse(*body);
  } catch (const Json::exception& e) {
    return tl::unexpected(
        fail_with({ErrorCode::kFailed, "the agent's answer is no JSON: " + std::string(e.what())}));
  }
}

int print_json(const Json& json) {
  print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  return 0;
}

std::string text(const Json& object, const char* key) {
  const Json* value = member(object, key);
  if (value == nullptr || value->is_null()) return {};
  return value->is_string() ? value->get<std::string>() : dump(*value);
}

std::string short_id(const Json& object, const char* key) {
  return text(object, key).substr(0, kShortId);
}

std::string capital(std::string word) {
  if (!word.empty() && word[0] >= 'a' && word[0] <= 'z') word[0] = static_cast<char>(word[0] - 32);
  return word;
}

// `Running 5 seconds ago`
std::string since(const Json& object, const std::string& state) {
  const WallTime now = read_now().wall;
  const auto at = parse_time(text(object, "since"), now);
  if (!at || at->ms <= 0) return capital(state);
  std::string ago = human_duration((now.ms - at->ms) / 1000) + " ago";
  if (ago[0] == 'L' || ago[0] == 'A') ago[0] = static_cast<char>(ago[0] + 32);
  return capital(state) + " " + ago;
}

std::string task_state(const Json& task) {
  std::string state = text(task, "state");
  const std::string health = text(task, "health");
  std::string out = since(task, state);
  if (state == "running" && !health.empty()) out += " (" + health + ")";
  return out;
}

std::string error_of(const Json& task) {
  const std::string error = text(task, "error");
  return error.empty() ? error : "\"" + shortened(error, kErrorWidth) + "\"";
}

}  // namespace

int show_status(const AgentClient& agent, Format format) {
  const auto status = fetch(agent, "/kith/v1/status");
  if (!status) return status.error();
  if (format == Format::kJson) return print_json(*status);
  std::string states;
  for (const auto& [state, count] : (*status)["node_states"].items())
    states += (states.empty() ? "" : ", ") + dump(count) + " " + state;
  const std::string health = text(*status, "health_multiplier");
  print("Cluster:   " + text(*status, "cluster") + " (" + text(*status, "cluster_id") + ")\n");
  print("Node:      " + text(*status, "node") + " (" + text(*status, "node_id") + ")\n");
  print("Nodes:     " + text(*status, "nodes") + " (" + states + ")\n");
  print("Services:  " + text(*status, "services") + "\n");
  print("Health:    " + (health == "0" ? "well" : "slow (" + health + ")") + "\n");
  print("Started:   " + text(*status, "started") + " (epoch " + text(*status, "epoch") + ")\n");
  print("Documents: root " + text(*status, "docs_root") + "\n");
  print("Version:   " + text(*status, "version") + "\n");
  for (const auto& [name, value] : (*status)["counters"].items())
    if (value != 0) print("  " + name + ": " + dump(value) + "\n");
  for (const Json& warning : (*status)["warnings"])
    print("WARNING: " + shortened(text_of(&warning), 1000) + "\n");
  return 0;
}

int list_nodes(const AgentClient& agent, Format format) {
  const auto nodes = fetch(agent, "/kith/v1/nodes");
  if (!nodes) return nodes.error();
  if (format == Format::kJson) return print_json(*nodes);
  Table table({"ID", "HOSTNAME", "STATUS", "AVAILABILITY", "ADDRESS", "ENGINE VERSION", "VERSION"});
  for (const Json& node : *nodes) {
    const bool self = text(node, "self") == "true";
    table.add({text(node, "id") + (self ? " *" : ""), text(node, "name"),
               since(node, text(node, "state")), capital(text(node, "availability")),
               text(node, "address"), text(node, "engine"), text(node, "version")});
  }
  print(table.text());
  return 0;
}

int remove_nodes(const AgentClient& agent, const std::vector<std::string>& names, bool force) {
  int worst = 0;
  for (const std::string& name : names) {
    auto answer = agent.ask("DELETE", "/nodes/" + percent_encode(name) + (force ? "?force=1" : ""));
    if (answer) {
      print(name + "\n");
    } else {
      Error& error = answer.error();
      if (error.message.ends_with("can't be removed"))
        error.message += ": stop its agent (`kith leave` there) first, or ban it with --force";
      worst = fail_with(answer.error());
    }
  }
  return worst;
}

int list_services(const AgentClient& agent, Format format) {
  const auto services = fetch(agent, "/kith/v1/services");
  if (!services) return services.error();
  if (format == Format::kJson) return print_json(*services);
  Table table({"ID", "NAME", "MODE", "REPLICAS", "IMAGE", "PORTS", "UPDATE"});
  for (const Json& one : *services)
    table.add({short_id(one, "id"), text(one, "name"), text(one, "mode"),
               text(one, "running") + "/" + text(one, "desired"), text(one, "image"),
               text(one, "ports"), text(one, "update")});
  print(table.text());
  return 0;
}

int list_service_tasks(const AgentClient& agent, const std::vector<std::string>& services,
                       Format format) {
  Json all = Json::array();
  for (const std::string& service : services) {
    auto tasks = fetch(agent, "/kith/v1/tasks?service=" + percent_encode(service));
    if (!tasks) return tasks.error();
    for (Json& task : *tasks) all.push_back(std::move(task));
  }
  if (format == Format::kJson) return print_json(all);
  Table table({"ID", "NAME", "IMAGE", "NODE", "DESIRED STATE", "CURRENT STATE", "ERROR", "PORTS"});
  std::string last;
  for (const Json& task : all) {
    const std::string slot = text(task, "slot");
    table.add({short_id(task, "id"), (slot == last ? " \\_ " : "") + slot, text(task, "image"),
               text(task, "node"), capital(text(task, "desired")), task_state(task), error_of(task),
               text(task, "ports")});
    last = slot;
  }
  print(table.text());
  return 0;
}

int list_containers(const AgentClient& agent, bool all, Format format) {
  auto containers = fetch(agent, "/kith/v1/containers");
  if (!containers) return containers.error();
  Json shown = Json::array();
  for (Json& one : *containers)
    if (all || text(one, "state") == "running" || text(one, "state") == "starting")
      shown.push_back(std::move(one));
  if (format == Format::kJson) return print_json(shown);
  Table table({"CONTAINER ID", "NAME", "IMAGE", "NODE", "STATUS", "PORTS"});
  for (const Json& one : shown)
    table.add({short_id(one, "container"), text(one, "slot"), text(one, "image"), text(one, "node"),
               task_state(one), text(one, "ports")});
  print(table.text());
  return 0;
}

int explain_slot(const AgentClient& agent, const std::string& slot, Format format) {
  const auto story = fetch(agent, "/kith/v1/explain/" + percent_encode(slot));
  if (!story) return story.error();
  if (format == Format::kJson) return print_json(*story);
  print(text(*story, "slot") + ": " + text(*story, "verdict") + "\n");
  if (!(*story)["seats"].empty()) {
    print("\n");
    Table seats({"SEAT", "STATE", "NOTE"});
    for (const Json& seat : (*story)["seats"])
      seats.add({text(seat, "node"), text(seat, "state"), text(seat, "note")});
    print(seats.text());
  }
  if ((*story)["walk"].empty()) return 0;
  print("\n");
  Table walk({"WALK", "REASON"});
  for (const Json& step : (*story)["walk"]) walk.add({text(step, "node"), text(step, "reason")});
  print(walk.text());
  return 0;
}

int show_events(const AgentClient& agent, bool follow, const std::string& since, Format format) {
  std::string target = "/kith/v1/events?follow=" + std::string(follow ? "1" : "0");
  if (!since.empty()) target += "&since=" + percent_encode(since);
  const auto show = [format](std::string_view line) {
    if (format == Format::kJson) {
      print(std::string(line) + "\n");
    } else if (const auto event = parse_json(line)) {
      print(text(*event, "at") + "  " + shortened(text(*event, "text"), 1000) + "\n");
    }
    std::fflush(stdout);
  };
  const auto status = agent.follow(target, show);
  return status ? 0 : fail_with(status.error());
}

int list_conflicts(const AgentClient& agent, Format format) {
  const auto conflicts = fetch(agent, "/kith/v1/conflicts");
  if (!conflicts) return conflicts.error();
  if (format == Format::kJson) return print_json(*conflicts);
  Table table({"KEY", "REASON", "LOST EDIT", "BY", "WINNER", "BY"});
  for (const Json& one : *conflicts)
    table.add({text(one, "key"), text(one, "reason"), text(one, "lost_at"),
               text(one, "lost_author"), text(one, "won_at"), text(one, "won_author")});
  print(table.text());
  return 0;
}

int leave_cluster(const AgentClient& agent, bool keep_running) {
  const auto answer =
      agent.ask("POST", std::string("/kith/v1/leave") + (keep_running ? "?keep_running=1" : ""));
  if (!answer) return fail_with(answer.error());
  print("This host has left the cluster.\n");
  return 0;
}

}  // namespace kith
