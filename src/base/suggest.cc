#include "base/suggest.h"

#include <algorithm>

namespace kith {
namespace {

/// Restricted edit distance: Damerau-Levenshtein, each place touched once.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& names) {
  constexpr size_t kLongestWord = 64;
  constexpr size_t kLonger = 5;
  if (word.size() > kLongestWord) return {};
  std::string best;
  size_t off = word.size() >= kLonger ? 3 : 2;  // less than this
  for (const std::string& name : names) {
    const size_t d = distance(word, name);
    if (d >= off || d >= name.size()) continue;
    off = d;
    best = name;
  }
  return best;
}

}  // namespace kith
