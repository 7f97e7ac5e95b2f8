#include "state/records.h"

#include <doctest/doctest.h>

#include "base/rng.h"

using namespace kith;

namespace {

NodeId node(uint8_t n) {
  NodeId id;
  id.key[0] = n;
  return id;
}

TaskRecord task() {
  TaskRecord task;
  task.id = "abc";
  task.slot = {"web", 2, node(9)};
  task.service_id = "svc";
  task.generation = 3;
  task.term = 4;
  task.node = node(5);
  task.state = TaskState::kFailed;
  task.desired = TaskState::kShutdown;
  task.exit_code = -7;
  task.health = Health::kUnhealthy;
  task.moving = true;
  task.ask = UINT64_MAX;
  task.confirmations = {{node(1), 11}, {node(2), 12}};
  task.created = {-5};
  task.since = {99};
  task.ports = {{"udp", 53, 5353, true}};
  return task;
}

}  // namespace

TEST_CASE("records: a service document survives the round trip, unknown fields included") {
  ServiceDoc doc;
  doc.id = "id";
  doc.name = "web";
  doc.generation = 7;
  doc.spec_json = R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"x"}},"X":[1,2.5]})";
  doc.previous_json = R"({"Name":"web"})";
  doc.previous_generation = 6;
  doc.created = {1};
  doc.updated = {2};
  doc.rolled_back = true;
  doc.homes = {{1, node(1)}, {12, node(2)}};
  doc.unknown = R"({"later":{"a":[true]}})";
  const std::string json = to_json(doc);
  const Result<ServiceDoc> back = service_from_json(json);
  REQUIRE(back);
  CHECK(to_json(*back) == json);
  CHECK(back->spec.image == "x");
  CHECK(back->homes == doc.homes);
  CHECK(back->unknown == doc.unknown);
  CHECK(back->previous_json == doc.previous_json);
  CHECK(back->rolled_back);
  CHECK_FALSE(service_from_json("{}"));
  CHECK_FALSE(service_from_json("[]"));
}

TEST_CASE("records: a roster document survives the round trip, unknown fields included") {
  Admission admission;
  admission.key = 0xfedcba9876543210;
  admission.proof.fill(7);
  const RosterDoc doc{node(3),      "pi",      "10.0.0.1:7117", Availability::kDrain,
                      {{"a", "b"}}, admission, R"({"z":1})"};
  const Result<RosterDoc> back = roster_from_json(to_json(doc));
  REQUIRE(back);
  CHECK(to_json(*back) == to_json(doc));
  CHECK(back->availability == Availability::kDrain);
  CHECK(back->node == doc.node);
  CHECK(back->admission == admission);
  CHECK_FALSE(roster_from_json(R"({"node":"zz"})"));
  std::string short_of_it = to_json(doc);
  short_of_it.erase(short_of_it.find("fedcba98"), 2);
  const Result<RosterDoc> shows_nothing = roster_from_json(short_of_it);
  REQUIRE(shows_nothing);
  CHECK(shows_nothing->admission == Admission{});
  CHECK_FALSE(roster_from_json("{}"));
}

TEST_CASE("records: what a node signs survives the round trip") {
  const TaskRecord sent = task();
  const Result<TaskRecord> back = decode_task(encode(sent));
  REQUIRE(back);
  CHECK(encode(*back) == encode(sent));
  CHECK(back->slot == sent.slot);
  CHECK(back->exit_code == -7);
  CHECK(back->confirmations[1].nonce == 12);
  CHECK(back->ports[0].published == 5353);
  CHECK(back->created == WallTime{-5});

  NodeInfo info;
  info.node = node(4);
  info.labels = {{"disk", "ssd"}};
  info.ready = false;
  info.inventory_epoch = 12;
  info.key = 7;
  info.keys = {7, UINT64_MAX};
  info.ring = 9;
  info.engine.up = true;
  info.engine.labels = {{"x", "y"}};
  const Result<NodeInfo> info_back = decode_node_info(encode(info));
  REQUIRE(info_back);
  CHECK(encode(*info_back) == encode(info));
  CHECK(info_back->engine.labels.at("x") == "y");
  CHECK(info_back->keys == info.keys);
  info.keys.assign(65, 1);
  CHECK_FALSE(decode_node_info(encode(info)));

  const RefusedRecord refused{node(1), {"web", 0, node(1)}, "svc", 2, "no such image"};
  const Result<RefusedRecord> refused_back = decode_refused(encode(refused));
  REQUIRE(refused_back);
  CHECK(encode(*refused_back) == encode(refused));
}

TEST_CASE("records: no bytes crash a decoder") {
  const Bytes good = encode(task());
  Rng rng(2);
  for (int i = 0; i < 30'000; ++i) {
    Bytes bad = good;
    const uint64_t changes = rng.below(4);
    for (uint64_t c = 0; c < changes; ++c)
      bad[rng.below(bad.size())] = static_cast<uint8_t>(rng.next());
    if (rng.chance(1, 3)) bad.resize(rng.below(bad.size()));
    (void)decode_task(bad);
    (void)decode_node_info(bad);
    (void)decode_refused(bad);
  }
  CHECK_FALSE(decode_task(Bytes{}));
  CHECK_FALSE(decode_task(Bytes{0xdf, 0xff, 0xff, 0xff, 0xff}));  // a map of 2^32 - 1
  CHECK_FALSE(decode_task(Bytes(4096, 0x91)));                    // nested without end
}
