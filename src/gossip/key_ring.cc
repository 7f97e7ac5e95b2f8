#include "gossip/key_ring.h"

#include <sodium.h>

#include <algorithm>

#include "base/hash.h"
#include "gossip/crypto.h"

namespace kith {
namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

constexpr std::string_view kMend = "; `kith init` makes one";

}  // namespace

ClusterKey ClusterKey::generate() {
  init_crypto();
  ClusterKey key;
  randombytes_buf(key.secret.data(), key.secret.size());
  return key;
}

Result<ClusterKey> ClusterKey::parse(std::string_view text) {
  text = trim(text);
  if (text.empty()) {
    return fail(ErrorCode::kInvalid, "the cluster key is empty" + std::string(kMend));
  }
  const auto bytes = from_base64(text);
  if (!bytes) {
    return fail(ErrorCode::kInvalid, "the cluster key is not base64 (" +
                                         std::to_string(text.size()) + " characters)" +
                                         std::string(kMend));
  }
  if (bytes->size() != kSize) {
    return fail(ErrorCode::kInvalid, "the cluster key has " + std::to_string(bytes->size()) +
                                         " bytes and must have 32" + std::string(kMend));
  }
  ClusterKey key;
  std::copy(bytes->begin(), bytes->end(), key.secret.begin());
  return key;
}

std::string ClusterKey::base64() const {
  return to_base64(secret);
}

uint64_t ClusterKey::id() const {
  return get_u64(keyed_hash(secret, "kith key id 1", {}).data());
}

const ClusterKey* KeyRing::find(uint64_t key_id) const {
  if (primary_.id() == key_id) return &primary_;
  for (const ClusterKey& key : others_) {
    if (key.id() == key_id) return &key;
  }
  return nullptr;
}

Status KeyRing::add(const ClusterKey& key) {
  if (key == primary_ || std::find(others_.begin(), others_.end(), key) != others_.end()) return {};
  if (others_.size() + 1 >= kMaxKeys) {
    return fail(ErrorCode::kTooLarge, "the key ring holds " + std::to_string(kMaxKeys) +
                                          " keys already; retire one first (`kith key rm`)");
  }
  others_.push_back(key);
  return {};
}

uint64_t cluster_id_of(std::string_view cluster_name) {
  constexpr uint64_t kSeed = 0x6b69746863'6c7573;  // "kithclus": apart from hashes of other names
  return stable_hash(cluster_name, kSeed);
}

}  // namespace kith
