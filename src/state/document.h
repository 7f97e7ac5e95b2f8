#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hlc.h"
#include "base/ids.h"
#include "base/result.h"

namespace kith {

/// Which edit of a document this is. The greater wins, on every node alike.
struct DocVersion {
  Stamp stamp;
  NodeId author;
  uint64_t content_hash = 0;  ///< of the key, the ancestors, `deleted` and the body
  auto operator<=>(const DocVersion&) const = default;
};

/// An earlier version of the same document that an edit knew of.
struct Ancestor {
  Stamp stamp;
  uint64_t content_hash = 0;
  auto operator<=>(const Ancestor&) const = default;
};

constexpr size_t kMaxAncestors = 16;

/// One version of one replicated document. A deleted one (a tombstone) has an empty body.
struct Document {
  std::string key;  ///< `service/web`; at most kMaxRecordKey bytes, never empty
  DocVersion version;
  std::vector<Ancestor> ancestors;  ///< newest first; at most kMaxAncestors
  bool deleted = false;
  std::string body;  ///< JSON; opaque here
};

/// What `version.content_hash` must be.
[[nodiscard]] uint64_t content_hash_of(const Document& document);

/// Names one version of one document in 64 bits: the `version` of an OfferRumor, the id of a
/// conflict.
[[nodiscard]] uint64_t version_digest(std::string_view key, const DocVersion& version);

/// Docker's Version.Index: 42 bits of the stamp's milliseconds, then 11 bits of the content hash.
/// Strictly grows with every edit made by DocStore, below 2^53.
[[nodiscard]] uint64_t version_index(const DocVersion& version);

enum class Descent : uint8_t {
  kAncestor,    ///< `older` is a version that `newer` was made from
  kConcurrent,  ///< neither knew of the other
  kUnknown,     ///< `newer` has forgotten what it was made from that long ago
};
/// Requires equal keys and older.version < newer.version.
[[nodiscard]] Descent descent(const Document& older, const Document& newer);

/// The bytes that travel and are stored; at most kMaxRecordSize long for what DocStore makes.
[[nodiscard]] Bytes encode(const Document& document);
/// kInvalid for any bytes that are not a document within the limits whose content hash is right.
/// Never throws, and allocates no more than a small multiple of the input.
[[nodiscard]] Result<Document> decode_document(ByteView envelope);

}  // namespace kith
