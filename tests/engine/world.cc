#include "world.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "base/hash.h"

namespace kith::test {
namespace {

constexpr Duration kStep = milliseconds(10);

uint64_t walk_hash(const SlotKey& slot, const NodeId& node) {
  return hash_combine(slot.hash(), stable_hash(node.key));
}

bool truly_healthy(const Container& c) {
  return !c.starting && c.info.status == ContainerStatus::kRunning &&
         (c.info.health == Health::kNone || c.info.health == Health::kHealthy);
}

}  // namespace

World::World(uint64_t seed, const Knobs& knobs) : rng_(seed), knobs_(knobs) {
  now = Instant{} + seconds(100);
  hosts.resize(knobs.hosts);
  group_.assign(knobs.hosts, 0);
  for (size_t i = 0; i < hosts.size(); ++i) {
    hosts[i].id.key[0] = static_cast<uint8_t>(i + 1);
    boot(hosts[i]);
  }
}

Now World::clock() const {
  return {now, WallTime{now.time_since_epoch().count() / 1'000'000}};
}
size_t World::at(const NodeId& id) const {
  return id.key[0] - 1u;
}
bool World::works(const Host& host) const {
  return host.machine_up && host.agent_up && now >= host.frozen_until;
}
bool World::linked(size_t a, size_t b) const {
  return group_[a] == group_[b];
}

void World::wrong(const std::string& what) {
  if (wrongs.size() < 10)
    wrongs.push_back(std::to_string((now - Instant{}) / milliseconds(1)) + " ms: " + what);
}

std::shared_ptr<ServiceDoc> World::service(const std::string& name, uint32_t replicas) {
  auto doc = std::make_shared<ServiceDoc>();
  doc->id = name + "-1";
  doc->name = name;
  doc->spec.name = name;
  doc->spec.replicas = replicas;
  doc->spec.update.monitor = milliseconds(500);
  doc->spec_json = "{}";
  return doc;
}

void World::put(Host& at, const std::string& name, std::shared_ptr<ServiceDoc> doc) {
  at.docs[name] = {++version_, std::move(doc)};
  at.dirty = true;
}

void World::drain(Host& at, NodeId node, bool drained) {
  at.drains[node] = {++version_, drained};
  at.dirty = true;
}

// ---- a node's life

void World::boot(Host& host) {
  ReconcileConfig config;
  host.reconciler = std::make_unique<Reconciler>(host.id, "host" + std::to_string(host.id.key[0]),
                                                 config, rng_.split());
  host.agent_up = true;
  host.synced = false;
  host.quiet_since = now;
  host.records.clear();
  host.refused.clear();
  host.said.clear();
  host.heard.clear();
  host.highest.clear();
  host.sequence = 0;
  ++host.epoch;
  host.dirty = true;
  if (host.engine_up) start_engine(host);
}

void World::restart_agent(Host& host) {
  boot(host);
}

void World::kill_machine(Host& host) {
  host.machine_up = host.agent_up = false;
  for (auto it = host.containers.begin(); it != host.containers.end();) {
    it->second.info.status = ContainerStatus::kExited;
    it->second.info.exit_code = 137;
    it = it->second.starting || it->second.stopping ? host.containers.erase(it) : std::next(it);
  }
}

void World::stop_engine(Host& host, bool processes_live) {
  host.engine_up = false;
  EngineDown down{.reason = "connection refused", .running = {}};
  for (auto it = host.containers.begin(); it != host.containers.end();) {
    Container& c = it->second;
    if (c.starting) {
      it = host.containers.erase(it);
      continue;
    }
    c.stopping = false;
    if (!processes_live && c.info.status == ContainerStatus::kRunning) {
      c.info.status = ContainerStatus::kExited;
      c.info.exit_code = 137;
    }
    if (c.info.status == ContainerStatus::kRunning) down.running.push_back(it->first);
    ++it;
  }
  tell(host, down);
}

void World::start_engine(Host& host) {
  host.engine_up = true;
  tell(host, EngineUp{});
}

void World::list(Host& host) {
  Inventory inventory;
  for (auto& [id, c] : host.containers) inventory.containers.push_back(c.info);
  tell(host, inventory);
}

void World::tell(Host& host, const HostEvent& event) {
  if (!host.machine_up || !host.agent_up || now < host.frozen_until) return;
  ReconcileEffects effects;
  host.reconciler->handle(event, clock(), effects);
  carry_out(host, effects);
}

void World::carry_out(Host& host, ReconcileEffects& effects) {
  const bool news = !effects.publish.empty() || !effects.retract.empty() ||
                    !effects.refuse.empty() || !effects.unrefuse.empty();
  for (TaskRecord& record : effects.publish) {
    for (const Confirmation& c : record.confirmations)
      if (healthy(record)) {
        const std::pair<Term, NodeId> rank{record.term, record.node};
        auto& best = confirmed_[{c.asker, c.nonce}];
        best = std::max(best, rank);
      }
    if (!host.records.contains(record.id) && record.state < TaskState::kRunning &&
        record.term <= host.highest[record.slot])
      wrong(record.slot.text() + " begun with term " + std::to_string(record.term) + ", known " +
            std::to_string(host.highest[record.slot]));
    if (record.desired == TaskState::kShutdown && record.state == TaskState::kRunning)
      if (const auto old = host.records.find(record.id);
          old == host.records.end() || old->second.desired == TaskState::kRunning)
        check_stop(host, record);
    host.records[record.id] = record;
  }
  for (const std::string& id : effects.retract) host.records.erase(id);
  for (RefusedRecord& refused : effects.refuse) host.refused[refused.slot] = refused;
  for (const SlotKey& slot : effects.unrefuse) host.refused.erase(slot);
  if (host.records.size() > 200) wrong("records grow without bound");
  if (const char* trace = std::getenv("KITH_TRACE"); trace != nullptr)
    for (const SlotEvent& event : effects.events)
      std::cerr << (now - Instant{}) / milliseconds(1) << " host " << int{host.id.key[0]} << ' '
                << event.slot.text() << ' ' << event.task_id.substr(0, 4) << ' ' << event.action
                << ": " << event.text << '\n';
  bool wants_list = false;
  for (const HostCommand& command : effects.commands) {
    if (!host.engine_up) continue;
    if (const auto* start = std::get_if<StartTask>(&command)) {
      check_start(host, *start);
      ++starts;
      Container c;
      c.info.task_id = start->task_id;
      c.info.slot = start->slot;
      c.info.service_id = start->service_id;
      c.info.generation = start->generation;
      c.info.term = start->term;
      c.info.status = ContainerStatus::kCreated;
      c.starting = true;
      c.due = now + milliseconds(30 + rng_.below(rng_.chance(1, 10) ? 2000 : 300));
      host.containers[start->task_id] = c;
    } else if (const auto* stop = std::get_if<StopTask>(&command)) {
      const auto record = host.records.find(stop->task_id);
      if (record != host.records.end() && record->second.desired == TaskState::kRunning)
        wrong(record->second.slot.text() + " stopped without a word");
      ++stops;
      const auto found = host.containers.find(stop->task_id);
      if (found == host.containers.end()) {
        Container ghost;  // answered by TaskGone
        ghost.info.task_id = stop->task_id;
        ghost.info.status = ContainerStatus::kExited;
        ghost.stopping = true;
        ghost.due = now + milliseconds(10);
        host.containers[stop->task_id] = ghost;
      } else if (!found->second.stopping) {
        found->second.stopping = true;
        found->second.starting = false;
        found->second.due = now + milliseconds(20 + rng_.below(400));
      }
    } else if (const auto* remove = std::get_if<RemoveTask>(&command)) {
      const auto found = host.containers.find(remove->task_id);
      if (found == host.containers.end() || found->second.stopping) continue;
      if (truly_healthy(found->second)) wrong("a healthy container was removed");
      found->second.stopping = true;
      found->second.due = now + milliseconds(10);
    } else {
      wants_list = true;
    }
  }
  if (news) {
    ++host.sequence;
    for (size_t i = 0; i < hosts.size(); ++i)
      if (i != at(host.id)) send(host, i, false);
  }
  host.dirty = host.dirty || news;
  if (wants_list) list(host);
}

// A healthy copy is only stopped if somebody asked for it, or a higher one confirmed.
void World::check_stop(Host& host, const TaskRecord& record) {
  const auto found = host.containers.find(record.id);
  if (found == host.containers.end() || !truly_healthy(found->second)) return;
  const ContainerInfo& info = found->second.info;
  const std::string name = info.slot.text() + " term " + std::to_string(info.term) + " on host " +
                           std::to_string(host.id.key[0]);
  const auto doc = host.docs.find(info.slot.service);
  if (doc == host.docs.end()) return wrong(name + " stopped, of an unknown service");
  const auto& service = doc->second.service;
  if (!service || service->id != info.service_id || !wants(*service, info.slot)) return;
  if (service->generation != info.generation) return;
  const auto yes = confirmed_.find({host.id, record.ask});
  if (record.ask != 0 && yes != confirmed_.end() &&
      yes->second > std::pair<Term, NodeId>{info.term, host.id})
    return;
  for (const auto& [id, other] : host.containers)
    if (other.info.slot == info.slot && other.info.term > info.term && truly_healthy(other)) return;
  wrong(name + " stopped while healthy, without a confirmation: " + record.message);
}

void World::check_start(Host& host, const StartTask& start) {
  const auto doc = host.docs.find(start.slot.service);
  if (doc == host.docs.end()) return wrong(start.slot.text() + " started without a document");
  for (const auto& [id, c] : host.containers)
    if (c.info.slot == start.slot && truly_healthy(c) && c.info.service_id == start.service_id &&
        c.info.generation == start.generation)
      wrong(start.slot.text() + " started beside its own healthy copy");
}

// ---- news

void World::send(Host& from, size_t to, bool sync) {
  if (!linked(at(from.id), to) || (faulty_ && rng_.chance(1, 10))) return;
  Letter letter{.to = to,
                .from = from.id,
                .sync = sync,
                .said = {},
                .docs = from.docs,
                .drains = from.drains};
  if (sync) letter.said = from.said;
  if (from.reconciler->inventory_listed()) {
    auto said = std::make_shared<Said>();
    said->epoch = from.epoch;
    said->sequence = from.sequence;
    for (const auto& [id, record] : from.records)
      said->tasks.push_back(std::make_shared<const TaskRecord>(record));
    for (const auto& [slot, refused] : from.refused) said->refused.push_back(refused);
    letter.said[from.id] = said;
  }
  const uint64_t slow = faulty_ && rng_.chance(1, 20) ? 1500 : 80;
  post_.emplace(now + milliseconds(2 + rng_.below(slow)), std::move(letter));
}

void World::receive(Host& host, const Letter& letter) {
  if (!works(host) || !linked(at(letter.from), at(host.id))) return;
  host.heard[letter.from] = now;
  for (const auto& [node, said] : letter.said) {
    auto& have = host.said[node];
    if (have && std::pair(have->epoch, have->sequence) >= std::pair(said->epoch, said->sequence))
      continue;
    have = said;
    host.dirty = true;
  }
  for (const auto& [name, doc] : letter.docs)
    if (doc.version > host.docs[name].version) host.docs[name] = doc, host.dirty = true;
  for (const auto& [node, drain] : letter.drains)
    if (drain.version > host.drains[node].version) host.drains[node] = drain, host.dirty = true;
  if (letter.sync && !host.synced) host.synced = host.dirty = true;
}

Liveness World::belief(const Host& host, const NodeId& node) const {
  if (const auto it = host.mistaken.find(node);
      it != host.mistaken.end() && now < it->second.second)
    return it->second.first;
  const auto it = host.heard.find(node);
  const Duration silence = now - (it == host.heard.end() ? host.quiet_since : it->second);
  if (silence > milliseconds(2500)) return Liveness::kDead;
  return silence > milliseconds(1200) ? Liveness::kSuspect : Liveness::kAlive;
}

Situation World::situation(Host& host) const {
  Situation view;
  view.synced = host.synced;
  auto nodes = std::make_shared<std::map<NodeId, Liveness>>();
  for (const Host& other : hosts)
    if (other.id != host.id) (*nodes)[other.id] = belief(host, other.id);
  view.nodes = nodes;
  auto tasks = std::make_shared<TaskIndex>();
  view.epoch = 1;  // what is said of this host itself is of before it started
  for (const auto& [node, said] : host.said)
    for (const auto& task : said->tasks) tasks->set(task, 0);
  view.tasks = tasks;
  for (const auto& [name, doc] : host.docs)
    if (doc.service) view.services[name] = doc.service;
  for (const auto& [name, doc] : view.services) place(host, *doc, view);
  return view;
}

// Seated slots stay; others go along a hash order; one balancing move at a time.
void World::place(const Host& host, const ServiceDoc& doc, Situation& view) const {
  const auto usable = [&](const NodeId& node) {
    if (node != host.id && (view.nodes->at(node) == Liveness::kDead)) return false;
    const auto drain = host.drains.find(node);
    return drain == host.drains.end() || !drain->second.drained;
  };
  const auto refused = [&](const SlotKey& slot, const NodeId& node) {
    const auto covers = [&](const RefusedRecord& r) {
      return r.slot == slot && r.service_id == doc.id && r.generation == doc.generation;
    };
    if (node == host.id) {
      const auto mine = host.refused.find(slot);
      return mine != host.refused.end() && covers(mine->second);
    }
    const auto said = host.said.find(node);
    return said != host.said.end() &&
           std::any_of(said->second->refused.begin(), said->second->refused.end(), covers);
  };
  std::map<NodeId, int> load;
  bool calm = true;
  for (const Host& other : hosts)
    if (usable(other.id)) load[other.id] = 0;
  std::map<SlotKey, NodeId> seats;
  for (uint32_t i = 1; i <= doc.spec.replicas; ++i) {
    const SlotKey slot{doc.name, i, {}};
    std::vector<const TaskRecord*> copies;
    for (const TaskIndex::Entry& peer : view.tasks->of(slot))
      if (peer.record->node != host.id && peer.record->service_id == doc.id &&
          present(*peer.record) && view.nodes->at(peer.record->node) != Liveness::kDead)
        copies.push_back(peer.record.get());
    for (const auto& [id, record] : host.records)
      if (record.slot == slot && record.service_id == doc.id && present(record))
        copies.push_back(&record);
    const TaskRecord* seat = nullptr;
    for (const TaskRecord* copy : copies)
      if (!seat ||
          std::pair(healthy(*copy), outranks(*copy, *seat)) > std::pair(healthy(*seat), false))
        seat = copy;
    calm = calm && copies.size() == 1 && healthy(*seat);
    if (seat) seats[slot] = seat->node;
    SlotFacts facts;
    std::vector<NodeId> walk;
    for (const Host& other : hosts)
      if (usable(other.id) && !refused(slot, other.id)) walk.push_back(other.id);
    if (walk.empty()) {
      facts.all_refused = true;
      for (const auto& [node, count] : load) walk.push_back(node);
    }
    std::sort(walk.begin(), walk.end(), [&](const NodeId& a, const NodeId& b) {
      return walk_hash(slot, a) < walk_hash(slot, b);
    });
    if (!walk.empty()) facts.target = walk.front();
    if (seat && usable(seat->node)) {
      facts.target = seat->node;
      ++load[seat->node];
    } else if (seat && !walk.empty()) {
      facts.move_to = facts.target;
    }
    for (size_t k = 0; k < walk.size(); ++k)
      if (walk[k] == host.id) facts.place = static_cast<uint32_t>(k);
    view.slots[slot] = facts;
  }
  if (!calm || !knobs_.balance || load.size() < 2) return;
  const auto less = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto low = *std::min_element(load.begin(), load.end(), less);
  const auto high = *std::max_element(load.begin(), load.end(), less);
  if (high.second < low.second + 2) return;
  for (const auto& [slot, node] : seats)
    if (node == high.first && !refused(slot, low.first)) {
      view.slots[slot].move_to = low.first;
      return;
    }
}

// ---- time

void World::tend(Host& host) {
  // What happens to containers while the agent is frozen is read, here: happens, once it wakes.
  if (!host.machine_up || !host.engine_up || now < host.frozen_until) return;
  std::vector<HostEvent> events;
  for (auto it = host.containers.begin(); it != host.containers.end();) {
    Container& c = it->second;
    if (c.stopping && now >= c.due) {
      events.push_back(TaskGone{.task_id = it->first, .exit_code = 0});
      it = host.containers.erase(it);
      continue;
    }
    if (c.starting && now >= c.due) {
      c.starting = false;
      if (hopeless.contains({c.info.slot.service, host.id}) || (faulty_ && rng_.chance(1, 10))) {
        events.push_back(TaskFailed{
            .task_id = it->first, .phase = TaskState::kPreparing, .error = "No such image"});
        it = host.containers.erase(it);
        continue;
      }
      c.info.status = ContainerStatus::kRunning;
      const bool check = c.info.slot.service == "b";
      c.info.health = check ? Health::kStarting : Health::kNone;
      if (check) c.healthy_at = now + milliseconds(300);
      TaskProgress progress{.task_id = it->first,
                            .state = TaskState::kRunning,
                            .message = "started",
                            .container_id = "c" + it->first,
                            .pid = 1,
                            .health = c.info.health,
                            .ports = {}};
      events.push_back(progress);
    } else if (c.info.status == ContainerStatus::kRunning && now >= c.healthy_at) {
      c.healthy_at = kNever;
      c.info.health = Health::kHealthy;
      events.push_back(TaskHealth{.task_id = it->first, .health = Health::kHealthy});
    } else if (faulty_ && c.info.status == ContainerStatus::kRunning && !c.stopping &&
               rng_.chance(1, 2000)) {
      c.info.status = ContainerStatus::kExited;
      c.info.exit_code = 1;
      events.push_back(
          TaskExited{.task_id = it->first, .exit_code = 1, .out_of_memory = false, .error = {}});
    }
    ++it;
  }
  for (const HostEvent& event : events) tell(host, event);
}

void World::live(Host& host) {
  if (!host.machine_up || !host.agent_up) {
    if (now < host.back_at) return;
    host.machine_up = true;
    host.frozen_until = {};
    host.engine_up = true;
    boot(host);
  }
  if (now < host.frozen_until) return;
  if (host.frozen_until != Instant{}) {
    const bool long_one = now - host.frozen_from >= seconds(1);
    host.frozen_until = {};
    if (long_one) {
      host.reconciler->stalled();
      host.synced = false;
      host.quiet_since = now;
      host.dirty = true;
    }
  }
  if (!host.engine_up && now >= host.engine_back_at) start_engine(host);
  if (!host.synced && now - host.quiet_since >= seconds(3)) {
    const bool lonely = std::all_of(hosts.begin(), hosts.end(), [&](const Host& other) {
      return other.id == host.id || belief(host, other.id) == Liveness::kDead;
    });
    if (lonely) host.synced = host.dirty = true;
  }
  if (rng_.chance(1, 40)) {
    const size_t to = rng_.below(hosts.size());
    if (to != at(host.id)) send(host, to, true);
  }
  if (rng_.chance(1, 20))
    for (size_t i = 0; i < hosts.size(); ++i)
      if (i != at(host.id)) send(host, i, false);
}

void World::look(Host& host) {
  if (!works(host)) return;
  ReconcileEffects effects;
  if (host.dirty || rng_.chance(1, 25)) {
    host.dirty = false;
    Situation view = situation(host);
    host.highest.clear();
    view.tasks->each([&](const TaskIndex::Entry& peer) {
      Term& highest = host.highest[peer.record->slot];
      highest = std::max(highest, peer.record->term);
    });
    host.reconciler->update(std::move(view), clock(), effects);
    carry_out(host, effects);
    effects = {};
  }
  if (host.reconciler->next_deadline() <= now) {
    host.reconciler->advance(clock(), effects);
    carry_out(host, effects);
    if (host.reconciler->next_deadline() <= now) wrong("advance left a deadline behind");
  }
}

void World::injure() {
  if (now >= group_until_) group_.assign(hosts.size(), 0);
  if (rng_.chance(1, 400)) {
    for (int& group : group_) group = static_cast<int>(rng_.below(2));
    group_until_ = now + milliseconds(500 + rng_.below(6000));
  }
  if (!rng_.chance(1, 60)) return;
  Host& host = hosts[rng_.below(hosts.size())];
  if (!host.machine_up || !host.agent_up || now < host.frozen_until) return;
  switch (rng_.below(7)) {
    case 0:
      host.agent_up = false;
      host.back_at = now + milliseconds(100 + rng_.below(4000));
      return;
    case 1:
      kill_machine(host);
      host.back_at = now + milliseconds(1000 + rng_.below(6000));
      return;
    case 2:
      host.frozen_from = now;
      host.frozen_until = now + milliseconds(100 + rng_.below(5000));
      return;
    case 3:
      if (host.engine_up) stop_engine(host, rng_.chance(1, 2));
      host.engine_back_at = now + milliseconds(200 + rng_.below(3000));
      return;
    default: {
      const NodeId other = hosts[rng_.below(hosts.size())].id;
      const Liveness what = rng_.chance(1, 2) ? Liveness::kSuspect : Liveness::kDead;
      host.mistaken[other] = {what, now + milliseconds(50 + rng_.below(2000))};
      host.dirty = true;
    }
  }
}

void World::edit() {
  if (!rng_.chance(1, 250)) return;
  Host& host = hosts[rng_.below(hosts.size())];
  if (!works(host) || !host.synced) return;
  const std::string name(1, static_cast<char>('a' + rng_.below(3)));
  if (knobs_.drains && rng_.chance(1, 5)) {
    const NodeId node = hosts[rng_.below(hosts.size())].id;
    return drain(host, node, !host.drains[node].drained);
  }
  const auto old = host.docs[name].service;
  if (!old) {
    auto doc = service(name, 1 + static_cast<uint32_t>(rng_.below(4)));
    doc->id = name + "-" + std::to_string(version_ + 1);
    return put(host, name, doc);
  }
  auto doc = std::make_shared<ServiceDoc>(*old);
  switch (rng_.below(4)) {
    case 0:
      return put(host, name, nullptr);
    case 1:
      doc->previous_json = doc->spec_json;
      doc->previous_generation = doc->generation;
      doc->generation = version_ + 2;
      doc->spec.update.start_first = rng_.chance(1, 2);
      doc->spec.update.parallelism = rng_.below(3);
      doc->spec.update.on_failure =
          rng_.chance(1, 2) ? FailureAction::kContinue : FailureAction::kPause;
      break;
    default:
      doc->spec.replicas = 1 + static_cast<uint32_t>(rng_.below(5));
  }
  put(host, name, doc);
}

void World::step() {
  now += kStep;
  if (faulty_) injure();
  if (faulty_ && knobs_.edits) edit();
  while (!post_.empty() && post_.begin()->first <= now) {
    const Letter letter = std::move(post_.begin()->second);
    post_.erase(post_.begin());
    receive(hosts[letter.to], letter);
  }
  for (Host& host : hosts) {
    live(host);
    tend(host);
    look(host);
  }
}

void World::run(Instant until, bool faulty) {
  faulty_ = faulty && knobs_.faulty;
  while (now < until) step();
}

void World::heal() {
  faulty_ = false;
  group_.assign(hosts.size(), 0);
  for (Host& host : hosts) {
    host.mistaken.clear();
    host.back_at = std::min(host.back_at, now);
    host.engine_back_at = std::min(host.engine_back_at, now);
    if (host.frozen_until != Instant{}) host.frozen_until = std::min(host.frozen_until, now);
    host.dirty = true;
  }
}

std::optional<Duration> World::settle(Duration bound) {
  heal();
  const Instant begin = now;
  Instant since = kNever;
  while (now < begin + bound) {
    step();
    if (!converged())
      since = kNever;
    else if (since == kNever)
      since = now;
    if (since != kNever && now - since >= seconds(5)) return since - begin;
  }
  return std::nullopt;
}

size_t World::healthy_copies(const SlotKey& slot) const {
  size_t count = 0;
  for (const Host& host : hosts)
    for (const auto& [id, c] : host.containers)
      if (c.info.slot == slot && truly_healthy(c)) ++count;
  return count;
}

bool World::converged(std::string* why) const {
  std::map<SlotKey, int> want;
  const Host* newest = &hosts.front();
  for (const auto& [name, doc] : newest->docs) {
    if (!doc.service) continue;
    for (uint32_t i = 1; i <= doc.service->spec.replicas; ++i) want[{name, i, {}}] = 1;
  }
  std::map<SlotKey, int> have;
  for (const Host& host : hosts)
    for (const auto& [id, c] : host.containers) {
      if (c.info.status != ContainerStatus::kRunning && !c.starting) continue;
      const auto& doc = newest->docs.find(c.info.slot.service);
      const bool healthy_one = truly_healthy(c) && !c.stopping && doc != newest->docs.end() &&
                               doc->second.service && doc->second.service->id == c.info.service_id;
      have[c.info.slot] += healthy_one ? 1 : 100;
    }
  if (have == want) return true;
  if (why == nullptr) return false;
  for (const auto& [slot, n] : want)
    if (have[slot] != 1) *why += slot.text() + ": " + std::to_string(have[slot]) + " copies; ";
  for (const auto& [slot, n] : have)
    if (n != 0 && !want.contains(slot)) *why += slot.text() + ": unwanted; ";
  return false;
}

}  // namespace kith::test
