// Node: what happens to members and tasks, and who is told.

#include <utility>

#include "agent/node.h"

namespace kith {

void Node::note(std::string type, std::string action, std::string id, std::string name,
                std::string text, Now now, std::map<std::string, std::string> attributes) {
  out_.events.push_back({now.wall, std::move(type), std::move(action), std::move(id),
                         std::move(name), std::move(text), std::move(attributes)});
}

void Node::member_event(const MemberEvent& event, Now now) {
  dirty_ = true;
  const std::string name = event.node == self() ? setup_.name : [&] {
    const Member* member = swim_.find(event.node);
    return member == nullptr ? catalog_.name_of(event.node) : member->name;
  }();
  const std::string by = event.by.none() ? std::string() : catalog_.name_of(event.by);
  const auto say = [&](const char* action, const std::string& text) {
    std::map<std::string, std::string> attributes;
    if (!by.empty()) attributes["by"] = by;
    note("node", action, event.node.docker_id(), name, text, now, std::move(attributes));
  };
  switch (event.kind) {
    case MemberEventKind::kJoined:
    case MemberEventKind::kReturned: {
      calm_at_ = now.mono + kCalm;
      const bool joined = event.kind == MemberEventKind::kJoined;
      say(joined ? "join" : "return", "node " + name + (joined ? " joined" : " is back"));
      remember_alive(event.node);
      if (catalog_.info(event.node) != nullptr && !has_my_ring(event.node)) keys_differ_ = true;
      if (synced_) {  // at once: what each side did while they were apart
        sync_wanted_.insert(event.node);
        sync_not_before_ =
            std::min(sync_not_before_, now.mono + std::chrono::milliseconds(rng_.below(50)));
      }
      break;
    }
    case MemberEventKind::kRestarted:
      heard_me_.erase(event.node);
      remember_alive(event.node);
      say("restart", "the agent of node " + name + " restarted");
      break;
    case MemberEventKind::kSuspect:
      calm_at_ = now.mono + kCalm;
      say("suspect", "node " + name + " is suspect" + (by.empty() ? "" : ", says " + by));
      break;
    case MemberEventKind::kRefuted:
      calm_at_ = now.mono + kCalm;
      say("alive", "node " + name + " is alive after all");
      break;
    case MemberEventKind::kDead:
      calm_at_ = now.mono + kCalm;
      heard_me_.erase(event.node);
      mismatches_.erase(event.node);
      say("dead", "node " + name + " is dead" + (by.empty() ? "" : ", says " + by));
      break;
    case MemberEventKind::kLeft:
      calm_at_ = now.mono + kCalm;
      heard_me_.erase(event.node);
      say("left", "node " + name + " has left");
      break;
    case MemberEventKind::kRenamed:
      remember_alive(event.node);
      say("renamed", "node " + event.node.docker_id() + " is named " + name + " now");
      break;
    case MemberEventKind::kMoved:
      remember_alive(event.node);
      say("moved", "node " + name + " has another address now");
      break;
    case MemberEventKind::kNameClash:
      name_clashes_[event.node] = event.by;
      say("name clash", "two nodes are named " + name + ": " + event.node.docker_id() + " and " +
                            event.by.docker_id() + "; both are kept, give one another node.name");
      break;
    case MemberEventKind::kIdentityClash:
      say("identity clash", "two agents run with the identity of " + name +
                                ": one data_dir was copied or restored beside the other");
      if (event.node == self() && event.by == self())
        out_.stop = "another agent that runs longer has this node's identity (" +
                    self().docker_id() +
                    "): this data_dir is a copy; empty it, and this host joins as a new node";
      break;
    case MemberEventKind::kEpochRaised: {
      const std::string epoch = std::to_string(swim_.self().epoch);
      unsaved_.meta["epoch"] = Bytes(epoch.begin(), epoch.end());
      break;
    }
    case MemberEventKind::kIsolated:
      say("isolated", "most of the cluster vanished at once: this host may be cut off");
      break;
    case MemberEventKind::kReunited:
      say("reunited", "this host sees most of the cluster again");
      break;
  }
}

/// Keeps the last alive a member signed, to find it again after a restart.
void Node::remember_alive(const NodeId& node) {
  const Member* member = swim_.find(node);
  if (member == nullptr || node == self()) return;
  unsaved_.meta[std::string(kAliveMeta) + node.hex()] = encode(Rumor(member->alive));
}

/// Tells what became of a task on any node; `before` is what its record said until now.
void Node::note_task(const TaskRecord* before, const TaskRecord& after, Now now) {
  const bool worth = after.state >= TaskState::kStarting || !after.error.empty();
  const bool news = before == nullptr || before->state != after.state;
  if (!synced_ || !worth || !news) return;
  const std::string state(to_string(after.state));
  const std::string node = after.node == self() ? setup_.name : catalog_.name_of(after.node);
  std::string text = after.slot.text() + " " + state + " on " + node;
  if (!after.error.empty()) text += ": " + after.error;
  if (after.backing_off) text += ", " + after.message;
  note("task", state, after.id, after.slot.text(), std::move(text), now, {{"node", node}});
}

}  // namespace kith
