#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/cluster.h"
#include "api/error.h"

namespace kith {

/// Docker's `filters` parameter. Values of one key are alternatives (labels: all must hold); keys
/// are conjunctions.
class Filters {
 public:
  /// `text` is JSON, a map from key to a list of values or to a map from value to true, as old and
  /// new clients send it (a false counts as well); empty is no filter. 400 on anything else.
  [[nodiscard]] static Answer<Filters> parse(std::string_view text);

  /// 400 `Invalid filter 'bogus'` for a key that is not in `known`.
  [[nodiscard]] Answer<void> only(std::span<const std::string_view> known) const;

  [[nodiscard]] bool has(std::string_view key) const;
  [[nodiscard]] const std::vector<std::string>& values(std::string_view key) const;
  /// True without such a key, or if `value` is one of its values.
  [[nodiscard]] bool exact(std::string_view key, std::string_view value) const;
  /// True without such a key, or if one of its values is a prefix of `value`.
  [[nodiscard]] bool prefix(std::string_view key, std::string_view value) const;
  /// Each value is `name` or `name=value`.
  [[nodiscard]] bool labels(std::string_view key,
                            const std::map<std::string, std::string>& labels) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

/// All but "", 0, no, false, none, in any letter case.
[[nodiscard]] bool docker_bool(std::string_view text);

// What of each kind passes `filters`, in the order given. 400 on a key this kind does not have.

[[nodiscard]] Answer<std::vector<NodeEntry>> filter_nodes(std::vector<NodeEntry> nodes,
                                                          const Filters& filters);
[[nodiscard]] Answer<std::vector<ServiceEntry>> filter_services(std::vector<ServiceEntry> services,
                                                                const Filters& filters);
/// 404 if `service` or `node` name something that does not exist.
[[nodiscard]] Answer<std::vector<TaskRecord>> filter_tasks(
    std::vector<TaskRecord> tasks, const Filters& filters,
    const std::vector<ServiceEntry>& services, const std::vector<NodeEntry>& nodes);

}  // namespace kith
