#include "state/records.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "gossip/crypto.h"
#include "state/json_read.h"

namespace kith {
namespace {

using json_read::Fault;
using json_read::Json;
using json_read::Value;

constexpr int64_t kMaxNumber = std::numeric_limits<int64_t>::max();
constexpr int64_t kMinNumber = std::numeric_limits<int64_t>::min();

constexpr std::array<std::string_view, 3> kAvailabilities = {"active", "pause", "drain"};

/// Moves what `known` does not name out of `json`.
template <size_t kCount>
std::string unknown_of(const Json& json, const std::array<std::string_view, kCount>& known) {
  Json rest = json;
  for (const std::string_view key : known) rest.erase(std::string(key));
  return rest.empty() ? std::string{} : json_read::write(rest);
}

Json begin_with_unknown(const std::string& unknown) {
  return unknown.empty() ? Json::object()
                         : json_read::parse_object(unknown).value_or(Json::object());
}

/// A spec stands in the document as the object it is.
Json embed(const std::string& text) {
  if (text.empty()) return nullptr;
  if (std::optional<Json> object = json_read::parse_object(text)) return std::move(*object);
  return text;
}
std::string extract(const Value& from) {
  if (!from.present()) return {};
  return from.json()->is_string() ? from.json()->get<std::string>()
                                  : json_read::write(*from.json());
}

void read_node(const Value& from, NodeId& out) {
  std::string hex;
  if (!from.read(hex)) return;
  if (const std::optional<NodeId> node = NodeId::from_hex(hex))
    out = *node;
  else
    from.refuse("must be a node id in hex");
}

void read_homes(const Value& from, std::map<uint32_t, NodeId>& out) {
  std::map<std::string, std::string> homes;
  if (!from.read(homes)) return;
  for (const auto& [slot, node] : homes) {
    uint32_t index = 0;
    const char* end = slot.data() + slot.size();
    const auto [stop, error] = std::from_chars(slot.data(), end, index);
    const std::optional<NodeId> home = NodeId::from_hex(node);
    if (error != std::errc{} || stop != end || !home) return from.refuse("bad home of a slot");
    out[index] = *home;
  }
}

constexpr std::array<std::string_view, 10> kServiceFields = {
    "id",      "name",    "generation",  "spec", "previous", "previous_generation",
    "created", "updated", "rolled_back", "homes"};
constexpr std::array<std::string_view, 6> kRosterFields = {"node",         "name",   "address",
                                                           "availability", "labels", "admission"};

/// The key's id, then the proof, in hexadecimal digits. What is anything else shows nothing.
Admission admission_from(std::string_view text) {
  Admission out;
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() != sizeof(uint64_t) + out.proof.size()) return out;
  out.key = get_u64(bytes->data());
  std::copy(bytes->begin() + sizeof(uint64_t), bytes->end(), out.proof.begin());
  return out;
}

}  // namespace

std::string service_key(std::string_view name) {
  return "service/" + std::string(name);
}
std::string roster_key(const NodeId& node) {
  return "roster/" + node.hex();
}
std::string node_info_key(const NodeId& node) {
  return "node/" + node.hex() + "/info";
}
std::string task_key(const NodeId& node, std::string_view task_id) {
  return "node/" + node.hex() + "/task/" + std::string(task_id);
}
std::string refused_key(const NodeId& node, const SlotKey& slot) {
  return "node/" + node.hex() + "/refused/" + slot.text();
}

std::string_view to_string(TaskState state) {
  constexpr std::array<std::string_view, 14> kNames = {
      "new",     "pending",  "assigned", "accepted", "preparing", "ready",  "starting",
      "running", "complete", "shutdown", "failed",   "rejected",  "remove", "orphaned"};
  return kNames[static_cast<size_t>(state)];
}

std::string to_json(const ServiceDoc& doc) {
  Json json = begin_with_unknown(doc.unknown);
  json["id"] = doc.id;
  json["name"] = doc.name;
  json["generation"] = doc.generation;
  json["spec"] = embed(doc.spec_json);
  json["previous"] = embed(doc.previous_json);
  json["previous_generation"] = doc.previous_generation;
  json["created"] = doc.created.ms;
  json["updated"] = doc.updated.ms;
  json["rolled_back"] = doc.rolled_back;
  Json homes = Json::object();
  for (const auto& [slot, node] : doc.homes) homes[std::to_string(slot)] = node.hex();
  json["homes"] = std::move(homes);
  return json_read::write(json);
}

Result<ServiceDoc> service_from_json(std::string_view text) {
  const std::optional<Json> json = json_read::parse_object(text);
  if (!json) return fail(ErrorCode::kInvalid, "service record: not a JSON object");
  Fault fault;
  const Value root(&*json, "", fault);
  ServiceDoc doc;
  root["id"].read(doc.id);
  root["name"].read(doc.name);
  root["generation"].read_number(doc.generation, 0, kMaxNumber);
  doc.spec_json = extract(root["spec"]);
  doc.previous_json = extract(root["previous"]);
  root["previous_generation"].read_number(doc.previous_generation, 0, kMaxNumber);
  root["created"].read_number(doc.created.ms, kMinNumber, kMaxNumber);
  root["updated"].read_number(doc.updated.ms, kMinNumber, kMaxNumber);
  root["rolled_back"].read(doc.rolled_back);
  read_homes(root["homes"], doc.homes);
  if (fault.any()) return fail(ErrorCode::kInvalid, "service record: " + fault.message);
  Result<ServiceSpec> spec = parse_service_spec(doc.spec_json);
  if (!spec) return fail(spec.error());
  doc.spec = std::move(*spec);
  doc.unknown = unknown_of(*json, kServiceFields);
  return doc;
}

std::string to_json(const RosterDoc& doc) {
  Json json = begin_with_unknown(doc.unknown);
  json["node"] = doc.node.hex();
  json["name"] = doc.name;
  json["address"] = doc.address;
  json["availability"] = kAvailabilities[static_cast<size_t>(doc.availability)];
  json["labels"] = Json(doc.labels);
  if (doc.admission.key != 0)
    json["admission"] = to_hex(u64_bytes(doc.admission.key)) + to_hex(doc.admission.proof);
  return json_read::write(json);
}

Result<RosterDoc> roster_from_json(std::string_view text) {
  const std::optional<Json> json = json_read::parse_object(text);
  if (!json) return fail(ErrorCode::kInvalid, "roster record: not a JSON object");
  Fault fault;
  const Value root(&*json, "", fault);
  RosterDoc doc;
  read_node(root["node"], doc.node);
  if (doc.node.none()) root["node"].refuse("a roster record needs its node");
  root["name"].read(doc.name);
  root["address"].read(doc.address);
  std::string word;
  if (root["availability"].read(word)) {
    const auto at = std::find(kAvailabilities.begin(), kAvailabilities.end(), word);
    if (at == kAvailabilities.end())
      root["availability"].refuse("must be active, pause or drain");
    else
      doc.availability = static_cast<Availability>(at - kAvailabilities.begin());
  }
  root["labels"].read(doc.labels);
  std::string admission;
  root["admission"].read(admission);
  doc.admission = admission_from(admission);
  if (fault.any()) return fail(ErrorCode::kInvalid, "roster record: " + fault.message);
  doc.unknown = unknown_of(*json, kRosterFields);
  return doc;
}

}  // namespace kith
