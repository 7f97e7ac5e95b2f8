#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/loop.h"

namespace kith {

/// Looks host names up on the loop: /etc/hosts, then the name servers of /etc/resolv.conf, both
/// read anew each time. Destroying it cancels what is under way, without a callback.
class Resolver {
 public:
  static constexpr size_t kMaxLookups = 64;
  /// Numeric hosts, each once, IPv4 first. Never empty.
  using Done = std::function<void(Result<std::vector<std::string>>)>;

  explicit Resolver(Loop& loop);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Calls `done` once, never from inside this call, at the latest after about 6 s. A numeric
  /// host is handed back as it is. The error names the host: kNotFound if there is no such name,
  /// kUnavailable if no name server answered.
  void lookup(const std::string& host, Done done);

 private:
  struct Lookup;
  void finish(uint64_t id, Result<std::vector<std::string>> result);
  Loop& loop_;
  uint64_t next_id_ = 1;
  std::unordered_map<uint64_t, std::unique_ptr<Lookup>> lookups_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace kith
