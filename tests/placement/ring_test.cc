#include "placement/ring.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "base/hash.h"
#include "fixture.h"

using namespace kith;
using namespace kith::test;

namespace {

std::vector<uint32_t> order(const Ring& ring, uint64_t hash) {
  std::vector<uint32_t> out;
  Walk walk;
  walk.start(ring, hash);
  while (const auto node = walk.next()) out.push_back(*node);
  return out;
}

std::vector<uint64_t> points_by_node(const Ring& ring) {
  std::vector<uint64_t> out(ring.nodes(), 0);
  for (const Ring::Point& point : ring.points()) ++out[point.node];
  return out;
}

}  // namespace

TEST_CASE("ring: equal weights give equal points, whatever the weight") {
  for (const uint32_t weight : {0u, 1u, 7u, 4'000'000'000u}) {
    PlacementView view = cluster(5);
    for (NodeView& node : view.nodes) node.weight = weight;
    CHECK(points_by_node(Ring(view)) == std::vector<uint64_t>(5, kVirtualNodes));
  }
}

TEST_CASE("ring: points follow weight, and nobody has none") {
  PlacementView view = cluster(3);
  view.nodes[0].weight = 1;
  view.nodes[1].weight = 2;
  view.nodes[2].weight = 3;
  CHECK(points_by_node(Ring(view)) == std::vector<uint64_t>{64, 128, 192});
  view.nodes[2].weight = 1'000'000;
  CHECK(points_by_node(Ring(view))[0] == 1);
}

TEST_CASE("ring: a walk yields each node once, and wraps") {
  const Ring ring(cluster(20));
  for (const uint64_t hash : {uint64_t{0}, uint64_t{1} << 63, UINT64_MAX}) {
    std::vector<uint32_t> met = order(ring, hash);
    std::sort(met.begin(), met.end());
    REQUIRE(met.size() == 20);
    for (uint32_t i = 0; i < 20; ++i) CHECK(met[i] == i);
  }
}

TEST_CASE("ring: a walk on a part meets the part in the order of the whole") {
  const Ring ring(cluster(30));
  std::vector<uint8_t> keep(30, 0);
  for (const uint32_t i : {3u, 4u, 17u, 29u}) keep[i] = 1;
  const Ring part = ring.only(keep);
  CHECK(part.distinct() == 4);
  for (uint64_t k = 0; k < 200; ++k) {
    const uint64_t hash = hash_combine(k, 1);
    std::vector<uint32_t> expected;
    for (const uint32_t i : order(ring, hash))
      if (keep[i] != 0) expected.push_back(i);
    CHECK(order(part, hash) == expected);
  }
}

TEST_CASE("ring: an empty one ends at once") {
  const Ring ring{PlacementView{}};
  CHECK(order(ring, 5).empty());
}

TEST_CASE("ring: one walk serves rings of different sizes") {
  const Ring small(cluster(2));
  const Ring large(cluster(9));
  Walk walk;
  for (const Ring* ring : {&small, &large, &small}) {
    walk.start(*ring, 77);
    size_t met = 0;
    while (walk.next()) ++met;
    CHECK(met == ring->nodes());
  }
}

TEST_CASE("ring: a node that goes takes only its own keys along") {
  PlacementView view = cluster(10);
  const Ring before(view);
  view.nodes.erase(view.nodes.begin() + 4);
  const Ring after(view);
  for (uint64_t k = 0; k < 500; ++k) {
    const uint64_t hash = hash_combine(k, 2);
    const uint32_t first = order(before, hash)[0];
    if (first == 4) continue;
    CHECK(order(after, hash)[0] == (first > 4 ? first - 1 : first));
  }
}
