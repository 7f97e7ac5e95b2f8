#include "sim_host.h"

#include <algorithm>
#include <utility>

namespace kith::sim {
namespace {

constexpr Duration kLate = std::chrono::milliseconds(20);
constexpr Duration kTimerTick = std::chrono::milliseconds(1);
constexpr int64_t kWallAtStart = 1'780'000'000'000;

Identity identity_of(Rng& rng) {
  Identity::Seed seed{};
  for (uint8_t& byte : seed) byte = static_cast<uint8_t>(rng.below(256));
  return Identity::from_seed(seed);
}

}  // namespace

Now Clocks::read(Instant virtual_now) const {
  const int64_t ns = virtual_now.time_since_epoch().count();
  const int64_t mine = ns + ns / 1'000'000 * drift_ppm;
  return {Instant(Duration(mine) + boot_offset),
          WallTime{kWallAtStart + ns / 1'000'000 + wall_offset_ms}};
}

Instant Clocks::when(Instant mono) const {
  if (mono == kNever) return kNever;
  const int64_t mine = (mono.time_since_epoch() - boot_offset).count();
  int64_t ns = mine - mine / 1'000'000 * drift_ppm;
  while (read(Instant(Duration(ns))).mono < mono) ns += 1'000;
  return Instant(Duration(ns));
}

SimHost::SimHost(size_t index, EventQueue& queue, Network& network, HostObserver& observer, Rng rng)
    : index_(index),
      queue_(&queue),
      network_(&network),
      observer_(&observer),
      rng_(rng),
      name_("n" + std::to_string(index + 1)),
      identity_(identity_of(rng_)),
      disk_(queue, rng_.split(),
            [this](const StoreBatch& batch) { observer_->persisted(index_, batch); }),
      engine_(
          queue, rng_.split(), [this] { observer_->stepped(index_); },
          [this](const ContainerInfo& ending) { observer_->stopping(index_, ending); }) {}

// --- The agent's life --------------------------------------------------------------------------

void SimHost::start_agent(const ClusterKey& key) {
  if (!up_ || node_) return;
  ++life_;
  epoch_ = disk_.next_epoch();
  held_.clear();
  datagrams_held_ = 0;
  armed_ = kNever;
  frozen_since_.reset();
  const Endpoint own = address.value_or(Network::address(index_));
  NodeSetup setup{"sim", identity_, KeyRing(key), name_,  own,         labels,      0,
                  true,  {},        swim,         epoch_, rng_.next(), disk_.load()};
  for (const Endpoint& seed : seeds)
    if (seed != setup.address) setup.seeds.push_back(seed);
  setup.verified = verified;
  setup.placements = placements;
  NodeEffects effects;
  node_ = std::make_unique<Node>(std::move(setup), rng_.split(), now(), effects);
  carry_out(std::move(effects));
  engine_.attach([this](HostEvent event) {
    take([event = std::move(event)](Node& node, Now now, NodeEffects& out) {
      node.host(event, now, out);
    });
  });
  turn();
}

void SimHost::end_agent(bool silent) {
  ++life_;
  ++timer_;
  node_.reset();
  held_.clear();
  frozen_since_.reset();
  disk_.crash();
  network_->drop_streams(index_, silent);
}

void SimHost::kill_agent() {
  if (!node_) return;
  engine_.detach();
  end_agent(false);
  observer_->stepped(index_);
}

void SimHost::crash() {
  if (!up_) return;
  up_ = false;
  end_agent(true);
  engine_.crash();
  observer_->stepped(index_);
}

void SimHost::boot() {
  up_ = true;
}

void SimHost::lose_disk() {
  if (node_) return;
  disk_.lose();
  identity_ = identity_of(rng_);
  ++identities_;
  clone_ = false;
  observer_->disk_lost(index_);
}

void SimHost::become(const SimHost& other) {
  kill_agent();
  observer_->disk_lost(index_);
  disk_.copy(other.disk_);
  identity_ = other.identity_;
  ++identities_;
  clone_ = true;
}

void SimHost::freeze() {
  if (node_ && !frozen_since_) frozen_since_ = queue_->now();
}

void SimHost::thaw() {
  if (!frozen_since_) return;
  frozen_since_.reset();
  if (!node_) return;
  std::deque<Input> held = std::exchange(held_, {});
  datagrams_held_ = 0;
  wake();
  for (Input& input : held) {
    NodeEffects effects;
    if (!node_) return;
    input(*node_, now(), effects);
    carry_out(std::move(effects));
  }
  if (node_) turn();
}

// --- The driver --------------------------------------------------------------------------------

void SimHost::take(Input input) {
  if (!node_) return;
  if (frozen_since_) {
    held_.push_back(std::move(input));
    return;
  }
  wake();
  NodeEffects effects;
  input(*node_, now(), effects);
  carry_out(std::move(effects));
  if (node_) turn();
}

void SimHost::wake() {
  const Now read = now();
  if (armed_ == kNever || read.mono <= armed_ + kLate) return;
  const Duration lag = read.mono - armed_;
  armed_ = kNever;  // told once
  node_->stalled(lag, read);
}

void SimHost::turn() {
  NodeEffects effects;
  node_->advance(now(), effects);
  carry_out(std::move(effects));
  if (!node_) return;
  arm();
  observer_->stepped(index_);
}

void SimHost::arm() {
  armed_ = node_->next_deadline();
  const uint64_t timer = ++timer_;
  if (armed_ == kNever) return;
  armed_ = std::max(armed_, now().mono);
  const Instant due = std::max(clocks_.when(armed_), queue_->now());
  const auto ticks = (due - queue_->now() + kTimerTick - Duration(1)) / kTimerTick;
  queue_->after(std::max<int64_t>(1, ticks) * kTimerTick, [this, timer] {
    if (timer != timer_ || !node_) return;
    ++wakeups_;
    take([](Node&, Now, NodeEffects&) {});
  });
}

void SimHost::carry_out(NodeEffects effects) {
  for (const SendDatagram& datagram : effects.datagrams)
    network_->send(index_, datagram.to, datagram.bytes);
  for (StreamCommand& command : effects.streams) {
    if (const auto* open = std::get_if<StreamOpen>(&command))
      network_->open(index_, open->stream, open->to);
    else if (auto* write = std::get_if<StreamWrite>(&command))
      network_->write(index_, write->stream, std::move(write->bytes));
    else if (const auto* close = std::get_if<StreamClose>(&command))
      network_->close(index_, close->stream);
  }
  for (Persist& persist : effects.persists) {
    disk_.write(std::move(persist), [this, life = life_](uint64_t number, const Status& status) {
      if (life != life_) return;
      take([number, status](Node& node, Now now, NodeEffects& out) {
        node.written(number, status, now, out);
      });
    });
  }
  for (const HostCommand& command : effects.commands) {
    if (const auto* start = std::get_if<StartTask>(&command)) observer_->starting(index_, *start);
    engine_.run(command);
  }
  for (const ClusterEvent& event : effects.events) observer_->event(index_, event);
  for (const EditDone& done : effects.edits) observer_->edit_done(index_, done.edit, done.outcome);
  if (!effects.stop) return;
  const std::string why = *effects.stop;
  // What was just said still has to leave; the streams end in order.
  queue_->after(Duration(0), [this, life = life_, why] {
    if (life != life_) return;
    kill_agent();
    observer_->stopped(index_, why);
  });
}

// --- Input -------------------------------------------------------------------------------------

uint64_t SimHost::edit(Edit edit) {
  uint64_t number = 0;
  take([&number, &edit](Node& node, Now, NodeEffects&) { number = node.edit(std::move(edit)); });
  return number;
}

void SimHost::leave(bool keep_running) {
  take([keep_running](Node& node, Now now, NodeEffects& out) {
    node.leave(keep_running, now, out);
  });
}

void SimHost::datagram(const Endpoint& from, Bytes bytes) {
  if (frozen_since_ && ++datagrams_held_ > kMaxDatagramsHeld) return;
  take([from, bytes = std::move(bytes)](Node& node, Now now, NodeEffects& out) {
    node.datagram(from, bytes, now, out);
  });
}

uint64_t SimHost::accept() {
  const uint64_t stream = next_accepted_;
  next_accepted_ += 2;
  take([stream](Node& node, Now now, NodeEffects& out) { node.stream_accepted(stream, now, out); });
  return stream;
}

void SimHost::connected(uint64_t stream) {
  take(
      [stream](Node& node, Now now, NodeEffects& out) { node.stream_connected(stream, now, out); });
}

void SimHost::data(uint64_t stream, Bytes bytes) {
  take([stream, bytes = std::move(bytes)](Node& node, Now now, NodeEffects& out) {
    node.stream_data(stream, bytes, now, out);
  });
}

void SimHost::closed(uint64_t stream, const std::string& why) {
  const auto code = why == "connection refused" ? ErrorCode::kRefused : ErrorCode::kUnavailable;
  take([stream, error = Error{code, why}](Node& node, Now now, NodeEffects& out) {
    node.stream_closed(stream, error, now, out);
  });
}

}  // namespace kith::sim
