#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace kith {

/// The head of a request or response may be this long, request line and all headers together.
constexpr size_t kMaxHttpHead = 64 * 1024;

/// Header fields in the order received or to be sent. Names compare without case.
struct HttpHeaders {
  std::vector<std::pair<std::string, std::string>> fields;

  HttpHeaders() = default;
  HttpHeaders(std::initializer_list<std::pair<std::string, std::string>> init) : fields(init) {}

  /// The first of that name; nullptr if there is none.
  [[nodiscard]] const std::string* find(std::string_view name) const;
  /// "" if there is none.
  [[nodiscard]] std::string get(std::string_view name) const;
  void add(std::string name, std::string value);
  /// Replaces all of that name.
  void set(std::string_view name, std::string value);
  void remove(std::string_view name);
  /// Whether the comma-separated list in `name` holds `token`, without case.
  [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const;
};

struct HttpRequestHead {
  std::string method;
  std::string target;  ///< as received: `/v1.41/nodes/my%20node?size=1`
  std::string path;    ///< decoded, without the query: `/v1.41/nodes/my node`
  std::vector<std::pair<std::string, std::string>> query;  ///< decoded, in order
  HttpHeaders headers;
  int minor = 1;  ///< of HTTP/1.x
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool upgrade = false;    ///< has Upgrade and Connection: Upgrade
  bool keep_alive = true;  ///< what the client is prepared for
  bool expects_continue = false;
  std::string raw;  ///< every byte of the head as received, the empty line included

  [[nodiscard]] bool has_body() const { return chunked || content_length.value_or(0) > 0; }
  /// The first value of a query key; nullptr if there is none.
  [[nodiscard]] const std::string* query_value(std::string_view key) const;
};

struct HttpResponseHead {
  int status = 0;
  std::string reason;
  HttpHeaders headers;
  int minor = 1;
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool keep_alive = false;
  std::string raw;
};

/// `%41` and, with `plus_is_space`, `+` are decoded; a malformed escape stays as it is.
[[nodiscard]] std::string percent_decode(std::string_view text, bool plus_is_space = false);
/// Escapes everything but letters, digits and `-_.~`.
[[nodiscard]] std::string percent_encode(std::string_view text);
/// Fills `path` and `query` from `target`.
void split_target(HttpRequestHead& head);

/// `Not Found`; "Unknown" for a number that has no name.
[[nodiscard]] std::string_view http_reason(int status);
/// `{"message":"..."}` as Docker's clients expect errors, with `text` escaped.
[[nodiscard]] std::string message_json(std::string_view text);

/// Head bytes. CR and LF inside values are replaced by spaces.
[[nodiscard]] std::string format_request_head(std::string_view method, std::string_view target,
                                              const HttpHeaders& headers);
[[nodiscard]] std::string format_response_head(int status, std::string_view reason,
                                               const HttpHeaders& headers);

}  // namespace kith
