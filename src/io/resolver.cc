#include "io/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "io/address.h"
#include "io/timer.h"

namespace kith {
namespace {

constexpr int kTryTimeoutMs = 1500;
constexpr int kTries = 2;
constexpr Duration kTick = std::chrono::milliseconds(200);

struct Poll {
  uv_poll_t handle;
  void* channel = nullptr;
};

void close_poll(Poll* poll) {
  uv_poll_stop(&poll->handle);
  uv_close(reinterpret_cast<uv_handle_t*>(&poll->handle),
           [](uv_handle_t* closed) { delete static_cast<Poll*>(closed->data); });
}

}  // namespace

/// A channel of its own, so that changed name servers are seen. c-ares calls back from inside
/// ares_destroy too: `done` is emptied first.
struct Resolver::Lookup {
  Lookup(Loop& owner_loop) : loop(owner_loop), tick(owner_loop, [this] { process(); }) {}
  ~Lookup() {
    on_result = nullptr;
    if (channel != nullptr) ares_destroy(channel);
    for (const auto& [fd, poll] : polls) close_poll(poll);
  }

  Loop& loop;
  std::string host;
  Done done;
  std::function<void(Result<std::vector<std::string>>)> on_result;
  ares_channel channel = nullptr;
  std::map<ares_socket_t, Poll*> polls;
  Timer tick;

  void process() { ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); }
  void watch(ares_socket_t fd, bool readable, bool writable);
  void answered(int status, ares_addrinfo* info);
};

void Resolver::Lookup::watch(ares_socket_t fd, bool readable, bool writable) {
  auto found = polls.find(fd);
  if (!readable && !writable) {
    if (found == polls.end()) return;
    close_poll(found->second);
    polls.erase(found);
    return;
  }
  if (found == polls.end()) {
    auto* poll = new Poll{{}, channel};
    if (uv_poll_init_socket(loop.raw(), &poll->handle, fd) != 0) {
      delete poll;  // the query then ends by its timeout
      return;
    }
    poll->handle.data = poll;
    found = polls.emplace(fd, poll).first;
  }
  uv_poll_start(&found->second->handle, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                [](uv_poll_t* handle, int status, int events) {
                  uv_os_fd_t ready = -1;
                  if (uv_fileno(reinterpret_cast<uv_handle_t*>(handle), &ready) != 0) return;
                  const bool both = status < 0;
                  ares_process_fd(
                      static_cast<ares_channel>(static_cast<Poll*>(handle->data)->channel),
                      both || (events & UV_READABLE) != 0 ? ready : ARES_SOCKET_BAD,
                      both || (events & UV_WRITABLE) != 0 ? ready : ARES_SOCKET_BAD);
                });
}

void Resolver::Lookup::answered(int status, ares_addrinfo* info) {
  const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> own(info, ares_freeaddrinfo);
  if (!on_result) return;
  if (status != ARES_SUCCESS) {
    const bool absent = status == ARES_ENOTFOUND || status == ARES_ENODATA ||
                        status == ARES_EBADNAME || status == ARES_ENONAME;
    on_result(fail(absent ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
                   "cannot look up \"" + host + "\": " + ares_strerror(status)));
    return;
  }
  std::vector<std::string> v4;
  std::vector<std::string> v6;
  for (const auto* node = info->nodes; node != nullptr; node = node->ai_next) {
    auto& hosts = node->ai_family == AF_INET ? v4 : v6;
    std::string text = from_sockaddr(node->ai_addr).host;
    if (!text.empty() && std::find(hosts.begin(), hosts.end(), text) == hosts.end()) {
      hosts.push_back(std::move(text));
    }
  }
  v4.insert(v4.end(), v6.begin(), v6.end());
  if (v4.empty()) {
    on_result(fail(ErrorCode::kNotFound, "cannot look up \"" + host + "\": it has no address"));
    return;
  }
  on_result(std::move(v4));
}

Resolver::Resolver(Loop& loop) : loop_(loop) {
  ares_library_init(ARES_LIB_INIT_ALL);
}

Resolver::~Resolver() {
  *alive_ = false;
  lookups_.clear();
  ares_library_cleanup();
}

void Resolver::lookup(const std::string& host, Done done) {
  const uint64_t id = next_id_++;
  const auto finish_later = [this, id](Result<std::vector<std::string>> result) {
    loop_.post([this, alive = alive_, id, result = std::move(result)] {
      if (*alive) finish(id, result);
    });
  };
  auto& lookup = lookups_[id];
  lookup = std::make_unique<Lookup>(loop_);
  lookup->host = host;
  lookup->done = std::move(done);
  lookup->on_result = finish_later;
  if (to_sockaddr({host, 0})) {
    finish_later(std::vector<std::string>{host});
    return;
  }
  if (lookups_.size() > kMaxLookups) {
    finish_later(fail(ErrorCode::kUnavailable,
                      "cannot look up \"" + host + "\": too many lookups are under way"));
    return;
  }
  ares_options options{};
  options.timeout = kTryTimeoutMs;
  options.tries = kTries;
  options.sock_state_cb_data = lookup.get();
  options.sock_state_cb = [](void* data, ares_socket_t fd, int readable, int writable) {
    static_cast<Lookup*>(data)->watch(fd, readable != 0, writable != 0);
  };
  const int rc = ares_init_options(&lookup->channel, &options,
                                   ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
  if (rc != ARES_SUCCESS) {
    lookup->channel = nullptr;
    finish_later(
        fail(ErrorCode::kUnavailable, "cannot look up \"" + host + "\": " + ares_strerror(rc)));
    return;
  }
  lookup->tick.start_repeating(kTick);
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  ares_getaddrinfo(
      lookup->channel, host.c_str(), nullptr, &hints,
      [](void* arg, int status, int, ares_addrinfo* info) {
        static_cast<Lookup*>(arg)->answered(status, info);
      },
      lookup.get());
}

void Resolver::finish(uint64_t id, Result<std::vector<std::string>> result) {
  const auto found = lookups_.find(id);
  if (found == lookups_.end()) return;
  const auto lookup = std::move(found->second);
  lookups_.erase(found);
  const Done done = std::move(lookup->done);
  done(std::move(result));
}

}  // namespace kith
