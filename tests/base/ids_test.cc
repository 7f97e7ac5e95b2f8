#include "base/ids.h"

#include <doctest/doctest.h>

using namespace kith;

TEST_CASE("ids: a docker id has 25 base-36 characters and follows from the key alone") {
  NodeId a;
  a.key[0] = 1;
  NodeId b;
  b.key[0] = 2;
  CHECK(a.docker_id().size() == 25);
  CHECK(a.docker_id().find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz") ==
        std::string::npos);
  CHECK(a.docker_id() == NodeId(a).docker_id());
  CHECK(a.docker_id() != b.docker_id());
  CHECK(NodeId::from_hex(a.hex()) == a);
}

TEST_CASE("ids: an IPv6 endpoint is written in brackets") {
  CHECK(Endpoint{"10.0.0.1", 7117}.text() == "10.0.0.1:7117");
  CHECK(Endpoint{"fd00::1", 7117}.text() == "[fd00::1]:7117");
}

TEST_CASE("ids: a global slot is told apart by its node") {
  NodeId a;
  a.key[5] = 9;
  const SlotKey replicated{"web", 2, {}};
  const SlotKey global{"web", 0, a};
  CHECK(replicated.text() == "web.2");
  CHECK(global.text() == "web." + a.docker_id());
  CHECK(replicated.hash() != global.hash());
}
