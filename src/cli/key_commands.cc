// `kith key ...`

#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>

#include "api/json.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "io/http.h"

namespace kith {
namespace {

constexpr auto kLook = std::chrono::milliseconds(200);
constexpr int kLooksForPrimary = 150;  ///< 30 s
constexpr int kLooksForEnd = 15;       ///< 3 s of them with it as the primary

int fail_with(const Error& error) {
  std::fprintf(stderr, "kith: %s\n", error.message.c_str());
  return 1;
}

std::string names(const Json& list) {
  std::string out;
  for (const Json& name : list) out += (out.empty() ? "" : ", ") + text_of(&name);
  return out;
}

Result<Json> keys_of(const AgentClient& agent) {
  const auto body = agent.ask("GET", "/kith/v1/keys");
  if (!body) return fail(body.error());
  // Trusted, and longer than what parse_json lets in from outside.
  Json keys = Json::parse(*body, nullptr, false);
  if (!keys.is_array()) return fail("the agent's answer is no list of keys");
  return keys;
}

/// The id the agent answered with, printed; or the exit status of its refusal.
int print_id(const Result<std::string>& answer) {
  if (!answer) return fail_with(answer.error());
  const auto json = parse_json(*answer);
  if (!json) return fail_with(json.error());
  std::printf("%s\n", text_of(member(*json, "id")).c_str());
  return 0;
}

std::string use_of(const Json& key) {
  if (key["primary"] == true) return "primary";
  if (key["next"] == true) return "next";
  return key["leaving"] == true ? "leaving" : "reads";
}

/// How far a rotation to key `id` has come.
struct Progress {
  bool primary = false;
  bool alone = false;     ///< no other key is on its way out
  std::string lacking;    ///< who has not said to have it
  std::string needed_by;  ///< who may have none but an older one
};

Progress progress_of(const Json& keys, const std::string& id) {
  Progress out;
  bool leaving = false;
  for (const Json& key : keys) {
    if (key["id"] == id) {
      out.primary = key["primary"] == true;
      out.lacking = names(key["lacking"]);
    } else if (key["leaving"] == true) {
      leaving = true;
      out.needed_by = names(key["needed_by"]);
    }
  }
  out.alone = out.primary && !leaving;
  return out;
}

}  // namespace

int list_keys(const AgentClient& agent, Format format) {
  const auto keys = keys_of(agent);
  if (!keys) return fail_with(keys.error());
  if (format == Format::kJson) {
    std::printf("%s\n", keys->dump(2).c_str());
    return 0;
  }
  Table table({"ID", "CREATED", "USE", "LACKING"});
  for (const Json& key : *keys) {
    const std::string created = text_of(member(key, "created"));
    table.add({text_of(member(key, "id")), created.empty() ? "kith.yaml" : created, use_of(key),
               names(key["lacking"])});
  }
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

int add_key(const AgentClient& agent, const std::string& file) {
  std::string key;
  if (!file.empty()) {
    std::ifstream in(file);
    std::stringstream all;
    if (!(all << in.rdbuf()))
      return fail_with({ErrorCode::kInvalid,
                        file + ": cannot be read, or is empty; it must hold 32 bytes in base64"});
    key = all.str();
  }
  auto answer = agent.ask("POST", "/kith/v1/keys", key);
  if (!answer && !file.empty()) answer.error().message = file + ": " + answer.error().message;
  return print_id(answer);
}

int use_key(const AgentClient& agent, const std::string& id, bool force) {
  return print_id(agent.ask(
      "POST", "/kith/v1/keys/" + percent_encode(id) + "/use" + (force ? "?force=1" : "")));
}

int remove_keys(const AgentClient& agent, const std::vector<std::string>& ids, bool force) {
  int worst = 0;
  for (const std::string& id : ids)
    worst |= print_id(
        agent.ask("DELETE", "/kith/v1/keys/" + percent_encode(id) + (force ? "?force=1" : "")));
  return worst;
}

int rotate_keys(const AgentClient& agent) {
  const auto answer = agent.ask("POST", "/kith/v1/keys/rotate");
  if (const int status = print_id(answer); status != 0) return status;
  const std::string id = text_of(member(*parse_json(*answer), "id"));
  Progress now;
  for (int look = 0, since = 0; look < kLooksForPrimary && since < kLooksForEnd; ++look) {
    const auto keys = keys_of(agent);
    if (!keys) return fail_with(keys.error());
    now = progress_of(*keys, id);
    if (now.alone) break;
    if (now.primary) ++since;
    std::this_thread::sleep_for(kLook);
  }
  if (now.alone)
    std::puts(
        "It is the only key now. Hosts still to come need it in their kith.yaml: it stands in "
        "DATA_DIR/key of every host.");
  else if (now.primary)
    std::printf(
        "It seals from now on. The old one stays, only to read, until %s has taken up the new one "
        "or was removed (`kith node rm`); then it goes by itself.\n",
        now.needed_by.c_str());
  else
    std::printf(
        "It waits for %s, which is here but has not stored it yet; then it becomes the primary by "
        "itself (`kith key ls`).\n",
        now.lacking.c_str());
  return 0;
}

}  // namespace kith
