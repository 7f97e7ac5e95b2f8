#include "cli/client.h"

#include <cstdlib>
#include <optional>

#include "api/json.h"

namespace kith {
namespace {

constexpr const char* kDefaultSocket = "/run/kith/docker.sock";
constexpr Duration kPatience = std::chrono::seconds(60);
constexpr Duration kForEver = std::chrono::hours(24 * 365);
constexpr size_t kMaxLine = 1u << 20;

Error refusal(int status, const std::string& body) {
  const auto json = parse_json(body);
  const std::string message = json ? text_of(member(*json, "message")) : std::string();
  return {ErrorCode::kFailed,
          message.empty() ? "the agent answered with status " + std::to_string(status) : message};
}

HttpRequest request_to(const std::string& method, const std::string& target) {
  HttpRequest out;
  out.method = method;
  out.target = target;
  out.headers = {{"Host", "kith"}};
  return out;
}

}  // namespace

std::string socket_path(const std::string& option) {
  if (!option.empty()) return option;
  const char* named = std::getenv("KITH_SOCKET");
  return named != nullptr && *named != '\0' ? named : kDefaultSocket;
}

Error AgentClient::explain(const Error& error) const {
  if (error.code != ErrorCode::kUnavailable) return error;
  // `/run/kith/docker.sock: connection refused` -> `connection refused`
  std::string cause = error.message;
  if (const size_t colon = cause.rfind(": "); colon != cause.npos) cause = cause.substr(colon + 2);
  return {error.code, "no agent answers at " + socket_ + " (" + cause +
                          "): is `kith agent` running? name another with --socket"};
}

Result<std::string> AgentClient::ask(const std::string& method, const std::string& target,
                                     std::string body) const {
  Loop loop;
  HttpClient client(loop, StreamAddress::local(socket_));
  std::optional<Result<HttpResponse>> answer;
  HttpLimits limits;
  limits.timeout = kPatience;
  HttpRequest request = request_to(method, target);
  request.body = std::move(body);
  const HttpCall call = client.request(std::move(request), limits,
                                       [&](Result<HttpResponse> got) { answer = std::move(got); });
  if (!loop.run_until([&] { return answer.has_value(); }, kPatience + std::chrono::seconds(5)))
    return fail(ErrorCode::kUnavailable, "the agent at " + socket_ + " does not answer");
  if (!*answer) return fail(explain(answer->error()));
  const HttpResponse& response = **answer;
  if (response.status / 100 != 2) return fail(refusal(response.status, response.body));
  return response.body;
}

Status AgentClient::follow(const std::string& target,
                           std::function<void(std::string_view)> on_line) const {
  Loop loop;
  HttpClient client(loop, StreamAddress::local(socket_));
  std::optional<Status> ended;
  int status = 0;
  std::string pending;
  HttpClient::StreamCallbacks callbacks;
  callbacks.on_head = [&](const HttpResponseHead& head) { status = head.status; };
  callbacks.on_data = [&](ByteView bytes) {
    pending += as_text(bytes);
    if (status != 200) return;
    for (size_t end = pending.find('\n'); end != pending.npos; end = pending.find('\n')) {
      on_line(std::string_view(pending).substr(0, end));
      pending.erase(0, end + 1);
    }
    if (pending.size() > kMaxLine) pending.clear();
  };
  callbacks.on_end = [&](Status how) { ended = std::move(how); };
  const HttpCall call = client.stream(request_to("GET", target), HttpLimits{}, callbacks);
  while (!loop.run_until([&] { return ended.has_value(); }, kForEver)) continue;
  if (!*ended && status == 0) return fail(explain(ended->error()));
  if (status != 200) return fail(refusal(status, pending));
  if (!*ended) return fail("the agent at " + socket_ + " went away");
  return {};
}

}  // namespace kith
