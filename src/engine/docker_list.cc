#include <algorithm>
#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>

#include "engine/docker_task.h"
#include "io/http.h"

namespace kith {
namespace {

using Json = nlohmann::json;

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

Health health_of(const std::string& status) {
  if (status == "starting") return Health::kStarting;
  if (status == "healthy") return Health::kHealthy;
  if (status == "unhealthy") return Health::kUnhealthy;
  return Health::kNone;
}

ContainerStatus status_of(const std::string& status) {
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

/// Docker counts whole seconds; -1 is for ever, which nothing of ours is created with.
std::optional<Duration> grace_of(const Json& timeout) {
  if (!timeout.is_number_integer()) return {};
  constexpr int64_t kMost = std::chrono::floor<std::chrono::seconds>(kMaxGrace).count();
  if (timeout.is_number_unsigned())
    return std::chrono::seconds(std::min<uint64_t>(timeout.get<uint64_t>(), kMost));
  if (timeout.get<int64_t>() < 0) return {};
  return std::chrono::seconds(std::min(timeout.get<int64_t>(), kMost));
}

/// kInvalid if it is not one of ours.
Result<ContainerInfo> labelled_info(std::string container, const Json& labels) {
  ContainerInfo info;
  info.container_id = std::move(container);
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
  return info;
}

/// What the list says of a container: no pid, and no moment of its start. `Status` is prose:
/// `Up 2 minutes (unhealthy)`, `Up 1 second (health: starting)`, `Exited (3) 5 days ago`.
Result<ContainerInfo> summary_info(const Json& one) {
  auto info = labelled_info(text(at(one, "Id")), at(one, "Labels"));
  if (!info) return info;
  info->image = text(at(one, "Image"));
  info->status = status_of(text(at(one, "State")));
  if (const Json& created = at(one, "Created"); created.is_number())
    info->created = info->started = {created.get<int64_t>() * 1000};
  std::string words = text(at(one, "Status"));
  const size_t open = words.rfind('(');
  const size_t close = words.find(')', open == std::string::npos ? words.size() : open);
  words = close == std::string::npos ? "" : words.substr(open + 1, close - open - 1);
  if (info->status == ContainerStatus::kExited)
    info->exit_code = number<int32_t>(words);
  else
    info->health = health_of(words.starts_with("health: ") ? words.substr(8) : words);
  for (const Json& published : at(one, "Ports")) {
    const Json& outside = at(published, "PublicPort");
    const Json& inside = at(published, "PrivatePort");
    if (!outside.is_number() || !inside.is_number()) continue;
    PortSpec port;
    port.target = inside.get<uint16_t>();
    port.published = outside.get<uint16_t>();
    port.protocol = text(at(published, "Type"));
    port.host_mode = true;
    const auto same = [&](const PortSpec& other) {  // one of each address family
      return other.target == port.target && other.protocol == port.protocol;
    };
    if (std::none_of(info->ports.begin(), info->ports.end(), same))
      info->ports.push_back(std::move(port));
  }
  return info;
}

}  // namespace

Result<ContainerInfo> container_info(const std::string& inspected) {
  const Json json = Json::parse(inspected, nullptr, false);
  const Json& config = at(json, "Config");
  const Json& state = at(json, "State");
  auto info = labelled_info(text(at(json, "Id")), at(config, "Labels"));
  if (!info) return info;
  info->image = text(at(config, "Image"));
  info->status = status_of(text(at(state, "Status")));
  info->health = health_of(text(at(at(state, "Health"), "Status")));
  if (const Json& code = at(state, "ExitCode"); code.is_number())
    info->exit_code = code.get<int32_t>();
  if (const Json& pid = at(state, "Pid"); pid.is_number()) info->pid = pid.get<uint32_t>();
  info->created = wall_time(text(at(json, "Created")));
  info->started = wall_time(text(at(state, "StartedAt")));
  info->ports = ports_of(json);
  info->grace = grace_of(at(config, "StopTimeout"));
  return info;
}

void DockerHost::list() {
  if (!up_) return;  // EngineUp follows, and is answered by asking again
  listing_ = std::make_unique<Listing>();
  const std::string filters = R"({"label":[")" + std::string(kTaskLabel) + R"("]})";
  listing_->call = ask("GET", "/containers/json?all=1&filters=" + percent_encode(filters), "",
                       patience_.list, [this](Result<HttpResponse> answer) {
                         if (!answer) return lost(answer.error().message);
                         if (answer->status != 200)
                           return lost("container list: " + engine_words(*answer));
                         listed(answer->body);
                       });
}

void DockerHost::listed(const std::string& body) {
  const Json all = Json::parse(body, nullptr, false);
  if (!all.is_array()) return lost("container list: no JSON");
  for (const Json& one : all) {
    auto info = summary_info(one);
    if (!info) continue;
    const std::string id = info->container_id;
    listing_->to_inspect.push_back(id);
    listing_->found.emplace(id, std::move(*info));
  }
  inspect_next();
}

void DockerHost::inspect_next() {
  while (listing_->inspecting.size() < kMaxParallelInspects && !listing_->to_inspect.empty()) {
    const std::string id = listing_->to_inspect.front();
    listing_->to_inspect.pop_front();
    listing_->inspecting[id] =
        ask("GET", "/containers/" + id + "/json", "", patience_.inspect,
            [this, id](const Result<HttpResponse>& answer) { inspected(id, answer); });
  }
  if (listing_->inspecting.empty()) finish_list();
}

// One left out would be started a second time: where the engine cannot say more of a container, or
// does not in time, what the list said of it stands, and the others are not kept waiting.
void DockerHost::inspected(const std::string& container, const Result<HttpResponse>& answer) {
  if (listing_->started.contains(container)) {
    // Its own inspection came later.
  } else if (answer && answer->status == 404) {
    listing_->found.erase(container);
  } else {
    auto info = answer && answer->status == 200
                    ? container_info(answer->body)
                    : Result<ContainerInfo>(fail(ErrorCode::kInvalid, ""));
    if (info && info->container_id == container)
      listing_->found.insert_or_assign(container, std::move(*info));
    else
      listing_->vague.insert(container);
  }
  listing_->inspecting.erase(container);
  inspect_next();
}

void DockerHost::finish_list() {
  // Without the engine these are no answers: EngineUp follows, and is answered by asking again.
  const std::unique_ptr<Listing> listing = std::move(listing_);
  if (!up_) return;
  pause_ = patience_.first_pause;
  settle(*listing);
  if (listing->vague.empty() && looks_left_ == 0)
    second_look_pause_ = {};
  else
    look_again();
  looks_left_ -= looks_left_ > 0 ? 1 : 0;
  Inventory inventory;
  for (auto& [id, container] : listing->found) inventory.containers.push_back(std::move(container));
  tell(std::move(inventory));
}

void DockerHost::look_again() {
  if (second_look_.active()) return;
  second_look_pause_ = std::clamp<Duration>(second_look_pause_ * 2, patience_.first_second_look,
                                            patience_.longest_second_look);
  second_look_.start(second_look_pause_);
}

// What was told meanwhile goes into the listing, and what it says into the tasks.
void DockerHost::settle(Listing& listing) {
  for (const std::string& container : listing.removed) listing.found.erase(container);
  const auto settled = [](const Task& task) {
    return task.phase == Task::Phase::kKnown || task.phase == Task::Phase::kRunning;
  };
  std::erase_if(listing.found, [&](const auto& item) {
    const auto task = tasks_.find(item.second.task_id);
    return task != tasks_.end() && task->second->told_gone && task->second->container == item.first;
  });
  std::set<std::string> seen;
  for (auto& [id, container] : listing.found) {
    seen.insert(container.task_id);
    if (const auto ended = listing.ended.find(id); ended != listing.ended.end()) {
      container.status = ContainerStatus::kExited;
      container.exit_code = ended->second;
      container.pid = 0;
    }
    if (const auto health = listing.health.find(id); health != listing.health.end())
      container.health = health->second;
    Task& task = task_of(container.task_id);
    if (!settled(task)) continue;
    const bool runs = container.status == ContainerStatus::kRunning ||
                      container.status == ContainerStatus::kPaused;
    const bool known = task.container == id && task.phase == Task::Phase::kRunning;
    if (runs && known && listing.vague.contains(id)) container.pid = task.pid;
    task.container = id;
    task.phase = runs ? Task::Phase::kRunning : Task::Phase::kKnown;
    task.pid = container.pid;
    task.process_start = process_start_time(container.pid);
    task.exit_code = container.exit_code;
  }
  // What this knew to run and the engine does not know any more.
  std::erase_if(tasks_, [&](const auto& item) {
    return settled(*item.second) && !seen.contains(item.first);
  });
}

}  // namespace kith
