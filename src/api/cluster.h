#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/instant.h"
#include "base/result.h"
#include "placement/view.h"
#include "state/records.h"

namespace kith {

/// A rostered node, as this node sees it.
struct NodeEntry {
  NodeView view;
  std::optional<NodeInfo> info;  ///< nothing as long as it never said anything of itself
  Endpoint address;              ///< of its gossip
  WallTime since;                ///< of the last change of `view.liveness`
  WallTime created;              ///< when it was first admitted
  uint64_t version_index = 0;    ///< Docker's Version.Index
  bool self = false;
};

struct ServiceEntry {
  ServiceDoc doc;
  uint64_t version_index = 0;
};

/// One slot's story, as `kith explain` tells it.
struct Explanation {
  std::string slot;     ///< `web.2`
  std::string verdict;  ///< one line: where it runs, or what it waits for
  struct Seat {
    std::string node;
    std::string state;
    std::string note;  ///< term, health, asking, moving
  };
  std::vector<Seat> seats;
  struct Step {
    std::string node;
    bool chosen = false;
    std::string reason;  ///< why it was passed over, or `chosen`
  };
  std::vector<Step> walk;  ///< clockwise from the slot's hash
};

/// The losing side of two edits that did not know each other.
struct ConflictEntry {
  std::string key;  ///< `service/web`
  WallTime lost_at;
  std::string lost_author;  ///< node name, or its id
  WallTime won_at;
  std::string won_author;
  std::string lost_body;  ///< JSON
  std::string reason;     ///< `edited on both sides`, `from the far future`, ...
};

/// One key of the cluster's ring.
struct KeyEntry {
  std::string id;      ///< 16 hexadecimal digits
  WallTime created{};  ///< zero: it came with the configuration
  WallTime used{};     ///< when it was last made the primary; zero: never, or by the configuration
  bool primary = false;
  bool configured = false;  ///< it stands in this node's configuration
  bool next = false;        ///< becomes the primary once all who are present have it
  bool leaving = false;     ///< of before the last rotation: goes once nobody needs it
  std::vector<std::string>
      lacking;  ///< nodes that never said to have it; of the primary, to use it
  std::vector<std::string> needed_by;  ///< of one that is leaving: nodes that may have no newer one
};

/// Something happened in the cluster, as this node came to know it.
struct ClusterEvent {
  WallTime at;
  std::string type;    ///< node, service, task, cluster
  std::string action;  ///< node: join, suspect, dead, return, left, ...; service: create, update,
                       ///< remove; task: its state
  std::string id;      ///< Docker id of the subject
  std::string name;    ///< node name, service name, or `web.2`
  std::string text;    ///< one readable line, without the time
  std::map<std::string, std::string> attributes;
};

/// What `kith status` shows beside the nodes.
struct StatusReport {
  std::string cluster;
  std::string cluster_id;  ///< 25 characters, equal on every node
  std::string node_name;
  NodeId node;
  uint64_t epoch = 0;
  WallTime started;
  uint64_t docs_root = 0;
  uint32_t health_multiplier = 0;            ///< Lifeguard's local health; 0 is well
  std::map<std::string, uint64_t> counters;  ///< datagrams_unauthentic, ...
  std::vector<std::string> warnings;         ///< one line each, with the mend
};

/// The cluster as the APIs see it; the agent implements it. Everything is on the loop's thread.
/// Reads are of this node's view at this moment. An edit's callback comes once it is on this node's
/// disk (or was refused), never from within the call.
class Cluster {
 public:
  virtual ~Cluster() = default;

  [[nodiscard]] virtual StatusReport status() const = 0;
  [[nodiscard]] virtual NodeId self() const = 0;
  /// Ordered by name, then id.
  [[nodiscard]] virtual std::vector<NodeEntry> nodes() const = 0;
  /// Ordered by name.
  [[nodiscard]] virtual std::vector<ServiceEntry> services() const = 0;
  /// Every copy that is not hidden, what became of the last ones, and one task in state pending,
  /// with the reason in `error`, for every slot that has no copy. Ordered by (slot, created
  /// descending).
  [[nodiscard]] virtual std::vector<TaskRecord> tasks() const = 0;
  [[nodiscard]] virtual Result<Explanation> explain(const SlotKey& slot) const = 0;
  [[nodiscard]] virtual std::vector<ConflictEntry> conflicts() const = 0;

  using Created = std::function<void(Result<std::string>)>;  ///< the new object's Docker id
  using Done = std::function<void(Status)>;
  /// `spec_json` was validated and normalised. kConflict: the name is taken.
  virtual void create_service(std::string spec_json, Created done) = 0;
  /// kConflict: `expected_index` is not the current Version.Index any more. With `rollback`,
  /// `spec_json` is ignored and spec and previous spec change places.
  virtual void update_service(std::string_view id, uint64_t expected_index, std::string spec_json,
                              bool rollback, Done done) = 0;
  virtual void remove_service(std::string_view id, Done done) = 0;
  virtual void update_node(const NodeId& node, uint64_t expected_index, Availability availability,
                           std::map<std::string, std::string> labels, Done done) = 0;
  /// Forgets a node. kConflict unless it is dead or has left, or with `ban`: then its identity is
  /// refused from now on, and the cluster's key rotated without it.
  virtual void remove_node(const NodeId& node, bool ban, Done done) = 0;

  /// The primary first.
  [[nodiscard]] virtual std::vector<KeyEntry> keys() const = 0;
  /// Each gives the id of the key it is about. `key`: 32 bytes in base64; empty: a fresh one.
  virtual void add_key(std::string_view key, Created done) = 0;
  /// kConflict, with the names: nodes that are here lack it.
  virtual void use_key(std::string_view id, bool force, Created done) = 0;
  /// kConflict: it is the primary; or, with the names, rostered nodes may have no newer one.
  virtual void remove_key(std::string_view id, bool force, Created done) = 0;
  /// Adds a fresh key, makes it the primary once all who are here have it, and removes the others
  /// once all nodes use it. Done when the first step is.
  virtual void rotate_keys(Created done) = 0;
  /// Says goodbye, stops what runs here unless `keep_running`, and ends the agent.
  virtual void leave(bool keep_running, Done done) = 0;

  using EventSink = std::function<void(const ClusterEvent&)>;
  /// Destroying the subscription ends it.
  class Subscription {
   public:
    virtual ~Subscription() = default;
  };
  [[nodiscard]] virtual std::unique_ptr<Subscription> subscribe(EventSink sink) = 0;
  /// The newest kMaxRecentEvents, oldest first.
  [[nodiscard]] virtual std::vector<ClusterEvent> recent_events() const = 0;

  /// Path of the local engine's socket; empty for a witness.
  [[nodiscard]] virtual std::string engine_socket() const = 0;
};

constexpr size_t kMaxRecentEvents = 1024;

}  // namespace kith
