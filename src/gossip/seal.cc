#include "gossip/seal.h"

#include <sodium.h>

#include <algorithm>

#include "gossip/crypto.h"

namespace kith {
namespace {

constexpr std::array<uint8_t, 4> kMagic = {'k', 'i', 't', 'h'};
constexpr uint8_t kWireVersion = 1;
constexpr uint8_t kHello = 1;

// Where each part starts.
constexpr size_t kVersionAt = 4;
constexpr size_t kFlagsAt = 5;
constexpr size_t kKeyIdAt = 6;
constexpr size_t kNonceAt = 14;
constexpr size_t kNonceSize = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr size_t kTextAt = kNonceAt + kNonceSize;
constexpr size_t kTagSize = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(kTextAt + kTagSize == kSealOverhead);
static_assert(kNonceSize == 24);

/// What is authenticated beside the ciphertext: the header up to the nonce, cluster, receiver.
using Associated = std::array<uint8_t, kNonceAt + 16>;

Associated associated(const uint8_t* header, uint64_t cluster_id, uint64_t receiver) {
  Associated out;
  std::copy_n(header, kNonceAt, out.begin());
  put_u64(out.data() + kNonceAt, cluster_id);
  put_u64(out.data() + kNonceAt + 8, receiver);
  return out;
}

}  // namespace

DatagramSealer::DatagramSealer(uint64_t cluster_id, const KeyRing& keys, uint64_t self,
                               uint64_t boot)
    : cluster_id_(cluster_id), self_(self), boot_(boot) {
  set_keys(keys);
}

void DatagramSealer::set_keys(const KeyRing& keys) {
  const auto derive = [](const ClusterKey& key) {
    return Key{key.id(), keyed_hash(key.secret, "kith datagram 1", {})};
  };
  keys_ = {derive(keys.primary())};
  for (const ClusterKey& key : keys.others()) keys_.push_back(derive(key));
}

Bytes DatagramSealer::seal(ByteView plain, uint64_t receiver) {
  const Key& key = keys_.front();
  Bytes out(plain.size() + kSealOverhead);
  std::copy(kMagic.begin(), kMagic.end(), out.begin());
  out[kVersionAt] = kWireVersion;
  out[kFlagsAt] = receiver == 0 ? kHello : 0;
  put_u64(&out[kKeyIdAt], key.id);
  put_u64(&out[kNonceAt], boot_);
  put_u64(&out[kNonceAt + 8], self_);
  put_u64(&out[kNonceAt + 16], ++sequence_);
  const Associated extra = associated(out.data(), cluster_id_, receiver);
  crypto_aead_xchacha20poly1305_ietf_encrypt(&out[kTextAt], nullptr, plain.data(), plain.size(),
                                             extra.data(), extra.size(), nullptr, &out[kNonceAt],
                                             key.secret.data());
  ++counters_.sealed;
  return out;
}

Result<Opened> DatagramSealer::open(ByteView datagram) {
  if (datagram.size() < kSealOverhead ||
      !std::equal(kMagic.begin(), kMagic.end(), datagram.begin()) ||
      datagram[kVersionAt] != kWireVersion) {
    ++counters_.malformed;
    return fail(ErrorCode::kInvalid, "no datagram");
  }
  const uint64_t key_id = get_u64(&datagram[kKeyIdAt]);
  const auto key = std::find_if(keys_.begin(), keys_.end(),
                                [&](const Key& candidate) { return candidate.id == key_id; });
  if (key == keys_.end()) {
    ++counters_.unknown_key;
    return fail(ErrorCode::kUnauthentic, "unknown key");
  }
  const bool hello = (datagram[kFlagsAt] & kHello) != 0;
  const Associated extra = associated(datagram.data(), cluster_id_, hello ? 0 : self_);
  const ByteView text = datagram.subspan(kTextAt, datagram.size() - kSealOverhead);
  const uint8_t* tag = datagram.data() + datagram.size() - kTagSize;
  // First the tag alone, so that nothing is allocated for a forgery.
  if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
          nullptr, nullptr, text.data(), text.size(), tag, extra.data(), extra.size(),
          &datagram[kNonceAt], key->secret.data()) != 0) {
    ++counters_.unauthentic;
    return fail(ErrorCode::kUnauthentic, "unauthentic");
  }
  Opened opened;
  opened.boot = get_u64(&datagram[kNonceAt]);
  opened.sender = get_u64(&datagram[kNonceAt + 8]);
  opened.sequence = get_u64(&datagram[kNonceAt + 16]);
  opened.key_id = key_id;
  opened.hello = hello;
  opened.plain.resize(text.size());
  if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
          opened.plain.data(), nullptr, text.data(), text.size(), tag, extra.data(), extra.size(),
          &datagram[kNonceAt], key->secret.data()) != 0) {
    return fail(ErrorCode::kUnauthentic, "unauthentic");
  }
  ++counters_.opened;
  return opened;
}

}  // namespace kith
