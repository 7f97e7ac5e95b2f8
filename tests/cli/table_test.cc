#include "cli/table.h"

#include <doctest/doctest.h>

namespace kith {
namespace {

TEST_CASE("table: columns stand as Docker prints them, without spaces at the end") {
  Table table({"ID", "NAME", "IMAGE"});
  CHECK(table.text() == "ID        NAME      IMAGE\n");
  table.add({"llts94e26g33", "web", "nginx:alpine"});
  table.add({"a", "b", ""});
  CHECK(table.text() ==
        "ID             NAME      IMAGE\n"
        "llts94e26g33   web       nginx:alpine\n"
        "a              b\n");
}

TEST_CASE("table: a letter of two bytes is one wide") {
  Table table({"NAME", "X"});
  table.add({"größeres", "1"});
  CHECK(table.text() == "NAME       X\ngrößeres   1\n");
}

TEST_CASE("table: what is too long ends in an ellipsis, and control characters are blanked") {
  CHECK(shortened("abcdef", 6) == "abcdef");
  CHECK(shortened("abcdefg", 6) == "abcde…");
  CHECK(shortened("äöüäöüä", 6) == "äöüäö…");
  CHECK(shortened("a\nb\x1b[2J", 20) == "a b [2J");
}

}  // namespace
}  // namespace kith
