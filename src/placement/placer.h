#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "placement/assigner.h"
#include "placement/view.h"

namespace kith {

/// `assign`, kept: holds what was worked out, takes one change at a time, and works out again only
/// what the change touches. `assignment()` equals `assign(view)` of the changed view, always; a
/// change of one node, seat or document costs what its own slots cost, and those that have no seat
/// (they walk again, since each takes room from the next).
/// Changes may come in any order and number before the next `assignment()`.
class Placer {
 public:
  /// `view` is in order (asserted).
  explicit Placer(PlacementView view);
  Placer(const Placer&) = delete;
  Placer& operator=(const Placer&) = delete;

  /// Adds the node or replaces it. A new node, or a new weight, changes the ring: all is worked
  /// out anew.
  void set_node(NodeView node);
  /// Works all out anew. Nothing if there is no such node.
  void remove_node(const NodeId& id);
  /// Adds the document or replaces the one of its id, whose name and time of creation may differ.
  void set_service(ServiceDoc doc);
  void remove_service(const std::string& id);
  /// Adds the copy or replaces what was said of it.
  void set_seat(Seat seat);
  void remove_seat(const SlotKey& slot, const NodeId& node);
  void set_refusal(Refusal refusal);
  void remove_refusal(const SlotKey& slot, const NodeId& node);

  /// Good until the next change.
  [[nodiscard]] const Assignment& assignment();
  [[nodiscard]] const Ring& ring() const { return *ring_; }

 private:
  /// What the copies that exist take of one node: exact, so that it can be given back.
  struct Ledger {
    Wide nano_cpus = 0;
    Wide memory_bytes = 0;
    uint64_t slots = 0;
    /// Of two holders of a port the first counts: the older service, then the lower slot.
    std::map<HostPort, std::set<std::tuple<WallTime, std::string, SlotKey>>> ports;
    [[nodiscard]] NodeUse use() const;
  };
  /// All that goes by one service name.
  struct Named {
    std::vector<Seat> seats;          // in order
    const ServiceDoc* doc = nullptr;  // the one that counts; none while `whole`
    std::set<uint32_t> dirty;         // places of replicated slots that are to be seated again
    bool whole = true;                // all its slots are
    bool unseated = false;            // some slot walks
  };
  struct Copy {
    Named* service = nullptr;
    uint32_t index = 0;  // its slot's
  };

  void start_over();
  void bind_docs();
  /// The document of this id as it was, taken out.
  std::optional<ServiceDoc> extract_doc(const std::string& id);

  // What is lifted takes nothing of its nodes, and is seated again at the next `assignment`. It is
  // lifted before what it was seated by changes.
  void lift(const std::string& name);
  void lift(Named& service);
  void lift(Named& service, uint32_t index);
  void book(const ServiceDoc& doc, const Held& held, const SlotKey& slot, bool give_back);
  void seat_again(const ServiceDoc& doc, Named& service);
  void seat_dirty(Named& service);

  PlacementView view_;  // without seats
  std::optional<Ring> ring_;
  std::optional<Assigner> assigner_;
  std::map<std::string, Named> services_;
  std::vector<Named*> by_age_;                // of each document
  std::vector<Ledger> ledgers_;               // by node
  std::vector<std::vector<Copy>> copies_on_;  // by node
  std::vector<uint8_t> stale_;                // by node: its use is to be read from its ledger
  std::vector<Held> held_;                    // scratch
  uint64_t slots_ = 0;
  bool over_ = true;     // the ring is not that of the nodes: all the above but the records is void
  bool changed_ = true;  // since the last `assignment`
};

}  // namespace kith
