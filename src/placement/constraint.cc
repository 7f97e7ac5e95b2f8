#include "placement/constraint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace kith {
namespace {

constexpr std::string_view kNodeLabels = "node.labels.";
constexpr std::string_view kEngineLabels = "engine.labels.";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool is_letter(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::string folded(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// swarmkit: ^(?i)[a-z_][a-z0-9\-_.]+$
bool is_key(std::string_view text) {
  return text.size() > 1 && (is_letter(text[0]) || text[0] == '_') &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.';
         });
}

/// swarmkit: ^(?i)[a-z0-9:\-_\s\.\*\(\)\?\+\[\]\\\^\$\|\/]+$
bool is_value(std::string_view text) {
  constexpr std::string_view kMarks = ":-_.*()?+[]\\^$|/";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_letter(c) || is_digit(c) || is_space(c) || kMarks.find(c) != std::string_view::npos;
  });
}

bool starts_with_folded(std::string_view text, std::string_view prefix) {
  return text.size() > prefix.size() && folded(text.substr(0, prefix.size())) == prefix;
}

std::string architecture(std::string_view name) {
  std::string out = folded(name);
  if (out == "x86_64") return "amd64";
  if (out == "aarch64") return "arm64";
  return out;
}

const std::string& label_of(const std::map<std::string, std::string>& labels,
                            const std::string& name) {
  static const std::string kAbsent;
  const auto at = labels.find(name);
  return at == labels.end() ? kAbsent : at->second;
}

struct Address {
  std::array<uint8_t, 16> bytes{};
  int bits = 0;  // 32 or 128
};

std::optional<Address> parse_address(const std::string& text) {
  Address address;
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) {
    address.bits = 32;
  } else if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) {
    address.bits = 128;
  } else {
    return std::nullopt;
  }
  return address;
}

struct Subnet {
  Address base;
  int prefix = 0;
};

/// An address alone is a subnet of one.
std::optional<Subnet> parse_subnet(const std::string& text) {
  const size_t slash = text.find('/');
  const auto base = parse_address(text.substr(0, slash));
  if (!base) return std::nullopt;
  Subnet subnet{*base, base->bits};
  if (slash == std::string::npos) return subnet;
  const char* const end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data() + slash + 1, end, subnet.prefix);
  if (fault != std::errc{} || stop != end || subnet.prefix < 0 || subnet.prefix > base->bits)
    return std::nullopt;
  return subnet;
}

bool contains(const Subnet& subnet, const Address& address) {
  if (subnet.base.bits != address.bits) return false;
  for (int bit = 0; bit < subnet.prefix; ++bit) {
    const size_t at = static_cast<size_t>(bit) / 8;
    const int mask = 0x80 >> (bit % 8);
    if (((subnet.base.bytes[at] ^ address.bytes[at]) & mask) != 0) return false;
  }
  return true;
}

std::optional<Constraint::Key> simple_key(const std::string& name) {
  using Key = Constraint::Key;
  if (name == "node.id") return Key::kNodeId;
  if (name == "node.hostname") return Key::kHostname;
  if (name == "node.ip") return Key::kAddress;
  if (name == "node.role") return Key::kRole;
  if (name == "node.platform.os") return Key::kOs;
  if (name == "node.platform.arch") return Key::kArchitecture;
  return std::nullopt;
}

tl::unexpected<Error> bad(std::string_view expression, std::string_view why) {
  return fail(ErrorCode::kInvalid,
              "constraint \"" + std::string(expression) + "\": " + std::string(why));
}

}  // namespace

Result<Constraint> parse_constraint(std::string_view expression) {
  // As swarmkit: `==` is looked for first, wherever it stands.
  size_t at = expression.find("==");
  const bool equal = at != std::string_view::npos;
  if (!equal) at = expression.find("!=");
  if (at == std::string_view::npos) return bad(expression, "has neither == nor !=");

  const std::string_view name = trimmed(expression.substr(0, at));
  const std::string_view value = trimmed(expression.substr(at + 2));
  if (!is_key(name)) return bad(expression, "the part before the operator is not a key");
  if (!is_value(value)) return bad(expression, "the value is empty or has a forbidden character");

  Constraint out;
  out.expression = trimmed(expression);
  out.equal = equal;
  out.value = value;
  if (starts_with_folded(name, kNodeLabels)) {
    out.key = Constraint::Key::kNodeLabel;
    out.label = name.substr(kNodeLabels.size());
  } else if (starts_with_folded(name, kEngineLabels)) {
    out.key = Constraint::Key::kEngineLabel;
    out.label = name.substr(kEngineLabels.size());
  } else if (const auto key = simple_key(folded(name))) {
    out.key = *key;
  } else {
    return bad(expression,
               "unknown key; use node.id, node.hostname, node.ip, node.role, node.platform.os, "
               "node.platform.arch, node.labels.<name> or engine.labels.<name>");
  }
  if (out.key == Constraint::Key::kAddress && !parse_subnet(out.value))
    return bad(expression, "the value is neither an address nor a subnet");
  return out;
}

Result<std::vector<Constraint>> parse_constraints(const std::vector<std::string>& expressions) {
  if (expressions.size() > kMaxConstraints)
    return fail(ErrorCode::kTooLarge, std::to_string(expressions.size()) +
                                          " constraints; at most " +
                                          std::to_string(kMaxConstraints));
  std::vector<Constraint> out;
  for (const std::string& expression : expressions) {
    auto one = parse_constraint(expression);
    if (!one) return fail(one.error());
    out.push_back(std::move(*one));
  }
  return out;
}

bool matches(const Constraint& constraint, const NodeView& node) {
  const std::string wanted = folded(constraint.value);
  const auto is = [&](bool same) { return same == constraint.equal; };
  switch (constraint.key) {
    case Constraint::Key::kNodeId:
      return is(node.id.docker_id() == wanted || node.id.hex() == wanted);
    case Constraint::Key::kHostname:
      return is(folded(node.name) == wanted);
    case Constraint::Key::kAddress: {
      const auto subnet = parse_subnet(constraint.value);
      const auto address = parse_address(node.address);
      return subnet && is(address && contains(*subnet, *address));
    }
    case Constraint::Key::kRole:
      return wanted == "manager" || wanted == "worker" || !constraint.equal;
    case Constraint::Key::kOs:
      return is(folded(node.engine.os) == wanted);
    case Constraint::Key::kArchitecture:
      return is(architecture(node.engine.architecture) == architecture(wanted));
    case Constraint::Key::kNodeLabel:
      return is(folded(label_of(node.labels, constraint.label)) == wanted);
    case Constraint::Key::kEngineLabel:
      return is(folded(label_of(node.engine.labels, constraint.label)) == wanted);
  }
  return false;
}

bool fits_platform(const std::vector<Platform>& platforms, const NodeView& node) {
  const auto same = [](const std::string& wanted, const std::string& has) {
    return wanted.empty() || has.empty() || wanted == has;
  };
  const std::string os = folded(node.engine.os);
  const std::string arch = architecture(node.engine.architecture);
  return platforms.empty() ||
         std::any_of(platforms.begin(), platforms.end(), [&](const Platform& platform) {
           return same(folded(platform.os), os) && same(architecture(platform.architecture), arch);
         });
}

std::string spread_value(std::string_view descriptor, const NodeView& node) {
  if (starts_with_folded(descriptor, kNodeLabels))
    return label_of(node.labels, std::string(descriptor.substr(kNodeLabels.size())));
  if (starts_with_folded(descriptor, kEngineLabels))
    return label_of(node.engine.labels, std::string(descriptor.substr(kEngineLabels.size())));
  return "";
}

}  // namespace kith
