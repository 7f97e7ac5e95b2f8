// Once faults have ended, all hold equal documents; what was acknowledged is there, or something
// later is.

#include <map>

#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

constexpr Duration kSpread = std::chrono::seconds(30);

class DocumentChecker final : public Checker {
 public:
  void acknowledged(World&, size_t, const Document& document) override {
    DocVersion& last = acknowledged_[document.key];
    last = std::max(last, document.version);
  }

  void now_and_then(World& world) override {
    if (world.settled_since() == kNever || world.now() - world.settled_since() <= kSpread) return;
    const std::vector<size_t> live = world.live();
    for (const size_t i : live) {
      const DocStore& docs = world.host(i).node().documents();
      const bool equal = docs.root() == world.host(live[0]).node().documents().root();
      if (equal && i != live[0]) continue;
      if (!equal)
        world.violated("documents of " + world.host(i).name() + " and " +
                       world.host(live[0]).name() + " differ for good");
      for (const auto& [key, version] : acknowledged_) {
        const Document* document = docs.find_any(key);
        if (document == nullptr || document->version < version)
          world.violated(world.host(i).name() + " lost an acknowledged edit of " + key);
      }
    }
  }

 private:
  std::map<std::string, DocVersion> acknowledged_;
};

}  // namespace

std::unique_ptr<Checker> check_documents() {
  return std::make_unique<DocumentChecker>();
}

}  // namespace kith::sim
