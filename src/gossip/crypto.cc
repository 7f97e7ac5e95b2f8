#include "gossip/crypto.h"

#include <sodium.h>

#include <cstdlib>

namespace kith {

void init_crypto() {
  static const int ready = sodium_init();
  if (ready < 0) std::abort();  // the processor has no entropy: nothing could be kept secret
}

Secret keyed_hash(ByteView key, std::string_view domain, std::initializer_list<ByteView> parts) {
  init_crypto();
  crypto_generichash_state state;
  crypto_generichash_init(&state, key.empty() ? nullptr : key.data(), key.size(), Secret{}.size());
  const auto add = [&state](ByteView part) {
    const auto length = u64_bytes(part.size());
    crypto_generichash_update(&state, length.data(), length.size());
    crypto_generichash_update(&state, part.data(), part.size());
  };
  add(as_bytes(domain));
  for (const ByteView part : parts) add(part);
  Secret out;
  crypto_generichash_final(&state, out.data(), out.size());
  sodium_memzero(&state, sizeof state);
  return out;
}

void put_u64(uint8_t* to, uint64_t value) {
  for (int i = 7; i >= 0; --i) {
    to[i] = static_cast<uint8_t>(value);
    value >>= 8;
  }
}

uint64_t get_u64(const uint8_t* from) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | from[i];
  return value;
}

std::array<uint8_t, 8> u64_bytes(uint64_t value) {
  std::array<uint8_t, 8> out;
  put_u64(out.data(), value);
  return out;
}

}  // namespace kith
