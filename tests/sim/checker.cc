#include "checker.h"

#include "world.h"

namespace kith::sim {

void Checker::violated(World& world, const std::string& what) const {
  world.violated(name_, what);
}

std::vector<std::unique_ptr<Checker>> all_checkers() {
  std::vector<std::unique_ptr<Checker>> all;
  all.push_back(check_placement());
  all.push_back(check_growth());
  all.push_back(check_membership());
  all.push_back(check_documents());
  all.push_back(check_slots());
  all.push_back(check_starts());
  all.push_back(check_stops());
  all.push_back(check_limits());
  return all;
}

}  // namespace kith::sim
