#include "state/doc_store.h"

#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include "base/rng.h"
#include "gossip/message.h"

using namespace kith;

namespace {

constexpr int64_t kStart = 1'790'000'000'000;
constexpr int64_t kDay = 24LL * 3600 * 1000;

NodeId node(uint8_t n) {
  NodeId id;
  id.key[0] = n;
  return id;
}
Now at(int64_t ms) {
  return {Instant{}, WallTime{kStart + ms}};
}
DocStore make() {
  return DocStore(DocStoreConfig{.digest_seed = 7});
}

Document put(DocStore& store, std::string_view key, std::string body, int64_t ms, uint8_t author) {
  DocEffects out;
  REQUIRE(store.put(key, std::move(body), at(ms), node(author), out));
  return *store.find(key);
}
Document remove(DocStore& store, std::string_view key, int64_t ms, uint8_t author) {
  DocEffects out;
  REQUIRE(store.remove(key, at(ms), node(author), out));
  return *store.find_any(key);
}
MergeOutcome merge(DocStore& store, const Document& document, int64_t ms) {
  DocEffects out;
  return store.merge(document, at(ms), out);
}
std::vector<Document> everything(const DocStore& store) {
  std::vector<Document> all;
  for (const Document* document : store.in_buckets(std::bitset<kDocBuckets>().set()))
    all.push_back(*document);
  return all;
}
bool equal(const DocStore& a, const DocStore& b) {
  const auto x = everything(a);
  const auto y = everything(b);
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const auto& p, const auto& q) {
    return p.key == q.key && p.version == q.version && p.body == q.body && p.deleted == q.deleted &&
           p.ancestors == q.ancestors;
  });
}

/// Versions made by three authors who hear of each other by chance.
std::vector<Document> random_history(Rng& rng, size_t edits) {
  std::vector<DocStore> stores(3, make());
  std::vector<Document> made;
  for (size_t i = 0; i < edits; ++i) {
    const auto who = static_cast<size_t>(rng.below(stores.size()));
    const std::string key = "service/" + std::string(1, static_cast<char>('a' + rng.below(3)));
    const auto ms = static_cast<int64_t>(rng.below(50));
    if (rng.chance(1, 4) && stores[who].find(key) != nullptr)
      made.push_back(remove(stores[who], key, ms, static_cast<uint8_t>(who + 1)));
    else
      made.push_back(
          put(stores[who], key, std::to_string(rng.below(4)), ms, static_cast<uint8_t>(who + 1)));
    if (rng.chance(1, 2)) merge(stores[rng.below(stores.size())], made[rng.below(made.size())], 60);
  }
  return made;
}

}  // namespace

TEST_CASE("doc store: the later edit wins, in any order of arrival, with any repetition") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    std::vector<Document> history = random_history(rng, 24);
    DocStore first = make();
    for (const Document& document : history) merge(first, document, 100);
    for (int shuffle = 0; shuffle < 3; ++shuffle) {
      rng.shuffle(std::span(history));
      DocStore other = make();
      for (const Document& document : history) {
        merge(other, document, 100);
        if (rng.chance(1, 3)) merge(other, history[rng.below(history.size())], 100);
      }
      REQUIRE(equal(first, other));
      REQUIRE(first.root() == other.root());
      REQUIRE(first.buckets() == other.buckets());
      REQUIRE(other.digests_hold());
    }
    // The naive oracle: the greatest version of each key.
    std::map<std::string, DocVersion> greatest;
    for (const Document& document : history)
      greatest[document.key] = std::max(greatest[document.key], document.version);
    for (const Document& document : everything(first))
      REQUIRE(greatest[document.key] == document.version);
  }
}

TEST_CASE("doc store: merging two stores into each other is associative and idempotent") {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const std::vector<Document> history = random_history(rng, 30);
    std::vector<DocStore> part(3, make());
    for (const Document& document : history) merge(part[rng.below(3)], document, 100);
    const auto join = [](DocStore into, const DocStore& from) {
      for (const Document& document : everything(from)) merge(into, document, 100);
      return into;
    };
    const DocStore left = join(join(part[0], part[1]), part[2]);
    const DocStore right = join(part[0], join(part[1], part[2]));
    const DocStore turned = join(join(part[2], part[1]), part[0]);
    REQUIRE(equal(left, right));
    REQUIRE(equal(left, turned));
    REQUIRE(left.root() == turned.root());
    REQUIRE(join(left, left).root() == left.root());
    REQUIRE((left.root() == part[0].root()) == equal(left, part[0]));
  }
}

TEST_CASE("doc store: an edit is later than what it edits although the clock went back") {
  DocStore store = make();
  uint64_t last = version_index(put(store, "service/web", "1", 1000, 1).version);
  for (int i = 0; i < 50; ++i) {
    const uint64_t next =
        version_index(put(store, "service/web", std::to_string(i), -i * 1000, 1).version);
    REQUIRE(next > last);
    REQUIRE(next < uint64_t{1} << 53);
    last = next;
  }
}

TEST_CASE("doc store: an edit of the current version is no conflict") {
  DocStore a = make();
  DocStore b = make();
  merge(b, put(a, "service/web", "1", 0, 1), 0);
  const Document second = put(b, "service/web", "2", 10, 2);
  CHECK(merge(a, second, 10) == MergeOutcome::kApplied);
  CHECK(a.conflicts().empty());
  CHECK(merge(a, second, 10) == MergeOutcome::kKnown);
}

TEST_CASE("doc store: two edits that knew nothing of each other leave one winner and a conflict") {
  DocStore a = make();
  DocStore b = make();
  const Document earlier = put(a, "service/web", "left", 0, 1);
  const Document later = put(b, "service/web", "right", 5, 2);
  DocEffects at_a;
  CHECK(a.merge(later, at(10), at_a) == MergeOutcome::kApplied);
  DocEffects at_b;
  CHECK(b.merge(earlier, at(10), at_b) == MergeOutcome::kConflict);
  for (const DocStore* store : {&a, &b}) {
    CHECK(store->find("service/web")->body == "right");
    REQUIRE(store->conflicts().size() == 1);
    CHECK(store->conflicts()[0]->lost.body == "left");
    CHECK(store->conflicts()[0]->reason == ConflictReason::kConcurrentEdit);
  }
  CHECK(a.root() == b.root());
  CHECK(at_a.batch.conflicts.size() == 1);
  // The loser travels under a key of its own, so that it does not replace the winner's rumor.
  REQUIRE(at_b.news.size() == 1);
  CHECK(at_b.news[0].key.starts_with("lost/"));
  CHECK(b.find_any(at_b.news[0].key)->body == "left");
  CHECK_FALSE(b.wants_offer(at_b.news[0].key, at_b.news[0].version));
  CHECK(merge(b, earlier, 11) == MergeOutcome::kKnown);
  DocEffects out;
  CHECK(b.dismiss(b.conflicts()[0]->id(), out));
  CHECK(b.conflicts().empty());
}

TEST_CASE("doc store: two equal edits are no conflict") {
  DocStore a = make();
  DocStore b = make();
  const Document one = put(a, "service/web", "same", 0, 1);
  const Document two = put(b, "service/web", "same", 5, 2);
  CHECK(merge(a, two, 10) == MergeOutcome::kApplied);
  CHECK(merge(b, one, 10) == MergeOutcome::kStale);
  CHECK(a.conflicts().empty());
  CHECK(b.conflicts().empty());
}

TEST_CASE("doc store: of a chain that lost as a whole only its end is a conflict") {
  DocStore a = make();
  const Document first = put(a, "service/web", "1", 0, 1);
  const Document second = put(a, "service/web", "2", 1, 1);
  for (const bool reversed : {false, true}) {
    DocStore b = make();
    put(b, "service/web", "mine", 100, 2);
    merge(b, reversed ? second : first, 100);
    merge(b, reversed ? first : second, 100);
    REQUIRE(b.conflicts().size() == 1);
    CHECK(b.conflicts()[0]->lost.body == "2");
  }
}

TEST_CASE("doc store: a version that descends by more edits than are remembered loses nothing") {
  DocStore a = make();
  DocStore b = make();
  merge(b, put(a, "service/web", "old", 0, 1), 0);
  for (int i = 0; i < 20; ++i) put(a, "service/web", std::to_string(i), 10 + i, 1);
  CHECK(merge(b, *a.find("service/web"), 100) == MergeOutcome::kApplied);
  REQUIRE(b.conflicts().size() == 1);
  CHECK(b.conflicts()[0]->reason == ConflictReason::kHistoryTooOld);
  CHECK(a.find("service/web")->ancestors.size() == kMaxAncestors);
}

TEST_CASE("doc store: a clock that is ahead or behind changes what is stamped, not who agrees") {
  DocStore ahead = make();
  DocStore right = make();
  DocStore behind = make();
  const Document tomorrow = put(ahead, "service/web", "tomorrow", kDay, 2);
  const Document present = put(right, "service/db", "now", 0, 1);
  const Document past = put(behind, "service/old", "1970", -kStart, 3);
  for (DocStore* store : {&ahead, &right, &behind})
    for (const Document* document : {&tomorrow, &present, &past}) merge(*store, *document, 0);
  CHECK(equal(ahead, right));
  CHECK(equal(right, behind));
  // Whoever edits next is later, whatever its clock says.
  const Document next = put(behind, "service/web", "after it", -kStart, 3);
  CHECK(merge(right, next, 0) == MergeOutcome::kApplied);
  CHECK(merge(ahead, next, kDay) == MergeOutcome::kApplied);
  CHECK(ahead.root() == right.root());
  CHECK(right.conflicts().empty());
}

TEST_CASE("doc store: a clock beyond 2100 is not believed, a stamp from there is set aside") {
  DocStore mad = make();
  DocStore store = make();
  constexpr int64_t kCentury = 100 * 365 * kDay;
  CHECK(put(mad, "service/web", "x", kCentury, 2).version.stamp < kLatestStamp);
  Document forged = put(mad, "service/db", "y", 0, 2);
  forged.version.stamp = Stamp{kLatestStamp.value + 1};
  forged.version.content_hash = content_hash_of(forged);
  CHECK(merge(store, forged, kCentury) == MergeOutcome::kSetAside);
  CHECK(store.find("service/db") == nullptr);
  REQUIRE(store.conflicts().size() == 1);
  CHECK(store.conflicts()[0]->reason == ConflictReason::kFarFuture);
}

TEST_CASE("doc store: a delete stays deleted, and is forgotten after its age with a horizon") {
  DocStore a = make();
  DocStore b = make();
  const Document live = put(a, "service/web", "x", 0, 1);
  const Document gone = remove(a, "service/web", 10, 1);
  CHECK(merge(b, gone, 20) == MergeOutcome::kApplied);
  CHECK(merge(b, live, 20) == MergeOutcome::kStale);
  CHECK(b.find("service/web") == nullptr);
  DocEffects out;
  b.purge(at(29 * kDay), out);
  CHECK(b.size() == 1);
  b.purge(at(31 * kDay), out);
  CHECK(b.size() == 0);
  CHECK(out.batch.purged == std::vector<std::string>{"service/web"});
  CHECK(out.batch.horizon == gone.version.stamp);
  CHECK(b.digests_hold());
  // Whoever slept through it brings it back: to the conflicts, never in.
  CHECK(merge(b, live, 31 * kDay) == MergeOutcome::kSetAside);
  CHECK(merge(b, gone, 31 * kDay) == MergeOutcome::kStale);
  CHECK(b.find("service/web") == nullptr);
  REQUIRE(b.conflicts().size() == 1);
  CHECK(b.conflicts()[0]->reason == ConflictReason::kOlderThanHorizon);
  put(b, "service/web", "again", 31 * kDay, 1);
  CHECK(b.find("service/web")->body == "again");
}

TEST_CASE("doc store: conflicts are bounded, and the latest stay whatever the order") {
  std::vector<Document> lost;
  for (int i = 0; i < 300; ++i) {
    DocStore other = make();
    lost.push_back(put(other, "service/web", std::to_string(i), i, 9));
  }
  Rng rng(3);
  std::set<uint64_t> kept_before;
  for (int round = 0; round < 3; ++round) {
    DocStore store = make();
    put(store, "service/web", "winner", 1000, 1);
    rng.shuffle(std::span(lost));
    for (const Document& document : lost) merge(store, document, 1000);
    CHECK(store.conflicts().size() == kMaxConflicts);
    std::set<uint64_t> kept;
    for (const Conflict* conflict : store.conflicts()) kept.insert(conflict->id());
    if (round > 0) CHECK(kept == kept_before);
    kept_before = kept;
  }
}

TEST_CASE("doc store: a record over the limit, a bad key and a missing one are refused") {
  DocStore store = make();
  DocEffects out;
  const auto large = store.put("a", std::string(kMaxRecordSize, 'x'), at(0), node(1), out);
  CHECK(large.error().code == ErrorCode::kTooLarge);
  CHECK(store.put("", "x", at(0), node(1), out).error().code == ErrorCode::kInvalid);
  CHECK(store.put("lost/1", "x", at(0), node(1), out).error().code == ErrorCode::kInvalid);
  CHECK(store.remove("a", at(0), node(1), out).error().code == ErrorCode::kNotFound);
  CHECK(store.size() == 0);
  CHECK(out.batch.empty());
}

TEST_CASE("doc store: documents are bounded") {
  DocStore store = make();
  DocEffects out;
  for (size_t i = 0; i < kMaxDocuments; ++i)
    REQUIRE(store.put("k" + std::to_string(i), "", at(0), node(1), out));
  CHECK(store.put("one more", "", at(0), node(1), out).error().code == ErrorCode::kTooLarge);
  DocStore other = make();
  CHECK(merge(store, put(other, "one more", "", 0, 2), 0) == MergeOutcome::kFull);
  CHECK(store.put("k1", "edit", at(1), node(1), out));
}

TEST_CASE("document: what is encoded decodes to the same, and no bytes crash the decoder") {
  DocStore store = make();
  for (int i = 0; i < 5; ++i) put(store, "service/web", "{\"a\":1}", i, 3);
  const Document document = *store.find("service/web");
  const Bytes bytes = encode(document);
  const Result<Document> back = decode_document(bytes);
  REQUIRE(back);
  CHECK(back->version == document.version);
  CHECK(back->ancestors == document.ancestors);
  CHECK(back->body == document.body);
  Rng rng(5);
  for (int i = 0; i < 20'000; ++i) {
    Bytes bad = bytes;
    const uint64_t changes = 1 + rng.below(4);
    for (uint64_t c = 0; c < changes; ++c)
      bad[rng.below(bad.size())] = static_cast<uint8_t>(rng.next());
    if (rng.chance(1, 2)) bad.resize(rng.below(bad.size()));
    const Result<Document> decoded = decode_document(bad);
    if (decoded) REQUIRE(content_hash_of(*decoded) == decoded->version.content_hash);
  }
}

TEST_CASE("doc store: a restart gives back the same root, and stamps that go on") {
  DocStore a = make();
  put(a, "service/web", "x", 5000, 1);
  remove(a, "service/web", 6000, 1);
  put(a, "service/db", "y", 7000, 1);
  DocStore b(DocStoreConfig{.digest_seed = 7}, a.last_stamp());
  b.restore(everything(a), {}, a.horizon());
  CHECK(b.root() == a.root());
  CHECK(b.digests_hold());
  CHECK(put(b, "service/new", "z", 0, 1).version.stamp > a.last_stamp());
}
