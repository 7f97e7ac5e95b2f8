#include "gossip/message.h"

#include <algorithm>
#include <msgpack.hpp>

#include "gossip/crypto.h"

namespace kith {
namespace {

// A message is [body kind, [body fields], docs root, [rumors]], a rumor [rumor kind, fields...].
// The kind is the index in the variant, so their order is part of the wire. A newer version may
// append fields to any of these arrays and may add kinds of rumor: both are passed over.

constexpr size_t kMaxHost = 64;  // an IPv6 address with a zone
constexpr size_t kMaxFields = kMaxRumorsAMessage;
constexpr size_t kMaxDepth = 8;

struct Sink {
  Bytes bytes;
  void write(const char* data, size_t size) { bytes.insert(bytes.end(), data, data + size); }
};
using Packer = msgpack::packer<Sink>;

void pack_bin(Packer& packer, ByteView bytes) {
  const auto size = static_cast<uint32_t>(bytes.size());
  packer.pack_bin(size).pack_bin_body(reinterpret_cast<const char*>(bytes.data()), size);
}

void pack_endpoint(Packer& packer, const Endpoint& endpoint) {
  packer.pack(endpoint.host);
  packer.pack(endpoint.port);
}

bool is_accusation(Claim claim) {
  return claim == Claim::kSuspect || claim == Claim::kDead;
}

void pack(Packer& packer, const MemberRumor& rumor) {
  const bool alive = rumor.claim == Claim::kAlive;
  const bool accusation = is_accusation(rumor.claim);
  packer.pack_array(5 + (alive ? 5U : 0U) + (accusation ? 1U : 0U));
  packer.pack(0);
  packer.pack(static_cast<uint8_t>(rumor.claim));
  pack_bin(packer, rumor.subject.key);
  packer.pack(rumor.incarnation);
  pack_bin(packer, rumor.signature);
  if (accusation) pack_bin(packer, rumor.accuser.key);
  if (alive) {
    packer.pack(rumor.epoch);
    packer.pack(rumor.boot);
    packer.pack(rumor.name);
    pack_endpoint(packer, rumor.address);
  }
}

void pack(Packer& packer, const RecordRumor& rumor) {
  packer.pack_array(3);
  packer.pack(1);
  packer.pack(rumor.key);
  pack_bin(packer, rumor.envelope);
}

void pack(Packer& packer, const OfferRumor& rumor) {
  packer.pack_array(3);
  packer.pack(2);
  packer.pack(rumor.key);
  packer.pack(rumor.version);
}

void pack(Packer& packer, const Rumor& rumor) {
  std::visit([&](const auto& which) { pack(packer, which); }, rumor);
}

void pack_fields(Packer& packer, const Ping& body) {
  packer.pack_array(1).pack(body.nonce);
}
void pack_fields(Packer& packer, const Ack& body) {
  packer.pack_array(1).pack(body.nonce);
}
void pack_fields(Packer& packer, const Nack& body) {
  packer.pack_array(1).pack(body.nonce);
}
void pack_fields(Packer& packer, const Gossip&) {
  packer.pack_array(0);
}
void pack_fields(Packer& packer, const PingReq& body) {
  packer.pack_array(4).pack(body.nonce);
  pack_bin(packer, body.target.key);
  pack_endpoint(packer, body.target_address);
}
void pack_fields(Packer& packer, const Confirm& body) {
  packer.pack_array(3);
  pack_bin(packer, body.target.key);
  pack_endpoint(packer, body.target_address);
}

/// Reads the fields of one array in order. After the first that is missing or of the wrong type or
/// size, `good()` is false and all later ones are empty.
class Fields {
 public:
  explicit Fields(const msgpack::object& object) : good_(object.type == msgpack::type::ARRAY) {
    if (!good_) return;
    next_ = object.via.array.ptr;
    left_ = object.via.array.size;
  }

  [[nodiscard]] bool good() const { return good_; }

  const msgpack::object* any(msgpack::type::object_type type) {
    if (!good_ || left_ == 0 || next_->type != type) {
      good_ = false;
      return nullptr;
    }
    --left_;
    return next_++;
  }

  template <class T>
  void number(T& out) {
    const auto* object = any(msgpack::type::POSITIVE_INTEGER);
    if (object == nullptr) return;
    good_ = object->via.u64 <= std::numeric_limits<T>::max();
    if (good_) out = static_cast<T>(object->via.u64);
  }

  template <size_t N>
  void fixed(std::array<uint8_t, N>& out) {
    const auto* object = any(msgpack::type::BIN);
    if (object == nullptr) return;
    good_ = object->via.bin.size == N;
    if (good_) std::copy_n(object->via.bin.ptr, N, out.begin());
  }

  void text(std::string& out, size_t max) {
    const auto* object = any(msgpack::type::STR);
    if (object == nullptr) return;
    good_ = object->via.str.size <= max;
    if (good_) out.assign(object->via.str.ptr, object->via.str.size);
  }

  void bytes(Bytes& out, size_t max) {
    const auto* object = any(msgpack::type::BIN);
    if (object == nullptr) return;
    good_ = object->via.bin.size <= max;
    if (good_) out.assign(object->via.bin.ptr, object->via.bin.ptr + object->via.bin.size);
  }

  void endpoint(Endpoint& out) {
    text(out.host, kMaxHost);
    number(out.port);
  }

  /// An array as the next field, or one that is not good.
  Fields array() {
    const auto* object = any(msgpack::type::ARRAY);
    return object != nullptr ? Fields(*object) : Fields(msgpack::object());
  }

  [[nodiscard]] bool end() const { return left_ == 0; }

 private:
  bool good_;
  const msgpack::object* next_ = nullptr;
  size_t left_ = 0;
};

bool read_member(Fields& fields, MemberRumor& out) {
  uint8_t claim = 0;
  fields.number(claim);
  if (claim > static_cast<uint8_t>(Claim::kLeft)) return false;
  out.claim = static_cast<Claim>(claim);
  fields.fixed(out.subject.key);
  fields.number(out.incarnation);
  fields.fixed(out.signature);
  if (is_accusation(out.claim)) fields.fixed(out.accuser.key);
  if (out.claim == Claim::kAlive) {
    fields.number(out.epoch);
    fields.number(out.boot);
    fields.text(out.name, kMaxNodeName);
    fields.endpoint(out.address);
  }
  return fields.good();
}

enum class Read { kGood, kBad, kUnknownKind };

Read read_rumor(Fields fields, Rumor& out) {
  uint64_t kind = 0;
  fields.number(kind);
  if (!fields.good()) return Read::kBad;
  switch (kind) {
    case 0: {
      MemberRumor& rumor = out.emplace<MemberRumor>();
      return read_member(fields, rumor) ? Read::kGood : Read::kBad;
    }
    case 1: {
      RecordRumor& rumor = out.emplace<RecordRumor>();
      fields.text(rumor.key, kMaxRecordKey);
      fields.bytes(rumor.envelope, kMaxRecordSize);
      break;
    }
    case 2: {
      OfferRumor& rumor = out.emplace<OfferRumor>();
      fields.text(rumor.key, kMaxRecordKey);
      fields.number(rumor.version);
      break;
    }
    default:
      return Read::kUnknownKind;
  }
  return fields.good() ? Read::kGood : Read::kBad;
}

bool read_body(uint64_t kind, Fields fields, Body& out) {
  switch (kind) {
    case 0:
      fields.number(out.emplace<Ping>().nonce);
      break;
    case 1:
      fields.number(out.emplace<Ack>().nonce);
      break;
    case 2: {
      PingReq& body = out.emplace<PingReq>();
      fields.number(body.nonce);
      fields.fixed(body.target.key);
      fields.endpoint(body.target_address);
      break;
    }
    case 3:
      fields.number(out.emplace<Nack>().nonce);
      break;
    case 4: {
      Confirm& body = out.emplace<Confirm>();
      fields.fixed(body.target.key);
      fields.endpoint(body.target_address);
      break;
    }
    case 5:
      out.emplace<Gossip>();
      break;
    default:
      return false;
  }
  return fields.good();
}

bool read_message(const msgpack::object& object, Message& out) {
  Fields fields(object);
  uint64_t kind = 0;
  fields.number(kind);
  if (!read_body(kind, fields.array(), out.body)) return false;
  fields.number(out.root);
  Fields rumors = fields.array();
  if (!fields.good()) return false;
  while (!rumors.end()) {
    Fields rumor_fields = rumors.array();
    Rumor rumor;
    const Read read = read_rumor(rumor_fields, rumor);
    if (read == Read::kBad) return false;
    if (read == Read::kGood) out.rumors.push_back(std::move(rumor));
  }
  return true;
}

/// Parses all of `bytes` and hands the object to `read`. The object's texts point into `bytes`.
template <class ReadObject>
bool parse(ByteView bytes, ReadObject read) {
  try {
    const msgpack::unpack_limit limit(kMaxFields, kMaxFields, kMaxRecordSize, kMaxRecordSize,
                                      kMaxRecordSize, kMaxDepth);
    const auto refer = [](msgpack::type::object_type, size_t, void*) { return true; };
    const char* data = reinterpret_cast<const char*>(bytes.data());
    size_t end = 0;
    msgpack::zone zone(1024);
    bool referenced = false;
    const msgpack::object object =
        msgpack::unpack(zone, data, bytes.size(), end, referenced, refer, nullptr, limit);
    return end == bytes.size() && read(object);
  } catch (const msgpack::unpack_error&) {
    return false;
  }
}

void append(Bytes& to, ByteView bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}
void append(Bytes& to, uint64_t number) {
  append(to, u64_bytes(number));
}

}  // namespace

Bytes MemberRumor::signed_bytes(uint64_t cluster_id) const {
  Bytes out;
  append(out, as_bytes("kith member 1"));
  append(out, cluster_id);
  out.push_back(static_cast<uint8_t>(claim));
  append(out, subject.key);
  append(out, incarnation);
  if (is_accusation(claim)) append(out, accuser.key);
  if (claim == Claim::kAlive) {
    append(out, epoch);
    append(out, boot);
    append(out, name.size());
    append(out, as_bytes(name));
    append(out, address.host.size());
    append(out, as_bytes(address.host));
    append(out, uint64_t{address.port});
  }
  return out;
}

NodeId MemberRumor::signer() const {
  return is_accusation(claim) ? accuser : subject;
}

std::string MemberRumor::key() const {
  std::string out = "m/" + subject.hex();
  if (is_accusation(claim)) out += "/" + accuser.hex();
  return out;
}

Bytes encode(const Message& message) {
  Sink sink;
  Packer packer(sink);
  packer.pack_array(4);
  packer.pack(message.body.index());
  std::visit([&](const auto& body) { pack_fields(packer, body); }, message.body);
  packer.pack(message.root);
  packer.pack_array(static_cast<uint32_t>(message.rumors.size()));
  for (const Rumor& rumor : message.rumors) pack(packer, rumor);
  return std::move(sink.bytes);
}

Result<Message> decode_message(ByteView bytes) {
  Message message;
  if (!parse(bytes, [&](const msgpack::object& o) { return read_message(o, message); })) {
    return fail(ErrorCode::kInvalid, "not a message");
  }
  return message;
}

Bytes encode(const Rumor& rumor) {
  Sink sink;
  Packer packer(sink);
  pack(packer, rumor);
  return std::move(sink.bytes);
}

Result<Rumor> decode_rumor(ByteView bytes) {
  Rumor rumor;
  const auto read = [&](const msgpack::object& o) {
    return read_rumor(Fields(o), rumor) == Read::kGood;
  };
  if (!parse(bytes, read)) return fail(ErrorCode::kInvalid, "not a rumor");
  return rumor;
}

}  // namespace kith
