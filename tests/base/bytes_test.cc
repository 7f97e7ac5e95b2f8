#include "base/bytes.h"

#include <doctest/doctest.h>

using namespace kith;

TEST_CASE("bytes: base64 gives RFC 4648's vectors and reads them back") {
  struct Row {
    const char* plain;
    const char* coded;
  };
  for (const Row& row :
       {Row{"", ""}, Row{"f", "Zg=="}, Row{"fo", "Zm8="}, Row{"foo", "Zm9v"},
        Row{"foob", "Zm9vYg=="}, Row{"fooba", "Zm9vYmE="}, Row{"foobar", "Zm9vYmFy"}}) {
    CHECK(to_base64(as_bytes(row.plain)) == row.coded);
    const auto back = from_base64(row.coded);
    REQUIRE(back);
    CHECK(as_text(*back) == row.plain);
  }
}

TEST_CASE("bytes: base64 takes the URL alphabet and no padding, and nothing else") {
  CHECK(from_base64("-_8") == Bytes{0xfb, 0xff});
  CHECK_FALSE(from_base64("Zm9v!"));
  CHECK_FALSE(from_base64("Zm9vY"));
}

TEST_CASE("bytes: hex goes both ways and refuses odd lengths and other characters") {
  CHECK(to_hex(Bytes{0x00, 0xab, 0xff}) == "00abff");
  CHECK(from_hex("00ABff") == Bytes{0x00, 0xab, 0xff});
  CHECK_FALSE(from_hex("abc"));
  CHECK_FALSE(from_hex("zz"));
}
