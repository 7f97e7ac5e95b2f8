// An incarnation, an epoch, a version and its generation never go back.

#include <map>
#include <utility>

#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

class GrowthChecker final : public Checker {
 public:
  GrowthChecker() : Checker("growth") {}

  void stepped(World& world, size_t host) override {
    const SimHost& at = world.host(host);
    if (!at.agent_up() || at.is_clone()) return;
    const Node& node = at.node();
    Seen& seen = seen_[host];
    if (seen.identity != at.identities()) {
      seen = {};
      seen.identity = at.identities();
    }
    const Member& self = node.membership().self();
    if (seen.life != at.epoch()) {
      expect(world, "starts", at.epoch() > seen.life,
             [&] { return at.name() + ": its epoch did not grow with its start"; });
      seen.life = at.epoch();
      seen.others.clear();
      seen.documents.clear();
      seen.root = seen.changes = 0;
    }
    expect(world, "own epochs", self.epoch >= seen.epoch,
           [&] { return at.name() + ": its epoch went back"; });
    expect(world, "own incarnations", self.incarnation >= seen.incarnation,
           [&] { return at.name() + ": its incarnation went back"; });
    seen.epoch = self.epoch;
    seen.incarnation = self.incarnation;
    const uint64_t changes = node.membership().changes();
    if (std::exchange(seen.changes, changes) != changes) look_at_members(world, at, seen);
  }

  void now_and_then(World& world) override {
    for (const size_t i : world.live()) {
      const SimHost& at = world.host(i);
      Seen& seen = seen_[i];
      const uint64_t root = at.node().documents().root();
      if (std::exchange(seen.root, root) == root) continue;
      for (const Document* document : at.node().documents().list("")) {
        DocVersion& last = seen.documents[document->key];
        expect(world, "documents", document->version >= last,
               [&] { return at.name() + ": " + document->key + " went back"; });
        last = document->version;
      }
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

  void look_at_members(World& world, const SimHost& at, Seen& seen) {
    for (const auto& [id, member] : at.node().membership().members()) {
      Incarnation& last = seen.others[id];
      expect(world, "others' incarnations", member.incarnation >= last,
             [&] { return at.name() + ": the incarnation of " + member.name + " went back"; });
      last = member.incarnation;
    }
  }

  std::map<size_t, Seen> seen_;
};

}  // namespace

std::unique_ptr<Checker> check_growth() {
  return std::make_unique<GrowthChecker>();
}

}  // namespace kith::sim
