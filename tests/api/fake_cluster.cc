#include "fake_cluster.h"

#include <algorithm>
#include <utility>

#include "state/service_spec.h"

namespace kith::test {

NodeEntry make_node(uint8_t number, const std::string& name) {
  NodeEntry out;
  out.view.id.key.fill(number);
  out.view.name = name;
  out.view.nano_cpus = 4'000'000'000;
  out.view.memory_bytes = 8'000'000'000;
  out.view.engine = {.present = true,
                     .up = true,
                     .error = {},
                     .version = "28.2.2",
                     .api_version = "1.50",
                     .os = "linux",
                     .architecture = "x86_64",
                     .labels = {}};
  out.info.emplace();
  out.info->node = out.view.id;
  out.info->name = name;
  out.info->version = "0.1.0";
  out.info->host_address = "10.0.0." + std::to_string(number);
  out.address = {out.info->host_address, 7117};
  out.created = {1'700'000'000'000};
  out.since = {1'700'000'000'000};
  out.version_index = number;
  return out;
}

TaskRecord make_task(const ServiceDoc& service, uint32_t slot, const NodeId& node) {
  TaskRecord out;
  const std::string seed = service.id + std::to_string(slot) + node.hex();
  out.id = docker_id_from(as_bytes(seed));
  out.slot = {service.name, slot, slot == 0 ? node : NodeId{}};
  out.service_id = service.id;
  out.generation = service.generation;
  out.term = 1;
  out.node = node;
  out.state = TaskState::kRunning;
  out.image = service.spec.image;
  out.message = "started";
  out.container_id = "c0ffee" + out.id;
  out.pid = 4242;
  out.created = {1'700'000'001'000};
  out.since = {1'700'000'002'000};
  return out;
}

ServiceEntry make_service(const std::string& name, const std::string& spec_json) {
  ServiceEntry out;
  out.doc.id = docker_id_from(as_bytes(name));
  out.doc.name = name;
  out.doc.spec_json = spec_json;
  out.doc.created = out.doc.updated = {1'700'000'000'000};
  if (auto spec = parse_service_spec(spec_json)) out.doc.spec = std::move(*spec);
  out.version_index = 7;
  return out;
}

FakeCluster::FakeCluster(Loop& loop, std::string engine_socket)
    : loop_(loop), engine_socket_(std::move(engine_socket)) {
  nodes_ = {make_node(1, "ant"), make_node(2, "bee"), make_node(3, "cat")};
  nodes_.front().self = true;
}

class FakeCluster::Ticket : public Cluster::Subscription {
 public:
  Ticket(std::list<EventSink>& sinks, std::list<EventSink>::iterator place)
      : sinks_(sinks), place_(place) {}
  ~Ticket() override { sinks_.erase(place_); }

 private:
  std::list<EventSink>& sinks_;
  std::list<EventSink>::iterator place_;
};

std::unique_ptr<Cluster::Subscription> FakeCluster::subscribe(EventSink sink) {
  sinks_.push_back(std::move(sink));
  return std::make_unique<Ticket>(sinks_, std::prev(sinks_.end()));
}

void FakeCluster::later(std::function<void()> call) {
  loop_.post(std::move(call));
}

void FakeCluster::emit(ClusterEvent event) {
  recent_.push_back(event);
  if (recent_.size() > kMaxRecentEvents) recent_.erase(recent_.begin());
  for (const EventSink& sink : sinks_) sink(event);
}

void FakeCluster::note(const std::string& type, const std::string& action, const std::string& id,
                       const std::string& name) {
  emit({read_now().wall, type, action, id, name, type + " " + name + ": " + action, {}});
}

StatusReport FakeCluster::status() const {
  StatusReport out;
  out.cluster = "home";
  out.cluster_id = docker_id_from(as_bytes("home"));
  out.node_name = nodes_.front().view.name;
  out.node = nodes_.front().view.id;
  out.epoch = 3;
  out.started = {1'700'000'000'000};
  out.counters = {{"datagrams_unauthentic", 5}};
  return out;
}

std::vector<ServiceEntry> FakeCluster::services() const {
  std::vector<ServiceEntry> out;
  for (const auto& [name, service] : services_) out.push_back(service);
  return out;
}

Result<Explanation> FakeCluster::explain(const SlotKey& slot) const {
  return Explanation{slot.text(),
                     "runs on ant",
                     {{"ant", "running", "term 1"}},
                     {{"bee", false, "is down"}, {"ant", true, "chosen"}}};
}

ServiceEntry* FakeCluster::by_id(std::string_view id) {
  for (auto& [name, service] : services_)
    if (service.doc.id == id) return &service;
  return nullptr;
}

void FakeCluster::create_service(std::string spec_json, Created done) {
  const auto spec = parse_service_spec(spec_json);
  if (!spec) return later([=] { done(fail(spec.error())); });
  if (services_.contains(spec->name))
    return later([=] { done(fail(ErrorCode::kConflict, "taken")); });
  ServiceEntry service = make_service(spec->name, spec_json);
  service.doc.created = service.doc.updated = read_now().wall;
  service.version_index = ++index_;
  place(services_[spec->name] = service);
  note("service", "create", service.doc.id, spec->name);
  later([=, id = service.doc.id] { done(id); });
}

void FakeCluster::update_service(std::string_view id, uint64_t expected_index,
                                 std::string spec_json, bool rollback, Done done) {
  ServiceEntry* service = by_id(id);
  if (service == nullptr) return later([=] { done(fail(ErrorCode::kNotFound, "gone")); });
  if (service->version_index != expected_index)
    return later([=] { done(fail(ErrorCode::kConflict, "stale")); });
  ServiceDoc& doc = service->doc;
  if (rollback) spec_json = doc.previous_json;
  const auto spec = parse_service_spec(spec_json);
  if (!spec) return later([=] { done(fail(spec.error())); });
  doc.previous_json = std::exchange(doc.spec_json, spec_json);
  doc.previous_generation = doc.generation;
  if (spec->image != doc.spec.image || rollback) ++doc.generation;
  doc.spec = *spec;
  doc.updated = read_now().wall;
  doc.rolled_back = rollback;
  service->version_index = ++index_;
  place(*service);
  note("service", "update", doc.id, doc.name);
  later([=] { done({}); });
}

void FakeCluster::remove_service(std::string_view id, Done done) {
  ServiceEntry* service = by_id(id);
  if (service == nullptr) return later([=] { done(fail(ErrorCode::kNotFound, "gone")); });
  const ServiceDoc doc = service->doc;
  services_.erase(doc.name);
  std::erase_if(tasks_, [&](const TaskRecord& task) { return task.service_id == doc.id; });
  note("service", "remove", doc.id, doc.name);
  later([=] { done({}); });
}

void FakeCluster::place(const ServiceEntry& service) {
  const ServiceDoc& doc = service.doc;
  const bool global = doc.spec.mode == ServiceMode::kGlobal;
  for (TaskRecord& task : tasks_)
    if (task.service_id == doc.id &&
        (task.generation != doc.generation || (!global && task.slot.index > doc.spec.replicas)))
      task.desired = TaskState::kShutdown;
  const uint32_t count = global ? static_cast<uint32_t>(nodes_.size()) : doc.spec.replicas;
  for (uint32_t i = 0; i < count; ++i) {
    const NodeId node = nodes_[i % nodes_.size()].view.id;
    TaskRecord task = make_task(doc, global ? 0 : i + 1, node);
    const bool there = std::any_of(tasks_.begin(), tasks_.end(), [&](const TaskRecord& other) {
      return other.service_id == doc.id && other.slot == task.slot &&
             other.desired == TaskState::kRunning;
    });
    if (there) continue;
    const std::string seed = task.id + std::to_string(next_task_++);
    task.id = docker_id_from(as_bytes(seed));
    task.state = TaskState::kPreparing;
    task.message = "preparing";
    task.container_id.clear();
    task.created = task.since = read_now().wall;
    tasks_.push_back(std::move(task));
  }
}

void FakeCluster::step() {
  const WallTime now = read_now().wall;
  std::erase_if(tasks_, [](const TaskRecord& task) {
    return task.state == TaskState::kShutdown && task.slot.index > 100;
  });
  for (TaskRecord& task : tasks_) {
    const TaskState before = task.state;
    if (task.desired == TaskState::kShutdown) {
      if (task.state == TaskState::kRunning) task.state = TaskState::kShutdown;
    } else if (task.state == TaskState::kPreparing && fail_tasks) {
      task.state = TaskState::kRejected;
      task.desired = TaskState::kShutdown;
      task.error = "No such image: " + task.image;
    } else if (task.state == TaskState::kPreparing) {
      task.state = TaskState::kStarting;
    } else if (task.state == TaskState::kStarting) {
      task.state = TaskState::kRunning;
      task.message = "started";
      task.container_id = "c0ffee" + task.id;
    }
    if (task.state != before) task.since = now;
  }
}

void FakeCluster::update_node(const NodeId& node, uint64_t expected_index,
                              Availability availability, std::map<std::string, std::string> labels,
                              Done done) {
  for (NodeEntry& one : nodes_) {
    if (one.view.id != node) continue;
    if (one.version_index != expected_index)
      return later([=] { done(fail(ErrorCode::kConflict, "stale")); });
    one.view.availability = availability;
    one.view.labels = std::move(labels);
    one.version_index = ++index_;
    note("node", "update", node.docker_id(), one.view.name);
  }
  later([=] { done({}); });
}

void FakeCluster::add_key(std::string_view key, Created done) {
  KeyEntry entry;
  entry.id = key.empty() ? "00000000000000ff" : "ad" + std::string(14, '0');
  if (key == "no key")
    return later([=] { done(fail(ErrorCode::kInvalid, "the cluster key is not base64")); });
  ring.push_back(entry);
  later([=] { done(entry.id); });
}

void FakeCluster::use_key(std::string_view id, bool force, Created done) {
  for (KeyEntry& key : ring) {
    if (key.id == id && !force && !key.lacking.empty())
      return later([=] { done(fail(ErrorCode::kConflict, "bee lacks it")); });
    key.primary = key.id == id;
  }
  later([done, id = std::string(id)] { done(id); });
}

void FakeCluster::remove_key(std::string_view id, bool, Created done) {
  std::erase_if(ring, [&](const KeyEntry& key) { return key.id == id; });
  later([done, id = std::string(id)] { done(id); });
}

void FakeCluster::remove_node(const NodeId& node, bool ban, Done done) {
  const auto found = std::find_if(nodes_.begin(), nodes_.end(),
                                  [&](const NodeEntry& one) { return one.view.id == node; });
  if (found->view.liveness != Liveness::kDead && !ban)
    return later([=] { done(fail(ErrorCode::kConflict, "alive")); });
  nodes_.erase(found);
  later([=] { done({}); });
}

void FakeCluster::leave(bool, Done done) {
  left = true;
  later([=] { done({}); });
}

}  // namespace kith::test
