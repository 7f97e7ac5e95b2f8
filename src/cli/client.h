#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "io/http_client.h"

namespace kith {

/// One question at a time to the agent on a unix socket, waiting for the answer.
class AgentClient {
 public:
  explicit AgentClient(std::string socket) : socket_(std::move(socket)) {}

  /// The body of a 2xx answer. Fails with the agent's own words, or with one line that names the
  /// socket and the mend.
  [[nodiscard]] Result<std::string> ask(const std::string& method, const std::string& target,
                                        std::string body = {}) const;
  /// Hands over each line as it comes, until the agent ends the answer or goes away.
  [[nodiscard]] Status follow(const std::string& target,
                              std::function<void(std::string_view line)> on_line) const;

 private:
  [[nodiscard]] Error explain(const Error& error) const;
  std::string socket_;
};

/// `--socket` if given, else KITH_SOCKET, else the default path.
[[nodiscard]] std::string socket_path(const std::string& option);

}  // namespace kith
