// An incarnation, an epoch, a version and its generation never go back.

#include <map>
#include <utility>

#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

constexpr size_t kHostsLookedAt = 128;  ///< about, of a larger world: for what others hold

class GrowthChecker final : public Checker {
 public:
  void stepped(World& world, size_t host) override {
    const SimHost& at = world.host(host);
    if (!at.agent_up()) return;
    const Node& node = at.node();
    Seen& seen = seen_[host];
    if (seen.identity != at.identities()) {
      seen = {};
      seen.identity = at.identities();
    }
    const Member& self = node.membership().self();
    if (self.epoch < seen.epoch) world.violated(at.name() + ": its epoch went back");
    if (self.incarnation < seen.incarnation)
      world.violated(at.name() + ": its incarnation went back");
    seen.epoch = self.epoch;
    seen.incarnation = self.incarnation;
  }

  void now_and_then(World& world) override {
    const size_t part = 1 + world.size() / kHostsLookedAt;
    for (const size_t i : world.live()) {
      if (i % part != 0) continue;
      const SimHost& at = world.host(i);
      Seen& seen = seen_[i];
      if (seen.life != at.epoch()) {
        seen.life = at.epoch();
        seen.others.clear();
        seen.documents.clear();
        seen.root = seen.changes = 0;
      }
      const uint64_t changes = at.node().membership().changes();
      const uint64_t root = at.node().documents().root();
      if (std::exchange(seen.changes, changes) != changes) look_at_members(world, at, seen);
      if (std::exchange(seen.root, root) != root) look_at_documents(world, at, seen);
    }
  }

 private:
  struct Seen {
    size_t identity = 0;
    Epoch epoch = 0;
    Incarnation incarnation = 0;
    Epoch life = 0;
    uint64_t changes = 0;
    uint64_t root = 0;
    std::map<NodeId, Incarnation> others;
    std::map<std::string, DocVersion> documents;
  };

  static void look_at_members(World& world, const SimHost& at, Seen& seen) {
    for (const auto& [id, member] : at.node().membership().members()) {
      Incarnation& last = seen.others[id];
      if (member.incarnation < last)
        world.violated(at.name() + ": the incarnation of " + member.name + " went back");
      last = member.incarnation;
    }
  }

  static void look_at_documents(World& world, const SimHost& at, Seen& seen) {
    for (const Document* document : at.node().documents().list("")) {
      DocVersion& last = seen.documents[document->key];
      if (document->version < last) world.violated(at.name() + ": " + document->key + " went back");
      last = document->version;
    }
  }

  std::map<size_t, Seen> seen_;
};

}  // namespace

std::unique_ptr<Checker> check_growth() {
  return std::make_unique<GrowthChecker>();
}

}  // namespace kith::sim
