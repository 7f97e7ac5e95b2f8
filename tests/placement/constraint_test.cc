#include "placement/constraint.h"

#include <doctest/doctest.h>

#include "fixture.h"

using namespace kith;

namespace {

NodeView sample() {
  NodeView node = test::node(7);
  node.name = "Pi-4";
  node.labels = {{"disk", "SSD"}, {"Zone", "attic"}, {"empty", ""}};
  node.engine.labels = {{"storage", "zfs"}};
  return node;
}

}  // namespace

TEST_CASE("constraint: matches as swarmkit does") {
  struct Row {
    std::string expression;
    bool holds;
  };
  const NodeView node = sample();
  const std::vector<Row> rows = {
      {"node.labels.disk == ssd", true},
      {"node.labels.disk==ssd", true},
      {"  node.labels.disk   ==   ssd  ", true},
      {"node.labels.disk != ssd", false},
      {"node.labels.disk == hdd", false},
      {"node.labels.disk != hdd", true},
      {"NODE.LABELS.disk == ssd", true},
      {"node.labels.Disk == ssd", false},  // names of labels keep their case
      {"node.labels.Zone == ATTIC", true},
      {"node.labels.absent == x", false},
      {"node.labels.absent != x", true},
      {"engine.labels.storage == zfs", true},
      {"engine.labels.storage != zfs", false},
      {"engine.labels.disk == ssd", false},
      {"node.hostname == pi-4", true},
      {"node.hostname != pi-4", false},
      {"Node.Hostname == PI-4", true},
      {"node.id == " + node.id.docker_id(), true},
      {"node.id == " + node.id.hex(), true},
      {"node.id != " + node.id.docker_id(), false},
      {"node.id == other", false},
      {"node.ip == 10.0.0.7", true},
      {"node.ip == 10.0.0.8", false},
      {"node.ip != 10.0.0.8", true},
      {"node.ip == 10.0.0.0/28", true},
      {"node.ip == 10.0.0.8/29", false},
      {"node.ip != 10.0.0.0/8", false},
      {"node.ip == 0.0.0.0/0", true},
      {"node.ip == fd00::/8", false},
      {"node.role == manager", true},
      {"node.role == worker", true},
      {"node.role != manager", true},
      {"node.role != worker", true},
      {"node.role == king", false},
      {"node.platform.os == Linux", true},
      {"node.platform.os == windows", false},
      {"node.platform.arch == x86_64", true},
      {"node.platform.arch == amd64", true},
      {"node.platform.arch != AMD64", false},
      {"node.platform.arch == aarch64", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.expression);
    const auto constraint = parse_constraint(row.expression);
    REQUIRE(constraint.has_value());
    CHECK(matches(*constraint, node) == row.holds);
  }
  NodeView arm = sample();
  arm.engine.architecture = "aarch64";
  CHECK(matches(*parse_constraint("node.platform.arch == arm64"), arm));
  CHECK(matches(*parse_constraint("node.platform.arch == aarch64"), arm));
}

TEST_CASE("constraint: a malformed one is invalid and is named") {
  for (const std::string text :
       {"", "node.labels.disk", "node.labels.disk = ssd", "== ssd",
        "node.labels.disk ==", "node.labels.disk == ", "node labels == x", "1node.id == x",
        "node.labels. == x", "node.colour == red", "node.id == {x}", "node.ip == here",
        "node.ip == 10.0.0.0/33", "node.ip == 10.0.0.0/", "node.labels.a<b == x"}) {
    CAPTURE(text);
    const auto constraint = parse_constraint(text);
    REQUIRE_FALSE(constraint.has_value());
    CHECK(constraint.error().code == ErrorCode::kInvalid);
    CHECK(constraint.error().message.find("\"" + text + "\"") != std::string::npos);
  }
  CHECK(parse_constraints(std::vector<std::string>(kMaxConstraints + 1, "node.id == x"))
            .error()
            .code == ErrorCode::kTooLarge);
}

TEST_CASE("constraint: a spread descriptor reads a label, and absent is empty") {
  const NodeView node = sample();
  CHECK(spread_value("node.labels.Zone", node) == "attic");
  CHECK(spread_value("node.labels.zone", node).empty());
  CHECK(spread_value("engine.labels.storage", node) == "zfs");
  CHECK(spread_value("node.hostname", node).empty());
}
