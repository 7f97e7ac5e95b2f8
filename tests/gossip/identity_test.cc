#include "gossip/identity.h"

#include <doctest/doctest.h>

#include "samples.h"

using namespace kith;

TEST_CASE("identity: signs as RFC 8032 test 1 says") {
  Identity::Seed seed{};
  const Bytes bytes = *from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
  std::copy(bytes.begin(), bytes.end(), seed.begin());
  const Identity identity = Identity::from_seed(seed);
  CHECK(identity.id().hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  CHECK(
      to_hex(identity.sign({})) ==
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
      "b46bd25bf5f0595bbe24655141438e7a100b");
  CHECK(identity.seed() == seed);
}

TEST_CASE("identity: two generated ones differ") {
  CHECK(Identity::generate().id() != Identity::generate().id());
}

TEST_CASE("identity: a signature holds for its signer and its bytes only") {
  const Identity a = sample::identity(1);
  const Identity b = sample::identity(2);
  const ByteView text = as_bytes("alive");
  const Signature signature = a.sign(text);
  CHECK(verify(a.id(), text, signature));
  CHECK_FALSE(verify(b.id(), text, signature));
  CHECK_FALSE(verify(a.id(), as_bytes("alivf"), signature));
  CHECK_FALSE(verify(NodeId{}, text, signature));
  for (size_t i = 0; i < signature.size(); ++i) {
    Signature bad = signature;
    bad[i] ^= 1;
    CHECK_FALSE(verify(a.id(), text, bad));
  }
}

TEST_CASE("identity: a signed rumor checks in its own cluster only, before and after the wire") {
  const Identity a = sample::identity(1);
  const Identity b = sample::identity(2);
  VerifyCache cache;
  for (MemberRumor rumor : {sample::alive(a.id()), sample::left(a.id()),
                            sample::accuse(Claim::kSuspect, b.id(), a.id()),
                            sample::accuse(Claim::kDead, b.id(), a.id())}) {
    a.sign(rumor, 42);
    const auto back = std::get<MemberRumor>(decode_rumor(encode(Rumor(rumor))).value());
    CHECK(cache.check(rumor, 42));
    CHECK(cache.check(back, 42));
    CHECK_FALSE(cache.check(back, 43));
    ++rumor.incarnation;
    CHECK_FALSE(cache.check(rumor, 42));
  }
}

TEST_CASE("verify cache: each signature is computed once") {
  const Identity a = sample::identity(1);
  VerifyCache cache;
  const ByteView text = as_bytes("news");
  const Signature signature = a.sign(text);
  CHECK_FALSE(cache.known(a.id(), text, signature));
  for (int i = 0; i < 10; ++i) CHECK(cache.check(a.id(), text, signature));
  CHECK(cache.checked() == 1);
  CHECK(cache.known(a.id(), text, signature));
}

TEST_CASE("verify cache: a bad signature is never taken for the good one it resembles") {
  const Identity a = sample::identity(1);
  VerifyCache cache;
  const ByteView text = as_bytes("news");
  Signature signature = a.sign(text);
  CHECK(cache.check(a.id(), text, signature));
  CHECK_FALSE(cache.check(a.id(), as_bytes("mews"), signature));
  CHECK_FALSE(cache.check(sample::identity(2).id(), text, signature));
  signature[5] ^= 1;
  CHECK_FALSE(cache.check(a.id(), text, signature));
  CHECK_FALSE(cache.check(a.id(), text, signature));
  CHECK(cache.size() == 1);
}

TEST_CASE("verify cache: stays within its capacity and forgets the oldest") {
  const Identity a = sample::identity(1);
  VerifyCache cache(4);
  std::vector<std::string> texts;
  for (int i = 0; i < 10; ++i) texts.push_back("news " + std::to_string(i));
  for (const auto& text : texts) {
    CHECK(cache.check(a.id(), as_bytes(text), a.sign(as_bytes(text))));
    CHECK(cache.size() <= 4);
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    CHECK(cache.known(a.id(), as_bytes(texts[i]), a.sign(as_bytes(texts[i]))) == (i >= 6));
  }
  CHECK(cache.check(a.id(), as_bytes(texts[0]), a.sign(as_bytes(texts[0]))));
  CHECK(cache.checked() == 11);
}
