#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/config.h"
#include "agent/node.h"
#include "api/api_server.h"
#include "api/cluster.h"
#include "engine/docker_host.h"
#include "io/loop.h"
#include "io/resolver.h"
#include "io/stream.h"
#include "io/timer.h"
#include "io/udp.h"
#include "io/worker.h"
#include "state/persist.h"

namespace kith {

/// The one place where a Node meets sockets, clocks, disk and Docker, all on one loop.
class Agent final : public Cluster {
 public:
  /// Opens everything that can be refused: data_dir, address, ports, sockets. The message of a
  /// fault names the thing and the mend. Nothing runs on Docker before run().
  [[nodiscard]] static Result<std::unique_ptr<Agent>> open(Loop& loop, const Config& config);
  ~Agent() override;

  /// Until a signal, a goodbye, or a reason to stop; empty if all is well.
  [[nodiscard]] std::string run();

  // Cluster
  [[nodiscard]] StatusReport status() const override;
  [[nodiscard]] NodeId self() const override;
  [[nodiscard]] std::vector<NodeEntry> nodes() const override;
  [[nodiscard]] std::vector<ServiceEntry> services() const override;
  [[nodiscard]] std::vector<TaskRecord> tasks() const override;
  [[nodiscard]] Result<Explanation> explain(const SlotKey& slot) const override;
  [[nodiscard]] std::vector<ConflictEntry> conflicts() const override;
  void create_service(std::string spec_json, Created done) override;
  void update_service(std::string_view id, uint64_t expected_index, std::string spec_json,
                      bool rollback, Done done) override;
  void remove_service(std::string_view id, Done done) override;
  void update_node(const NodeId& node, uint64_t expected_index, Availability availability,
                   std::map<std::string, std::string> labels, Done done) override;
  void remove_node(const NodeId& node, bool ban, Done done) override;
  [[nodiscard]] std::vector<KeyEntry> keys() const override;
  void add_key(std::string_view key, Created done) override;
  void use_key(std::string_view id, bool force, Created done) override;
  void remove_key(std::string_view id, bool force, Created done) override;
  void rotate_keys(Created done) override;
  void leave(bool keep_running, Done done) override;
  [[nodiscard]] std::unique_ptr<Subscription> subscribe(EventSink sink) override;
  [[nodiscard]] std::vector<ClusterEvent> recent_events() const override;
  [[nodiscard]] std::string engine_socket() const override;

 private:
  struct Wire {
    Connecting connecting;
    ByteStream stream;
    std::vector<Bytes> waiting;  ///< written before it was connected
  };
  class Sink;

  Agent(Loop& loop, const Config& config, std::string name, std::string address);
  Status start();
  Result<NodeSetup> set_up();

  /// The time of this wake-up, the Node told first if it comes late.
  Now wake();
  /// Has the Node look at what came, once what else waits was read.
  void soon();
  void turn();
  void carry_out();
  void finish();
  void arm();

  void carry_out(const StreamOpen& open);
  void carry_out(StreamWrite& write);
  void carry_out(const StreamClose& close);
  void connect_to(uint64_t stream, const Endpoint& to);
  void attach(uint64_t stream, ByteStream bytes);
  void lost(uint64_t stream, const Error& why);
  void save(Persist persist);
  void warn_of_keys() const;
  void publish(const ClusterEvent& event);
  void edit(Edit edit, Created done);

  Loop& loop_;
  Config config_;
  std::string name_;
  std::string address_;
  std::optional<Database> database_;
  std::string set_aside_;  ///< where a corrupt database went
  std::unique_ptr<Node> node_;
  NodeEffects effects_;
  Timer timer_;
  Timer settled_;  ///< once, when starting and joining are over
  Timer tidying_;  ///< looks whether what is to go is gone
  Resolver resolver_;
  std::optional<UdpSocket> udp_;
  std::optional<Listener> listener_;
  std::map<uint64_t, Wire> wires_;
  std::map<uint64_t, ByteStream> lingering_;  ///< closed by the Node, still writing
  uint64_t next_accepted_ = 2;
  std::unique_ptr<DockerHost> docker_;
  std::unique_ptr<ApiServer> api_;
  std::map<uint64_t, Created> waiting_edits_;
  std::deque<ClusterEvent> recent_;
  std::shared_ptr<std::map<uint64_t, EventSink>> sinks_ =
      std::make_shared<std::map<uint64_t, EventSink>>();
  uint64_t next_sink_ = 1;
  std::vector<Done> farewells_;
  Instant armed_ = kNever;
  bool turn_due_ = false;
  std::string stop_reason_;
  bool stopping_ = false;
  Instant tidy_until_ = kNever;
  std::unique_ptr<Worker> disk_;  ///< last: joined before what its results touch is gone
};

/// Name of this host as the kernel knows it.
[[nodiscard]] std::string host_name();

}  // namespace kith
