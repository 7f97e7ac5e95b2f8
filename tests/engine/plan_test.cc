#include "engine/plan.h"

#include <algorithm>
#include <deque>

#include <doctest/doctest.h>

#include "engine/task.h"

using namespace kith;

namespace {

NodeId node(uint8_t n) {
  NodeId id;
  id.key[0] = n;
  return id;
}

const NodeId kMe = node(5);

/// One slot as seen by node 5: eligible, synced, nothing there.
struct Scene {
  Scene() {
    service.id = "web-1";
    service.name = "web";
    service.spec.replicas = 3;
    view.slot = {"web", 2, {}};
    view.self = kMe;
    view.service = &service;
    view.synced = true;
  }
  TaskRecord& copy(uint8_t n, Term term, TaskState state = TaskState::kRunning) {
    TaskRecord& task = records.emplace_back();
    task.id = "task-" + std::to_string(n) + "-" + std::to_string(term);
    task.slot = view.slot;
    task.service_id = service.id;
    task.generation = service.generation;
    task.term = term;
    task.node = node(n);
    task.state = state;
    if (n == 5)
      view.own.push_back({.record = &task, .due = false, .asked = &asked});
    else
      view.peers.push_back({.record = &task, .hidden = false, .suspect = false});
    return task;
  }
  [[nodiscard]] std::vector<Action> actions() const { return plan(view); }
  [[nodiscard]] bool only(ActionKind kind, int row) const {
    const auto all = actions();
    return all.size() == 1 && all[0].kind == kind && all[0].row == row;
  }
  [[nodiscard]] bool nothing() const { return actions().empty(); }

  ServiceDoc service;
  SlotView view;
  std::deque<TaskRecord> records;
  std::vector<std::string> asked;
};

}  // namespace

TEST_CASE("row 0: while paused nothing starts, stops, asks or confirms") {
  Scene scene;
  scene.view.facts.target = kMe;
  scene.view.paused = true;
  CHECK(scene.nothing());
  scene.copy(5, 1);
  scene.copy(6, 2);
  CHECK(scene.nothing());
  scene.view.service = nullptr;
  CHECK(scene.nothing());
}

TEST_CASE("row 1: the target starts what has no copy") {
  Scene scene;
  scene.view.facts.target = kMe;
  CHECK(scene.only(ActionKind::kStart, 1));
  SUBCASE("not while another is present, suspect or not") {
    scene.copy(6, 1, TaskState::kPreparing);
    CHECK(scene.nothing());
    scene.view.peers[0].suspect = true;
    CHECK(scene.nothing());
  }
  SUBCASE("one that backs off is present, one that failed or was told to stop is not") {
    TaskRecord& other = scene.copy(6, 1, TaskState::kFailed);
    CHECK(scene.only(ActionKind::kStart, 1));
    other.backing_off = true;
    CHECK(scene.nothing());
    other.backing_off = false;
    other.state = TaskState::kRunning;
    other.desired = TaskState::kShutdown;
    CHECK(scene.only(ActionKind::kStart, 1));
  }
  SUBCASE("a dead node's copy is not present, and its term counts") {
    scene.copy(6, 7);
    scene.view.peers[0].hidden = true;
    CHECK(scene.only(ActionKind::kStart, 1));
    CHECK(next_term(scene.view, {}) == 8);
  }
  SUBCASE("a term at the end of its range stays there") {
    scene.copy(6, UINT64_MAX);
    scene.view.peers[0].hidden = true;
    CHECK(next_term(scene.view, {}) == UINT64_MAX);
  }
  SUBCASE("of a manual service the dead node's copy is waited for") {
    scene.service.spec.failover = Failover::kManual;
    CHECK(scene.only(ActionKind::kStart, 1));
    scene.copy(6, 7);
    scene.view.peers[0].hidden = true;
    CHECK(scene.nothing());
  }
  SUBCASE("a majority service needs a lease, and there are none") {
    scene.service.spec.failover = Failover::kMajority;
    CHECK(scene.nothing());
  }
  SUBCASE("row 8: not where it was refused") {
    scene.view.can_start = false;
    CHECK(scene.nothing());
  }
}

TEST_CASE("row 2: who stands at place k waits k times 3 s, then starts") {
  Scene scene;
  scene.view.facts.target = node(9);
  struct Case {
    uint32_t place;
    int seconds;
    bool starts;
  };
  for (const Case& c : {Case{1, 2, false},
                        {1, 3, true},
                        {2, 5, false},
                        {2, 6, true},
                        {0, 3, true},
                        {0, 1, false}}) {
    CAPTURE(c.place);
    CAPTURE(c.seconds);
    scene.view.facts.place = c.place;
    scene.view.absent_for = std::chrono::seconds(c.seconds);
    CHECK(scene.only(ActionKind::kStart, 2) == c.starts);
  }
  scene.view.absent_for = std::chrono::hours(1);
  scene.view.facts.pinned = true;
  CHECK(scene.nothing());
  scene.view.facts = {};
  CHECK(scene.nothing());
}

TEST_CASE("row 3: an unhealthy copy goes when another of its generation is healthy") {
  Scene scene;
  TaskRecord& mine = scene.copy(5, 3, TaskState::kStarting);
  TaskRecord& other = scene.copy(6, 1);
  CHECK(scene.only(ActionKind::kDrop, 3));
  SUBCASE("not if mine is a planned move") {
    mine.moving = true;
    CHECK(scene.nothing());
  }
  SUBCASE("not if the other only starts, is on a suspect node, or is of an older generation") {
    other.health = Health::kStarting;
    CHECK(scene.nothing());
    other.health = Health::kHealthy;
    scene.view.peers[0].suspect = true;
    CHECK(scene.nothing());
    scene.view.peers[0].suspect = false;
    scene.service.generation = mine.generation = 2;
    CHECK(scene.nothing());
  }
  SUBCASE("of two that back off the lower goes") {
    mine.backing_off = other.backing_off = true;
    mine.state = other.state = TaskState::kReady;
    CHECK(scene.nothing());
    other.term = 4;
    CHECK(scene.only(ActionKind::kDrop, 3));
  }
}

TEST_CASE("row 4: the target of an allowed move starts beside the source, which goes on") {
  Scene scene;
  scene.view.facts.target = node(6);
  scene.view.facts.move_to = kMe;
  scene.copy(6, 4);
  REQUIRE(scene.only(ActionKind::kStart, 4));
  CHECK(scene.actions()[0].moving);
  CHECK(next_term(scene.view, {}) == 5);
  TaskRecord& mine = scene.copy(5, 5, TaskState::kStarting);
  mine.moving = true;
  CHECK(scene.nothing());
  scene.view.peers.clear();
  mine.state = TaskState::kRunning;
  CHECK(scene.only(ActionKind::kSettle, 4));

  Scene source;
  source.view.facts.target = kMe;
  source.view.facts.move_to = node(6);
  source.copy(5, 4);
  TaskRecord& target = source.copy(6, 5, TaskState::kStarting);
  target.moving = true;
  CHECK(source.nothing());
  target.state = TaskState::kRunning;
  CHECK(source.only(ActionKind::kAsk, 5));
}

TEST_CASE("row 5: the lower asks, and stops only when the higher confirms this nonce") {
  Scene scene;
  TaskRecord& mine = scene.copy(5, 1);
  TaskRecord& other = scene.copy(6, 1);  // the same term: the node id decides
  const auto first = scene.actions();
  REQUIRE(scene.only(ActionKind::kAsk, 5));
  mine.ask = 42;
  scene.asked = first[0].asked;
  CHECK(scene.nothing());
  other.confirmations = {{.asker = kMe, .nonce = 41}, {.asker = node(7), .nonce = 42}};
  CHECK(scene.nothing());
  other.confirmations = {{.asker = kMe, .nonce = 42}};
  CHECK(scene.only(ActionKind::kYield, 5));
  SUBCASE("not while its node is suspect; and asks anew later") {
    scene.view.peers[0].suspect = true;
    CHECK(scene.only(ActionKind::kUnask, 5));
  }
  SUBCASE("not if it is not healthy any more") {
    other.health = Health::kUnhealthy;
    CHECK(scene.only(ActionKind::kUnask, 5));
  }
  SUBCASE("another set of higher copies: another nonce") {
    scene.copy(7, 3);
    CHECK(scene.only(ActionKind::kAsk, 5));
  }
  SUBCASE("a lower copy is no reason") {
    mine.term = 2;
    CHECK(scene.only(ActionKind::kUnask, 5));
  }
}

TEST_CASE("row 6: the higher confirms if it is healthy, asks nobody and is not stopping") {
  Scene scene;
  TaskRecord& mine = scene.copy(5, 3);
  TaskRecord& other = scene.copy(6, 1);
  CHECK(scene.nothing());
  other.ask = 42;
  const auto all = scene.actions();
  REQUIRE(scene.only(ActionKind::kConfirm, 6));
  REQUIRE(all[0].confirmations.size() == 1);
  CHECK(all[0].confirmations[0].asker == node(6));
  CHECK(all[0].confirmations[0].nonce == 42);
  SUBCASE("once") {
    mine.confirmations = all[0].confirmations;
    CHECK(scene.nothing());
    other.ask = 0;
    CHECK(scene.only(ActionKind::kConfirm, 6));  // taken back
  }
  SUBCASE("not while it starts") {
    mine.health = Health::kStarting;
    CHECK(scene.actions()[0].kind != ActionKind::kConfirm);
  }
  SUBCASE("not while it stops") {
    mine.desired = TaskState::kShutdown;
    CHECK(scene.nothing());
  }
  SUBCASE("not while it asks itself") {
    scene.copy(7, 9);
    for (const Action& action : scene.actions()) CHECK(action.kind != ActionKind::kConfirm);
  }
}

TEST_CASE("row 7: what is removed, scaled away or evicted stops, once synced") {
  Scene scene;
  TaskRecord& mine = scene.copy(5, 1);
  SUBCASE("removed") {
    scene.view.service = nullptr;
  }
  SUBCASE("scaled away") {
    scene.service.spec.replicas = 1;
  }
  SUBCASE("evicted") {
    scene.view.facts.evicted = true;
  }
  SUBCASE("another service took the name") {
    mine.service_id = "web-0";
  }
  CHECK(scene.only(ActionKind::kStop, 7));
  scene.view.synced = false;
  CHECK(scene.nothing());
}

TEST_CASE("row 7: a global copy of an identity that this host had before stops") {
  Scene scene;
  NodeId before;
  before.key[0] = 77;
  scene.service.spec.mode = ServiceMode::kGlobal;
  scene.view.slot = {scene.service.name, 0, before};
  TaskRecord& mine = scene.copy(5, 1);
  mine.slot = scene.view.slot;
  CHECK(scene.only(ActionKind::kStop, 7));
  scene.view.slot.node = scene.view.self;
  mine.slot = scene.view.slot;
  CHECK(scene.nothing());
}

TEST_CASE("update: an open generation replaces, a closed one waits") {
  Scene scene;
  TaskRecord& mine = scene.copy(5, 1);
  scene.service.generation = 2;
  CHECK(scene.only(ActionKind::kReplace, 0));
  SUBCASE("start-first begins the new beside the old, then stops the old") {
    scene.service.spec.update.start_first = true;
    CHECK(scene.only(ActionKind::kStart, 0));
    TaskRecord& next = scene.copy(5, 2, TaskState::kStarting);
    CHECK(scene.nothing());
    next.state = TaskState::kRunning;
    REQUIRE(scene.only(ActionKind::kStop, 0));
    CHECK(scene.actions()[0].task_id == mine.id);
  }
  scene.view.open = false;
  CHECK((mine.generation == 2 || scene.view.own.size() > 1 || scene.nothing()));
}

TEST_CASE("gate: a batch opens when every earlier slot is stable at the generation") {
  ServiceDoc service;
  service.id = "web-1";
  service.name = "web";
  service.generation = 2;
  service.previous_generation = 1;
  service.spec.replicas = 4;
  service.spec.update.parallelism = 2;
  std::deque<TaskRecord> records;
  for (uint32_t i = 1; i <= 4; ++i) {
    TaskRecord& task = records.emplace_back();
    task.slot = {"web", i, {}};
    task.service_id = "web-1";
    task.generation = 1;
    task.state = TaskState::kRunning;
  }
  const auto open = [&](uint32_t index) {
    std::vector<const TaskRecord*> all;
    for (const TaskRecord& task : records) all.push_back(&task);
    return generation_open(service, {"web", index, {}}, all);
  };
  CHECK(open(4));  // never updated
  service.previous_json = "{}";
  CHECK((open(1) && open(2)));
  CHECK_FALSE(open(3));
  records[0].generation = 2;
  records[0].stable = true;
  records[1].generation = 2;
  CHECK_FALSE(open(3));
  records[1].stable = true;
  CHECK((open(3) && open(4)));
  SUBCASE("a failure pauses, or is gone over") {
    records[2].generation = 2;
    records[2].state = TaskState::kFailed;
    CHECK(open(3));  // begun
    CHECK_FALSE(open(4));
    service.spec.update.on_failure = FailureAction::kContinue;
    CHECK(open(4));
  }
  SUBCASE("no copy of another generation left: all is open") {
    for (TaskRecord& task : records) task.generation = 2;
    records[1].stable = false;
    CHECK(open(4));
  }
}

TEST_CASE("restarts: at once, then doubling to the cap, and anew after a good run") {
  Rng rng(1);
  Restarts restarts;
  RestartPolicy policy;
  CHECK(restarts.failed(policy, {}, rng) == Duration{});
  Duration base = std::chrono::seconds(1);
  for (int i = 0; i < 12; ++i, base = std::min(2 * base, kMaxBackOff)) {
    const Duration wait = restarts.failed(policy, {}, rng);
    CHECK(wait >= base);
    CHECK(wait <= base + base / 10);
  }
  CHECK(restarts.failed(policy, std::chrono::seconds(61), rng) > std::chrono::minutes(4));
  CHECK(restarts.failed(policy, std::chrono::hours(1), rng) == Duration{});
  policy.delay = std::chrono::seconds(30);
  CHECK(restarts.failed(policy, {}, rng) >= std::chrono::seconds(30));
}

TEST_CASE("restarts: the policy's condition and its last attempt") {
  Restarts restarts;
  RestartPolicy policy;
  CHECK(restarts.allowed(policy, true));
  policy.condition = RestartCondition::kOnFailure;
  CHECK_FALSE(restarts.allowed(policy, true));
  CHECK(restarts.allowed(policy, false));
  policy.max_attempts = 2;
  restarts.attempts = 2;
  CHECK_FALSE(restarts.allowed(policy, false));
  policy = {};
  policy.condition = RestartCondition::kNone;
  CHECK_FALSE(restarts.allowed(policy, false));
  CHECK(exit_words(1, false, {}) == "task: non-zero exit (1)");
  CHECK(waiting_words(std::chrono::milliseconds(7500), 4) == "restarting in 8 s (failure 4)");
}
