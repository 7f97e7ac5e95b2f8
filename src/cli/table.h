#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kith {

/// Columns aligned as Docker's commands print them: at least 10 wide, 3 spaces between.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  /// Missing cells are empty.
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  /// Every line ends with a newline, and none with spaces.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// `text` cut to `width` characters, the last of which is then an ellipsis. Newlines and other
/// control characters become spaces: what is printed may come from anywhere.
[[nodiscard]] std::string shortened(std::string_view text, size_t width);

}  // namespace kith
