#include "agent/edit.h"

#include "agent/homes.h"
#include "base/hash.h"

namespace kith {
namespace {

constexpr std::string_view kOutOfSequence = "update out of sequence";

std::string fresh_id(Rng& rng) {
  Bytes seed;
  for (int i = 0; i < 4; ++i) {
    const uint64_t word = rng.next();
    for (int shift = 0; shift < 64; shift += 8) seed.push_back(static_cast<uint8_t>(word >> shift));
  }
  return docker_id_from(seed);
}

/// Grows, and differs for different templates: two halves of a cluster that both change a service
/// must not give one number to two things, or the copies of the loser would pass for the winner's.
Generation next_generation(Generation before, const std::string& task_template) {
  constexpr unsigned kHashBits = 32;
  const uint64_t hash = stable_hash(task_template) >> (64 - kHashBits);
  return (((before >> kHashBits) + 1) << kHashBits) | hash;
}

std::shared_ptr<const ServiceDoc> by_id(const Catalog& catalog, const std::string& id) {
  for (const auto& [name, doc] : catalog.services())
    if (doc->id == id) return doc;
  return nullptr;
}

Drafted drafted(const ServiceDoc& doc) {
  return {service_key(doc.name), false, to_json(doc), doc.id};
}

Result<Drafted> make(const CreateService& edit, const Catalog& catalog, const Work& work,
                     WallTime now, Rng& rng) {
  auto spec = parse_service_spec(edit.spec_json);
  if (!spec) return fail(spec.error());
  if (const auto at = catalog.services().find(spec->name); at != catalog.services().end())
    return fail(ErrorCode::kConflict, "name conflicts with an existing object: service " +
                                          spec->name + " already exists");
  ServiceDoc doc;
  doc.id = fresh_id(rng);
  doc.name = spec->name;
  doc.spec_json = edit.spec_json;
  doc.created = now;
  doc.updated = now;
  doc.spec = std::move(*spec);
  settle_homes(doc, work);
  return drafted(doc);
}

Result<Drafted> make(const UpdateService& edit, const Catalog& catalog, const DocStore& docs,
                     const Work& work, WallTime now) {
  const auto old = by_id(catalog, edit.id);
  if (!old) return fail(ErrorCode::kNotFound, "service " + edit.id + " not found");
  if (index_of(docs, service_key(old->name)) != edit.expected_index)
    return fail(ErrorCode::kConflict, std::string(kOutOfSequence));
  if (edit.rollback && old->previous_json.empty())
    return fail(ErrorCode::kInvalid, "service " + old->id + " does not have a previous spec");
  const std::string& next = edit.rollback ? old->previous_json : edit.spec_json;
  auto spec = parse_service_spec(next);
  if (!spec) return fail(spec.error());
  const auto before = task_template_of(old->spec_json);
  const auto after = task_template_of(next);
  if (!before) return fail(before.error());
  if (!after) return fail(after.error());
  ServiceDoc doc = *old;
  doc.previous_json = old->spec_json;
  doc.previous_generation = old->generation;
  doc.spec_json = next;
  doc.spec = std::move(*spec);
  doc.rolled_back = edit.rollback;
  doc.updated = now;
  if (*before != *after) doc.generation = next_generation(doc.generation, *after);
  drop_lost_homes(doc, docs);
  settle_homes(doc, work);
  return drafted(doc);
}

/// An operator's labels of those that a client sends back, which are all that it was shown: the
/// node's own configuration's among them.
Result<std::map<std::string, std::string>> operators_labels(const UpdateNode& edit,
                                                            const RosterDoc& before,
                                                            const Catalog& catalog) {
  std::map<std::string, std::string> labels = edit.labels;
  const NodeInfo* info = catalog.info(edit.node);
  if (info == nullptr) return labels;
  for (const auto& [name, value] : info->labels) {
    if (before.labels.contains(name)) continue;
    const auto at = labels.find(name);
    if (at == labels.end())
      return fail(ErrorCode::kInvalid, "label " + name + " stands in node " + info->name +
                                           "'s own configuration: remove it under node.labels "
                                           "there and restart its agent, or give it another "
                                           "value here");
    if (at->second == value) labels.erase(at);
  }
  return labels;
}

Result<Drafted> make(const UpdateNode& edit, const Catalog& catalog, const DocStore& docs) {
  const auto at = catalog.roster().find(edit.node);
  if (at == catalog.roster().end())
    return fail(ErrorCode::kNotFound, "node " + edit.node.docker_id() + " not found");
  const std::string key = roster_key(edit.node);
  if (index_of(docs, key) != edit.expected_index)
    return fail(ErrorCode::kConflict, std::string(kOutOfSequence));
  RosterDoc doc = at->second;
  auto labels = operators_labels(edit, doc, catalog);
  if (!labels) return fail(labels.error());
  doc.availability = edit.availability;
  doc.labels = std::move(*labels);
  return Drafted{key, false, to_json(doc), {}};
}

Result<Drafted> make(const RemoveNode& edit, const Catalog& catalog, const Work& work) {
  if (!catalog.roster().contains(edit.node))
    return fail(ErrorCode::kNotFound, "node " + edit.node.docker_id() + " not found");
  if (!work.hidden(edit.node))
    return fail(ErrorCode::kConflict,
                "node " + edit.node.docker_id() +
                    " is not down and can't be removed; stop its agent first");
  return Drafted{roster_key(edit.node), true, {}, {}};
}

/// Nobody asked for it: what somebody asks for of the same version goes before it.
Result<Drafted> make(const WriteHomes& edit, const Catalog& catalog, const Work& work) {
  const auto at = catalog.services().find(edit.service);
  if (at == catalog.services().end())
    return fail(ErrorCode::kNotFound, "service " + edit.service + " not found");
  ServiceDoc doc = *at->second;
  const size_t before = doc.homes.size();
  doc.homes.merge(unwritten_homes(doc, catalog, work));
  if (doc.homes.size() == before)
    return fail(ErrorCode::kConflict, "service " + edit.service + ": no home to write any more");
  Drafted out = drafted(doc);
  out.yields = true;
  return out;
}

Drafted make(const Enrol& edit, const Catalog& catalog) {
  const auto at = catalog.roster().find(edit.node);
  RosterDoc doc;
  if (at != catalog.roster().end()) doc = at->second;
  doc.node = edit.node;
  doc.name = edit.name;
  doc.address = edit.address;
  if (edit.admission) doc.admission = *edit.admission;
  return {roster_key(doc.node), false, to_json(doc), {}};
}

}  // namespace

uint64_t index_of(const DocStore& docs, std::string_view key) {
  const Document* document = docs.find(key);
  return document == nullptr ? 1 : version_index(document->version);
}

Result<Drafted> draft(const Edit& edit, const Catalog& catalog, const DocStore& docs,
                      const Work& work, WallTime now, Rng& rng) {
  if (const auto* create = std::get_if<CreateService>(&edit))
    return make(*create, catalog, work, now, rng);
  if (const auto* update = std::get_if<UpdateService>(&edit))
    return make(*update, catalog, docs, work, now);
  if (const auto* remove = std::get_if<RemoveService>(&edit)) {
    const auto old = by_id(catalog, remove->id);
    if (!old) return fail(ErrorCode::kNotFound, "service " + remove->id + " not found");
    return Drafted{service_key(old->name), true, {}, {}};
  }
  if (const auto* update = std::get_if<UpdateNode>(&edit)) return make(*update, catalog, docs);
  if (const auto* remove = std::get_if<RemoveNode>(&edit)) return make(*remove, catalog, work);
  if (const auto* homes = std::get_if<WriteHomes>(&edit)) return make(*homes, catalog, work);
  return make(std::get<Enrol>(edit), catalog);
}

}  // namespace kith
