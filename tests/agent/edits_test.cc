// What a node makes of the edits it is handed.

#include <doctest/doctest.h>

#include <algorithm>

#include "agent/node.h"

using namespace kith;

namespace {

constexpr int64_t kStart = 1'790'000'000'000;

/// A node alone in its cluster, without an engine, on a disk that takes all once it is asked to.
struct Alone {
  explicit Alone(LoadedState loaded = {}, std::map<std::string, std::string> labels = {},
                 Identity identity = Identity::generate()) {
    NodeSetup setup{"test",
                    std::move(identity),
                    KeyRing(ClusterKey::generate()),
                    "n1",
                    {"10.0.0.1", 7400},
                    std::move(labels),
                    0,
                    false,
                    {},
                    SwimConfig::lan(),
                    1,
                    1,
                    std::move(loaded)};
    node = std::make_unique<Node>(std::move(setup), Rng(1), now(), out);
  }

  [[nodiscard]] Now now() const {
    return {Instant{} + std::chrono::milliseconds(ms), WallTime{kStart + ms}};
  }
  void step() {
    ms += 10;
    node->advance(now(), out);
  }
  void write() {
    while (!out.persists.empty()) {
      const uint64_t id = out.persists.front().id;
      out.persists.erase(out.persists.begin());
      node->written(id, {}, now(), out);
    }
  }
  void settle() {
    for (int i = 0; i < 5; ++i) {
      step();
      write();
    }
  }
  Result<std::string> ask(Edit edit) {
    const uint64_t id = node->edit(std::move(edit));
    settle();
    const auto done = std::find_if(out.edits.begin(), out.edits.end(),
                                   [&](const EditDone& answer) { return answer.edit == id; });
    REQUIRE(done != out.edits.end());
    return done->outcome;
  }
  [[nodiscard]] const RosterDoc& entry() const { return node->catalog().roster().at(node->self()); }
  [[nodiscard]] UpdateNode update(std::map<std::string, std::string> labels) const {
    UpdateNode edit;
    edit.node = node->self();
    edit.expected_index = index_of(node->documents(), roster_key(node->self()));
    edit.labels = std::move(labels);
    return edit;
  }

  int64_t ms = 0;
  NodeEffects out;
  std::unique_ptr<Node> node;
};

/// What a disk holds of these, by their keys.
LoadedState loaded(const std::map<std::string, std::string>& bodies) {
  DocStore store{DocStoreConfig{}};
  LoadedState out;
  DocEffects effects;
  for (const auto& [key, body] : bodies)
    REQUIRE(store.put(key, body, {Instant{}, WallTime{kStart - 1'000}}, {}, effects));
  for (const Document* document : store.list("")) out.documents.push_back(*document);
  out.last_stamp = store.last_stamp();
  return out;
}

using Labels = std::map<std::string, std::string>;
constexpr const char* kSpec = R"({"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"i"}}})";

}  // namespace

TEST_CASE("edits: one for which there is no room is refused, not acknowledged and lost") {
  std::map<std::string, std::string> bodies;
  for (size_t i = 0; i + 1 < kMaxDocuments; ++i) bodies["config/" + std::to_string(i)] = "{}";
  Alone alone(loaded(bodies));
  alone.settle();
  REQUIRE(alone.node->catalog().roster().contains(alone.node->self()));
  alone.out.persists.clear();
  const auto refused = alone.ask(CreateService{kSpec});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::kTooLarge);
  CAPTURE(refused.error().message);
  CHECK(refused.error().message.find("its limit") != std::string::npos);
  CHECK(refused.error().message.find("for 30 days") != std::string::npos);
  CHECK(alone.node->catalog().services().empty());
  // What is there already can still be changed.
  UpdateNode drained = alone.update({});
  drained.availability = Availability::kDrain;
  CHECK(alone.ask(drained));
  CHECK(alone.entry().availability == Availability::kDrain);
}

TEST_CASE("edits: a host that comes under another name keeps what was said of it meanwhile") {
  const Identity identity = Identity::generate();
  RosterDoc before;
  before.node = identity.id();
  before.name = "old";
  before.address = "10.0.0.9:7400";
  Alone alone(loaded({{roster_key(before.node), to_json(before)}}), {}, identity);
  UpdateNode drained = alone.update({{"disk", "ssd"}});
  drained.availability = Availability::kDrain;
  // Both are queued before the first is on disk.
  alone.node->edit(drained);
  alone.step();
  REQUIRE(alone.out.persists.size() == 1);
  alone.settle();
  CHECK(alone.entry().name == "n1");
  CHECK(alone.entry().address == "10.0.0.1:7400");
  CHECK(alone.entry().availability == Availability::kDrain);
  CHECK(alone.entry().labels == Labels{{"disk", "ssd"}});
}

TEST_CASE("edits: what a node's configuration says is not made an operator's word") {
  Alone alone({}, {{"disk", "ssd"}, {"zone", "attic"}});
  alone.settle();
  // A client sends back all labels that it was shown, whatever it changes.
  REQUIRE(alone.ask(alone.update({{"disk", "ssd"}, {"zone", "attic"}})));
  CHECK(alone.entry().labels.empty());
  REQUIRE(alone.ask(alone.update({{"disk", "ssd"}, {"zone", "attic"}, {"rack", "2"}})));
  CHECK(alone.entry().labels == Labels{{"rack", "2"}});
  REQUIRE(alone.ask(alone.update({{"disk", "hdd"}, {"zone", "attic"}, {"rack", "2"}})));
  CHECK(alone.entry().labels == Labels{{"disk", "hdd"}, {"rack", "2"}});
  SUBCASE("an operator's word stays one, also if it says the same") {
    REQUIRE(alone.ask(alone.update({{"disk", "ssd"}, {"zone", "attic"}, {"rack", "2"}})));
    CHECK(alone.entry().labels == Labels{{"disk", "ssd"}, {"rack", "2"}});
  }
  SUBCASE("one that hides the configuration's can be removed, and that shows again") {
    REQUIRE(alone.ask(alone.update({{"zone", "attic"}})));
    CHECK(alone.entry().labels.empty());
    alone.settle();
    CHECK(alone.node->nodes(alone.now())[0].view.labels ==
          Labels{{"disk", "ssd"}, {"zone", "attic"}});
  }
  SUBCASE("the configuration's own is removed there") {
    const auto refused = alone.ask(alone.update({{"disk", "hdd"}}));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kInvalid);
    CHECK(refused.error().message ==
          "label zone stands in node n1's own configuration: remove it under node.labels there "
          "and restart its agent, or give it another value here");
    CHECK(alone.entry().labels == Labels{{"disk", "hdd"}, {"rack", "2"}});
  }
}
