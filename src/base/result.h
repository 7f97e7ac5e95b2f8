#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace kith {

/// A code exists only where some caller branches on it.
enum class ErrorCode {
  kFailed,       ///< nothing more to say than the message
  kInvalid,      ///< the input is wrong; trying again gives the same
  kNotFound,     ///< the named thing does not exist
  kConflict,     ///< exists already, or was changed meanwhile
  kUnavailable,  ///< out of reach now; may work later
  kRefused,      ///< the host answers, but nobody listens at that port
  kUnauthentic,  ///< did not authenticate: wrong key, forged or damaged
  kTooLarge,     ///< over a named limit
};

struct Error {
  ErrorCode code = ErrorCode::kFailed;
  std::string message;
};

/// A value or an Error. Faults are returned; bugs are asserted.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
[[nodiscard]] inline tl::unexpected<Error> fail(std::string message) {
  return fail(ErrorCode::kFailed, std::move(message));
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace kith
