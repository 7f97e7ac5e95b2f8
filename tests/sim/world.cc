#include "world.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/hash.h"

namespace kith::sim {
namespace {

constexpr Duration kLook = std::chrono::milliseconds(5);
constexpr size_t kMaxStory = 4'000;
constexpr size_t kMaxViolations = 20;
constexpr size_t kMaxSaid = 200'000;  ///< of a thousand hosts each tells of each

/// Epochs begin anew with an empty disk.
Epoch life_of(const SimHost& host) {
  return Epoch{host.identities()} << 32 | host.epoch();
}

ClusterKey draw_key(Rng& rng) {
  ClusterKey key;
  for (uint8_t& byte : key.secret) byte = static_cast<uint8_t>(rng.below(256));
  return key;
}

}  // namespace

World::World(uint64_t seed, size_t hosts)
    : seed_(seed),
      rng_(seed),
      network_(queue_, *this, rng_.split()),
      key_(draw_key(rng_)),
      checkers_(all_checkers()) {
  // Of every fourth seed each node works out its own: else nothing would show that they agree.
  if (seed % 4 != 0) placements_ = std::make_shared<PlacementMemory>();
  for (size_t i = 0; i < hosts; ++i) add_host();
}

World::~World() = default;

size_t World::add_host() {
  const size_t index = hosts_.size();
  hosts_.push_back(std::make_unique<SimHost>(index, queue_, network_,
                                             static_cast<HostObserver&>(*this), rng_.split()));
  SimHost& host = *hosts_.back();
  host.verified = verified_;
  host.placements = placements_;
  for (size_t seed = 0; seed < 3; ++seed) host.seeds.push_back(Network::address(seed));
  Clocks& clocks = host.clocks();
  clocks.boot_offset = std::chrono::milliseconds(rng_.below(100'000'000));
  clocks.drift_ppm = static_cast<int64_t>(rng_.below(101)) - 50;
  clocks.wall_offset_ms = static_cast<int64_t>(rng_.below(401)) - 200;
  return index;
}

void World::start_all() {
  for (size_t i = 0; i < size(); ++i) start(i);
}

// --- Time --------------------------------------------------------------------------------------

void World::run_for(Duration time) {
  const Instant end = now() + time;
  do {
    if (now() < next_check_) continue;
    next_check_ = now() + std::chrono::milliseconds(50);
    for (const auto& checker : checkers_) checker->now_and_then(*this);
  } while (queue_.step(end));
}

std::optional<Duration> World::run_until(const std::function<bool()>& condition, Duration limit) {
  const Instant start = now();
  while (!condition()) {
    if (now() - start >= limit) return std::nullopt;
    run_for(kLook);
  }
  return now() - start;
}

void World::freeze_for(size_t host, Duration time) {
  tell("freeze " + hosts_[host]->name());
  hosts_[host]->freeze();
  queue_.after(time, [this, host] {
    tell("thaw " + hosts_[host]->name());
    hosts_[host]->thaw();
  });
}

void World::clone(size_t from, size_t to) {
  hosts_[to]->become(*hosts_[from]);
  start(to);
}

void World::calm() {
  tell("calm");
  network_.heal_all();
  for (auto& host : hosts_) {
    host->disk().set_full(false);
    if (!host->up()) host->boot();
    host->engine().start_engine();
    host->engine().set_start_fault({});
    host->engine().pace() = {};
    if (host->frozen()) host->thaw();
    if (!host->agent_up() && !has_guest(host->index())) host->start_agent(key_);
  }
  calm_since_ = now();
}

// --- Edits -------------------------------------------------------------------------------------

std::shared_ptr<Answer> World::edit(size_t host, Edit edit) {
  auto none = std::make_shared<Answer>();
  if (!hosts_[host]->agent_up() || hosts_[host]->frozen()) return none;
  const Epoch life = life_of(*hosts_[host]);
  std::string key = key_of(host, edit);
  key_in_hand_ = key;
  const uint64_t number = hosts_[host]->edit(std::move(edit));
  key_in_hand_.clear();
  if (number == 0) return none;
  auto& answer = answers_[{host, life, number}];
  if (!answer) {
    answer = none;
    auto& [since, waiting] = unanswered_[host];
    waiting = since == life ? waiting + 1 : 1;
    since = life;
  }
  answer->key = std::move(key);
  return answer;
}

std::string World::key_of(size_t host, const Edit& edit) const {
  if (const auto* create = std::get_if<CreateService>(&edit)) {
    const auto spec = parse_service_spec(create->spec_json);
    return spec ? service_key(spec->name) : std::string();
  }
  const auto* update = std::get_if<UpdateService>(&edit);
  const auto* removal = std::get_if<RemoveService>(&edit);
  const std::string id = update != nullptr ? update->id : removal != nullptr ? removal->id : "";
  for (const auto& [name, doc] : hosts_[host]->node().catalog().services())
    if (doc->id == id) return service_key(name);
  return {};
}

size_t World::unanswered(size_t host) const {
  const auto at = unanswered_.find(host);
  const bool present = at != unanswered_.end() && hosts_[host]->agent_up() &&
                       at->second.first == life_of(*hosts_[host]);
  return present ? at->second.second : 0;
}

Answer World::ask(size_t host, Edit edit) {
  const auto answer = this->edit(host, std::move(edit));
  (void)run_until([&] { return answer->done; }, std::chrono::seconds(5));
  return *answer;
}

// An update goes on after a failure: by default it would rightly pause for ever.
std::string World::spec(const std::string& name, uint32_t replicas, const std::string& image) {
  return R"({"Name":")" + name + R"(","TaskTemplate":{"ContainerSpec":{"Image":")" + image +
         R"("}},"Mode":{"Replicated":{"Replicas":)" + std::to_string(replicas) +
         R"(}},"UpdateConfig":{"Parallelism":1,"FailureAction":"continue"}})";
}

std::optional<Edit> World::edit_of(size_t host, const std::string& name,
                                   std::optional<uint32_t> replicas,
                                   std::optional<std::string> image) const {
  if (!hosts_[host]->agent_up()) return std::nullopt;
  const Node& node = hosts_[host]->node();
  const auto at = node.catalog().services().find(name);
  if (at == node.catalog().services().end()) return std::nullopt;
  UpdateService update;
  update.id = at->second->id;
  update.expected_index = kith::index_of(node.documents(), service_key(name));
  update.spec_json = spec(name, replicas.value_or(at->second->spec.replicas),
                          image.value_or(at->second->spec.image));
  return update;
}

Answer World::create(size_t host, const std::string& name, uint32_t replicas,
                     const std::string& image) {
  tell("create " + name + " x " + std::to_string(replicas) + " at " + hosts_[host]->name());
  return ask(host, CreateService{spec(name, replicas, image)});
}

Answer World::scale(size_t host, const std::string& name, uint32_t replicas) {
  tell("scale " + name + " to " + std::to_string(replicas) + " at " + hosts_[host]->name());
  auto edit = edit_of(host, name, replicas, {});
  return edit ? ask(host, std::move(*edit)) : Answer{};
}

Answer World::set_image(size_t host, const std::string& name, const std::string& image) {
  tell("image of " + name + " is " + image + " at " + hosts_[host]->name());
  auto edit = edit_of(host, name, {}, image);
  return edit ? ask(host, std::move(*edit)) : Answer{};
}

Answer World::remove(size_t host, const std::string& name) {
  tell("remove " + name + " at " + hosts_[host]->name());
  const auto& services = hosts_[host]->node().catalog().services();
  const auto at = services.find(name);
  return at == services.end() ? Answer{} : ask(host, RemoveService{at->second->id});
}

// --- Network -----------------------------------------------------------------------------------

void World::seat(size_t host, NetworkUser* guest) {
  if (guest == nullptr)
    guests_.erase(host);
  else
    guests_[host] = guest;
}

void World::datagram(size_t host, const Endpoint& from, Bytes bytes) {
  const auto guest = guests_.find(host);
  if (guest != guests_.end())
    guest->second->datagram(host, from, std::move(bytes));
  else
    hosts_[host]->datagram(from, std::move(bytes));
}
uint64_t World::stream_accepted(size_t host) {
  const auto guest = guests_.find(host);
  return guest != guests_.end() ? guest->second->stream_accepted(host) : hosts_[host]->accept();
}
void World::stream_connected(size_t host, uint64_t stream) {
  const auto guest = guests_.find(host);
  if (guest != guests_.end())
    guest->second->stream_connected(host, stream);
  else
    hosts_[host]->connected(stream);
}
void World::stream_data(size_t host, uint64_t stream, Bytes bytes) {
  const auto guest = guests_.find(host);
  if (guest != guests_.end())
    guest->second->stream_data(host, stream, std::move(bytes));
  else
    hosts_[host]->data(stream, std::move(bytes));
}
void World::stream_closed(size_t host, uint64_t stream, const std::string& why) {
  const auto guest = guests_.find(host);
  if (guest != guests_.end())
    guest->second->stream_closed(host, stream, why);
  else
    hosts_[host]->closed(stream, why);
}

// --- What the agents give off ------------------------------------------------------------------

std::string World::clock() const {
  char text[32];
  const double s = std::chrono::duration<double>(now().time_since_epoch()).count() - 3600;
  std::snprintf(text, sizeof text, "%9.3f", s);
  return text;
}

void World::tell(std::string line) {
  for (const auto& checker : checkers_) checker->told(*this, line);
  story_.push_back(clock() + " " + std::move(line));
  if (story_.size() > kMaxStory) story_.erase(story_.begin(), story_.begin() + kMaxStory / 2);
}

void World::event(size_t host, const ClusterEvent& event) {
  tell(hosts_[host]->name() + ": " + event.name + ": " + event.text);
  if (said_.size() < kMaxSaid) said_.push_back({now(), host, event});
  digest_ = hash_combine(
      digest_, stable_hash(event.text, static_cast<uint64_t>(now().time_since_epoch().count())));
}

void World::edit_done(size_t host, uint64_t edit, const Result<std::string>& outcome) {
  auto& answer = answers_[{host, life_of(*hosts_[host]), edit}];
  if (!answer) {
    answer = std::make_shared<Answer>();
    answer->key = key_in_hand_;
  } else if (!answer->done) {
    --unanswered_[host].second;
  }
  answer->done = true;
  if (!outcome) {
    answer->error = outcome.error();
    return;
  }
  answer->result = *outcome;
  last_edit_ = now();
  if (answer->key.empty()) return;
  const Document* document = hosts_[host]->node().documents().find_any(answer->key);
  if (document == nullptr) {
    violated("documents", "acknowledged and not there: " + answer->key);
    return;
  }
  for (const auto& checker : checkers_) checker->acknowledged(*this, host, *document);
}

void World::starting(size_t host, const StartTask& start) {
  for (const auto& checker : checkers_) checker->starting(*this, host, start);
}

void World::stopping(size_t host, const ContainerInfo& container) {
  for (const auto& checker : checkers_) checker->stopping(*this, host, container);
}

Instant World::settled_since() const {
  return calm_since_ == kNever ? kNever : std::max(calm_since_, last_edit_);
}

void World::stepped(size_t host) {
  const SimHost& at = *hosts_[host];
  if (tasks_.size() < hosts_.size()) tasks_.resize(hosts_.size());
  Tasks& tasks = tasks_[host];
  const std::pair from{at.lives(), at.agent_up() ? at.node().reconciler().changes() + 1 : 0};
  if (std::exchange(tasks.from, from) != from) {
    ++tasks.changes;
    tasks.records.clear();
    if (at.agent_up()) tasks.records = at.node().reconciler().tasks();
  }
  for (const auto& checker : checkers_) checker->stepped(*this, host);
}

void World::stopped(size_t host, const std::string& why) {
  tell(hosts_[host]->name() + " ended: " + why);
}

void World::violated(const std::string& checker, const std::string& what) {
  if (violations_.size() >= kMaxViolations ||
      std::any_of(violations_.begin(), violations_.end(),
                  [&](const Violation& known) { return known.what == what; }))
    return;
  tell("VIOLATED (" + checker + "): " + what);
  violations_.push_back({checker, what, now()});
}

void World::disk_lost(size_t host) {
  for (const auto& checker : checkers_) checker->disk_lost(*this, host);
}

void World::persisted(size_t host, const StoreBatch& batch) {
  for (const auto& checker : checkers_) checker->persisted(*this, host, batch);
}

std::string World::story(size_t lines) const {
  std::string out = "seed " + std::to_string(seed_) + "\n";
  for (size_t i = story_.size() > lines ? story_.size() - lines : 0; i < story_.size(); ++i)
    out += story_[i] + "\n";
  return out;
}

size_t World::count(const std::string& action) const {
  return static_cast<size_t>(std::count_if(said_.begin(), said_.end(), [&](const Said& said) {
    return said.event.type == "node" && said.event.action == action;
  }));
}

}  // namespace kith::sim
