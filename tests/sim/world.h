#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "checker.h"
#include "sim_host.h"

namespace kith::sim {

/// What an agent was told about an edit.
struct Answer {
  std::string key;  ///< of the document it is about
  bool done = false;
  std::optional<std::string> result;
  std::optional<Error> error;
};

/// A whole cluster in virtual time, of one seed: hosts, the network between them, and the checkers
/// that look at every step.
class World final : private NetworkUser, private HostObserver {
 public:
  explicit World(uint64_t seed, size_t hosts = 0);
  ~World() override;
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // --- Building --------------------------------------------------------------------------------
  /// A further host with an empty disk; its seeds are the first three hosts.
  size_t add_host();
  void start_all();
  void start(size_t host) { hosts_[host]->start_agent(key_); }
  /// What the network brings to this host goes to `guest` instead of an agent: somebody else sits
  /// there. Null: nobody.
  void seat(size_t host, NetworkUser* guest);
  [[nodiscard]] bool has_guest(size_t host) const { return guests_.contains(host); }

  // --- Time ------------------------------------------------------------------------------------
  [[nodiscard]] Instant now() const { return queue_.now(); }
  void run_for(Duration time);
  /// How long it took; none if not within `limit`. The condition is looked at every 5 ms.
  std::optional<Duration> run_until(const std::function<bool()>& condition, Duration limit);
  void at(Duration from_now, EventQueue::Action action) {
    queue_.after(from_now, std::move(action));
  }

  // --- Faults, beside those of net() and of the hosts ------------------------------------------
  void freeze_for(size_t host, Duration time);
  /// Host `to` starts with a copy of what `from` has on disk, its identity too.
  void clone(size_t from, size_t to);
  /// From here on nothing more goes wrong: the bounds of the checkers begin.
  void calm();

  // --- Edits -----------------------------------------------------------------------------------
  /// Hands in an edit; the answer is filled in as it comes.
  std::shared_ptr<Answer> edit(size_t host, Edit edit);
  /// Hands in an edit and runs until the answer or 5 s have come.
  Answer ask(size_t host, Edit edit);
  Answer create(size_t host, const std::string& name, uint32_t replicas,
                const std::string& image = "nginx");
  Answer scale(size_t host, const std::string& name, uint32_t replicas);
  Answer set_image(size_t host, const std::string& name, const std::string& image);
  Answer remove(size_t host, const std::string& name);
  [[nodiscard]] static std::string spec(const std::string& name, uint32_t replicas,
                                        const std::string& image);
  /// An edit of a service as `host` knows it now; none if it does not.
  [[nodiscard]] std::optional<Edit> edit_of(size_t host, const std::string& name,
                                            std::optional<uint32_t> replicas,
                                            std::optional<std::string> image) const;

  // --- Looking ---------------------------------------------------------------------------------
  [[nodiscard]] Network& net() { return network_; }
  [[nodiscard]] const ClusterKey& key() const { return key_; }
  [[nodiscard]] size_t size() const { return hosts_.size(); }
  [[nodiscard]] SimHost& host(size_t i) { return *hosts_[i]; }
  [[nodiscard]] const SimHost& host(size_t i) const { return *hosts_[i]; }
  [[nodiscard]] Rng& rng() { return rng_; }
  [[nodiscard]] uint64_t seed() const { return seed_; }
  /// Agents that run and are not frozen.
  [[nodiscard]] std::vector<size_t> live() const;
  [[nodiscard]] std::optional<size_t> index_of(const NodeId& node) const;
  /// Both ways, datagrams and streams.
  [[nodiscard]] bool connected(size_t a, size_t b) const;
  /// Every live agent sees every live agent alive, and no other present.
  [[nodiscard]] bool views_agree() const;
  /// ... and all have equal documents, and have synced.
  [[nodiscard]] bool converged() const;
  /// Copies that run, of every host that has power: by slot, the hosts.
  [[nodiscard]] std::map<SlotKey, std::vector<size_t>> running() const;
  /// Its reconciler's, as of its last step.
  [[nodiscard]] const std::vector<TaskRecord>& tasks_of(size_t host) const;
  /// Grows when they may have changed.
  [[nodiscard]] uint64_t tasks_changes(size_t host) const;
  /// Edits that the host's agent took and has not answered yet.
  [[nodiscard]] size_t unanswered(size_t host) const;
  [[nodiscard]] size_t running_count(const std::string& service) const;
  /// Each of the slots 1..n of the service runs exactly once, and nothing else of it does.
  [[nodiscard]] bool runs_exactly(const std::string& service, uint32_t replicas) const;

  // --- What happened ---------------------------------------------------------------------------
  struct Violation {
    std::string checker;
    std::string what;
    Instant at;
  };
  /// What the checkers found; each named once.
  [[nodiscard]] const std::vector<Violation>& violations() const { return violations_; }
  void violated(const std::string& checker, const std::string& what);
  [[nodiscard]] const std::vector<std::unique_ptr<Checker>>& checkers() const { return checkers_; }
  /// The last things said by agents and faults, for a person.
  [[nodiscard]] std::string story(size_t lines = 60) const;
  void tell(std::string line);
  /// Virtual seconds since the world began, for a line of text.
  [[nodiscard]] std::string clock() const;
  /// A further one that looks on from here on.
  void watch(std::unique_ptr<Checker> checker) { checkers_.push_back(std::move(checker)); }
  struct Said {
    Instant at;
    size_t host = 0;
    ClusterEvent event;
  };
  [[nodiscard]] const std::vector<Said>& said() const { return said_; }
  /// How often an agent said `action` of a node.
  [[nodiscard]] size_t count(const std::string& action) const;
  /// Of all that was said and when: equal for equal seeds.
  [[nodiscard]] uint64_t digest() const { return digest_; }
  [[nodiscard]] uint64_t steps() const { return queue_.steps(); }
  /// When the last edit was acknowledged or the last fault ended; kNever while there are faults.
  [[nodiscard]] Instant settled_since() const;
  [[nodiscard]] Instant calm_since() const { return calm_since_; }

 private:
  static constexpr size_t kMaxVerified = size_t{1} << 20;
  // NetworkUser
  void datagram(size_t host, const Endpoint& from, Bytes bytes) override;
  uint64_t stream_accepted(size_t host) override;
  void stream_connected(size_t host, uint64_t stream) override;
  void stream_data(size_t host, uint64_t stream, Bytes bytes) override;
  void stream_closed(size_t host, uint64_t stream, const std::string& why) override;
  bool host_up(size_t host) const override { return host < size() && hosts_[host]->up(); }
  bool agent_up(size_t host) const override {
    return host < size() && (guests_.contains(host) || hosts_[host]->agent_up());
  }
  // HostObserver
  void event(size_t host, const ClusterEvent& event) override;
  void edit_done(size_t host, uint64_t edit, const Result<std::string>& outcome) override;
  void stepped(size_t host) override;
  void starting(size_t host, const StartTask& start) override;
  void stopping(size_t host, const ContainerInfo& container) override;
  void persisted(size_t host, const StoreBatch& batch) override;
  void disk_lost(size_t host) override;
  void stopped(size_t host, const std::string& why) override;

  [[nodiscard]] std::string key_of(size_t host, const Edit& edit) const;

  uint64_t seed_;
  Rng rng_;
  EventQueue queue_;
  Network network_;
  ClusterKey key_;
  std::shared_ptr<VerifyCache> verified_ = std::make_shared<VerifyCache>(kMaxVerified);
  std::shared_ptr<PlacementMemory> placements_;
  std::map<size_t, NetworkUser*> guests_;
  std::vector<std::unique_ptr<SimHost>> hosts_;
  std::vector<std::unique_ptr<Checker>> checkers_;
  /// By host, epoch and the Node's number.
  std::map<std::tuple<size_t, Epoch, uint64_t>, std::shared_ptr<Answer>> answers_;
  struct Tasks {
    std::vector<TaskRecord> records;
    std::pair<uint64_t, uint64_t> from;  ///< the host's life, and the reconciler's changes in it
    uint64_t changes = 0;
  };
  std::vector<Tasks> tasks_;  ///< by host
  std::string key_in_hand_;   ///< of an edit that is just being handed in
  std::map<size_t, std::pair<Epoch, size_t>> unanswered_;  ///< by host, of its present life
  std::vector<Said> said_;
  std::vector<std::string> story_;
  std::vector<Violation> violations_;
  Instant calm_since_ = kNever;
  Instant last_edit_ = Instant::min();
  Instant next_check_ = Instant::min();
  uint64_t digest_ = 0;
};

}  // namespace kith::sim
