#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/docker_task.h"
#include "io/http.h"

namespace kith {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxPullLine = 64 * 1024;
/// Each told step is a record that travels to every node.
constexpr Duration kProgressInterval = std::chrono::seconds(2);
constexpr uint32_t kDownloaded = 50;  // percent of a layer's way; the rest is unpacking
constexpr uint32_t kUnpacked = 100;

/// `name:tag` or `name@digest` as the two parts that a pull is asked for; no tag means `latest`.
std::pair<std::string, std::string> image_parts(const std::string& image) {
  if (image.find('@') != std::string::npos) return {image, ""};
  const size_t slash = image.rfind('/');
  const size_t colon = image.find(':', slash == std::string::npos ? 0 : slash);
  if (colon == std::string::npos) return {image, "latest"};
  return {image.substr(0, colon), image.substr(colon + 1)};
}

std::string text_at(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

/// `progressDetail`: how far, of `whole` percent.
uint32_t share(const Json& line, uint32_t whole) {
  const auto detail = line.find("progressDetail");
  if (detail == line.end() || !detail->is_object()) return 0;
  const auto number = [&](const char* key) {
    const auto at = detail->find(key);
    return at != detail->end() && at->is_number() ? at->get<double>() : 0.0;
  };
  const double current = number("current");
  const double total = number("total");
  if (!(current > 0 && total > 0)) return 0;
  return static_cast<uint32_t>(std::min(1.0, current / total) * whole);
}

}  // namespace

void DockerHost::pull(Task& task) {
  task.phase = Task::Phase::kPulling;
  task.container.clear();
  start_waiting();
  tell_preparing(task, "pulling " + task.spec.image);
  task.progress_told = read_now().mono;
  const auto [name, tag] = image_parts(task.spec.image);
  HttpRequest request;
  request.method = "POST";
  request.target = prefix_ + "/images/create?fromImage=" + percent_encode(name) +
                   (tag.empty() ? "" : "&tag=" + percent_encode(tag));
  request.headers.add("Host", "docker");
  if (!task.spec.registry_auth.empty())
    request.headers.add("X-Registry-Auth", task.spec.registry_auth);
  HttpLimits limits;
  limits.timeout = limits.silence = patience_.pull_silence;
  auto status = std::make_shared<int>(0);
  HttpClient::StreamCallbacks callbacks;
  callbacks.on_head = [status](const HttpResponseHead& head) { *status = head.status; };
  callbacks.on_data = [this, &task](ByteView data) {
    task.line += as_text(data);
    size_t from = 0;
    for (size_t end; (end = task.line.find('\n', from)) != std::string::npos; from = end + 1)
      pull_line(task, std::string_view(task.line).substr(from, end - from));
    task.line.erase(0, from);
    if (task.line.size() > kMaxPullLine) task.line.clear();  // no progress, then
  };
  callbacks.on_end = [this, &task, status](const Status& ended) {
    pull_line(task, task.line);
    if (!ended && task.pull_error.empty())
      task.pull_error = "pull of " + task.spec.image + ": " + ended.error().message;
    if (*status != 200 && task.pull_error.empty())
      task.pull_error = "pull of " + task.spec.image + ": HTTP " + std::to_string(*status);
    if (!task.pull_error.empty())
      return failed(task, TaskState::kPreparing, std::string(task.pull_error));
    task.image_pulled = true;
    wait_for_place(task);
  };
  task.line.clear();
  task.call = client_.stream(std::move(request), limits, std::move(callbacks));
}

// A line of the engine's progress; an error comes as one too, after an answer of 200.
void DockerHost::pull_line(Task& task, std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return;
  for (const char* key : {"error", "message"})
    if (std::string words = text_at(json, key); !words.empty())
      task.pull_error = one_line(std::move(words));
  const std::string id = text_at(json, "id");
  const std::string status = text_at(json, "status");
  if (status == "Pulling fs layer" || status == "Already exists") task.layers.try_emplace(id, 0);
  const auto layer = task.layers.find(id);
  if (layer == task.layers.end()) return;
  uint32_t percent = 0;
  if (status == "Downloading") percent = share(json, kDownloaded);
  if (status == "Verifying Checksum" || status == "Download complete") percent = kDownloaded;
  if (status == "Extracting") percent = kDownloaded + share(json, kUnpacked - kDownloaded);
  if (status == "Pull complete" || status == "Already exists") percent = kUnpacked;
  if (percent <= layer->second) return;
  layer->second = percent;
  tell_progress(task, percent == kUnpacked);
}

void DockerHost::tell_progress(Task& task, bool at_once) {
  const Instant now = read_now().mono;
  if (!at_once && now < task.progress_told + kProgressInterval) return;
  task.progress_told = now;
  uint32_t percent = 0;
  size_t done = 0;
  for (const auto& [id, of_layer] : task.layers) {
    percent += of_layer;
    done += of_layer == kUnpacked ? 1 : 0;
  }
  percent /= static_cast<uint32_t>(task.layers.size());
  tell_preparing(task, "pulling " + task.spec.image + ", " + std::to_string(done) + " of " +
                           std::to_string(task.layers.size()) + " layers, " +
                           std::to_string(percent) + "%");
}

}  // namespace kith
