#include <algorithm>
#include <set>
#include <vector>

#include "base/defects.h"
#include "engine/plan.h"

namespace kith {
namespace {

/// The slots of the service in the order of its batches, as far as they are known.
std::vector<SlotKey> order_of(const ServiceDoc& service, const SlotKey& slot,
                              std::span<const TaskRecord* const> records) {
  std::vector<SlotKey> order;
  if (slot.node.none()) {
    for (uint32_t i = 1; i <= service.spec.replicas; ++i) order.push_back({service.name, i, {}});
    return order;
  }
  std::set<SlotKey> known{slot};
  for (const TaskRecord* task : records)
    if (task->service_id == service.id && present(*task)) known.insert(task->slot);
  order.assign(known.begin(), known.end());
  return order;
}

}  // namespace

const UpdateConfig& rollout_config(const ServiceDoc& service) {
  return service.rolled_back ? service.spec.rollback : service.spec.update;
}

std::string image_of(const ServiceDoc& service, Generation generation) {
  if (generation == service.generation) return service.spec.image;
  const auto before = parse_service_spec(service.previous_json);
  return before ? before->image : std::string();
}

bool generation_open(const ServiceDoc& service, const SlotKey& slot,
                     std::span<const TaskRecord* const> records) {
  if (service.previous_json.empty() || service.generation <= 1) return true;
  const UpdateConfig& config = rollout_config(service);

  bool others = false;
  std::set<SlotKey> passed;
  std::set<SlotKey> failed;
  for (const TaskRecord* task : records) {
    if (task->service_id != service.id) continue;
    if (task->generation != service.generation) {
      others = others || present(*task);
      continue;
    }
    if (task->slot == slot) return true;
    if (task->stable || task->state == TaskState::kComplete) passed.insert(task->slot);
    if (!task->stable && (task->state == TaskState::kFailed || task->state == TaskState::kRejected))
      failed.insert(task->slot);
  }
  if (!others) return true;

  const std::vector<SlotKey> order = order_of(service, slot, records);
  const bool goes_on = config.on_failure == FailureAction::kContinue;
  if (!goes_on && failed.size() * 1'000'000 > config.max_failure_ppm * order.size()) return false;
  const auto at = std::find(order.begin(), order.end(), slot);
  if (at == order.end()) return false;
  const auto mine = static_cast<size_t>(at - order.begin());
  const size_t batch = config.parallelism == 0 ? order.size() : config.parallelism;
  const size_t before = mine / batch * batch;
  if (defective(Defect::kRolloutStuck) && before >= 3 * batch) return false;
  for (size_t i = 0; i < before; ++i)
    if (!passed.contains(order[i]) && !failed.contains(order[i])) return false;
  return true;
}

}  // namespace kith
