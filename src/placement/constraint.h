#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "placement/view.h"

namespace kith {

/// One of Docker's placement constraints, by swarmkit's rules: keys and values compare without
/// letter case, label names with it; an absent label has the value "".
struct Constraint {
  enum class Key : uint8_t {
    kNodeId,
    kHostname,
    kAddress,
    kRole,
    kOs,
    kArchitecture,
    kNodeLabel,
    kEngineLabel,
  };
  std::string expression;  ///< as written
  Key key = Key::kNodeId;
  std::string label;  ///< for the two label keys
  bool equal = true;  ///< `==`; else `!=`
  std::string value;
};

constexpr size_t kMaxConstraints = 256;  ///< of one service

/// `node.labels.disk == ssd`, `node.hostname!=a`; spaces around the operator are optional.
/// kInvalid names the expression and what is wrong with it.
[[nodiscard]] Result<Constraint> parse_constraint(std::string_view expression);
/// All of them or the first error; kTooLarge over kMaxConstraints.
[[nodiscard]] Result<std::vector<Constraint>> parse_constraints(
    const std::vector<std::string>& expressions);

/// `node.id` takes the id as Docker's clients see it, or the key in hexadecimal; `node.ip` takes an
/// address or a subnet; `node.platform.arch` knows amd64 as x86_64 and arm64 as aarch64.
/// Every node is manager and worker at once: a constraint on either role, `==` or `!=`, holds.
[[nodiscard]] bool matches(const Constraint& constraint, const NodeView& node);

/// The node is of one of these platforms, as far as both say; any node, if there are none.
[[nodiscard]] bool fits_platform(const std::vector<Platform>& platforms, const NodeView& node);

/// A descriptor of a spread preference (`node.labels.zone`, `engine.labels.rack`) on a node: the
/// label's value, "" if absent. Other descriptors put all nodes in one group.
[[nodiscard]] std::string spread_value(std::string_view descriptor, const NodeView& node);

}  // namespace kith
