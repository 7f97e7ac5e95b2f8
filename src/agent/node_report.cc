// Node: what the APIs are told.

#include <algorithm>
#include <tuple>

#include "agent/node.h"
#include "base/hash.h"
#include "engine/plan.h"
#include "placement/explain.h"

namespace kith {
namespace {

constexpr uint64_t kUnwrittenIndex = 1;

TaskRecord pending_task(const ServiceDoc& doc, const SlotKey& slot, std::string error) {
  TaskRecord task;
  // The same id in every answer of every node, until the slot gets a copy.
  const std::string seed = doc.id + slot.text() + std::to_string(doc.generation);
  task.id = docker_id_from(as_bytes(seed));
  task.slot = slot;
  task.service_id = doc.id;
  task.generation = doc.generation;
  task.state = TaskState::kPending;
  task.image = doc.spec.image;
  task.message = "pending task scheduling";
  task.error = std::move(error);
  task.created = doc.updated;
  task.since = doc.updated;
  return task;
}

std::string seat_note(const TaskRecord& task) {
  std::string note = "term " + std::to_string(task.term);
  if (healthy(task)) note += ", healthy";
  if (task.moving) note += ", moving here";
  if (task.ask != 0) note += ", asks to stop";
  if (task.backing_off) note += ", " + task.message;
  return note;
}

}  // namespace

StatusReport Node::status(Now now) const {
  StatusReport report;
  report.cluster = setup_.cluster;
  report.cluster_id = docker_id_from(as_bytes("cluster/" + setup_.cluster));
  report.node_name = setup_.name;
  report.node = self();
  report.epoch = setup_.epoch;
  report.started = started_wall_;
  report.docs_root = docs_.root();
  report.health_multiplier = swim_.health_multiplier() - 1;
  const SealCounters& sealed = sealer_.counters();
  report.counters = {
      {"datagrams_sent", sealed.sealed},
      {"datagrams_received", sealed.opened},
      {"datagrams_malformed", sealed.malformed},
      {"datagrams_unknown_key", sealed.unknown_key},
      {"datagrams_unauthentic", sealed.unauthentic},
      {"datagrams_outdated_key", outdated_},
      {"datagrams_replayed", guard_.counters().replayed},
      {"streams_unauthentic", links_.counters().hello_refused},
      {"streams_failed", links_.counters().failed},
      {"rumors_dropped", disseminator_.queue().dropped()},
      {"documents", docs_.size()},
      {"conflicts", docs_.conflicts().size()},
  };
  const auto warn = [&](std::string text) { report.warnings.push_back(std::move(text)); };
  if (!synced_) warn("not in step with the cluster yet: nothing is started or stopped here");
  for (const Seed& seed : seeds_)
    if (!seed.fault.empty() && swim_.present_count() <= 1) warn(seed.fault);
  if (keys_.configured().id() != keys_.ring().primary_id())
    warn("the key in this host's configuration is not the cluster's key of today (" +
         key_id_text(keys_.ring().primary_id()) +
         "): the ring in data_dir goes before it. Put the new one into the configuration: hosts "
         "that are still to come need it");
  if (!keys_.damage().empty())
    warn("the key ring in data_dir was damaged (" + keys_.damage() +
         "): the configuration's key is used until another host hands out the ring");
  if (setup_.has_engine && !engine_up_)
    warn("Docker does not answer on this host: " +
         (engine_fault_.empty() ? std::string("not reached yet") : engine_fault_));
  if (!disk_fault_.empty()) warn("edits are refused, the disk does not take them: " + disk_fault_);
  if (swim_.isolated()) warn("most of the cluster vanished at once: this host may be cut off");
  if (links_.counters().hello_refused + sealed.unknown_key + sealed.unauthentic > 0)
    warn(std::to_string(links_.counters().hello_refused + sealed.unknown_key + sealed.unauthentic) +
         " packets or streams from strangers with another key or cluster name were refused");
  for (const auto& [node, other] : name_clashes_) {
    const Member* a = swim_.find(node);
    const Member* b = swim_.find(other);
    if (a == nullptr || b == nullptr || a->name != b->name || !a->present() || !b->present())
      continue;
    warn("two nodes are named " + a->name + ": " + node.docker_id() + " and " + other.docker_id() +
         "; give one another node.name");
  }
  for (const auto& [id, member] : swim_.members())
    if (member.stream_only && member.present())
      warn("UDP between this host and " + member.name + " seems to be blocked: open port " +
           std::to_string(member.address.port) + " for UDP too");
  if (const size_t lost = docs_.conflicts().size(); lost > 0)
    warn(std::to_string(lost) + " edits lost against others: `kith conflicts` shows them");
  if (!swim_.ready_allowed(now.mono)) warn("this node flapped and takes no new work for now");
  return report;
}

std::vector<NodeEntry> Node::nodes(Now now) const {
  std::vector<NodeEntry> out;
  std::vector<NodeView> views = work_.view().nodes;
  if (!catalog_.roster().contains(self())) {  // not enrolled yet: here all the same
    RosterDoc doc;
    doc.node = self();
    doc.name = setup_.name;
    views.push_back(node_view(doc, catalog_.info(self()), Liveness::kAlive));
  }
  for (const NodeView& view : views) {
    NodeEntry entry;
    entry.view = view;
    entry.self = view.id == self();
    if (const NodeInfo* info = catalog_.info(view.id)) entry.info = *info;
    const std::string key = roster_key(view.id);
    const Document* document = docs_.find(key);
    entry.version_index = document == nullptr ? kUnwrittenIndex : version_index(document->version);
    entry.since = started_wall_;
    if (document != nullptr) {
      entry.created = document->version.stamp.wall();
      if (!document->ancestors.empty()) entry.created = document->ancestors.back().stamp.wall();
    }
    if (const Member* member = swim_.find(view.id)) {
      entry.address = member->address;
      const auto ago =
          std::chrono::duration_cast<std::chrono::milliseconds>(now.mono - member->since);
      entry.since = {now.wall.ms - ago.count()};
    }
    out.push_back(std::move(entry));
  }
  std::sort(out.begin(), out.end(), [](const NodeEntry& a, const NodeEntry& b) {
    return std::tie(a.view.name, a.view.id) < std::tie(b.view.name, b.view.id);
  });
  return out;
}

std::vector<ServiceEntry> Node::services() const {
  std::vector<ServiceEntry> out;
  for (const auto& [name, doc] : catalog_.services())
    out.push_back({*doc, index_of(docs_, service_key(name))});
  return out;
}

std::vector<TaskRecord> Node::tasks() const {
  std::vector<TaskRecord> out;
  std::set<SlotKey> held;
  for (const auto& [node, tasks] : catalog_.tasks()) {
    const bool hidden = work_.hidden(node);
    for (const auto& [id, task] : tasks) {
      if (hidden && present(*task.record)) continue;
      if (present(*task.record)) held.insert(task.record->slot);
      out.push_back(*task.record);
    }
  }
  for (const auto& [name, targets] : work_.assignment().services) {
    const auto doc = catalog_.services().find(name);
    if (doc == catalog_.services().end()) continue;
    for (const SlotTarget& slot : targets.slots) {
      if (held.contains(slot.slot)) continue;
      std::vector<const TaskRecord*> records;
      for (const TaskIndex::Entry& entry : catalog_.tasks_by_slot()->of(slot.slot))
        records.push_back(entry.record.get());
      if (finished(*doc->second, slot.slot, records)) continue;
      std::string error;
      if (slot.target.none() || slot.all_refused) {
        if (const auto why =
                kith::explain(work_.view(), work_.ring(), work_.assignment(), slot.slot))
          error = why->error;
      }
      out.push_back(pending_task(*doc->second, slot.slot, std::move(error)));
    }
  }
  std::sort(out.begin(), out.end(), [](const TaskRecord& a, const TaskRecord& b) {
    return std::tie(a.slot, b.created, a.id) < std::tie(b.slot, a.created, b.id);
  });
  return out;
}

Result<Explanation> Node::explain(const SlotKey& slot) const {
  auto why = kith::explain(work_.view(), work_.ring(), work_.assignment(), slot);
  if (!why) return fail(why.error());
  Explanation out;
  out.slot = slot.text();
  out.verdict = why->verdict;
  for (const auto& [node, tasks] : catalog_.tasks()) {
    for (const auto& [id, task] : tasks) {
      if (task.record->slot != slot || !present(*task.record)) continue;
      std::string note = seat_note(*task.record);
      if (work_.hidden(node)) note += ", hidden: its node is away";
      out.seats.push_back(
          {catalog_.name_of(node), std::string(to_string(task.record->state)), std::move(note)});
    }
  }
  for (const NodeVerdict& step : why->walk)
    out.walk.push_back({step.name, step.target, step.target ? "chosen" : step.reason});
  return out;
}

std::vector<ConflictEntry> Node::conflicts() const {
  std::vector<ConflictEntry> out;
  for (const Conflict* conflict : docs_.conflicts()) {
    out.push_back(
        {conflict->lost.key, conflict->lost.version.stamp.wall(),
         catalog_.name_of(conflict->lost.version.author), conflict->won.stamp.wall(),
         conflict->won.author.none() ? std::string() : catalog_.name_of(conflict->won.author),
         conflict->lost.body, std::string(to_string(conflict->reason))});
  }
  return out;
}

}  // namespace kith
