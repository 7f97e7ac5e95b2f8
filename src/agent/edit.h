#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>

#include "agent/catalog.h"
#include "agent/work.h"
#include "base/result.h"
#include "base/rng.h"
#include "gossip/key_ring.h"
#include "state/doc_store.h"

namespace kith {

// What people ask for through an API.
struct CreateService {
  std::string spec_json;
};
struct UpdateService {
  std::string id;
  uint64_t expected_index = 0;
  std::string spec_json;
  bool rollback = false;
};
struct RemoveService {
  std::string id;
};
struct UpdateNode {
  NodeId node;
  uint64_t expected_index = 0;
  Availability availability = Availability::kActive;
  std::map<std::string, std::string> labels;
};
struct RemoveNode {
  NodeId node;
};
/// Of the key ring; a ban also removes the node. What is random is the driver's to draw.
struct KeyEdit {
  enum What : uint8_t { kAdd, kUse, kRemove, kRotate, kBan };
  What what = kAdd;
  uint64_t key_id = 0;  ///< use, remove
  ClusterKey fresh;     ///< add, rotate, ban
  NodeId node;          ///< ban
  bool force = false;
};
/// This node's own entry in the roster: what an operator says in it stays.
struct Enrol {
  NodeId node;
  std::string name;
  std::string address;
  std::optional<Admission> admission;
};
/// The homes of pinned slots that came to run without one.
struct WriteHomes {
  std::string service;
};
using Edit = std::variant<CreateService, UpdateService, RemoveService, UpdateNode, RemoveNode,
                          KeyEdit, Enrol, WriteHomes>;

/// The document an edit comes to.
struct Drafted {
  std::string key;
  bool remove = false;
  std::string body;
  std::string result;   ///< what the asker is told: a new service's id
  bool yields = false;  ///< loses against any other edit of the version that it is made from
};

/// Checks an edit of documents against what is known and drafts its document. Writes nothing.
/// kNotFound, kConflict (name taken, stale index) and kInvalid carry Docker's words.
[[nodiscard]] Result<Drafted> draft(const Edit& edit, const Catalog& catalog, const DocStore& docs,
                                    const Work& work, WallTime now, Rng& rng);

/// Docker's Version.Index of a node that nobody wrote a document of yet is 1.
[[nodiscard]] uint64_t index_of(const DocStore& docs, std::string_view key);

}  // namespace kith
