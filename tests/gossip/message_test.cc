#include "gossip/message.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "samples.h"

using namespace kith;

namespace {

/// Puts `extra` (encoded fields) at the end of the array that starts at `at`; the array must have
/// fewer than 15 - `count` fields.
void append_fields(Bytes& bytes, size_t at, size_t end, uint8_t count, const Bytes& extra) {
  REQUIRE((bytes[at] & 0xf0) == 0x90);
  bytes[at] = static_cast<uint8_t>(bytes[at] + count);
  bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(end), extra.begin(), extra.end());
}

}  // namespace

TEST_CASE("message: what was encoded decodes to the same") {
  Rng rng(20261);
  for (int i = 0; i < 2000; ++i) {
    const Message message = sample::random_message(rng);
    const Bytes bytes = encode(message);
    const auto decoded = decode_message(bytes);
    REQUIRE(decoded);
    CHECK(decoded->body.index() == message.body.index());
    CHECK(decoded->root == message.root);
    CHECK(decoded->rumors.size() == message.rumors.size());
    CHECK(encode(*decoded) == bytes);
  }
}

TEST_CASE("message: every field of every body survives") {
  const Endpoint at{"10.1.2.3", 65535};
  const auto round = [](const Body& body) {
    return decode_message(encode(Message{body, 9, {}})).value();
  };
  CHECK(std::get<Ping>(round(Ping{UINT64_MAX}).body).nonce == UINT64_MAX);
  CHECK(std::get<Ack>(round(Ack{0}).body).nonce == 0);
  CHECK(std::get<Nack>(round(Nack{5}).body).nonce == 5);
  CHECK(round(Gossip{}).root == 9);
  const auto request = std::get<PingReq>(round(PingReq{7, sample::node(1), at}).body);
  CHECK(request.nonce == 7);
  CHECK(request.target == sample::node(1));
  CHECK(request.target_address == at);
  const auto confirm = std::get<Confirm>(round(Confirm{sample::node(2), at}).body);
  CHECK(confirm.target == sample::node(2));
  CHECK(confirm.target_address == at);
}

TEST_CASE("message: every field of every rumor survives") {
  MemberRumor alive = sample::alive(sample::node(1), 77);
  alive.signature.fill(3);
  const auto back = std::get<MemberRumor>(decode_rumor(encode(Rumor(alive))).value());
  CHECK(back.claim == Claim::kAlive);
  CHECK(back.subject == alive.subject);
  CHECK(back.accuser.none());
  CHECK(back.incarnation == 77);
  CHECK(back.epoch == alive.epoch);
  CHECK(back.boot == alive.boot);
  CHECK(back.name == alive.name);
  CHECK(back.address == alive.address);
  CHECK(back.signature == alive.signature);

  const auto dead = sample::accuse(Claim::kDead, sample::node(1), sample::node(2), 5);
  const auto dead_back = std::get<MemberRumor>(decode_rumor(encode(Rumor(dead))).value());
  CHECK(dead_back.claim == Claim::kDead);
  CHECK(dead_back.accuser == sample::node(2));
  CHECK(dead_back.incarnation == 5);

  const Rumor record = sample::record("service/web", 500, 9);
  const auto record_back = std::get<RecordRumor>(decode_rumor(encode(record)).value());
  CHECK(record_back.key == "service/web");
  CHECK(record_back.envelope == Bytes(500, 9));

  const auto offer =
      std::get<OfferRumor>(decode_rumor(encode(Rumor(OfferRumor{"secret/x", 1ULL << 63}))).value());
  CHECK(offer.key == "secret/x");
  CHECK(offer.version == 1ULL << 63);
}

TEST_CASE("message: the bytes on the wire stay what they are") {
  // [body kind, [nonce], docs root, [rumors]]: a change here is a change of the wire version.
  CHECK(to_hex(encode(Message{Ping{0x0102}, 3, {}})) == "940091cd01020390");
  CHECK(to_hex(encode(Rumor(OfferRumor{"ab", 5}))) == "9302a2616205");
  const Bytes left = encode(Rumor(sample::left(NodeId{}, 1)));
  CHECK(to_hex(left) ==
        "95"
        "00"
        "03"
        "c420" +
            std::string(64, '0') +
            "01"
            "c440" +
            std::string(128, '0'));
}

TEST_CASE("message: fields that a newer version appended are passed over") {
  const Bytes extra = *from_hex(
      "a3616263"
      "9301c0c3");  // "abc", [1, nil, true]
  SUBCASE("to the message") {
    Bytes bytes = encode(Message{Ping{1}, 2, {sample::record("a")}});
    append_fields(bytes, 0, bytes.size(), 2, extra);
    const auto decoded = decode_message(bytes);
    REQUIRE(decoded);
    CHECK(decoded->rumors.size() == 1);
  }
  SUBCASE("to the body") {
    Bytes bytes = encode(Message{Ping{1}, 2, {}});
    append_fields(bytes, 2, 4, 2, extra);
    const auto decoded = decode_message(bytes);
    REQUIRE(decoded);
    CHECK(decoded->root == 2);
  }
  SUBCASE("to a rumor") {
    Rng rng(5);
    for (int i = 0; i < 50; ++i) {
      Bytes bytes = encode(sample::random_rumor(rng));
      const Bytes before = bytes;
      append_fields(bytes, 0, bytes.size(), 2, extra);
      const auto decoded = decode_rumor(bytes);
      REQUIRE(decoded);
      CHECK(encode(*decoded) == before);
    }
  }
}

TEST_CASE("message: a rumor of an unknown kind does not cost the others") {
  Bytes bytes = encode(Message{Gossip{}, 0, {sample::record("a")}});
  // The rumors are the last field, an array of one: put [99, "x"] behind it.
  const Bytes rumor = encode(Rumor(sample::record("a")));
  const size_t array_at = bytes.size() - rumor.size() - 1;
  REQUIRE(bytes[array_at] == 0x91);
  bytes[array_at] = 0x92;
  const Bytes unknown = *from_hex("9263a178");
  bytes.insert(bytes.end(), unknown.begin(), unknown.end());
  const auto decoded = decode_message(bytes);
  REQUIRE(decoded);
  CHECK(decoded->rumors.size() == 1);
  CHECK_FALSE(decode_rumor(unknown));
}

TEST_CASE("message: what is over a named limit is refused") {
  MemberRumor rumor = sample::alive(sample::node(1));
  rumor.name = std::string(kMaxNodeName, 'n');
  CHECK(decode_rumor(encode(Rumor(rumor))));
  rumor.name += 'n';
  CHECK_FALSE(decode_rumor(encode(Rumor(rumor))));

  CHECK(decode_rumor(encode(Rumor(sample::record(std::string(kMaxRecordKey, 'k'))))));
  CHECK_FALSE(decode_rumor(encode(Rumor(sample::record(std::string(kMaxRecordKey + 1, 'k'))))));
  CHECK(decode_rumor(encode(Rumor(sample::record("k", kMaxRecordSize)))));
  CHECK_FALSE(decode_rumor(encode(Rumor(sample::record("k", kMaxRecordSize + 1)))));

  Message message{Gossip{}, 0, std::vector<Rumor>(kMaxRumorsAMessage, sample::record("k", 1))};
  CHECK(decode_message(encode(message)));
  message.rumors.push_back(sample::record("k", 1));
  CHECK_FALSE(decode_message(encode(message)));
}

TEST_CASE("message: wrong shapes are refused") {
  const char* const kBad[] = {
      "",            // nothing
      "c0",          // nil
      "90",          // no fields
      "93009101c0",  // too few
      "940091010390"
      "00",  // bytes behind the end
      "940001"
      "0390",            // the body is no array
      "9400910103c0",    // the rumors are no array
      "94009101039100",  // a rumor that is no array
      "940091010391"
      "90",  // a rumor without a kind
      "94063"
      "1010390",  // odd digits: from_hex gives nothing
      "9409910103"
      "90",  // a body of unknown kind
      "9400910"
      "1ff90",  // a negative docs root
      "9400a101"
      "0390",                   // the body is a text
      "ddffffffff",             // an array said to have four billion fields
      "c6ffffffff00",           // four billion bytes
      "91919191919191919191c0"  // deep
  };
  for (const char* hex : kBad) {
    CAPTURE(hex);
    const auto bytes = from_hex(hex);
    CHECK_FALSE(decode_message(bytes.value_or(Bytes{})));
  }
}

TEST_CASE("message: truncated anywhere it is refused") {
  Rng rng(3);
  for (int i = 0; i < 30; ++i) {
    const Bytes bytes = encode(sample::random_message(rng));
    for (size_t size = 0; size < bytes.size(); ++size) {
      REQUIRE_FALSE(decode_message(ByteView(bytes).first(size)));
    }
  }
}

TEST_CASE("message: no bytes crash the decoder") {
  Rng rng(20262);
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes = sample::random_bytes(rng, rng.below(64));
    (void)decode_message(bytes);
    (void)decode_rumor(bytes);
  }
  for (int i = 0; i < 3000; ++i) {
    Bytes bytes = encode(sample::random_message(rng));
    for (uint64_t flips = 1 + rng.below(4); flips > 0; --flips) {
      bytes[rng.below(bytes.size())] = static_cast<uint8_t>(rng.next());
    }
    const auto decoded = decode_message(bytes);
    if (!decoded) continue;
    const Bytes again = encode(*decoded);
    CHECK(encode(decode_message(again).value()) == again);
  }
}

TEST_CASE("message: what is signed names every field that is sent") {
  const MemberRumor base = sample::alive(sample::node(1));
  const Bytes bytes = base.signed_bytes(42);
  const auto differs = [&](auto change) {
    MemberRumor other = base;
    change(other);
    return other.signed_bytes(42) != bytes;
  };
  CHECK(base.signed_bytes(43) != bytes);
  CHECK(differs([](MemberRumor& r) { r.claim = Claim::kLeft; }));
  CHECK(differs([](MemberRumor& r) { r.subject = sample::node(2); }));
  CHECK(differs([](MemberRumor& r) { ++r.incarnation; }));
  CHECK(differs([](MemberRumor& r) { ++r.epoch; }));
  CHECK(differs([](MemberRumor& r) { ++r.boot; }));
  CHECK(differs([](MemberRumor& r) { r.name += 'x'; }));
  CHECK(differs([](MemberRumor& r) { r.address.host += '1'; }));
  CHECK(differs([](MemberRumor& r) { ++r.address.port; }));
  // The border between two texts counts.
  CHECK(differs([](MemberRumor& r) {
    r.address.host = r.name.back() + r.address.host;
    r.name.pop_back();
  }));
  CHECK_FALSE(differs([](MemberRumor& r) { r.signature.fill(1); }));

  const auto suspect = sample::accuse(Claim::kSuspect, sample::node(1), sample::node(2));
  CHECK(suspect.signed_bytes(42) !=
        sample::accuse(Claim::kSuspect, sample::node(1), sample::node(3)).signed_bytes(42));
  CHECK(suspect.signed_bytes(42) !=
        sample::accuse(Claim::kDead, sample::node(1), sample::node(2)).signed_bytes(42));
}

TEST_CASE("message: who signs, and under what key a rumor waits") {
  const NodeId subject = sample::node(1);
  const NodeId accuser = sample::node(2);
  CHECK(sample::alive(subject).signer() == subject);
  CHECK(sample::left(subject).signer() == subject);
  CHECK(sample::accuse(Claim::kSuspect, subject, accuser).signer() == accuser);
  CHECK(sample::accuse(Claim::kDead, subject, accuser).signer() == accuser);

  CHECK(sample::alive(subject).key() == sample::left(subject).key());
  CHECK(sample::accuse(Claim::kSuspect, subject, accuser).key() ==
        sample::accuse(Claim::kDead, subject, accuser).key());
  CHECK(sample::accuse(Claim::kDead, subject, accuser).key() !=
        sample::accuse(Claim::kDead, subject, sample::node(3)).key());
  CHECK(sample::alive(subject).key() != sample::accuse(Claim::kDead, subject, accuser).key());
}
