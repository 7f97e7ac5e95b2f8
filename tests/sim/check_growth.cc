// An incarnation, an epoch, a version and its generation never go back.

#include <map>

#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

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
    for (const size_t i : world.live()) {
      const SimHost& at = world.host(i);
      Seen& seen = seen_[i];
      if (seen.life != at.epoch()) {
        seen.life = at.epoch();
        seen.others.clear();
        seen.documents.clear();
      }
      for (const auto& [id, member] : at.node().membership().members()) {
        Incarnation& last = seen.others[id];
        if (member.incarnation < last)
          world.violated(at.name() + ": the incarnation of " + member.name + " went back");
        last = member.incarnation;
      }
      for (const Document* document : at.node().documents().list("")) {
        DocVersion& last = seen.documents[document->key];
        if (document->version < last)
          world.violated(at.name() + ": " + document->key + " went back");
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
    std::map<NodeId, Incarnation> others;
    std::map<std::string, DocVersion> documents;
  };
  std::map<size_t, Seen> seen_;
};

}  // namespace

std::unique_ptr<Checker> check_growth() {
  return std::make_unique<GrowthChecker>();
}

}  // namespace kith::sim
