#include "agent/config.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <sstream>

#include <yaml-cpp/yaml.h>

#include "agent/host_address.h"
#include "base/bytes.h"
#include "base/suggest.h"
#include "membership/knobs.h"

namespace kith {
namespace {

constexpr size_t kMaxFile = 1 << 20;
constexpr size_t kMaxKeyFile = 4096;
constexpr size_t kMaxSeeds = 1024;
constexpr size_t kMaxLabels = 256;

/// One key of the schema: how its YAML value is put into the Config. An Error's message is the part
/// after `FILE:LINE: KEY: `.
struct Entry {
  std::string path;
  std::string fallback;
  std::function<Status(const YAML::Node&, Config&)> apply;
};

std::string shown(const YAML::Node& node) {
  if (node.IsScalar()) return node.Scalar();
  if (node.IsSequence()) return "a list";
  if (node.IsMap()) return "a group of keys";
  return "nothing";
}

Result<std::string> scalar(const YAML::Node& node) {
  if (!node.IsScalar()) return fail(ErrorCode::kInvalid, shown(node) + " where one value belongs");
  return node.Scalar();
}

Result<uint64_t> number(const YAML::Node& node, uint64_t least, uint64_t most) {
  auto text = scalar(node);
  if (!text) return fail(text.error());
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc{} || end != text->data() + text->size() || value < least || value > most)
    return fail(ErrorCode::kInvalid, *text + " is not a whole number from " +
                                         std::to_string(least) + " to " + std::to_string(most));
  return value;
}

Result<std::string> one_of(const YAML::Node& node, const std::vector<std::string>& choices) {
  auto text = scalar(node);
  if (!text) return fail(text.error());
  if (std::find(choices.begin(), choices.end(), *text) != choices.end()) return *text;
  std::string all;
  for (const std::string& choice : choices) all += (all.empty() ? "" : ", ") + choice;
  return fail(ErrorCode::kInvalid, *text + " is none of: " + all);
}

Status set_key(std::string_view text, Config& config) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  const auto bytes = from_base64(text);
  if (!bytes) return fail(ErrorCode::kInvalid, "is not base64; `kith init` makes a key");
  if (bytes->size() != config.key.size())
    return fail(ErrorCode::kInvalid, "holds " + std::to_string(bytes->size()) +
                                         " bytes where 32 belong; `kith init` makes a key");
  std::copy(bytes->begin(), bytes->end(), config.key.begin());
  return {};
}

Status read_key_file(const std::string& path, Config& config) {
  std::ifstream in(path);
  if (!in) return fail(path + " cannot be read: " + std::strerror(errno));
  std::string line(kMaxKeyFile, '\0');
  in.read(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(static_cast<size_t>(in.gcount()));
  line.resize(std::min(line.size(), line.find('\n')));
  if (auto set = set_key(line, config); !set) return fail(path + " " + set.error().message);
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0)
    config.warnings.push_back("key_file: everybody on this host can read " + path +
                              "; mend: chmod 600 " + path);
  return {};
}

Status apply_name(const YAML::Node& node, Config& config) {
  auto text = scalar(node);
  if (!text) return fail(text.error());
  const bool good = !text->empty() && text->size() <= 63 &&
                    text->find_first_not_of(
                        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-_.") == std::string::npos;
  if (!good)
    return fail(ErrorCode::kInvalid,
                "`" + *text + "` is no name: 1 to 63 letters, digits, `-`, `_` or `.`");
  config.node.name = *text;
  return {};
}

Status apply_address(const YAML::Node& node, Config& config) {
  auto text = scalar(node);
  if (!text) return fail(text.error());
  if (*text != "auto" && !is_address(*text) && !parse_network(*text))
    return fail(ErrorCode::kInvalid,
                *text + " is neither `auto`, nor an address, nor a network like 10.0.0.0/24");
  config.node.address = *text;
  return {};
}

Status apply_labels(const YAML::Node& node, Config& config) {
  if (!node.IsMap())
    return fail(ErrorCode::kInvalid, shown(node) + " where `name: value` pairs belong");
  if (node.size() > kMaxLabels) return fail(ErrorCode::kInvalid, "more than 256 labels");
  for (const auto& pair : node) {
    if (!pair.second.IsScalar())
      return fail(ErrorCode::kInvalid, "label " + pair.first.Scalar() + " is " +
                                           shown(pair.second) + " where one value belongs");
    config.node.labels[pair.first.Scalar()] = pair.second.Scalar();
  }
  return {};
}

Status apply_join(const YAML::Node& node, Config& config) {
  if (!node.IsSequence())
    return fail(ErrorCode::kInvalid,
                shown(node) + " where a list of hosts belongs: [10.0.0.1, nas.lan]");
  if (node.size() > kMaxSeeds) return fail(ErrorCode::kInvalid, "more than 1024 hosts");
  for (const auto& item : node) {
    auto text = scalar(item);
    if (!text) return fail(text.error());
    if (auto parsed = parse_host_port(*text, 7117); !parsed) return fail(parsed.error());
    config.join.push_back(*text);
  }
  return {};
}

Status apply_engine(const YAML::Node& node, Config& config) {
  auto text = scalar(node);
  if (!text) return fail(text.error());
  constexpr std::string_view kScheme = "unix://";
  if (*text == "none") {
    config.engine.docker_socket.clear();
  } else if (text->starts_with(kScheme) && text->size() > kScheme.size() &&
             (*text)[kScheme.size()] == '/') {
    config.engine.docker_socket = text->substr(kScheme.size());
  } else {
    return fail(ErrorCode::kInvalid,
                *text + " is neither `none` nor a socket like unix:///var/run/docker.sock");
  }
  return {};
}

Status apply_path(const YAML::Node& node, std::string& out, size_t longest) {
  auto text = scalar(node);
  if (!text) return fail(text.error());
  if (text->empty() || text->front() != '/')
    return fail(ErrorCode::kInvalid, "`" + *text + "` is no absolute path");
  if (text->size() > longest)
    return fail(ErrorCode::kInvalid, *text + " is longer than the " + std::to_string(longest) +
                                         " bytes that a path may have here");
  out = *text;
  return {};
}

Status apply_listen(const YAML::Node& node, Config& config) {
  auto text = scalar(node);
  if (!text) return fail(text.error());
  if (*text == "off" || *text == "false") {  // YAML 1.1 reads `off` as a boolean
    config.api.listen.clear();
    return {};
  }
  auto parsed = parse_host_port(*text, 0);
  if (!parsed || parsed->port == 0 || !is_address(parsed->host))
    return fail(ErrorCode::kInvalid, *text + " is neither `off` nor address:port");
  config.api.listen = *text;
  return {};
}

template <class Assign>
Entry numeric(std::string path, uint64_t fallback, uint64_t least, uint64_t most, Assign assign) {
  return {std::move(path), std::to_string(fallback),
          [least, most, assign](const YAML::Node& node, Config& config) -> Status {
            auto value = number(node, least, most);
            if (!value) return fail(value.error());
            assign(config, *value);
            return {};
          }};
}

Entry choice(std::string path, std::vector<std::string> choices, auto assign) {
  std::string fallback = choices.front();
  return {std::move(path), std::move(fallback),
          [choices = std::move(choices), assign](const YAML::Node& node, Config& config) -> Status {
            auto value = one_of(node, choices);
            if (!value) return fail(value.error());
            assign(config, *value);
            return {};
          }};
}

std::vector<Entry> schema() {
  std::vector<Entry> all;
  all.push_back({"cluster", "home", [](const YAML::Node& node, Config& config) -> Status {
                   auto text = scalar(node);
                   if (!text) return fail(text.error());
                   if (text->empty() || text->size() > 63)
                     return fail(ErrorCode::kInvalid, "`" + *text + "` has not 1 to 63 characters");
                   config.cluster = *text;
                   return {};
                 }});
  all.push_back({"key", "", [](const YAML::Node& node, Config& config) -> Status {
                   auto text = scalar(node);
                   if (!text) return fail(text.error());
                   return set_key(*text, config);
                 }});
  all.push_back({"key_file", "", [](const YAML::Node& node, Config& config) -> Status {
                   std::string path;
                   if (auto ok = apply_path(node, path, 4095); !ok) return ok;
                   return read_key_file(path, config);
                 }});
  all.push_back({"join", "[]", apply_join});
  all.push_back({"data_dir", "/var/lib/kith", [](const YAML::Node& node, Config& config) {
                   return apply_path(node, config.data_dir, 4000);
                 }});
  all.push_back({"node.name", "auto", apply_name});
  all.push_back({"node.address", "auto", apply_address});
  all.push_back({"node.labels", "{}", apply_labels});
  all.push_back({"node.weight", "auto", [](const YAML::Node& node, Config& config) -> Status {
                   if (node.IsScalar() && node.Scalar() == "auto") return {};
                   auto value = number(node, 1, 1000);
                   if (!value)
                     return fail(ErrorCode::kInvalid, value.error().message + ", or `auto`");
                   config.node.weight = static_cast<uint32_t>(*value);
                   return {};
                 }});
  all.push_back(numeric("gossip.port", 7117, 1, 65535, [](Config& config, uint64_t value) {
    config.gossip.port = static_cast<uint16_t>(value);
  }));
  all.push_back(choice("gossip.profile", {"lan", "wan", "edge"},
                       [](Config& config, const std::string& v) { config.gossip.profile = v; }));
  for (const SwimKnob& knob : swim_knobs()) {
    all.push_back(numeric(
        "gossip." + knob.name, knob.get(SwimConfig::lan()), knob.least, knob.most,
        [name = knob.name](Config& config, uint64_t value) { config.gossip.knobs[name] = value; }));
  }
  all.push_back({"engine.docker", "unix:///var/run/docker.sock", apply_engine});
  all.push_back({"api.socket", "/run/kith/docker.sock", [](const YAML::Node& node, Config& config) {
                   return apply_path(node, config.api.socket, 107);
                 }});
  all.push_back({"api.listen", "127.0.0.1:7118", apply_listen});
  all.push_back(choice("log.level", {"info", "trace", "debug", "warn", "error"},
                       [](Config& config, const std::string& v) { config.log.level = v; }));
  all.push_back(choice("log.format", {"text", "json"},
                       [](Config& config, const std::string& v) { config.log.format = v; }));
  return all;
}

/// The known key, or group of keys, that a mistyped one was likely meant to be.
std::string meant_by(const std::string& path, const std::vector<Entry>& entries) {
  std::vector<std::string> candidates;
  for (const Entry& entry : entries) {
    candidates.push_back(entry.path);
    if (const size_t dot = entry.path.find('.'); dot != std::string::npos)
      candidates.push_back(entry.path.substr(0, dot));
  }
  return nearest(path, candidates);
}

class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file), entries_(schema()) {
    config_.file = file;
  }

  Result<Config> read(const std::string& text) {
    YAML::Node root;
    try {
      root = YAML::Load(text);
      if (!root.IsMap())
        return fail(ErrorCode::kInvalid, file_ + ": holds no keys; `kith init` makes a file");
      group(root, "");
    } catch (const YAML::Exception& fault) {
      return fail(ErrorCode::kInvalid,
                  file_ + ":" + std::to_string(fault.mark.line + 1) + ": not YAML: " + fault.msg);
    }
    require();
    if (!faults_.empty()) {
      std::string all;
      for (const std::string& fault : faults_) all += (all.empty() ? "" : "\n") + fault;
      return fail(ErrorCode::kInvalid, all);
    }
    return config_;
  }

 private:
  void fault(const YAML::Node& at, const std::string& path, const std::string& message) {
    faults_.push_back(file_ + ":" + std::to_string(at.Mark().line + 1) + ": " + path + ": " +
                      message);
  }

  void group(const YAML::Node& node, const std::string& prefix) {
    for (const auto& pair : node) {
      const std::string path = prefix + shown(pair.first);
      if (!seen_.insert(path).second) {
        fault(pair.first, path, "stands twice; keep one of them");
        continue;
      }
      const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                      [&](const Entry& e) { return e.path == path; });
      if (entry != entries_.end()) {
        if (pair.second.IsNull()) continue;  // `labels:` with nothing behind it
        if (auto ok = entry->apply(pair.second, config_); !ok)
          fault(pair.second, path, ok.error().message);
        continue;
      }
      const bool is_group = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) {
        return e.path.starts_with(path + ".");
      });
      if (!is_group) {
        const std::string near = meant_by(path, entries_);
        fault(pair.first, path,
              near.empty() ? "no such key; config/kith.yaml lists them all"
                           : "no such key; did you mean `" + near + "`?");
      } else if (pair.second.IsMap()) {
        group(pair.second, path + ".");
      } else if (!pair.second.IsNull()) {
        fault(pair.second, path, shown(pair.second) + " where a group of keys belongs");
      }
    }
  }

  void require() {
    if (!seen_.contains("cluster"))
      faults_.push_back(file_ +
                        ": cluster: missing; give the cluster a name, the same on every host");
    const bool key = seen_.contains("key");
    const bool key_file = seen_.contains("key_file");
    if (!key && !key_file)
      faults_.push_back(file_ + ": key: missing; `kith init` makes one, the same on every host");
    if (key && key_file)
      faults_.push_back(file_ + ": key_file: stands beside key; keep one of them");
  }

  std::string file_;
  std::vector<Entry> entries_;
  Config config_;
  std::set<std::string> seen_;
  std::vector<std::string> faults_;
};

}  // namespace

std::vector<ConfigKey> config_keys() {
  std::vector<ConfigKey> keys;
  for (const Entry& entry : schema()) keys.push_back({entry.path, entry.fallback});
  return keys;
}

Result<Config> load_config(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return fail(ErrorCode::kNotFound, path + ": cannot be read: " + std::strerror(errno) +
                                          "; `kith init > kith.yaml` makes a file");
  std::string text;
  std::vector<char> chunk(4096);
  while (in && text.size() <= kMaxFile) {
    in.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    text.append(chunk.data(), static_cast<size_t>(in.gcount()));
  }
  if (text.size() > kMaxFile) return fail(ErrorCode::kTooLarge, path + ": larger than 1 MiB");
  auto config = parse_config(text, path);
  if (!config) return config;
  struct stat info {};
  if (text.find("\nkey:") != std::string::npos && stat(path.c_str(), &info) == 0 &&
      (info.st_mode & S_IROTH) != 0)
    config->warnings.push_back("key: everybody on this host can read " + path +
                               "; mend: chmod 600 " + path);
  return config;
}

Result<Config> parse_config(const std::string& text, const std::string& file) {
  return Reader(file).read(text);
}

Result<Endpoint> parse_host_port(std::string_view text, uint16_t fallback_port) {
  const auto bad = [&] {
    return fail(ErrorCode::kInvalid,
                "`" + std::string(text) + "` is no host, host:port or [address]:port");
  };
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return bad();
    host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') return bad();
    if (!rest.empty()) port = rest.substr(1);
    if (!rest.empty() && port.empty()) return bad();
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    host = text.substr(0, text.find(':'));
    port = text.substr(text.find(':') + 1);
    if (port.empty()) return bad();
  }
  uint16_t number = fallback_port;
  if (!port.empty()) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc{} || end != port.data() + port.size() || number == 0) return bad();
  }
  if (host.empty() || host.size() > 253 || host.find_first_of(" \t/") != std::string_view::npos)
    return bad();
  return Endpoint{std::string(host), number};
}

std::string initial_config(const std::string& cluster, const std::array<uint8_t, 32>& key) {
  std::ostringstream out;
  out << "# kith: the same file on every host. Keep it to yourself: who has the key is in.\n"
         "cluster: "
      << cluster
      << "\n"
         "key: "
      << to_base64(key)
      << "\n"
         "join: []          # addresses or names of some of the hosts, for instance [10.0.0.1, "
         "nas.lan]\n"
         "data_dir: /var/lib/kith\n"
         "# Every other key, with its default and when to change it: config/kith.yaml\n";
  return out.str();
}

}  // namespace kith
