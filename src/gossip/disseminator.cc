#include "gossip/disseminator.h"

#include <algorithm>

namespace kith {
namespace {

/// An array of more than 15 rumors has a longer header than an empty one.
constexpr size_t kArrayHeader = 2;

}  // namespace

Disseminator::Disseminator(const GossipConfig& config, Rng rng)
    : config_(config), rng_(rng), queue_(config.retransmit_mult) {}

RumorQueue::Pushed Disseminator::spread(const Rumor& rumor, Instant now, bool wait) {
  const bool member = std::holds_alternative<MemberRumor>(rumor);
  return queue_.push(rumor, member || !wait ? Instant{} : now + config_.coalesce);
}

void Disseminator::urgent(std::span<const MemberRumor> news, bool own, Instant now,
                          std::span<const Peer> peers, std::vector<GossipSend>& out) {
  std::vector<Message> messages;
  size_t used = config_.max_plain;
  for (const MemberRumor& rumor : news) {
    if (queue_.push(rumor) != RumorQueue::Pushed::kQueued) continue;
    const size_t size = encode(Rumor(rumor)).size();
    if (messages.empty() || used + size > config_.max_plain ||
        messages.back().rumors.size() == kMaxRumorsAMessage) {
      messages.push_back({Gossip{}, 0, {}});
      used = encode(messages.back()).size() + kArrayHeader;
    }
    messages.back().rumors.emplace_back(rumor);
    used += size;
  }
  for (const Message& message : messages) {
    for (const size_t index : pick(peers.size(), config_.urgent_fanout)) {
      if (!own && !take_token(now)) {
        ++counters_.urgent_limited;
        continue;
      }
      out.push_back({peers[index], message});
      ++counters_.urgent_sent;
    }
  }
}

void Disseminator::add(Message& message, Instant now, size_t budget, unsigned hearers) {
  if (queue_.ready_at() > now || message.rumors.size() >= kMaxRumorsAMessage) return;
  const size_t base = encode(message).size() + kArrayHeader;
  if (base >= budget) return;
  queue_.fill(budget - base, kMaxRumorsAMessage - message.rumors.size(), cluster_size_, now,
              message.rumors, hearers);
}

void Disseminator::advance(Instant now, std::span<const Peer> peers, std::vector<GossipSend>& out) {
  nobody_ = peers.empty();
  if (nobody_ || now < next_tick_ || queue_.ready_at() > now) return;
  next_tick_ = now + config_.gossip_interval;
  const size_t before = out.size();
  const std::vector<size_t> hearers = pick(peers.size(), config_.gossip_fanout);
  for (unsigned sent = 0; sent == 0 || (sent < config_.gossip_burst && queue_.untold_record());
       ++sent) {
    Message message{Gossip{}, 0, {}};
    add(message, now, config_.max_plain, static_cast<unsigned>(hearers.size()));
    if (message.rumors.empty()) break;
    for (const size_t index : hearers) out.push_back({peers[index], message});
  }
  counters_.gossip_sent += out.size() - before;
  if (out.size() > before) ++counters_.ticks;
}

Instant Disseminator::next_deadline() const {
  const Instant ready = queue_.ready_at();
  if (nobody_ || ready == kNever) return kNever;
  return std::max(next_tick_, ready);
}

std::vector<size_t> Disseminator::pick(size_t from, size_t count) {
  // Floyd's sampling: `count` distinct indexes below `from`, each set equally likely.
  count = std::min(count, from);
  std::vector<size_t> picked;
  picked.reserve(count);
  for (size_t i = from - count; i < from; ++i) {
    const size_t index = rng_.below(i + 1);
    const bool taken = std::find(picked.begin(), picked.end(), index) != picked.end();
    picked.push_back(taken ? i : index);
  }
  return picked;
}

bool Disseminator::take_token(Instant now) {
  // `bucket_` is when the bucket would be full again; each token moves it one period on.
  if (config_.urgent_rate == 0) return false;
  const Duration period = Duration(std::chrono::seconds(1)) / config_.urgent_rate;
  const Instant full = std::max(bucket_, now);
  if (full - now > period * (static_cast<int64_t>(config_.urgent_burst) - 1)) return false;
  bucket_ = full + period;
  return true;
}

}  // namespace kith
