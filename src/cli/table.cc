#include "cli/table.h"

#include <algorithm>

namespace kith {
namespace {

constexpr size_t kMinWidth = 10;
constexpr size_t kGap = 3;

bool starts_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}

// In characters, taking UTF-8 for granted.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), starts_character));
}

}  // namespace

std::string Table::text() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) {
      if (widths.size() <= i) widths.resize(i + 1, kMinWidth);
      widths[i] = std::max(widths[i], width_of(row[i]) + kGap);
    }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - width_of(row[i]), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string shortened(std::string_view text, size_t width) {
  std::string out;
  size_t characters = 0;
  for (const char c : text) {
    if (starts_character(c) && ++characters > width) {
      do {
        const bool start = starts_character(out.back());
        out.pop_back();
        if (start) break;
      } while (!out.empty());
      return out + "…";
    }
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  return out;
}

}  // namespace kith
