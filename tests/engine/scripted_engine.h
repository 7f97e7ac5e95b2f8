#pragma once

#include <functional>
#include <list>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "io/http_server.h"
#include "io/loop.h"
#include "io/timer.h"

namespace kith::test {

/// What an engine may do instead of answering as it should.
enum class Fault {
  kNone,
  kError,    ///< 500 with words
  kHalf,     ///< half an answer, then the end
  kNever,    ///< no answer, the connection stays
  kGarbage,  ///< no HTTP
  kNoJson,   ///< an answer of the right status that is not what it should be
  kClose,    ///< the connection ends without an answer
};

/// A fault for the requests whose `METHOD path` holds `where`, this many times.
struct Rule {
  std::string where;
  Fault fault = Fault::kError;
  int times = 1;
  bool done = false;  ///< what was asked happens all the same, before the fault
  Duration late{};    ///< ... or this much later, with nobody listening
  int status = 500;
  std::string words = "the engine is unwell";
};

/// An engine without containers behind it: it keeps the books, and lies where told to.
class ScriptedEngine {
 public:
  struct Container {
    std::string id;
    std::string name;
    nlohmann::json labels;
    std::string image;
    std::string state = "created";
    int exit_code = 0;
    std::string posted;  ///< what it was created with
  };

  explicit ScriptedEngine(Loop& loop);
  ~ScriptedEngine();
  ScriptedEngine(const ScriptedEngine&) = delete;
  ScriptedEngine& operator=(const ScriptedEngine&) = delete;

  [[nodiscard]] const std::string& socket() const { return socket_; }
  /// Closes every connection and the socket; `up` is an engine that starts again.
  void down();
  void up();

  /// Every rule is tried in turn, the first that fits takes it.
  std::list<Rule> rules;
  std::map<std::string, Container> containers;  ///< by id
  std::set<std::string> images{"box"};
  /// What a pull says, line by line; the image is there after the last, unless one is an error.
  std::vector<std::string> pull_lines;
  bool pull_ends = true;             ///< else it is silent after the last line
  std::vector<std::string> asked;    ///< `METHOD target` of every request, in order
  std::vector<std::string> headers;  ///< X-Registry-Auth of every pull
  size_t most_running = 0;           ///< of one slot at one instant

  /// Adds a container as an agent before this one made it.
  std::string put(const std::string& task, uint32_t slot, const std::string& state,
                  int exit_code = 0);
  /// The container ends by itself.
  void die(const std::string& id, int exit_code, bool tell = true);
  void say(const std::string& id, const std::string& action);
  void say_raw(const std::string& text);  ///< to those who follow the events
  void cut_events();
  void answer_held();  ///< what was never to be answered, but for pulls
  void say_to_pulls(const std::string& text);
  void end_pulls(const std::string& image);
  [[nodiscard]] bool followed() const { return !followers_.empty(); }
  [[nodiscard]] size_t count(const std::string& where) const;
  [[nodiscard]] size_t running() const;

 private:
  void handle(const ExchangePtr& exchange);
  /// Does what was asked; the answer's status and body.
  std::pair<int, std::string> act(const std::string& method, const std::string& target,
                                  const std::string& body);
  std::pair<int, std::string> create(const std::string& name, const std::string& body);
  void fail(const ExchangePtr& exchange, Rule rule, std::pair<int, std::string> answer);
  void pull(const ExchangePtr& exchange);
  Container* find(const std::string& id_or_name);
  void remove(const std::string& id);
  void note_running();

  Loop& loop_;
  std::string dir_;
  std::string socket_;
  int next_id_ = 1;
  std::vector<ExchangePtr> held_;
  std::vector<ExchangePtr> followers_;
  std::vector<ByteStream> broken_;
  std::vector<std::unique_ptr<Timer>> timers_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace kith::test
