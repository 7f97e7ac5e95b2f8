#include "io/http.h"

#include <algorithm>
#include <array>

namespace kith {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

void append_headers(std::string& out, const HttpHeaders& headers) {
  const auto append_clean = [&out](std::string_view text) {
    for (const char c : text) out += c == '\r' || c == '\n' ? ' ' : c;
  };
  for (const auto& [name, value] : headers.fields) {
    append_clean(name);
    out += ": ";
    append_clean(value);
    out += "\r\n";
  }
  out += "\r\n";
}

}  // namespace

const std::string* HttpHeaders::find(std::string_view name) const {
  for (const auto& field : fields) {
    if (same_name(field.first, name)) return &field.second;
  }
  return nullptr;
}

std::string HttpHeaders::get(std::string_view name) const {
  const auto* value = find(name);
  return value != nullptr ? *value : std::string();
}

void HttpHeaders::add(std::string name, std::string value) {
  fields.emplace_back(std::move(name), std::move(value));
}

void HttpHeaders::set(std::string_view name, std::string value) {
  remove(name);
  add(std::string(name), std::move(value));
}

void HttpHeaders::remove(std::string_view name) {
  std::erase_if(fields, [name](const auto& field) { return same_name(field.first, name); });
}

bool HttpHeaders::has_token(std::string_view name, std::string_view token) const {
  for (const auto& [field, value] : fields) {
    if (!same_name(field, name)) continue;
    std::string_view rest = value;
    while (true) {
      const size_t comma = rest.find(',');
      if (same_name(trim(rest.substr(0, comma)), token)) return true;
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

const std::string* HttpRequestHead::query_value(std::string_view key) const {
  for (const auto& pair : query) {
    if (pair.first == key) return &pair.second;
  }
  return nullptr;
}

std::string percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out += plus_is_space && text[i] == '+' ? ' ' : text[i];
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<uint8_t>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

void split_target(HttpRequestHead& head) {
  std::string_view target = head.target;
  // The absolute form, http://host/path, is for proxies and legal everywhere.
  if (const size_t scheme = target.find("://");
      scheme != std::string_view::npos && target.front() != '/') {
    const size_t slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  const size_t mark = target.find('?');
  head.path = percent_decode(target.substr(0, mark));
  head.query.clear();
  if (mark == std::string_view::npos) return;
  std::string_view rest = target.substr(mark + 1);
  rest = rest.substr(0, rest.find('#'));
  while (!rest.empty()) {
    const size_t amp = rest.find('&');
    const std::string_view pair = rest.substr(0, amp);
    const size_t equals = pair.find('=');
    if (!pair.empty()) {
      head.query.emplace_back(
          percent_decode(pair.substr(0, equals), true),
          equals == std::string_view::npos ? "" : percent_decode(pair.substr(equals + 1), true));
    }
    if (amp == std::string_view::npos) break;
    rest.remove_prefix(amp + 1);
  }
}

std::string_view http_reason(int status) {
  struct Row {
    int status;
    std::string_view reason;
  };
  constexpr std::array kReasons = {Row{100, "Continue"},
                                   Row{101, "Switching Protocols"},
                                   Row{200, "OK"},
                                   Row{201, "Created"},
                                   Row{202, "Accepted"},
                                   Row{204, "No Content"},
                                   Row{304, "Not Modified"},
                                   Row{400, "Bad Request"},
                                   Row{401, "Unauthorized"},
                                   Row{403, "Forbidden"},
                                   Row{404, "Not Found"},
                                   Row{405, "Method Not Allowed"},
                                   Row{406, "Not Acceptable"},
                                   Row{408, "Request Timeout"},
                                   Row{409, "Conflict"},
                                   Row{411, "Length Required"},
                                   Row{413, "Payload Too Large"},
                                   Row{417, "Expectation Failed"},
                                   Row{421, "Misdirected Request"},
                                   Row{431, "Request Header Fields Too Large"},
                                   Row{429, "Too Many Requests"},
                                   Row{500, "Internal Server Error"},
                                   Row{501, "Not Implemented"},
                                   Row{502, "Bad Gateway"},
                                   Row{503, "Service Unavailable"},
                                   Row{504, "Gateway Timeout"},
                                   Row{505, "HTTP Version Not Supported"}};
  for (const Row& row : kReasons) {
    if (row.status == status) return row.reason;
  }
  return "Unknown";
}

std::string message_json(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "{\"message\":\"";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"}\n";
}

std::string format_request_head(std::string_view method, std::string_view target,
                                const HttpHeaders& headers) {
  std::string out(method);
  out += ' ';
  out += target;
  out += " HTTP/1.1\r\n";
  append_headers(out, headers);
  return out;
}

std::string format_response_head(int status, std::string_view reason, const HttpHeaders& headers) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + ' ';
  out += reason.empty() ? http_reason(status) : reason;
  out += "\r\n";
  append_headers(out, headers);
  return out;
}

}  // namespace kith
