#include "gossip/key_ring.h"

#include <doctest/doctest.h>

#include <set>

#include "samples.h"

using namespace kith;

TEST_CASE("cluster key: reads what it writes, with blanks around it") {
  const ClusterKey key = ClusterKey::generate();
  CHECK(key != ClusterKey::generate());
  for (const std::string& text :
       {key.base64(), key.base64() + "\n", " \t" + key.base64() + "\r\n"}) {
    const auto back = ClusterKey::parse(text);
    REQUIRE(back);
    CHECK(*back == key);
  }
}

TEST_CASE("cluster key: a wrong text is refused with the mend, and never repeated") {
  struct Case {
    std::string text;
    std::string says;
  };
  const Case kCases[] = {
      {"", "empty"},
      {" \n", "empty"},
      {to_base64(Bytes(31, 1)), "31 bytes"},
      {to_base64(Bytes(33, 1)), "33 bytes"},
      {"correct horse battery staple!", "not base64"},
  };
  for (const Case& c : kCases) {
    CAPTURE(c.text);
    const auto key = ClusterKey::parse(c.text);
    REQUIRE_FALSE(key);
    CHECK(key.error().code == ErrorCode::kInvalid);
    CHECK(key.error().message.find(c.says) != std::string::npos);
    CHECK(key.error().message.find("kith init") != std::string::npos);
    if (c.text.size() > 5) CHECK(key.error().message.find(c.text) == std::string::npos);
  }
}

TEST_CASE("cluster key: ids differ between keys and are not part of the key") {
  std::set<uint64_t> ids;
  for (uint8_t i = 0; i < 100; ++i) ids.insert(sample::key(i).id());
  CHECK(ids.size() == 100);
  CHECK(sample::key(1).id() != 0x0101010101010101);
  CHECK(sample::key(1).id() == sample::key(1).id());
}

TEST_CASE("key ring: finds a key by its id") {
  KeyRing ring(sample::key(1));
  CHECK(ring.add(sample::key(2)));
  CHECK(ring.add(sample::key(2)));
  CHECK(ring.others().size() == 1);
  CHECK(*ring.find(sample::key(1).id()) == sample::key(1));
  CHECK(*ring.find(sample::key(2).id()) == sample::key(2));
  CHECK(ring.find(sample::key(3).id()) == nullptr);
}

TEST_CASE("key ring: holds no more than its limit") {
  KeyRing ring(sample::key(0));
  for (uint8_t i = 1; i < KeyRing::kMaxKeys; ++i) CHECK(ring.add(sample::key(i)));
  CHECK(ring.add(sample::key(200)).error().code == ErrorCode::kTooLarge);
  CHECK(ring.add(sample::key(1)));
}

TEST_CASE("cluster id: follows from the name alone") {
  CHECK(cluster_id_of("home") == cluster_id_of("home"));
  CHECK(cluster_id_of("home") != cluster_id_of("hom"));
}
