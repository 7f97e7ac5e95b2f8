// Once faults have ended, all hold equal documents; what was acknowledged is there, or something
// later is. An edit is on disk before it is acknowledged, and nothing older takes its place there.

#include <algorithm>
#include <map>
#include <string_view>

#include "checker.h"
#include "world.h"

namespace kith::sim {
namespace {

constexpr Duration kSpread = std::chrono::seconds(30);

class DocumentChecker final : public Checker {
 public:
  DocumentChecker() : Checker("documents") {}

  void acknowledged(World& world, size_t host, const Document& document) override {
    DocVersion& last = acknowledged_[document.key];
    last = std::max(last, document.version);
    const SimHost& at = world.host(host);
    // A later one from elsewhere may have won meanwhile, and need not be on disk yet.
    if (document.version.author != at.id()) return;
    const auto stored = at.disk().version_of(document.key);
    expect(world, "acknowledged edits on disk", stored && *stored >= document.version, [&] {
      return at.name() + " acknowledged an edit of " + document.key + " that is not on its disk";
    });
  }

  // What was acknowledged there and had come to no other disk is lost with it, and may be.
  void disk_lost(World& world, size_t host) override {
    stored_[host].clear();
    for (auto& [key, version] : acknowledged_) {
      DocVersion elsewhere;
      for (size_t i = 0; i < world.size(); ++i) {
        const auto stored = world.host(i).disk().version_of(key);
        if (i != host && stored) elsewhere = std::max(elsewhere, *stored);
      }
      version = std::min(version, elsewhere);
    }
  }

  void persisted(World& world, size_t host, const StoreBatch& batch) override {
    const SimHost& at = world.host(host);
    if (at.is_clone()) return;
    for (const std::string& key : batch.purged) stored_[host].erase(key);
    std::map<std::string_view, const Bytes*> rows;  // of one transaction the last of each counts
    for (const StoreBatch::Row& row : batch.documents) rows[row.key] = &row.envelope;
    for (const auto& [key, envelope] : rows) {
      const auto document = decode_document(*envelope);
      DocVersion& last = stored_[host][std::string(key)];
      expect(world, "rows written", document && document->version >= last, [&] {
        return at.name() + " overwrote " + std::string(key) + " on its disk with something older";
      });
      if (document) last = std::max(last, document->version);
    }
  }

  void now_and_then(World& world) override {
    if (world.settled_since() == kNever || world.now() - world.settled_since() <= kSpread) return;
    const std::vector<size_t> live = world.live();
    for (const size_t i : live) {
      const DocStore& docs = world.host(i).node().documents();
      const bool equal = docs.root() == world.host(live[0]).node().documents().root();
      expect(world, "stores compared", equal, [&] {
        return "documents of " + world.host(i).name() + " and " + world.host(live[0]).name() +
               " differ for good";
      });
      if (equal && i != live[0]) continue;
      for (const auto& [key, version] : acknowledged_) {
        const Document* document = docs.find_any(key);
        expect(world, "acknowledged edits found again",
               version == DocVersion{} || (document != nullptr && document->version >= version),
               [&] { return world.host(i).name() + " lost an acknowledged edit of " + key; });
      }
    }
  }

 private:
  std::map<std::string, DocVersion> acknowledged_;
  std::map<size_t, std::map<std::string, DocVersion>> stored_;
};

}  // namespace

std::unique_ptr<Checker> check_documents() {
  return std::make_unique<DocumentChecker>();
}

}  // namespace kith::sim
