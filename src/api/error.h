#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

#include "base/result.h"

namespace kith {

/// What a client of the HTTP APIs is told: `{"message": ...}` under this status.
struct ApiError {
  int status = 500;
  std::string message;
};

template <class T>
using Answer = tl::expected<T, ApiError>;

[[nodiscard]] inline tl::unexpected<ApiError> refuse(int status, std::string message) {
  return tl::unexpected<ApiError>(ApiError{status, std::move(message)});
}

/// The status Docker gives this kind of failure.
[[nodiscard]] inline ApiError to_api_error(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalid:
    case ErrorCode::kTooLarge:
      return {400, error.message};
    case ErrorCode::kNotFound:
      return {404, error.message};
    case ErrorCode::kConflict:
      return {409, error.message};
    case ErrorCode::kUnavailable:
    case ErrorCode::kRefused:
      return {503, error.message};
    case ErrorCode::kFailed:
    case ErrorCode::kUnauthentic:
      break;
  }
  return {500, error.message};
}

}  // namespace kith
