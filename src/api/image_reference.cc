#include "api/image_reference.h"

#include <algorithm>
#include <cctype>

namespace kith {
namespace {

constexpr size_t kMaxName = 255;
constexpr size_t kMaxTag = 128;
constexpr size_t kMinDigest = 32;
constexpr size_t kIdLength = 64;

bool digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}
bool alnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}
bool lower_alnum(char c) {
  return digit(c) || (c >= 'a' && c <= 'z');
}
bool hex(char c) {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}

template <class Each>
bool all_parts(std::string_view text, char between, Each each) {
  while (true) {
    const size_t end = text.find(between);
    if (!each(text.substr(0, end))) return false;
    if (end == text.npos) return true;
    text.remove_prefix(end + 1);
  }
}

// Runs of letters and digits with one dot, one or two underscores or any dashes between them.
bool path_component(std::string_view text) {
  while (true) {
    const auto run = std::find_if_not(text.begin(), text.end(), lower_alnum);
    if (run == text.begin()) return false;
    text.remove_prefix(static_cast<size_t>(run - text.begin()));
    if (text.empty()) return true;
    const size_t next = std::min(text.find_first_not_of(text.front()), text.size());
    const size_t most = text.front() == '.' ? 1 : text.front() == '_' ? 2 : text.size();
    if (std::string_view("._-").find(text.front()) == text.npos || next > most) return false;
    text.remove_prefix(next);
  }
}

bool domain_label(std::string_view text) {
  return !text.empty() && alnum(text.front()) && alnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return alnum(c) || c == '-'; });
}

bool domain(std::string_view text) {
  if (const size_t colon = text.rfind(':'); colon != text.npos && !text.ends_with(']')) {
    const std::string_view port = text.substr(colon + 1);
    if (port.empty() || !std::all_of(port.begin(), port.end(), digit)) return false;
    text = text.substr(0, colon);
  }
  if (text.starts_with('[') && text.ends_with(']'))
    return text.size() > 2 &&
           std::all_of(text.begin() + 1, text.end() - 1, [](char c) { return hex(c) || c == ':'; });
  return all_parts(text, '.', domain_label);
}

bool tag(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTag && (alnum(text.front()) || text.front() == '_') &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool digest(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos || colon == 0 || !std::isalpha(static_cast<unsigned char>(text.front())))
    return false;
  const std::string_view kind = text.substr(0, colon);
  const std::string_view value = text.substr(colon + 1);
  const auto of_kind = [](char c) {
    return alnum(c) || c == '-' || c == '_' || c == '+' || c == '.';
  };
  return std::all_of(kind.begin(), kind.end(), of_kind) && value.size() >= kMinDigest &&
         std::all_of(value.begin(), value.end(), hex);
}

}  // namespace

bool valid_image_reference(std::string_view text) {
  if (text.size() == kIdLength && std::all_of(text.begin(), text.end(), hex)) return false;
  if (const size_t at = text.find('@'); at != text.npos) {
    if (!digest(text.substr(at + 1))) return false;
    text = text.substr(0, at);
  }
  const size_t slash = text.rfind('/');
  if (const size_t colon = text.find(':', slash == text.npos ? 0 : slash); colon != text.npos) {
    if (!tag(text.substr(colon + 1))) return false;
    text = text.substr(0, colon);
  }
  if (text.size() > kMaxName) return false;
  // What is before the first slash is a host if it could not be a directory of Docker Hub.
  if (const size_t first = text.find('/'); first != text.npos) {
    const std::string_view host = text.substr(0, first);
    const bool upper =
        std::any_of(host.begin(), host.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (host.find_first_of(".:") != host.npos || host == "localhost" || upper) {
      if (!domain(host)) return false;
      text.remove_prefix(first + 1);
    }
  }
  return all_parts(text, '/', path_component);
}

}  // namespace kith
