#pragma once

#include <list>
#include <map>
#include <string>
#include <vector>

#include "api/cluster.h"
#include "io/loop.h"

namespace kith::test {

/// A cluster in memory for the APIs to talk to: three nodes, edits take effect at once, and each
/// `step()` takes every task one state further.
class FakeCluster : public Cluster {
 public:
  explicit FakeCluster(Loop& loop, std::string engine_socket = {});

  /// Moves tasks towards what is wanted of them.
  void step();
  void emit(ClusterEvent event);
  NodeEntry& node(size_t index) { return nodes_.at(index); }
  ServiceEntry& service(const std::string& name) { return services_.at(name); }
  std::vector<TaskRecord>& raw_tasks() { return tasks_; }
  [[nodiscard]] size_t subscribers() const { return sinks_.size(); }
  bool left = false;
  bool fail_tasks = false;  ///< new tasks are rejected instead of starting
  std::vector<ConflictEntry> lost;
  std::vector<KeyEntry> ring;

  StatusReport status() const override;
  NodeId self() const override { return nodes_.front().view.id; }
  std::vector<NodeEntry> nodes() const override { return nodes_; }
  std::vector<ServiceEntry> services() const override;
  std::vector<TaskRecord> tasks() const override { return tasks_; }
  Result<Explanation> explain(const SlotKey& slot) const override;
  std::vector<ConflictEntry> conflicts() const override { return lost; }
  void create_service(std::string spec_json, Created done) override;
  void update_service(std::string_view id, uint64_t expected_index, std::string spec_json,
                      bool rollback, Done done) override;
  void remove_service(std::string_view id, Done done) override;
  void update_node(const NodeId& node, uint64_t expected_index, Availability availability,
                   std::map<std::string, std::string> labels, Done done) override;
  void remove_node(const NodeId& node, bool ban, Done done) override;
  std::vector<KeyEntry> keys() const override { return ring; }
  void add_key(std::string_view key, Created done) override;
  void use_key(std::string_view id, bool force, Created done) override;
  void remove_key(std::string_view id, bool force, Created done) override;
  void rotate_keys(Created done) override { add_key("rotated", std::move(done)); }
  void leave(bool keep_running, Done done) override;
  std::unique_ptr<Subscription> subscribe(EventSink sink) override;
  std::vector<ClusterEvent> recent_events() const override { return recent_; }
  std::string engine_socket() const override { return engine_socket_; }

 private:
  class Ticket;
  ServiceEntry* by_id(std::string_view id);
  void note(const std::string& type, const std::string& action, const std::string& id,
            const std::string& name);
  void place(const ServiceEntry& service);
  void later(std::function<void()> call);

  Loop& loop_;
  std::string engine_socket_;
  std::vector<NodeEntry> nodes_;
  std::map<std::string, ServiceEntry> services_;
  std::vector<TaskRecord> tasks_;
  std::vector<ClusterEvent> recent_;
  std::list<EventSink> sinks_;
  uint64_t index_ = 10;
  uint64_t next_task_ = 0;
};

/// A node called `name` that is well, with an id made of `number`.
[[nodiscard]] NodeEntry make_node(uint8_t number, const std::string& name);
/// A running task of `service`.
[[nodiscard]] TaskRecord make_task(const ServiceDoc& service, uint32_t slot, const NodeId& node);
/// A document at generation 1.
[[nodiscard]] ServiceEntry make_service(const std::string& name, const std::string& spec_json);

}  // namespace kith::test
