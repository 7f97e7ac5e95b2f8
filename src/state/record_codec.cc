// The records that nodes sign: msgpack maps by field name. Both directions go through one list of
// fields a type, so that they cannot differ.

#include <functional>

#include "gossip/message.h"
#include "state/records.h"
#include "state/wire.h"

namespace kith {
namespace {

class FieldPacker {
 public:
  void operator()(std::string_view name, const std::string& value) {
    pack(name, [&](wire::Packer& to) { wire::pack_text(to, value); });
  }
  void operator()(std::string_view name, const NodeId& value) {
    pack(name, [&](wire::Packer& to) { wire::pack_node(to, value); });
  }
  void operator()(std::string_view name, const std::map<std::string, std::string>& value) {
    pack(name, [&](wire::Packer& to) { to.pack(value); });
  }
  void operator()(std::string_view name, const std::vector<uint64_t>& value) {
    pack(name, [&](wire::Packer& to) { to.pack(value); });
  }
  template <class T>
  requires std::is_arithmetic_v<T>
  void operator()(std::string_view name, T value) {
    pack(name, [&](wire::Packer& to) { to.pack(value); });
  }
  template <class T>
  requires std::is_enum_v<T>
  void choice(std::string_view name, T value, T) { (*this)(name, static_cast<uint8_t>(value)); }
  template <class T, class Fields>
  void list(std::string_view name, const std::vector<T>& values, Fields fields) {
    pack(name, [&](wire::Packer& to) {
      to.pack_array(static_cast<uint32_t>(values.size()));
      for (const T& value : values) nest(to, value, fields);
    });
  }
  template <class T, class Fields>
  void object(std::string_view name, const T& value, Fields fields) {
    pack(name, [&](wire::Packer& to) { nest(to, value, fields); });
  }
  [[nodiscard]] Bytes finish() {
    wire::Buffer whole;
    wire::Packer packer(whole);
    packer.pack_map(count_);
    const Bytes body = body_.take();
    whole.write(reinterpret_cast<const char*>(body.data()), body.size());
    return whole.take();
  }

 private:
  template <class Pack>
  void pack(std::string_view name, Pack&& value) {
    wire::Packer packer(body_);
    wire::pack_text(packer, name);
    value(packer);
    ++count_;
  }
  template <class T, class Fields>
  void nest(wire::Packer&, const T& value, Fields fields) {
    FieldPacker inner;
    fields(inner, value);
    const Bytes bytes = inner.finish();
    body_.write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  wire::Buffer body_;
  uint32_t count_ = 0;
};

/// A field that is missing keeps its default; one of the wrong type spoils the record.
class FieldReader {
 public:
  explicit FieldReader(const msgpack::object& from) : good_(from.type == msgpack::type::MAP) {
    if (!good_) return;
    for (const msgpack::object_kv& pair : from.via.map) {
      if (pair.key.type != msgpack::type::STR) continue;
      const msgpack::object_str& name = pair.key.via.str;
      fields_.emplace(std::string_view(name.ptr, name.size), &pair.val);
    }
  }
  template <class T>
  void operator()(std::string_view name, T& out) {
    if (const msgpack::object* value = find(name)) good_ = wire::read(*value, out) && good_;
  }
  template <class T>
  void choice(std::string_view name, T& out, T last) {
    if (const msgpack::object* value = find(name))
      good_ = wire::read_enum(*value, out, last) && good_;
  }
  template <class T, class Fields>
  void list(std::string_view name, std::vector<T>& out, Fields fields) {
    const msgpack::object* value = find(name);
    if (value == nullptr) return;
    wire::Elements elements(*value);
    while (elements.left() > 0) {
      FieldReader inner(*elements.next());
      T element;
      fields(inner, element);
      good_ = inner.good_ && good_;
      out.push_back(std::move(element));
    }
    good_ = elements.good() && good_;
  }
  template <class T, class Fields>
  void object(std::string_view name, T& out, Fields fields) {
    const msgpack::object* value = find(name);
    if (value == nullptr) return;
    FieldReader inner(*value);
    fields(inner, out);
    good_ = inner.good_ && good_;
  }
  [[nodiscard]] bool good() const { return good_; }

 private:
  const msgpack::object* find(std::string_view name) const {
    const auto at = fields_.find(name);
    return at == fields_.end() ? nullptr : at->second;
  }

  bool good_;
  std::map<std::string_view, const msgpack::object*> fields_;
};

constexpr size_t kMaxInfoKeys = 64;

// `Value` is const when packing.

constexpr auto kEngineFields = [](auto& field, auto& engine) {
  field("present", engine.present);
  field("up", engine.up);
  field("error", engine.error);
  field("version", engine.version);
  field("api_version", engine.api_version);
  field("os", engine.os);
  field("architecture", engine.architecture);
  field("labels", engine.labels);
};

constexpr auto kInfoFields = [](auto& field, auto& info) {
  field("node", info.node);
  field("name", info.name);
  field("version", info.version);
  field("host_address", info.host_address);
  field("ready", info.ready);
  field("labels", info.labels);
  field("nano_cpus", info.nano_cpus);
  field("memory_bytes", info.memory_bytes);
  field("weight", info.weight);
  field("inventory_epoch", info.inventory_epoch);
  field("key", info.key);
  field("keys", info.keys);
  field("ring", info.ring);
  field.object("engine", info.engine, kEngineFields);
};

constexpr auto kSlotFields = [](auto& field, auto& slot) {
  field("service", slot.service);
  field("index", slot.index);
  field("node", slot.node);
};

constexpr auto kConfirmationFields = [](auto& field, auto& confirmation) {
  field("asker", confirmation.asker);
  field("nonce", confirmation.nonce);
};

constexpr auto kPortFields = [](auto& field, auto& port) {
  field("protocol", port.protocol);
  field("target", port.target);
  field("published", port.published);
  field("host_mode", port.host_mode);
};

constexpr auto kTaskFields = [](auto& field, auto& task) {
  field("id", task.id);
  field.object("slot", task.slot, kSlotFields);
  field("service_id", task.service_id);
  field("generation", task.generation);
  field("term", task.term);
  field("node", task.node);
  field.choice("state", task.state, TaskState::kOrphaned);
  field.choice("desired", task.desired, TaskState::kOrphaned);
  field("image", task.image);
  field("message", task.message);
  field("error", task.error);
  field("container_id", task.container_id);
  field("pid", task.pid);
  field("exit_code", task.exit_code);
  field.choice("health", task.health, Health::kUnhealthy);
  field("backing_off", task.backing_off);
  field("moving", task.moving);
  field("stable", task.stable);
  field("failures", task.failures);
  field("ask", task.ask);
  field.list("confirmations", task.confirmations, kConfirmationFields);
  field("created", task.created.ms);
  field("since", task.since.ms);
  field.list("ports", task.ports, kPortFields);
};

constexpr auto kRefusedFields = [](auto& field, auto& refused) {
  field("node", refused.node);
  field.object("slot", refused.slot, kSlotFields);
  field("service_id", refused.service_id);
  field("generation", refused.generation);
  field("reason", refused.reason);
};

template <class T, class Fields>
Bytes encode_with(const T& value, Fields fields) {
  FieldPacker packer;
  fields(packer, value);
  return packer.finish();
}

template <class T, class Fields>
Result<T> decode_with(ByteView bytes, Fields fields, const char* what) {
  const auto broken = [&] { return fail(ErrorCode::kInvalid, std::string("not a ") + what); };
  if (bytes.size() > kMaxRecordSize) return broken();
  const auto handle = wire::parse(bytes);
  if (!handle) return broken();
  FieldReader reader(handle->get());
  T value;
  fields(reader, value);
  if (!reader.good()) return broken();
  return value;
}

}  // namespace

Bytes encode(const NodeInfo& info) {
  return encode_with(info, kInfoFields);
}
Bytes encode(const TaskRecord& task) {
  return encode_with(task, kTaskFields);
}
Bytes encode(const RefusedRecord& refused) {
  return encode_with(refused, kRefusedFields);
}

Result<NodeInfo> decode_node_info(ByteView bytes) {
  auto info = decode_with<NodeInfo>(bytes, kInfoFields, "node's info");
  if (info && info->keys.size() > kMaxInfoKeys)
    return fail(ErrorCode::kInvalid, "not a node's info: too many keys");
  return info;
}
Result<TaskRecord> decode_task(ByteView bytes) {
  return decode_with<TaskRecord>(bytes, kTaskFields, "task");
}
Result<RefusedRecord> decode_refused(ByteView bytes) {
  return decode_with<RefusedRecord>(bytes, kRefusedFields, "refusal");
}

}  // namespace kith
