#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "io/stream.h"
#include "io/stream_impl.h"

namespace kith {

struct Listener::Impl {
  StreamAccess::Impl* server = nullptr;
  StreamAddress address;
  std::shared_ptr<Accept> on_accept;

  ~Impl() { server->close(); }
};

namespace {

/// Makes way for a socket at `path`, or says who is in it.
Status clear_path(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(ErrorCode::kInvalid, path + ": a unix socket's path may have at most " +
                                         std::to_string(sizeof address.sun_path - 1) +
                                         " characters");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return fail(path + ": " + std::strerror(errno));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return fail(ErrorCode::kConflict,
                path + ": exists and is not a socket; move it away or choose another path");
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(path + ": " + std::strerror(errno));
  const int rc = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = rc == 0 ? 0 : errno;
  ::close(fd);
  if (error == ECONNREFUSED) {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return fail(path + ": " + std::strerror(errno));
  }
  if (error == ENOENT) return {};
  if (error == 0 || error == EAGAIN) {
    return fail(ErrorCode::kConflict, path +
                                          ": another program answers on this socket; stop it "
                                          "or choose another path");
  }
  return fail(path + ": " + std::strerror(error));
}

int bind_local(StreamAccess::Impl* server, const std::string& path, unsigned mode) {
  const mode_t before = umask(0177);
  const int rc = uv_pipe_bind(&server->pipe, path.c_str());
  umask(before);
  if (rc != 0) return rc;
  return chmod(path.c_str(), mode) == 0 ? 0 : -errno;
}

}  // namespace

Result<Listener> Listener::open(Loop& loop, const StreamAddress& at, ListenOptions options,
                                Accept on_accept) {
  sockaddr_storage address{};
  if (at.is_local()) {
    if (auto clear = clear_path(at.path); !clear) return fail(clear.error());
  } else {
    const auto parsed = to_sockaddr(at.tcp);
    if (!parsed) return fail(parsed.error());
    address = *parsed;
  }
  auto impl = std::make_unique<Impl>();
  impl->server = new StreamAccess::Impl(loop, at.is_local());
  impl->address = at;
  impl->on_accept = std::make_shared<Accept>(std::move(on_accept));
  auto* server = impl->server;
  int rc = at.is_local()
               ? bind_local(server, at.path, options.mode)
               : uv_tcp_bind(&server->tcp, reinterpret_cast<const sockaddr*>(&address), 0);
  server->user = impl.get();
  if (rc == 0) {
    rc = uv_listen(&server->stream, options.backlog, [](uv_stream_t* handle, int status) {
      auto* state = static_cast<StreamAccess::Impl*>(handle->data);
      if (status < 0 || state->closing) return;
      auto* accepted = new StreamAccess::Impl(*state->loop, handle->type == UV_NAMED_PIPE);
      ByteStream stream = StreamAccess::wrap(accepted);
      if (uv_accept(handle, &accepted->stream) != 0) return;
      if (handle->type == UV_TCP) {
        uv_tcp_nodelay(&accepted->tcp, 1);
        uv_tcp_keepalive(&accepted->tcp, 1, 15);
      }
      const auto keep = static_cast<Impl*>(state->user)->on_accept;
      (*keep)(std::move(stream));
    });
  }
  if (rc != 0) {
    if (at.is_local()) return fail(at.path + ": " + uv_words(rc));
    return fail(bind_error(at.tcp, "TCP", rc));
  }
  if (!at.is_local()) {
    sockaddr_storage bound{};
    int size = sizeof bound;
    uv_tcp_getsockname(&server->tcp, reinterpret_cast<sockaddr*>(&bound), &size);
    impl->address.tcp = from_sockaddr(reinterpret_cast<const sockaddr*>(&bound));
  }
  return Listener(impl.release());
}

Listener::Listener(Listener&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)) {}

Listener& Listener::operator=(Listener&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}

Listener::~Listener() {
  delete impl_;
}

StreamAddress Listener::address() const {
  return impl_->address;
}

}  // namespace kith
