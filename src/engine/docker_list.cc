#include <algorithm>
#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>

#include "engine/docker_task.h"
#include "io/http.h"

namespace kith {
namespace {

using Json = nlohmann::json;

constexpr Duration kListTime = std::chrono::seconds(30);

const Json& at(const Json& object, const char* key) {
  static const Json kNothing;
  if (!object.is_object()) return kNothing;
  const auto found = object.find(key);
  return found == object.end() ? kNothing : *found;
}

std::string text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : "";
}

template <class T>
T number(const std::string& digits) {
  T value{};
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

/// `2026-01-02T03:04:05.678901234Z`; zero for the engine's `0001-01-01T00:00:00Z`.
WallTime wall_time(const std::string& stamp) {
  std::tm parts{};
  const char* rest = strptime(stamp.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr || parts.tm_year < 70) return {};
  int64_t ms = 0;
  if (*rest == '.')
    for (int i = 1, scale = 100; i <= 3 && rest[i] >= '0' && rest[i] <= '9'; ++i, scale /= 10)
      ms += (rest[i] - '0') * scale;
  return {static_cast<int64_t>(timegm(&parts)) * 1000 + ms};
}

Health health_of(const Json& state) {
  const std::string status = text(at(at(state, "Health"), "Status"));
  if (status == "starting") return Health::kStarting;
  if (status == "healthy") return Health::kHealthy;
  if (status == "unhealthy") return Health::kUnhealthy;
  return Health::kNone;
}

ContainerStatus status_of(const Json& state) {
  const std::string status = text(at(state, "Status"));
  if (status == "created") return ContainerStatus::kCreated;
  if (status == "running" || status == "restarting") return ContainerStatus::kRunning;
  if (status == "paused") return ContainerStatus::kPaused;
  return ContainerStatus::kExited;
}

std::vector<PortSpec> ports_of(const Json& inspected) {
  std::vector<PortSpec> ports;
  const Json& published = at(at(inspected, "NetworkSettings"), "Ports");
  if (!published.is_object()) return ports;
  for (const auto& [key, bindings] : published.items()) {
    if (!bindings.is_array() || bindings.empty()) continue;
    PortSpec port;
    const size_t slash = key.find('/');
    port.target = number<uint16_t>(key.substr(0, slash));
    if (slash != std::string::npos) port.protocol = key.substr(slash + 1);
    port.published = number<uint16_t>(text(at(bindings.front(), "HostPort")));
    port.host_mode = true;
    ports.push_back(std::move(port));
  }
  return ports;
}

}  // namespace

Result<ContainerInfo> container_info(const std::string& inspected) {
  const Json json = Json::parse(inspected, nullptr, false);
  const Json& config = at(json, "Config");
  const Json& labels = at(config, "Labels");
  const Json& state = at(json, "State");
  ContainerInfo info;
  info.container_id = text(at(json, "Id"));
  info.task_id = text(at(labels, kTaskLabel.data()));
  info.slot.service = text(at(labels, kServiceLabel.data()));
  if (info.container_id.empty() || info.task_id.empty() || info.slot.service.empty())
    return fail(ErrorCode::kInvalid, "not a container of ours");
  const std::string slot = text(at(labels, kSlotLabel.data()));
  if (const auto node = NodeId::from_hex(slot))
    info.slot.node = *node;
  else
    info.slot.index = number<uint32_t>(slot);
  info.service_id = text(at(labels, kServiceIdLabel.data()));
  info.generation = number<Generation>(text(at(labels, kGenerationLabel.data())));
  info.term = number<Term>(text(at(labels, kTermLabel.data())));
  info.image = text(at(config, "Image"));
  info.status = status_of(state);
  info.health = health_of(state);
  if (const Json& code = at(state, "ExitCode"); code.is_number())
    info.exit_code = code.get<int32_t>();
  if (const Json& pid = at(state, "Pid"); pid.is_number()) info.pid = pid.get<uint32_t>();
  info.created = wall_time(text(at(json, "Created")));
  info.started = wall_time(text(at(state, "StartedAt")));
  info.ports = ports_of(json);
  return info;
}

void DockerHost::list() {
  if (!up_) return;  // EngineUp follows, and is answered by asking again
  listing_ = std::make_unique<Listing>();
  const std::string filters = R"({"label":[")" + std::string(kTaskLabel) + R"("]})";
  listing_->call = ask("GET", "/containers/json?all=1&filters=" + percent_encode(filters), "",
                       kListTime, [this](Result<HttpResponse> answer) {
                         if (!answer) return lost(answer.error().message);
                         if (answer->status != 200)
                           return lost("container list: " + engine_words(*answer));
                         listed(answer->body);
                       });
}

void DockerHost::listed(const std::string& body) {
  const Json all = Json::parse(body, nullptr, false);
  if (!all.is_array()) return lost("container list: no JSON");
  for (const Json& one : all)
    if (const std::string id = text(at(one, "Id")); !id.empty()) listing_->to_inspect.push_back(id);
  inspect_next();
}

void DockerHost::inspect_next() {
  while (listing_->inspecting.size() < kMaxParallelInspects && !listing_->to_inspect.empty()) {
    const std::string id = listing_->to_inspect.front();
    listing_->to_inspect.pop_front();
    listing_->inspecting[id] =
        ask("GET", "/containers/" + id + "/json", "", kListTime,
            [this, id](Result<HttpResponse> answer) {
              if (!answer) return lost(answer.error().message);
              // One left out would be started a second time.
              if (answer->status != 200 && answer->status != 404)
                return lost("container " + id.substr(0, 12) + ": " + engine_words(*answer));
              if (answer->status == 200)
                if (auto info = container_info(answer->body))
                  listing_->found.emplace(id, std::move(*info));
              listing_->inspecting.erase(std::string(id));
              inspect_next();
            });
  }
  if (listing_->inspecting.empty()) finish_list();
}

void DockerHost::finish_list() {
  pause_ = kFirstPause;
  const std::unique_ptr<Listing> listing = std::move(listing_);
  Inventory inventory;
  std::set<std::string> seen;
  for (auto& [id, container] : listing->found) {
    if (listing->removed.contains(id)) continue;
    if (const auto ended = listing->ended.find(id); ended != listing->ended.end()) {
      container.status = ContainerStatus::kExited;
      container.exit_code = ended->second;
      container.pid = 0;
    }
    seen.insert(container.task_id);
    inventory.containers.push_back(std::move(container));
  }
  const auto settled = [](const Task& task) {
    return task.phase == Task::Phase::kKnown || task.phase == Task::Phase::kRunning;
  };
  for (const ContainerInfo& container : inventory.containers) {
    Task& task = task_of(container.task_id);
    if (!settled(task)) continue;
    task.container = container.container_id;
    const bool runs = container.status == ContainerStatus::kRunning ||
                      container.status == ContainerStatus::kPaused;
    task.phase = runs ? Task::Phase::kRunning : Task::Phase::kKnown;
    task.pid = container.pid;
    task.process_start = process_start_time(container.pid);
    task.exit_code = container.exit_code;
  }
  // What this knew to run and the engine does not know any more.
  std::erase_if(tasks_, [&](const auto& item) {
    return settled(*item.second) && !seen.contains(item.first);
  });
  tell(std::move(inventory));
}

}  // namespace kith
