#include "history.h"

#include <cctype>
#include <string_view>

#include "engine/task.h"
#include "world.h"

namespace kith::sim {
namespace {

std::string text_of(const TaskRecord& task) {
  std::string text = "term " + std::to_string(task.term) + " " + std::string(to_string(task.state));
  if (task.desired != TaskState::kRunning)
    text += ", to end as " + std::string(to_string(task.desired));
  if (task.health == Health::kUnhealthy) text += ", unhealthy";
  if (task.backing_off) text += ", backs off after " + std::to_string(task.failures);
  if (task.moving) text += ", moving";
  if (task.ask != 0) text += ", asks";
  if (!task.confirmations.empty())
    text += ", confirms " + std::to_string(task.confirmations.size());
  return text + ", " + task.image;
}

}  // namespace

void History::add(World& world, const std::string& line) {
  lines_.push_back(world.clock() + " " + line);
  if (lines_.size() > kMaxLines) lines_.pop_front();
}

bool History::about(const std::string& text) const {
  const auto word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  for (size_t at = text.find(subject_); at != std::string::npos; at = text.find(subject_, at + 1)) {
    const size_t end = at + subject_.size();
    if ((at == 0 || !word(text[at - 1])) && (end == text.size() || !word(text[end]))) return true;
  }
  return false;
}

void History::told(World& world, const std::string& line) {
  // What touches all touches this one.
  const bool of_all = line.starts_with("calm") || line.starts_with("VIOLATED") ||
                      line.find(": partition") != std::string::npos ||
                      line.find(": loss") != std::string::npos ||
                      line.find(": reorder") != std::string::npos;
  if (of_all || about(line)) add(world, line);
}

void History::changed(World& world, const std::string& name, const std::string& now) {
  std::string& last = last_[name];
  if (last == now) return;
  last = now;
  add(world, name + ": " + now);
}

void History::stepped(World& world, size_t host) {
  follow_node(world, host);
  follow_slot(world, host);
}

void History::follow_node(World& world, size_t host) {
  const SimHost& at = world.host(host);
  if (at.name() == subject_) {
    changed(world, at.name() + " is",
            !at.up()         ? "without power"
            : !at.agent_up() ? "without its agent"
                             : "up");
    std::string runs;
    for (const ContainerInfo* container : at.engine().running())
      runs += " " + container->slot.text() + "/" + std::to_string(container->term);
    changed(world, at.name() + " runs", runs.empty() ? "nothing" : runs);
    if (at.agent_up()) {
      const Member& self = at.node().membership().self();
      changed(world, at.name() + " knows itself",
              "epoch " + std::to_string(self.epoch) + ", incarnation " +
                  std::to_string(self.incarnation & 0xffffffff) +
                  (at.node().synced() ? ", synced" : ", not synced"));
    }
    return;
  }
  if (!at.agent_up()) return;
  for (size_t i = 0; i < world.size(); ++i) {
    if (world.host(i).name() != subject_) continue;
    const Member* member = at.node().membership().find(world.host(i).id());
    if (member != nullptr)
      changed(world, at.name() + " holds " + subject_, std::string(to_string(member->state)));
  }
}

void History::follow_slot(World& world, size_t host) {
  const SimHost& at = world.host(host);
  if (!at.up()) return;
  if (at.agent_up()) {
    for (const TaskRecord& task : world.tasks_of(host)) {
      if (task.slot.text() != subject_) continue;
      changed(world, at.name() + " says of " + subject_ + " (" + task.id.substr(0, 6) + ")",
              text_of(task));
    }
  }
  std::set<std::string> running;
  for (const ContainerInfo* container : at.engine().running())
    if (container->slot.text() == subject_) running.insert(container->task_id.substr(0, 6));
  std::set<std::string>& before = tasks_[host];
  for (const std::string& task : running)
    if (!before.contains(task)) add(world, at.name() + " runs " + subject_ + " (" + task + ")");
  for (const std::string& task : before)
    if (!running.contains(task)) add(world, at.name() + " runs it no more (" + task + ")");
  before = std::move(running);
}

}  // namespace kith::sim
