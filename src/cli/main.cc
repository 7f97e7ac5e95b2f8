#include "cli/main.h"

#include <cstdio>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/suggest.h"
#include "cli/commands.h"

namespace kith {
namespace {

struct Options {
  std::string socket;
  std::string format = "table";
  std::string config = "/etc/kith/kith.yaml";
  std::string cluster = "home";
  std::string slot;
  std::string since;
  std::string file;
  std::vector<std::string> names;
  bool check = false;
  bool follow = false;
  bool all = false;
  bool keep_running = false;
  bool force = false;

  [[nodiscard]] AgentClient agent() const { return AgentClient(socket_path(socket)); }
  [[nodiscard]] Format shape() const { return format == "json" ? Format::kJson : Format::kTable; }
};

// Commands set `run`, which is called once everything has been understood.
class CommandLine {
 public:
  explicit CommandLine(const CliHooks& hooks) : hooks_(hooks) {
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.add_option("--socket", options_.socket,
                    "The agent's socket; else KITH_SOCKET, else /run/kith/docker.sock");
    app_.set_version_flag("--version", "kith " KITH_VERSION);
    host_commands();
    cluster_commands();
    key_commands();
    table_commands();
  }

  int run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
      if (e.get_exit_code() == 0) return app_.exit(e);
      std::fprintf(stderr, "kith: %s\n", misunderstood(e).c_str());
      return 2;
    }
    return run_();
  }

 private:
  /// What was not understood, what may have been meant, and where more is said.
  std::string misunderstood(const CLI::ParseError& e) const {
    const CLI::App* at = &app_;
    std::string path = "kith";
    while (!at->get_subcommands().empty()) {
      at = at->get_subcommands().front();
      path += " " + at->get_name();
    }
    const std::string more = "`" + path + " --help` says more";
    const auto strange = app_.remaining(true);
    if (strange.empty()) return std::string(e.what()) + "; " + more;
    std::vector<std::string> names;
    for (const CLI::App* command : at->get_subcommands([](const CLI::App*) { return true; }))
      names.push_back(command->get_name());
    const std::string meant = nearest(strange.front(), names);
    return "'" + strange.front() + "' is not understood here; " +
           (meant.empty() ? "" : "did you mean `" + path + " " + meant + "`? ") + more;
  }
  CLI::App* add(CLI::App& parent, const char* name, const char* help, std::function<int()> run) {
    CLI::App* command = parent.add_subcommand(name, help);
    command->fallthrough();
    command->callback([this, run = std::move(run)] { run_ = run; });
    return command;
  }
  CLI::App* add_table(CLI::App& parent, const char* name, const char* help,
                      std::function<int()> run) {
    CLI::App* command = add(parent, name, help, std::move(run));
    command->add_option("--format", options_.format, "table or json")
        ->check(CLI::IsMember({"table", "json"}));
    return command;
  }
  CLI::App& group(const char* name, const char* help) {
    CLI::App* out = app_.add_subcommand(name, help);
    out->require_subcommand(1);
    out->fallthrough();
    return *out;
  }

  void host_commands() {
    Options& o = options_;
    CLI::App* agent = add(app_, "agent", "Run the agent of this host",
                          [this] { return hooks_.agent(options_.config, options_.check); });
    agent->add_option("--config", o.config, "The configuration file, the same on every host")
        ->capture_default_str();
    agent->add_flag("--check", o.check, "Only say whether the configuration is sound");
    CLI::App* init = add(app_, "init", "Print a configuration with a fresh cluster key",
                         [this] { return hooks_.init(options_.cluster); });
    init->add_option("--cluster", o.cluster, "The cluster's name")->capture_default_str();
    add(app_, "version", "Print the version", [] {
      std::puts("kith " KITH_VERSION);
      return 0;
    });
    CLI::App* leave = add(app_, "leave", "Take this host out of the cluster, and end its agent",
                          [&o] { return leave_cluster(o.agent(), o.keep_running); });
    leave->add_flag("--keep-running", o.keep_running, "Leave the containers as they are");
  }

  void cluster_commands() {
    Options& o = options_;
    add_table(app_, "status", "How this host sees the cluster",
              [&o] { return show_status(o.agent(), o.shape()); });
    CLI::App& node = group("node", "Hosts of the cluster");
    add_table(node, "ls", "List the hosts", [&o] { return list_nodes(o.agent(), o.shape()); });
    CLI::App* node_rm = add(node, "rm", "Forget hosts that are dead or have left",
                            [&o] { return remove_nodes(o.agent(), o.names, o.force); });
    node_rm->add_option("NODE", o.names, "Names or ids")->required();
    node_rm->add_flag("-f,--force", o.force,
                      "Whatever its state, and ban it: no host answers it again, and the cluster's "
                      "key is rotated without it");
    CLI::App& service = group("service", "Services of the cluster");
    add_table(service, "ls", "List the services",
              [&o] { return list_services(o.agent(), o.shape()); });
    add_table(service, "ps", "List the tasks of services",
              [&o] { return list_service_tasks(o.agent(), o.names, o.shape()); })
        ->add_option("SERVICE", o.names, "Names or ids")
        ->required();
  }

  void key_commands() {
    Options& o = options_;
    CLI::App& key = group("key", "The cluster's keys: one seals, the others only read");
    add_table(key, "ls", "List the keys, and which hosts lack each",
              [&o] { return list_keys(o.agent(), o.shape()); });
    add(key, "rotate", "Replace the key: add, use and rm in their order, as it is safe",
        [&o] { return rotate_keys(o.agent()); });
    add(key, "add", "Hand out a further key, which only reads for now", [&o] {
      return add_key(o.agent(), o.file);
    })->add_option("FILE", o.file, "Holds the key, 32 bytes in base64; without it, a fresh one");
    CLI::App* use = add(key, "use", "Seal with this key from now on",
                        [&o] { return use_key(o.agent(), o.slot, o.force); });
    use->add_option("ID", o.slot, "The key's id, or its beginning")->required();
    use->add_flag("-f,--force", o.force,
                  "Even if hosts that are here lack it: they are cut off "
                  "until they have fetched it");
    CLI::App* rm = add(key, "rm", "Forget keys that nobody needs any more",
                       [&o] { return remove_keys(o.agent(), o.names, o.force); });
    rm->add_option("ID", o.names, "Ids, or their beginnings")->required();
    rm->add_flag("-f,--force", o.force,
                 "Even if hosts may have no newer one: these come back only "
                 "with the new key in their kith.yaml");
  }

  void table_commands() {
    Options& o = options_;
    add_table(app_, "ps", "List the containers of the whole cluster", [&o] {
      return list_containers(o.agent(), o.all, o.shape());
    })->add_flag("-a,--all", o.all, "Those that have ended too");
    add_table(app_, "explain", "Say why a slot runs where it does, or what it waits for",
              [&o] { return explain_slot(o.agent(), o.slot, o.shape()); })
        ->add_option("SLOT", o.slot, "Such as web.2")
        ->required();
    CLI::App* events = add_table(app_, "events", "What happened in the cluster", [&o] {
      return show_events(o.agent(), o.follow, o.since, o.shape());
    });
    events->add_flag("-f,--follow", o.follow, "Go on as it happens");
    events->add_option("--since", o.since, "A time, or a span such as 10m");
    add_table(app_, "conflicts", "Edits that lost against one they did not know of",
              [&o] { return list_conflicts(o.agent(), o.shape()); });
  }

  const CliHooks& hooks_;
  Options options_;
  CLI::App app_{"kith: Docker hosts as one cluster with nobody in charge"};
  std::function<int()> run_ = [] { return 2; };
};

}  // namespace

int run_cli(int argc, char** argv, const CliHooks& hooks) {
  try {
    return CommandLine(hooks).run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kith: %s\n", e.what());
    return 1;
  }
}

}  // namespace kith
