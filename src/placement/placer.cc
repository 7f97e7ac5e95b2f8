#include "placement/placer.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace kith {
namespace {

bool before(const Seat& seat, const std::pair<const SlotKey&, const NodeId&>& wanted) {
  return std::tie(seat.slot, seat.node) < std::tie(wanted.first, wanted.second);
}

bool has_slots(const ServiceDoc& doc) {
  return is_replicated(doc) || is_global(doc);
}

}  // namespace

NodeUse Placer::Ledger::use() const {
  const auto whole = [](Wide sum) {
    return static_cast<int64_t>(std::min(sum, Wide{std::numeric_limits<int64_t>::max()}));
  };
  NodeUse out;
  out.slots = slots;
  out.nano_cpus = whole(nano_cpus);
  out.memory_bytes = whole(memory_bytes);
  for (const auto& [port, holders] : ports) out.ports.emplace(port, std::get<2>(*holders.begin()));
  return out;
}

Placer::Placer(PlacementView view) : view_(std::move(view)) {
  assert(in_order(view_));
  for (Seat& seat : view_.seats) services_[seat.slot.service].seats.push_back(std::move(seat));
  view_.seats = {};
}

void Placer::set_node(NodeView node) {
  changed_ = true;
  const auto known = find_node(view_, node.id);
  if (!known) {
    over_ = true;
    const auto at = std::lower_bound(
        view_.nodes.begin(), view_.nodes.end(), node.id,
        [](const NodeView& other, const NodeId& wanted) { return other.id < wanted; });
    view_.nodes.insert(at, std::move(node));
    return;
  }
  over_ = over_ || view_.nodes[*known].weight != node.weight;
  if (!over_) {
    for (const Copy& copy : copies_on_[*known]) lift(*copy.service, copy.index);
    for (Named* const service : by_age_)
      if (service->doc != nullptr && is_global(*service->doc)) lift(*service);
  }
  view_.nodes[*known] = std::move(node);
  if (!over_) assigner_->eligibility.refresh(*known);
}

void Placer::remove_node(const NodeId& id) {
  const auto known = find_node(view_, id);
  if (!known) return;
  view_.nodes.erase(view_.nodes.begin() + *known);
  over_ = changed_ = true;
}

std::optional<ServiceDoc> Placer::extract_doc(const std::string& id) {
  const auto at = std::find_if(view_.services.begin(), view_.services.end(),
                               [&](const ServiceDoc& doc) { return doc.id == id; });
  if (at == view_.services.end()) return std::nullopt;
  lift(at->name);
  ServiceDoc doc = std::move(*at);
  view_.services.erase(at);
  return doc;
}

void Placer::set_service(ServiceDoc doc) {
  changed_ = true;
  lift(doc.name);
  extract_doc(doc.id);
  const auto at = std::lower_bound(view_.services.begin(), view_.services.end(), doc,
                                   [](const auto& a, const auto& b) {
                                     return std::tie(a.created, a.id) < std::tie(b.created, b.id);
                                   });
  view_.services.insert(at, std::move(doc));
  bind_docs();
}

void Placer::remove_service(const std::string& id) {
  const auto doc = extract_doc(id);
  if (!doc) return;
  changed_ = true;
  bind_docs();
}

/// The documents have moved in memory, and their names may be new, or nobody's any more.
void Placer::bind_docs() {
  by_age_.clear();
  for (auto& [name, service] : services_) service.doc = nullptr;
  std::set<const Named*> used;
  for (const ServiceDoc& doc : view_.services) {
    Named& service = services_[doc.name];
    by_age_.push_back(&service);
    used.insert(&service);
    if (!service.whole && service.doc == nullptr && has_slots(doc)) service.doc = &doc;
  }
  std::erase_if(services_, [&](const auto& entry) {
    return entry.second.seats.empty() && !used.contains(&entry.second);
  });
}

void Placer::set_seat(Seat seat) {
  changed_ = true;
  Named& service = services_[seat.slot.service];
  if (!over_) lift(service, seat.slot.index);
  const auto at =
      std::lower_bound(service.seats.begin(), service.seats.end(),
                       std::pair<const SlotKey&, const NodeId&>(seat.slot, seat.node), before);
  if (at != service.seats.end() && at->slot == seat.slot && at->node == seat.node) {
    *at = std::move(seat);
    return;
  }
  const auto node = find_node(view_, seat.node);
  if (!over_ && node) copies_on_[*node].push_back({&service, seat.slot.index});
  service.seats.insert(at, std::move(seat));
}

void Placer::remove_seat(const SlotKey& slot, const NodeId& node) {
  const auto named = services_.find(slot.service);
  if (named == services_.end()) return;
  Named& service = named->second;
  const auto at = std::lower_bound(service.seats.begin(), service.seats.end(),
                                   std::pair<const SlotKey&, const NodeId&>(slot, node), before);
  if (at == service.seats.end() || at->slot != slot || at->node != node) return;
  changed_ = true;
  const auto known = find_node(view_, node);
  if (!over_) {
    lift(service, slot.index);
    if (known) {
      auto& copies = copies_on_[*known];
      const auto copy = std::find_if(copies.begin(), copies.end(), [&](const Copy& c) {
        return c.service == &service && c.index == slot.index;
      });
      *copy = copies.back();
      copies.pop_back();
    }
  }
  service.seats.erase(at);
}

void Placer::set_refusal(Refusal refusal) {
  changed_ = true;
  remove_refusal(refusal.slot, refusal.node);
  const auto at = std::lower_bound(view_.refusals.begin(), view_.refusals.end(), refusal,
                                   [](const auto& a, const auto& b) {
                                     return std::tie(a.slot, a.node) < std::tie(b.slot, b.node);
                                   });
  view_.refusals.insert(at, std::move(refusal));
}

void Placer::remove_refusal(const SlotKey& slot, const NodeId& node) {
  const auto at = std::lower_bound(
      view_.refusals.begin(), view_.refusals.end(), std::tie(slot, node),
      [](const Refusal& a, const auto& wanted) { return std::tie(a.slot, a.node) < wanted; });
  if (at == view_.refusals.end() || at->slot != slot || at->node != node) return;
  changed_ = true;
  view_.refusals.erase(at);
}

void Placer::lift(const std::string& name) {
  const auto at = services_.find(name);
  if (!over_ && at != services_.end()) lift(at->second);
}

void Placer::lift(Named& service) {
  if (service.whole) return;
  const ServiceDoc& doc = *service.doc;
  const auto at = assigner_->out.services.find(doc.name);
  const auto& slots = at->second.slots;
  for (uint32_t i = 0; i < slots.size(); ++i) {
    if (service.dirty.contains(i)) continue;
    SlotTarget target;
    target.slot = slots[i].slot;
    held_.clear();
    assigner_->seat_slot(doc, seats_at(service.seats, target.slot), target, i, held_);
    for (const Held& held : held_) book(doc, held, target.slot, true);
  }
  slots_ -= slots.size();
  assigner_->out.services.erase(at);
  service.dirty.clear();
  service.doc = nullptr;
  service.whole = true;
  service.unseated = false;
}

void Placer::lift(Named& service, uint32_t index) {
  if (service.whole) return;
  const ServiceDoc& doc = *service.doc;
  if (is_global(doc)) return lift(service);
  const auto& slots = assigner_->out.services.find(doc.name)->second.slots;
  if (index == 0 || index > slots.size() || !service.dirty.insert(index - 1).second) return;
  SlotTarget target;
  target.slot = slots[index - 1].slot;
  held_.clear();
  assigner_->seat_slot(doc, seats_at(service.seats, target.slot), target, index - 1, held_);
  for (const Held& held : held_) book(doc, held, target.slot, true);
}

void Placer::book(const ServiceDoc& doc, const Held& held, const SlotKey& slot, bool give_back) {
  Ledger& ledger = ledgers_[held.node];
  stale_[held.node] = 1;
  const auto change = [give_back](Wide& sum, int64_t part) {
    if (part > 0) sum = give_back ? sum - static_cast<Wide>(part) : sum + static_cast<Wide>(part);
  };
  change(ledger.nano_cpus, doc.spec.reservations.nano_cpus);
  change(ledger.memory_bytes, doc.spec.reservations.memory_bytes);
  if (held.seated) ledger.slots = give_back ? ledger.slots - 1 : ledger.slots + 1;
  if (doc.spec.ports.empty()) return;
  for (const HostPort& port : Demand(doc.spec).ports) {
    auto& holders = ledger.ports[port];
    if (give_back) {
      holders.erase({doc.created, doc.id, slot});
    } else {
      holders.insert({doc.created, doc.id, slot});
    }
    if (holders.empty()) ledger.ports.erase(port);
  }
}

void Placer::start_over() {
  ring_.emplace(view_);
  assigner_.emplace(view_, *ring_);
  ledgers_.assign(view_.nodes.size(), {});
  stale_.assign(view_.nodes.size(), 1);
  copies_on_.assign(view_.nodes.size(), {});
  slots_ = 0;
  over_ = false;
  for (auto& [name, service] : services_) {
    service.dirty.clear();
    service.whole = true;
    service.unseated = false;
    for (const Seat& seat : service.seats)
      if (const auto node = assigner_->index.find(seat.node))
        copies_on_[*node].push_back({&service, seat.slot.index});
  }
  bind_docs();
}

/// A service that was lifted whole, by the document that counts now.
void Placer::seat_again(const ServiceDoc& doc, Named& service) {
  held_.clear();
  if (!assigner_->seat(doc, service.seats, held_)) return;
  const auto& slots = assigner_->out.services.find(doc.name)->second.slots;
  for (const Held& held : held_) book(doc, held, slots[held.position].slot, false);
  service.whole = false;
  service.doc = &doc;
  service.unseated = std::any_of(slots.begin(), slots.end(),
                                 [](const SlotTarget& target) { return !target.seated; });
  slots_ += slots.size();
}

/// The slots that were lifted; and those that walked are as before they walked.
void Placer::seat_dirty(Named& service) {
  auto& slots = assigner_->out.services.find(service.doc->name)->second.slots;
  bool unseated = false;
  const auto again = [&](uint32_t i, bool charged) {
    SlotTarget target;
    target.slot = std::move(slots[i].slot);
    held_.clear();
    assigner_->seat_slot(*service.doc, seats_at(service.seats, target.slot), target, i, held_);
    if (!charged)
      for (const Held& held : held_) book(*service.doc, held, target.slot, false);
    unseated = unseated || !target.seated;
    slots[i] = std::move(target);
  };
  if (service.unseated)
    for (uint32_t i = 0; i < slots.size(); ++i)
      if (!slots[i].seated && !service.dirty.contains(i)) again(i, true);
  for (const uint32_t i : service.dirty) again(i, false);
  service.dirty.clear();
  service.unseated = unseated;
}

const Assignment& Placer::assignment() {
  if (!changed_) return assigner_->out;
  if (over_) start_over();
  Assigner& assigner = *assigner_;
  for (const uint32_t node : assigner.taken) stale_[node] = 1;
  assigner.taken.clear();
  for (size_t i = 0; i < by_age_.size(); ++i) {
    Named& service = *by_age_[i];
    if (service.whole) {
      seat_again(view_.services[i], service);
    } else if (service.doc == &view_.services[i] && (service.unseated || !service.dirty.empty())) {
      seat_dirty(service);
    }
  }
  for (uint32_t node = 0; node < stale_.size(); ++node)
    if (stale_[node] != 0) assigner.out.use[node] = ledgers_[node].use();
  std::fill(stale_.begin(), stale_.end(), 0);
  assigner.set_bounds(slots_);
  for (size_t i = 0; i < by_age_.size(); ++i)
    if (by_age_[i]->unseated && by_age_[i]->doc == &view_.services[i])
      assigner.place_rest(view_.services[i]);
  changed_ = false;
  return assigner.out;
}

}  // namespace kith
