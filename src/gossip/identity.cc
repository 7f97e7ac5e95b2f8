#include "gossip/identity.h"

#include <sodium.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "gossip/crypto.h"

namespace kith {

static_assert(std::tuple_size_v<Signature> == crypto_sign_BYTES);
static_assert(sizeof(NodeId::key) == crypto_sign_PUBLICKEYBYTES);
static_assert(Identity::kSeedSize == crypto_sign_SEEDBYTES);

Identity Identity::generate() {
  init_crypto();
  Seed seed;
  randombytes_buf(seed.data(), seed.size());
  Identity identity = from_seed(seed);
  sodium_memzero(seed.data(), seed.size());
  return identity;
}

Identity Identity::from_seed(const Seed& seed) {
  init_crypto();
  Identity identity;
  crypto_sign_seed_keypair(identity.id_.key.data(), identity.secret_.data(), seed.data());
  return identity;
}

Identity::Seed Identity::seed() const {
  Seed seed;
  crypto_sign_ed25519_sk_to_seed(seed.data(), secret_.data());
  return seed;
}

Signature Identity::sign(ByteView bytes) const {
  Signature signature;
  crypto_sign_detached(signature.data(), nullptr, bytes.data(), bytes.size(), secret_.data());
  return signature;
}

void Identity::sign(MemberRumor& rumor, uint64_t cluster_id) const {
  assert(rumor.signer() == id_);
  rumor.signature = sign(rumor.signed_bytes(cluster_id));
}

bool verify(const NodeId& signer, ByteView bytes, const Signature& signature) {
  init_crypto();
  return crypto_sign_verify_detached(signature.data(), bytes.data(), bytes.size(),
                                     signer.key.data()) == 0;
}

bool VerifyCache::check(const NodeId& signer, ByteView bytes, const Signature& signature) {
  const Digest key = digest(signer, bytes, signature);
  if (seen_.contains(key)) return true;
  ++checked_;
  if (!verify(signer, bytes, signature)) return false;
  if (capacity_ == 0) return true;
  if (order_.size() == capacity_) {
    seen_.erase(order_.front());
    order_.pop_front();
  }
  seen_.insert(key);
  order_.push_back(key);
  return true;
}

bool VerifyCache::check(const MemberRumor& rumor, uint64_t cluster_id) {
  return check(rumor.signer(), rumor.signed_bytes(cluster_id), rumor.signature);
}

bool VerifyCache::known(const NodeId& signer, ByteView bytes, const Signature& signature) const {
  return seen_.contains(digest(signer, bytes, signature));
}

size_t VerifyCache::FirstBytes::operator()(const Digest& digest) const {
  size_t first = 0;
  std::memcpy(&first, digest.data(), sizeof first);
  return first;
}

VerifyCache::Digest VerifyCache::digest(const NodeId& signer, ByteView bytes,
                                        const Signature& signature) {
  const Secret hash = keyed_hash({}, "kith verified", {signer.key, bytes, signature});
  Digest out;
  std::copy_n(hash.begin(), out.size(), out.begin());
  return out;
}

}  // namespace kith
