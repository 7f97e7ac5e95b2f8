#include "api/engine_memory.h"

#include <utility>

namespace kith {

bool EngineMemory::believed_up() const {
  if (cluster_.engine_socket().empty()) return false;
  for (const NodeEntry& node : cluster_.nodes())
    if (node.self) return node.view.engine.up;
  return true;
}

void EngineMemory::ask(std::string target, Done done) {
  const std::string socket = cluster_.engine_socket();
  if (socket.empty() || calls_.size() >= kMaxCalls) {
    const char* why = socket.empty() ? "this node is a witness: it has no engine"
                                     : "too many questions under way";
    loop_.post([done = std::move(done), why] { done(fail(ErrorCode::kUnavailable, why)); });
    return;
  }
  HttpClient client(loop_, StreamAddress::local(socket));
  HttpRequest request;
  request.target = std::move(target);
  request.headers = {{"Host", "docker"}};
  HttpLimits limits;
  limits.connect_timeout = kPatience;
  limits.timeout = kPatience;
  limits.max_body = 4u << 20;
  const uint64_t id = next_call_++;
  calls_[id] = client.request(std::move(request), limits,
                              [this, id, done = std::move(done)](Result<HttpResponse> answer) {
                                // Not from inside its own callback.
                                loop_.post([weak = std::weak_ptr<EngineMemory*>(alive_), id] {
                                  if (const auto alive = weak.lock()) (*alive)->calls_.erase(id);
                                });
                                done(std::move(answer));
                              });
}

void EngineMemory::recall(const std::string& kind,
                          std::function<void(const HttpResponse&, bool fresh)> done) {
  static const HttpResponse kNothing;
  const auto from_memory = [this, kind]() -> const HttpResponse& {
    const HttpResponse* known = remembered(kind);
    return known == nullptr ? kNothing : *known;
  };
  if (!believed_up()) {
    done(from_memory(), false);
    return;
  }
  ask("/" + kind, [this, kind, done = std::move(done), from_memory](Result<HttpResponse> answer) {
    const bool fresh = answer && answer->status == 200;
    if (fresh) answers_[kind] = std::move(*answer);
    done(from_memory(), fresh);
  });
}

const HttpResponse* EngineMemory::remembered(const std::string& kind) const {
  const auto found = answers_.find(kind);
  return found == answers_.end() ? nullptr : &found->second;
}

}  // namespace kith
