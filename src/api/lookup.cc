#include "api/lookup.h"

#include <string>

namespace kith {
namespace {

template <class T, class IdOf, class NameOf>
Answer<const T*> find_one(const char* kind, const std::vector<T>& all, std::string_view key,
                          IdOf id_of, NameOf name_of) {
  const T* found = nullptr;
  size_t count = 0;
  const auto collect = [&](auto matches) {
    for (const T& one : all)
      if (matches(one)) found = &one, ++count;
    return count > 0;
  };
  const std::string text(key);
  if (!key.empty() && !collect([&](const T& one) { return id_of(one) == key; }) &&
      !collect([&](const T& one) { return name_of(one) == key; }))
    collect([&](const T& one) { return id_of(one).starts_with(key); });
  if (count == 0) return refuse(404, kind + (" " + text) + " not found");
  if (count > 1)
    return refuse(
        400, kind + (" " + text) + " is ambiguous (" + std::to_string(count) + " matches found)");
  return found;
}

}  // namespace

Answer<const ServiceEntry*> find_service(const std::vector<ServiceEntry>& services,
                                         std::string_view key) {
  return find_one(
      "service", services, key, [](const ServiceEntry& s) { return s.doc.id; },
      [](const ServiceEntry& s) { return s.doc.name; });
}

Answer<const NodeEntry*> find_node(const std::vector<NodeEntry>& nodes, std::string_view key) {
  if (key == "self")
    for (const NodeEntry& node : nodes)
      if (node.self) return &node;
  return find_one(
      "node", nodes, key, [](const NodeEntry& n) { return n.view.id.docker_id(); },
      [](const NodeEntry& n) { return n.view.name; });
}

Answer<const TaskRecord*> find_task(const std::vector<TaskRecord>& tasks, std::string_view key) {
  return find_one(
      "task", tasks, key, [](const TaskRecord& t) { return t.id; },
      [](const TaskRecord& t) { return t.container_id; });
}

}  // namespace kith
