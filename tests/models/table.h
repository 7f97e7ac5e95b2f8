#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace kith::model {

/// KITH_MODEL_SEEDS, for a longer run than the everyday one.
[[nodiscard]] inline uint64_t seeds_or(uint64_t everyday) {
  const char* wanted = std::getenv("KITH_MODEL_SEEDS");
  return wanted == nullptr ? everyday : std::strtoull(wanted, nullptr, 10);
}

/// Prints, for each defect, within how many seeds from 1 on `wrong_of(seed, defect)` names
/// something, and what. Fails where that is more than `limit`.
template <class Defect, class WrongOf>
void table(const char* model, uint64_t limit, WrongOf wrong_of) {
  for (size_t i = 1; i < static_cast<size_t>(Defect::kCount); ++i) {
    const auto defect = static_cast<Defect>(i);
    std::string wrong;
    uint64_t seed = 0;
    while (wrong.empty() && seed < seeds_or(limit)) wrong = wrong_of(++seed, defect);
    std::printf("%-8s %-36s %5llu %s\n", model, name_of(defect),
                static_cast<unsigned long long>(seed), wrong.empty() ? "NOT FOUND" : wrong.c_str());
    CHECK_MESSAGE(!wrong.empty(), name_of(defect));
  }
}

}  // namespace kith::model
