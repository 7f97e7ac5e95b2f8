// Agent: what the APIs ask of the cluster.

#include <utility>

#include "agent/agent.h"
#include "agent/log.h"

namespace kith {
namespace {

template <class Then>
Cluster::Created then_done(Then done) {
  return [done = std::move(done)](Result<std::string> outcome) {
    done(outcome ? Status{} : Status{fail(outcome.error())});
  };
}

}  // namespace

StatusReport Agent::status() const {
  StatusReport report = node_->status(read_now());
  report.counters["datagrams_unsent"] = udp_->dropped();
  if (!set_aside_.empty())
    report.warnings.push_back("the database was damaged and is kept as " + set_aside_ +
                              "; remove that file once all is there again");
  for (const std::string& warning : config_.warnings) report.warnings.push_back(warning);
  return report;
}

NodeId Agent::self() const {
  return node_->self();
}
std::vector<NodeEntry> Agent::nodes() const {
  return node_->nodes(read_now());
}
std::vector<ServiceEntry> Agent::services() const {
  return node_->services();
}
std::vector<TaskRecord> Agent::tasks() const {
  return node_->tasks();
}
Result<Explanation> Agent::explain(const SlotKey& slot) const {
  return node_->explain(slot);
}
std::vector<ConflictEntry> Agent::conflicts() const {
  return node_->conflicts();
}
std::string Agent::engine_socket() const {
  return config_.engine.docker_socket;
}

void Agent::edit(Edit edit, Created done) {
  const uint64_t number = node_->edit(std::move(edit));
  if (number == 0) {
    loop_.post([done = std::move(done)] {
      done(fail(ErrorCode::kUnavailable, "too many edits wait already; try again"));
    });
    return;
  }
  waiting_edits_[number] = std::move(done);
  soon();
}

void Agent::create_service(std::string spec_json, Created done) {
  edit(CreateService{std::move(spec_json)}, std::move(done));
}

void Agent::update_service(std::string_view id, uint64_t expected_index, std::string spec_json,
                           bool rollback, Done done) {
  edit(UpdateService{std::string(id), expected_index, std::move(spec_json), rollback},
       then_done(std::move(done)));
}

void Agent::remove_service(std::string_view id, Done done) {
  edit(RemoveService{std::string(id)}, then_done(std::move(done)));
}

void Agent::update_node(const NodeId& node, uint64_t expected_index, Availability availability,
                        std::map<std::string, std::string> labels, Done done) {
  edit(UpdateNode{node, expected_index, availability, std::move(labels)},
       then_done(std::move(done)));
}

void Agent::remove_node(const NodeId& node, bool ban, Done done) {
  if (ban)
    edit(KeyEdit{KeyEdit::kBan, 0, ClusterKey::generate(), node, true}, then_done(std::move(done)));
  else
    edit(RemoveNode{node}, then_done(std::move(done)));
}

std::vector<KeyEntry> Agent::keys() const {
  return node_->key_entries();
}

void Agent::add_key(std::string_view key, Created done) {
  auto fresh = key.empty() ? Result<ClusterKey>(ClusterKey::generate()) : ClusterKey::parse(key);
  if (!fresh) {
    loop_.post([done = std::move(done), error = fresh.error()] { done(fail(error)); });
    return;
  }
  edit(KeyEdit{KeyEdit::kAdd, 0, *fresh, {}, false}, std::move(done));
}

void Agent::use_key(std::string_view id, bool force, Created done) {
  edit(KeyEdit{KeyEdit::kUse, parse_key_id(id).value_or(0), {}, {}, force}, std::move(done));
}

void Agent::remove_key(std::string_view id, bool force, Created done) {
  edit(KeyEdit{KeyEdit::kRemove, parse_key_id(id).value_or(0), {}, {}, force}, std::move(done));
}

void Agent::rotate_keys(Created done) {
  edit(KeyEdit{KeyEdit::kRotate, 0, ClusterKey::generate(), {}, false}, std::move(done));
}

void Agent::leave(bool keep_running, Done done) {
  farewells_.push_back(std::move(done));
  node_->leave(keep_running, wake(), effects_);
  soon();
}

class Agent::Sink final : public Subscription {
 public:
  Sink(std::weak_ptr<std::map<uint64_t, EventSink>> sinks, uint64_t number)
      : sinks_(std::move(sinks)), number_(number) {}
  ~Sink() override {
    if (const auto sinks = sinks_.lock()) sinks->erase(number_);
  }

 private:
  std::weak_ptr<std::map<uint64_t, EventSink>> sinks_;
  uint64_t number_;
};

std::unique_ptr<Cluster::Subscription> Agent::subscribe(EventSink sink) {
  const uint64_t number = next_sink_++;
  (*sinks_)[number] = std::move(sink);
  return std::make_unique<Sink>(sinks_, number);
}

std::vector<ClusterEvent> Agent::recent_events() const {
  return {recent_.begin(), recent_.end()};
}

void Agent::publish(const ClusterEvent& event) {
  log_line(LogLevel::kInfo, event.text);
  recent_.push_back(event);
  if (recent_.size() > kMaxRecentEvents) recent_.pop_front();
  std::vector<uint64_t> numbers;
  for (const auto& [number, sink] : *sinks_) numbers.push_back(number);
  for (const uint64_t number : numbers) {
    const auto at = sinks_->find(number);
    if (at == sinks_->end()) continue;
    const EventSink sink = at->second;  // it may end its own subscription
    sink(event);
  }
}

}  // namespace kith
