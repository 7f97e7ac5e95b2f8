#include "event_queue.h"

#include <utility>

namespace kith::sim {

void EventQueue::at(Instant when, Action action) {
  events_.push({when < now_ ? now_ : when, order_++, std::move(action)});
}

Instant EventQueue::next() const {
  return events_.empty() ? kNever : events_.top().when;
}

bool EventQueue::step(Instant limit) {
  if (events_.empty() || events_.top().when > limit) {
    now_ = limit;
    return false;
  }
  // Moved out of a heap that is popped at once: its order does not look at the action.
  Event event = std::move(const_cast<Event&>(events_.top()));
  events_.pop();
  now_ = event.when;
  ++steps_;
  event.action();
  return true;
}

}  // namespace kith::sim
