#include "agent/agent.h"

#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <utility>

#include "agent/host_address.h"
#include "agent/host_tuning.h"
#include "agent/identity_file.h"
#include "agent/log.h"
#include "membership/knobs.h"

namespace kith {
namespace {

/// A wake-up this late lets the loop read what waits before any timer of the Node fires.
constexpr Duration kLate = std::chrono::milliseconds(20);
/// From the start until the agent uses only what it will go on using.
constexpr Duration kSettled = std::chrono::seconds(30);
/// Who leaves for good waits this long for the engine to remove what has ended.
constexpr Duration kTidy = std::chrono::seconds(30);
constexpr Duration kTidyLook = std::chrono::milliseconds(50);

uint64_t draw() {
  uint64_t value = 0;
  randombytes_buf(&value, sizeof value);
  return value;
}

SwimConfig swim_config(const Config& config) {
  SwimConfig swim = *SwimConfig::profile(config.gossip.profile);
  for (const SwimKnob& knob : swim_knobs())
    if (const auto at = config.gossip.knobs.find(knob.name); at != config.gossip.knobs.end())
      knob.set(swim, at->second);
  return swim;
}

}  // namespace

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 && name[0] != 0 ? name : "localhost";
}

// --- Making ------------------------------------------------------------------------------------

Agent::Agent(Loop& loop, const Config& config, std::string name, std::string address)
    : loop_(loop),
      config_(config),
      name_(std::move(name)),
      address_(std::move(address)),
      timer_(loop,
             [this] {
               (void)wake();
               soon();
             }),
      settled_(loop, forget_start),
      tidying_(loop, [this] { finish(); }),
      resolver_(loop) {}

Agent::~Agent() {
  api_.reset();
  docker_.reset();
}

Result<std::unique_ptr<Agent>> Agent::open(Loop& loop, const Config& config) {
  auto address = choose_address(config.node.address);
  if (!address) return fail(config.file + ": " + address.error().message);
  const std::string name = config.node.name == "auto" ? host_name() : config.node.name;
  std::unique_ptr<Agent> agent(new Agent(loop, config, name, *address));
  if (auto started = agent->start(); !started) return fail(started.error());
  return agent;
}

Result<NodeSetup> Agent::set_up() {
  auto database = Database::open(config_.data_dir, config_.cluster, read_now().wall);
  if (!database) return fail(database.error());
  database_.emplace(std::move(*database));
  set_aside_ = database_->set_aside();
  if (!set_aside_.empty() && access(set_aside_.c_str(), F_OK) != 0) {
    if (auto accepted = database_->accept_loss(); !accepted) return fail(accepted.error());
    set_aside_.clear();
  }
  if (!set_aside_.empty())
    log_line(LogLevel::kError, "the database was damaged and is kept as " + set_aside_ +
                                   "; what it held comes back from the other hosts. Remove that "
                                   "file once all is there, and this is not said again");
  auto identity = load_identity(config_.data_dir);
  if (!identity) return fail(identity.error());
  auto loaded = database_->load();
  if (!loaded) return fail(loaded.error());

  // The ring outlives the database, as the identity does: without it nobody would answer.
  if (auto ring = load_ring(config_.data_dir); !loaded->meta.contains(std::string(kRingMeta)))
    if (!ring.empty()) loaded->meta[std::string(kRingMeta)] = std::move(ring);

  Epoch epoch = 1;
  if (const auto at = loaded->meta.find("epoch"); at != loaded->meta.end())
    epoch = std::strtoull(std::string(as_text(at->second)).c_str(), nullptr, 10) + 1;
  epoch = std::max(epoch, load_epoch(config_.data_dir) + 1);
  if (auto kept = save_epoch(config_.data_dir, epoch); !kept) return fail(kept.error());
  StoreBatch batch;
  const std::string text = std::to_string(epoch);
  batch.meta["epoch"] = Bytes(text.begin(), text.end());
  if (auto written = database_->write(batch); !written)
    return fail("data_dir: " + config_.data_dir + ": " + written.error().message);

  NodeSetup setup{config_.cluster,
                  std::move(*identity),
                  KeyRing(ClusterKey{config_.key}),
                  name_,
                  Endpoint{address_, config_.gossip.port},
                  config_.node.labels,
                  config_.node.weight,
                  !config_.engine.docker_socket.empty(),
                  {},
                  swim_config(config_),
                  epoch,
                  draw(),
                  std::move(*loaded)};
  setup.placements = std::make_shared<PlacementMemory>();
  for (const std::string& seed : config_.join) {
    auto endpoint = parse_host_port(seed, config_.gossip.port);
    if (!endpoint) return fail(endpoint.error());
    if (*endpoint != setup.address) setup.seeds.push_back(std::move(*endpoint));
  }
  return setup;
}

Status Agent::start() {
  auto setup = set_up();
  if (!setup) return fail(setup.error());
  auto udp = UdpSocket::open(loop_, setup->address, [this](const Endpoint& from, ByteView bytes) {
    node_->datagram(from, bytes, wake(), effects_);
    soon();
  });
  if (!udp) return fail(udp.error());
  udp_.emplace(std::move(*udp));
  auto listener =
      Listener::open(loop_, StreamAddress::at(setup->address), {}, [this](ByteStream stream) {
        const uint64_t number = next_accepted_;
        next_accepted_ += 2;
        attach(number, std::move(stream));
        node_->stream_accepted(number, wake(), effects_);
        soon();
      });
  if (!listener) return fail(listener.error());
  listener_.emplace(std::move(*listener));

  node_ = std::make_unique<Node>(std::move(*setup), Rng(draw()), read_now(), effects_);
  warn_of_keys();

  ApiConfig api;
  api.socket = config_.api.socket;
  if (!config_.api.listen.empty()) {
    auto endpoint = parse_host_port(config_.api.listen, 0);
    if (!endpoint) return fail(endpoint.error());
    api.listen = *endpoint;
  }
  auto server = ApiServer::open(loop_, *this, api);
  if (!server) return fail(server.error());
  api_ = std::move(*server);
  disk_ = std::make_unique<Worker>(loop_);
  return {};
}

void Agent::warn_of_keys() const {
  const Keys& keys = node_->keys();
  if (!keys.damage().empty())
    log_line(LogLevel::kError, "data_dir: " + config_.data_dir + ": " + keys.damage());
  const uint64_t primary = keys.ring().primary_id();
  if (keys.configured().id() == primary) return;
  log_line(LogLevel::kWarn, "the ring in " + config_.data_dir + " goes before the key of " +
                                config_.file + ": the cluster's key is " + key_id_text(primary) +
                                " now, and stands in " + config_.data_dir +
                                "/key; put it into the configuration of hosts still to come");
}

std::string Agent::run() {
  const auto quit = [this](int number) {
    log_line(LogLevel::kInfo, std::string("stopping on ") + strsignal(number) +
                                  "; containers go on, and are adopted at the next start");
    loop_.stop();
  };
  Signals signals(loop_, {SIGTERM, SIGINT}, quit);
  log_line(LogLevel::kInfo, "kith " KITH_VERSION ", node " + name_ + " (" + self().docker_id() +
                                ") of cluster " + config_.cluster + " at " + address_ + ":" +
                                std::to_string(config_.gossip.port) + ", Docker API at " +
                                config_.api.socket);
  if (!config_.engine.docker_socket.empty()) {
    docker_ = std::make_unique<DockerHost>(loop_, config_.engine.docker_socket,
                                           [this](const HostEvent& event) {
                                             node_->host(event, wake(), effects_);
                                             soon();
                                           });
    docker_->start();
  }
  settled_.start(kSettled);
  soon();
  loop_.run();
  return stop_reason_;
}

// --- One wake-up -------------------------------------------------------------------------------

Now Agent::wake() {
  const Now now = read_now();
  if (armed_ != kNever && now.mono > armed_ + kLate) {
    const Duration lag = now.mono - armed_;
    armed_ = kNever;  // told once
    node_->stalled(lag, now);
  }
  return now;
}

void Agent::soon() {
  if (turn_due_) return;
  turn_due_ = true;
  // Posted tasks run after every waiting socket was read: no timer of the Node fires before what
  // had arrived was taken in.
  loop_.post([this] { turn(); });
}

void Agent::turn() {
  turn_due_ = false;
  const Now now = wake();
  node_->advance(now, effects_);
  carry_out();
  arm();
}

void Agent::arm() {
  const Instant next = node_->next_deadline();
  if (next == kNever) {
    armed_ = kNever;
    timer_.stop();
    return;
  }
  // What is overdue already does not make the loop late.
  const Instant now = read_now().mono;
  armed_ = std::max(next, now);
  timer_.start(armed_ - now);
}

void Agent::carry_out() {
  NodeEffects effects = std::exchange(effects_, {});
  for (const SendDatagram& datagram : effects.datagrams) udp_->send(datagram.to, datagram.bytes);
  for (StreamCommand& command : effects.streams)
    std::visit([this](auto& one) { carry_out(one); }, command);
  for (Persist& persist : effects.persists) save(std::move(persist));
  if (docker_)
    for (HostCommand& command : effects.commands) docker_->run(std::move(command));
  for (const ClusterEvent& event : effects.events) publish(event);
  for (EditDone& done : effects.edits) {
    const auto at = waiting_edits_.find(done.edit);
    if (at == waiting_edits_.end()) continue;
    const Created callback = std::move(at->second);
    waiting_edits_.erase(at);
    callback(std::move(done.outcome));
  }
  if (!effects.stop || stopping_) return;
  stopping_ = true;
  stop_reason_ = *effects.stop;
  tidy_until_ = read_now().mono + (stop_reason_.empty() ? kTidy : Duration{});
  finish();
}

void Agent::finish() {
  if (docker_ && docker_->removing() && read_now().mono < tidy_until_)
    return tidying_.start(kTidyLook);
  for (const Done& done : farewells_) done({});
  farewells_.clear();
  // What was just answered still has to leave.
  loop_.post([this] { loop_.post([this] { loop_.stop(); }); });
}

// --- Disk --------------------------------------------------------------------------------------

void Agent::save(Persist persist) {
  const uint64_t id = persist.id;
  const bool queued = disk_->submit(
      [this, batch = std::move(persist.batch)]() -> Status {
        if (const auto at = batch.meta.find(std::string(kRingMeta)); at != batch.meta.end())
          if (auto kept = save_ring(config_.data_dir, at->second); !kept) return kept;
        return database_->write(batch);
      },
      [this, id](Status status) {
        if (!status) log_line(LogLevel::kError, "data_dir: " + status.error().message);
        node_->written(id, status, wake(), effects_);
        soon();
      });
  if (queued) return;
  loop_.post([this, id] {
    node_->written(id, fail(ErrorCode::kUnavailable, "the disk does not keep up"), wake(),
                   effects_);
    soon();
  });
}

}  // namespace kith
