#include "base/suggest.h"

#include <doctest/doctest.h>

namespace kith {

TEST_CASE("suggest: a slip of the fingers finds the word that was meant, nonsense finds none") {
  const std::vector<std::string> names = {"ls", "rotate", "add", "use", "rm"};
  CHECK(nearest("lss", names) == "ls");
  CHECK(nearest("sl", names) == "ls");
  CHECK(nearest("l", names) == "ls");
  CHECK(nearest("rotat", names) == "rotate");
  CHECK(nearest("roatte", names) == "rotate");
  CHECK(nearest("rottaes", names) == "rotate");
  CHECK(nearest("list", names).empty());
  CHECK(nearest("x", names).empty());
  CHECK(nearest("", names).empty());
  CHECK(nearest(std::string(100'000, 'l'), names).empty());
}

}  // namespace kith
