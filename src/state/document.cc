#include "state/document.h"

#include <algorithm>

#include "base/hash.h"
#include "gossip/message.h"
#include "state/wire.h"

namespace kith {
namespace {

constexpr uint8_t kFormat = 1;
constexpr uint64_t kContentSeed = 0x6b697468'646f6331;  // "kithdoc1"

uint64_t hash_node(const NodeId& node) {
  return stable_hash(ByteView(node.key));
}

Error not_a_document(std::string why) {
  return {ErrorCode::kInvalid, "not a document: " + std::move(why)};
}

}  // namespace

uint64_t content_hash_of(const Document& document) {
  uint64_t hash = stable_hash(document.key, kContentSeed);
  for (const Ancestor& ancestor : document.ancestors) {
    hash = hash_combine(hash, ancestor.stamp.value);
    hash = hash_combine(hash, ancestor.content_hash);
  }
  hash = hash_combine(hash, document.deleted ? 1 : 0);
  return hash_combine(hash, stable_hash(document.body));
}

uint64_t version_digest(std::string_view key, const DocVersion& version) {
  uint64_t hash = hash_combine(stable_hash(key), version.stamp.value);
  hash = hash_combine(hash, hash_node(version.author));
  return hash_combine(hash, version.content_hash);
}

uint64_t version_index(const DocVersion& version) {
  constexpr uint64_t kHashBits = 11;
  return version.stamp.ms() << kHashBits | (version.content_hash & ((1U << kHashBits) - 1));
}

Descent descent(const Document& older, const Document& newer) {
  const Ancestor wanted{older.version.stamp, older.version.content_hash};
  if (std::find(newer.ancestors.begin(), newer.ancestors.end(), wanted) != newer.ancestors.end())
    return Descent::kAncestor;
  const bool forgot =
      newer.ancestors.size() == kMaxAncestors && older.version.stamp < newer.ancestors.back().stamp;
  return forgot ? Descent::kUnknown : Descent::kConcurrent;
}

Bytes encode(const Document& document) {
  wire::Buffer buffer;
  wire::Packer packer(buffer);
  packer.pack_array(8);
  packer.pack(kFormat);
  wire::pack_text(packer, document.key);
  packer.pack(document.version.stamp.value);
  wire::pack_node(packer, document.version.author);
  packer.pack(document.version.content_hash);
  packer.pack_array(static_cast<uint32_t>(2 * document.ancestors.size()));
  for (const Ancestor& ancestor : document.ancestors) {
    packer.pack(ancestor.stamp.value);
    packer.pack(ancestor.content_hash);
  }
  packer.pack(document.deleted);
  wire::pack_text(packer, document.body);
  return buffer.take();
}

Result<Document> decode_document(ByteView envelope) {
  if (envelope.size() > kMaxRecordSize) return fail(not_a_document("over 64 KiB"));
  const auto handle = wire::parse(envelope);
  if (!handle) return fail(not_a_document("not msgpack"));
  Document document;
  uint8_t format = 0;
  wire::Elements elements(handle->get());
  elements >> format >> document.key >> document.version.stamp.value >> document.version.author >>
      document.version.content_hash;
  if (format != kFormat) return fail(not_a_document("unknown format"));
  if (const msgpack::object* list = elements.next(); list != nullptr) {
    wire::Elements ancestors(*list);
    if (ancestors.left() > 2 * kMaxAncestors) return fail(not_a_document("too many ancestors"));
    while (ancestors.left() > 0) {
      Ancestor ancestor;
      ancestors >> ancestor.stamp.value >> ancestor.content_hash;
      document.ancestors.push_back(ancestor);
    }
    if (!ancestors.good()) return fail(not_a_document("bad ancestors"));
  }
  elements >> document.deleted >> document.body;
  if (!elements.good()) return fail(not_a_document("a field is missing or of the wrong type"));
  if (document.key.empty() || document.key.size() > kMaxRecordKey)
    return fail(not_a_document("bad key"));
  if (document.key.starts_with("node/") || document.key.starts_with("lost/"))
    return fail(not_a_document("its key is for what is no document"));
  if (document.deleted && !document.body.empty()) return fail(not_a_document("bad tombstone"));
  for (size_t i = 0; i < document.ancestors.size(); ++i) {
    const Stamp younger = i == 0 ? document.version.stamp : document.ancestors[i - 1].stamp;
    if (!(document.ancestors[i].stamp < younger))
      return fail(not_a_document("not later than its ancestors"));
  }
  if (content_hash_of(document) != document.version.content_hash)
    return fail(not_a_document("its content hash is wrong"));
  return document;
}

}  // namespace kith
