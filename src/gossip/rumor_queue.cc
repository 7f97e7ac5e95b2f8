#include "gossip/rumor_queue.h"

#include <algorithm>
#include <optional>

namespace kith {
namespace {

const MemberRumor* as_member(const Rumor& rumor) {
  return std::get_if<MemberRumor>(&rumor);
}

/// True if `accusation` has nothing to say any more to who knows `news`.
bool overtakes(const MemberRumor& news, const MemberRumor& accusation) {
  switch (news.claim) {
    case Claim::kAlive:
      return accusation.incarnation < news.incarnation;
    case Claim::kDead:
      return accusation.claim == Claim::kSuspect && accusation.incarnation <= news.incarnation;
    case Claim::kLeft:
      return accusation.incarnation <= news.incarnation;
    case Claim::kSuspect:
      return false;
  }
  return false;
}

}  // namespace

std::string queue_key(const Rumor& rumor) {
  struct KeyOf {
    std::string operator()(const MemberRumor& member) const { return member.key(); }
    std::string operator()(const RecordRumor& record) const { return "r/" + record.key; }
    std::string operator()(const OfferRumor& offer) const { return "r/" + offer.key; }
  };
  return std::visit(KeyOf{}, rumor);
}

std::string member_prefix(const NodeId& subject) {
  return "m/" + subject.hex();
}

RumorQueue::RumorQueue(unsigned retransmit_mult, size_t capacity)
    : retransmit_mult_(std::max(1U, retransmit_mult)), capacity_(std::max<size_t>(1, capacity)) {}

RumorQueue::Pushed RumorQueue::push(const Rumor& rumor, Instant ready) {
  const Bytes encoded = encode(rumor);
  if (encoded.size() > kMaxRumorSize) return Pushed::kTooLarge;
  std::string key = queue_key(rumor);

  if (const auto old = by_key_.find(key); old != by_key_.end()) {
    const Entry& entry = entries_.at(old->second);
    if (encode(entry.rumor) == encoded) return Pushed::kUnchanged;
    if (entry.held) ready = std::min(ready, entry.ready);
    erase(old->second);
  }
  if (const MemberRumor* member = as_member(rumor)) drop_accusations(*member);
  if (entries_.size() >= capacity_ && !make_room(as_member(rumor) == nullptr)) {
    ++dropped_;
    return Pushed::kFull;
  }
  insert({std::move(key), rumor, encoded.size(), 0, ready, ready > Instant{}});
  return Pushed::kQueued;
}

void RumorQueue::drop_accusations(const MemberRumor& news) {
  const std::string prefix = member_prefix(news.subject) + "/";
  std::vector<uint64_t> gone;
  for (auto it = by_key_.lower_bound(prefix); it != by_key_.end(); ++it) {
    if (!it->first.starts_with(prefix)) break;
    const MemberRumor* accusation = as_member(entries_.at(it->second).rumor);
    if (overtakes(news, *accusation)) gone.push_back(it->second);
  }
  for (const uint64_t id : gone) erase(id);
}

void RumorQueue::invalidate(std::string_view prefix) {
  std::vector<uint64_t> gone;
  for (auto it = by_key_.lower_bound(prefix); it != by_key_.end(); ++it) {
    if (!it->first.starts_with(prefix)) break;
    gone.push_back(it->second);
  }
  for (const uint64_t id : gone) erase(id);
}

bool RumorQueue::make_room(bool for_record) {
  const auto last = [](const Order& order) { return std::prev(order.end())->id; };
  std::optional<uint64_t> victim;
  if (!records_.empty()) {
    victim = last(records_);
  } else if (!held_.empty()) {
    victim = held_.begin()->second;
  } else if (!for_record && !members_.empty()) {
    victim = last(members_);
  }
  if (!victim) return false;
  erase(*victim);
  ++dropped_;
  return true;
}

size_t RumorQueue::fill(size_t budget, size_t max_rumors, size_t n, Instant now,
                        std::vector<Rumor>& out, unsigned hearers) {
  constexpr size_t kMaxMisfits = 32;  // bounds the walk over what does not fit the rest
  release(now);
  std::vector<uint64_t> picked;
  size_t used = 0;
  size_t misfits = 0;
  auto member = members_.begin();
  auto record = records_.begin();
  while (picked.size() < max_rumors && misfits < kMaxMisfits) {
    const bool members_left = member != members_.end();
    const bool records_left = record != records_.end();
    if (!members_left && !records_left) break;
    const bool take_member = members_left && (!records_left || *member < *record);
    const uint64_t id = take_member ? (member++)->id : (record++)->id;
    const size_t size = entries_.at(id).size;
    if (size > budget - used) {
      ++misfits;
      continue;
    }
    used += size;
    picked.push_back(id);
  }
  const unsigned max_transmits = limit(n);
  for (const uint64_t id : picked) {
    Entry& entry = entries_.at(id);
    out.push_back(entry.rumor);
    Order& order = order_of(entry);
    order.erase({entry.transmits, id});
    entry.transmits += hearers;
    order.insert({entry.transmits, id});
    if (entry.transmits >= max_transmits) erase(id);
  }
  return used;
}

unsigned RumorQueue::limit(size_t n) const {
  unsigned digits = 0;  // ceil(log10(n + 1)): how many times n can be divided by ten
  for (; n > 0; n /= 10) ++digits;
  return retransmit_mult_ * std::max(1U, digits);
}

Instant RumorQueue::ready_at() const {
  if (!members_.empty() || !records_.empty()) return Instant{};
  return held_.empty() ? kNever : held_.begin()->first;
}

void RumorQueue::insert(Entry entry) {
  const uint64_t id = next_id_++;
  by_key_[entry.key] = id;
  if (entry.held) {
    held_.insert({entry.ready, id});
  } else {
    order_of(entry).insert({entry.transmits, id});
  }
  entries_.emplace(id, std::move(entry));
}

void RumorQueue::erase(uint64_t id) {
  const auto it = entries_.find(id);
  Entry& entry = it->second;
  if (entry.held) {
    held_.erase({entry.ready, id});
  } else {
    order_of(entry).erase({entry.transmits, id});
  }
  by_key_.erase(entry.key);
  entries_.erase(it);
}

void RumorQueue::release(Instant now) {
  while (!held_.empty() && held_.begin()->first <= now) {
    const uint64_t id = held_.begin()->second;
    held_.erase(held_.begin());
    Entry& entry = entries_.at(id);
    entry.held = false;
    order_of(entry).insert({entry.transmits, id});
  }
}

RumorQueue::Order& RumorQueue::order_of(const Entry& entry) {
  return as_member(entry.rumor) != nullptr ? members_ : records_;
}

}  // namespace kith
