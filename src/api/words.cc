#include "api/words.h"

namespace kith {

std::string_view availability_word(Availability availability) {
  switch (availability) {
    case Availability::kActive:
      return "active";
    case Availability::kPause:
      return "pause";
    case Availability::kDrain:
      return "drain";
  }
  return "active";
}

std::string_view mode_word(ServiceMode mode) {
  switch (mode) {
    case ServiceMode::kReplicated:
      return "replicated";
    case ServiceMode::kGlobal:
      return "global";
    case ServiceMode::kReplicatedJob:
      return "replicated-job";
    case ServiceMode::kGlobalJob:
      return "global-job";
  }
  return "replicated";
}

}  // namespace kith
