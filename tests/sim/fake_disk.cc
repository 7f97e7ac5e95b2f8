#include "fake_disk.h"

#include <cassert>
#include <cstdlib>
#include <unordered_map>
#include <utility>

#include "base/defects.h"
#include "base/hash.h"

namespace kith::sim {

FakeDisk::Row FakeDisk::row(const Bytes& content) {
  static std::unordered_map<uint64_t, std::weak_ptr<const Bytes>> all;
  static size_t sweep_at = 1024;
  std::weak_ptr<const Bytes>& kept = all[stable_hash(content)];
  Row known = kept.lock();
  if (known && *known == content) return known;
  auto made = std::make_shared<const Bytes>(content);
  if (!known) kept = made;
  if (all.size() >= sweep_at) {
    std::erase_if(all, [](const auto& item) { return item.second.expired(); });
    sweep_at = 2 * all.size() + 1024;
  }
  return made;
}

void FakeDisk::write(Persist persist, Written written) {
  waiting_.push_back({std::move(persist), std::move(written)});
  if (waiting_.size() == 1) begin();
}

void FakeDisk::begin() {
  const Duration takes =
      least_ +
      Duration(static_cast<int64_t>(rng_.below(static_cast<uint64_t>(spread_.count()) + 1)));
  queue_->after(takes, [this, life = life_] {
    if (life != life_) return;
    Waiting done = std::move(waiting_.front());
    waiting_.pop_front();
    if (!waiting_.empty()) begin();
    if (full_) {
      done.written(done.persist.id,
                   fail(ErrorCode::kUnavailable, "state.db: database or disk is full"));
      return;
    }
    apply(done.persist.batch);
    done.written(done.persist.id, {});
  });
}

void FakeDisk::crash() {
  ++life_;
  // In their order: a later one is never there without the earlier.
  while (!waiting_.empty() && !full_ && rng_.chance(1, 2)) {
    apply(waiting_.front().persist.batch);
    waiting_.pop_front();
  }
  waiting_.clear();
}

void FakeDisk::lose() {
  ++life_;
  waiting_.clear();
  documents_.clear();
  conflicts_.clear();
  meta_.clear();
  horizon_ = last_stamp_ = {};
}

void FakeDisk::copy(const FakeDisk& other) {
  lose();
  documents_ = other.documents_;
  conflicts_ = other.conflicts_;
  meta_ = other.meta_;
  horizon_ = other.horizon_;
  last_stamp_ = other.last_stamp_;
}

std::optional<DocVersion> FakeDisk::version_of(const std::string& key) const {
  const auto at = documents_.find(key);
  if (at == documents_.end()) return std::nullopt;
  const auto document = decode_document(*at->second);
  assert(document);
  return document->version;
}

void FakeDisk::apply(const StoreBatch& batch) {
  ++writes_;
  for (const StoreBatch::Row& row : batch.documents)
    documents_[row.key] = FakeDisk::row(row.envelope);
  for (const std::string& key : batch.purged) documents_.erase(key);
  for (const Conflict& conflict : batch.conflicts) conflicts_[conflict.id()] = encode(conflict);
  for (const uint64_t id : batch.settled) conflicts_.erase(id);
  if (batch.horizon) horizon_ = *batch.horizon;
  if (batch.last_stamp) last_stamp_ = *batch.last_stamp;
  for (const auto& [key, value] : batch.meta) {
    if (value.empty())
      meta_.erase(key);
    else
      meta_[key] = row(value);
  }
  applied_(batch);
}

LoadedState FakeDisk::load() const {
  LoadedState state;
  for (const auto& [key, envelope] : documents_) {
    auto document = decode_document(*envelope);
    assert(document);
    state.documents.push_back(std::move(*document));
  }
  for (const auto& [id, record] : conflicts_) {
    auto conflict = decode_conflict(record);
    assert(conflict);
    state.conflicts.push_back(std::move(*conflict));
  }
  state.horizon = horizon_;
  state.last_stamp = last_stamp_;
  for (const auto& [key, value] : meta_) state.meta[key] = *value;
  return state;
}

Epoch FakeDisk::next_epoch() {
  Epoch epoch = 1;
  if (const auto at = meta_.find("epoch"); at != meta_.end())
    epoch = std::strtoull(std::string(as_text(*at->second)).c_str(), nullptr, 10) + 1;
  const std::string text = std::to_string(epoch);
  if (!defective(Defect::kEpochForgotten)) meta_["epoch"] = row(Bytes(text.begin(), text.end()));
  return epoch;
}

}  // namespace kith::sim
