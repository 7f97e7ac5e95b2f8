#include "api/names.h"

#include <array>

#include "base/hash.h"

namespace kith {
namespace {

constexpr std::array<const char*, 32> kAdjectives = {
    "agile",  "bold",  "brave", "bright", "busy",   "calm",   "clever", "cool",
    "eager",  "epic",  "fair",  "fond",   "gentle", "happy",  "keen",   "kind",
    "lucid",  "merry", "mild",  "modest", "neat",   "nimble", "quiet",  "rapid",
    "serene", "sharp", "smart", "stoic",  "sunny",  "swift",  "tender", "vivid"};
constexpr std::array<const char*, 32> kPeople = {
    "babbage",  "bell",    "bohr",    "boole",  "cerf",    "curie",   "darwin",  "dijkstra",
    "euclid",   "euler",   "faraday", "fermat", "feynman", "galileo", "gauss",   "goodall",
    "hamilton", "hopper",  "kepler",  "knuth",  "lamarr",  "lamport", "leavitt", "liskov",
    "lovelace", "meitner", "mendel",  "newton", "noether", "ritchie", "shannon", "turing"};

}  // namespace

std::string generated_name(uint64_t seed) {
  const uint64_t mixed = hash_combine(seed, 0x6e616d65);
  return std::string(kAdjectives[mixed % kAdjectives.size()]) + "_" +
         kPeople[mixed / kAdjectives.size() % kPeople.size()] + std::to_string(mixed >> 32 & 0xff);
}

}  // namespace kith
