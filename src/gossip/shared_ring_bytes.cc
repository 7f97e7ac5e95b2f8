// SharedRing: its bytes.

#include <algorithm>
#include <array>
#include <utility>

#include "gossip/crypto.h"
#include "gossip/shared_ring.h"

namespace kith {
namespace {

constexpr uint8_t kFormat = 2;

void put(Bytes& out, uint64_t value) {
  const auto bytes = u64_bytes(value);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void put(Bytes& out, const std::set<NodeId>& nodes) {
  put(out, nodes.size());
  for (const NodeId& node : nodes) out.insert(out.end(), node.key.begin(), node.key.end());
}

/// Everything but secrets.
void put(Bytes& out, uint64_t id, const SharedKey& key, const std::set<NodeId>& banned) {
  put(out, id);
  for (const Stamp stamp : {key.created, key.used, key.removed}) put(out, stamp.value);
  out.push_back(key.next ? 1 : 0);
  // A bit a ban: a list would be long, and the same for most.
  Bytes without((banned.size() + 7) / 8);
  size_t i = 0;
  for (const NodeId& node : banned) {
    if (key.without.contains(node)) without[i / 8] |= static_cast<uint8_t>(1 << i % 8);
    ++i;
  }
  out.insert(out.end(), without.begin(), without.end());
  put(out, key.members);
  put(out, key.after.size());
  for (const uint64_t before : key.after) put(out, before);
}

/// Reads on; beyond the end everything is zero, and `ok` false for good.
struct Reader {
  ByteView left;
  bool ok = true;

  ByteView take(size_t size) {
    static constexpr std::array<uint8_t, ClusterKey::kSize> kNothing{};
    if (size > left.size()) {
      ok = false;
      left = {};
      return ByteView(kNothing).first(std::min(size, kNothing.size()));
    }
    const ByteView out = left.first(size);
    left = left.subspan(size);
    return out;
  }
  uint8_t byte() { return take(1)[0]; }
  uint64_t number() { return get_u64(take(8).data()); }
  bool flag() {
    const uint8_t value = byte();
    ok = ok && value <= 1;
    return value == 1;
  }
  NodeId node() {
    NodeId out;
    const ByteView bytes = take(out.key.size());
    std::copy(bytes.begin(), bytes.end(), out.key.begin());
    return out;
  }
  /// In order, none twice.
  template <class T, class Read>
  std::set<T> set(size_t max, Read read) {
    std::set<T> out;
    const uint64_t size = number();
    ok = ok && size <= max;
    for (uint64_t i = 0; ok && i < size; ++i) {
      T item = read();
      ok = ok && (out.empty() || *out.rbegin() < item);
      if (ok) out.insert(out.end(), std::move(item));
    }
    return out;
  }
  std::set<NodeId> nodes(size_t max) {
    return set<NodeId>(max, [this] { return node(); });
  }
};

/// `without`: a bit a ban, as put() lays them down.
SharedKey read_key(Reader& in, size_t banned, Bytes& without) {
  SharedKey key;
  for (Stamp* stamp : {&key.created, &key.used, &key.removed}) *stamp = {in.number()};
  key.next = in.flag();
  const ByteView bits = in.take((banned + 7) / 8);
  without.assign(bits.begin(), bits.end());
  if (banned % 8 != 0 && in.ok) in.ok = without.back() >> banned % 8 == 0;
  key.members = in.nodes(SharedRing::kMaxListed);
  key.after = in.set<uint64_t>(SharedRing::kMaxKeys, [&in] { return in.number(); });
  const bool has_secret = in.flag();
  ClusterKey secret;
  const ByteView bytes = in.take(ClusterKey::kSize);
  std::copy(bytes.begin(), bytes.end(), secret.secret.begin());
  if (has_secret) key.key = secret;
  return key;
}

}  // namespace

uint64_t SharedRing::digest() const {
  Bytes all;
  put(all, primary_);
  for (const auto& [id, key] : live()) put(all, id, key, banned_);
  for (const NodeId& node : banned_) all.insert(all.end(), node.key.begin(), node.key.end());
  return get_u64(keyed_hash({}, "kith key ring 2", {all}).data());
}

Bytes SharedRing::encode() const {
  Bytes out{kFormat};
  put(out, banned_);
  put(out, keys_.size());
  for (const auto& [id, key] : keys_) {
    put(out, id, key, banned_);
    out.push_back(key.key ? 1 : 0);
    const ClusterKey secret = key.key.value_or(ClusterKey{});
    out.insert(out.end(), secret.secret.begin(), secret.secret.end());
  }
  return out;
}

Result<SharedRing> SharedRing::decode(ByteView bytes) {
  const auto broken = [](const char* why) {
    return fail(ErrorCode::kInvalid, std::string("not a key ring: ") + why);
  };
  Reader in{bytes};
  if (in.byte() != kFormat) return broken("unknown format");
  SharedRing out;
  out.banned_ = in.nodes(kMaxBanned);
  const uint64_t keys = in.number();
  if (!in.ok || keys == 0 || keys > kMaxKeys) return broken("bad length");
  for (uint64_t i = 0; i < keys; ++i) {
    const uint64_t id = in.number();
    Bytes without;
    SharedKey key = read_key(in, out.banned_.size(), without);
    if (!in.ok) return broken("bad length, flag or list");
    if (std::max(key.order(), key.removed) > kLastStamp) return broken("bad stamp");
    if (key.key && key.key->id() != id) return broken("a key that is not what it is called");
    if (!key.key && (key.removed == Stamp{} || key.removed < key.order()))
      return broken("a key without its secret");
    size_t n = 0;
    for (const NodeId& node : out.banned_) {
      if ((without[n / 8] >> n % 8 & 1) != 0) key.without.insert(node);
      ++n;
    }
    if (!out.keys_.emplace(id, std::move(key)).second) return broken("a key twice");
  }
  if (!in.left.empty()) return broken("bad length");
  out.settle_primary();
  if (!out.keys_.contains(out.primary_) || !out.keys_.at(out.primary_).key)
    return broken("no primary");
  return out;
}

}  // namespace kith
