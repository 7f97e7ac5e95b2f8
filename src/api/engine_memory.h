#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api/cluster.h"
#include "io/http_client.h"
#include "io/loop.h"

namespace kith {

/// Small questions to the local engine, and what it said last: with the engine dead, /_ping, /info
/// and /version come from memory. Destroying it cancels what is under way.
class EngineMemory {
 public:
  static constexpr size_t kMaxCalls = 256;
  static constexpr Duration kPatience = std::chrono::seconds(5);

  EngineMemory(Loop& loop, Cluster& cluster) : loop_(loop), cluster_(cluster) {}
  EngineMemory(const EngineMemory&) = delete;
  EngineMemory& operator=(const EngineMemory&) = delete;

  using Done = std::function<void(Result<HttpResponse>)>;
  /// GET `target` of the engine; kUnavailable if there is none. Never calls back from within.
  void ask(std::string target, Done done);

  /// Calls back, maybe from within, with the newest known answer of `kind` (`_ping`, `info`,
  /// `version`): asked anew unless this node knows its engine to be down. Empty, status 0, if it
  /// never answered. `fresh` tells whether this is an answer of now.
  void recall(const std::string& kind, std::function<void(const HttpResponse&, bool fresh)> done);
  /// The last answer of that kind; nullptr before the first.
  [[nodiscard]] const HttpResponse* remembered(const std::string& kind) const;

 private:
  [[nodiscard]] bool believed_up() const;

  Loop& loop_;
  Cluster& cluster_;
  std::map<std::string, HttpResponse> answers_;
  std::map<uint64_t, HttpCall> calls_;
  uint64_t next_call_ = 0;
  std::shared_ptr<EngineMemory*> alive_ = std::make_shared<EngineMemory*>(this);
};

}  // namespace kith
