#include <sys/un.h>
#include <uv.h>

#include <utility>

#include "io/stream.h"
#include "io/stream_impl.h"
#include "io/timer.h"

namespace kith {

/// Shared by the owner and the request in the kernel, whichever ends last.
struct Connecting::Impl {
  Impl(Loop& loop, const StreamAddress& to, Done callback)
      : address(to), done(std::move(callback)), timer(loop, [this] { on_timeout(); }) {}
  ~Impl() {
    if (stream != nullptr) stream->close();
  }

  StreamAddress address;
  Done done;
  Timer timer;
  StreamAccess::Impl* stream = nullptr;
  bool finished = false;
  std::weak_ptr<Impl> self;

  void on_timeout() { finish(UV_ETIMEDOUT); }

  void finish(int status) {
    if (finished) return;
    const auto keep = self.lock();  // the callback may destroy the owner
    finished = true;
    timer.stop();
    // The function must not outlive this call: it may hold what holds the Connecting.
    const Done callback = std::exchange(done, nullptr);
    auto* opened = std::exchange(stream, nullptr);
    if (status == 0) {
      if (opened->handle.type == UV_TCP) {
        uv_tcp_nodelay(&opened->tcp, 1);
        uv_tcp_keepalive(&opened->tcp, 1, 15);
      }
      callback(StreamAccess::wrap(opened));
      return;
    }
    if (opened != nullptr) opened->close();
    auto code = status == UV_EINVAL || status == UV_ENAMETOOLONG ? ErrorCode::kInvalid
                                                                 : ErrorCode::kUnavailable;
    if (status == UV_ECONNREFUSED && !address.is_local()) code = ErrorCode::kRefused;
    callback(fail(code, "cannot connect to " + address.text() + ": " + uv_words(status)));
  }
};

namespace {

struct ConnectRequest {
  uv_connect_t request;
  std::function<void(int)> done;
};

int start_connect(StreamAccess::Impl* stream, const StreamAddress& to, ConnectRequest* request) {
  const auto on_connect = [](uv_connect_t* connected, int status) {
    const std::unique_ptr<ConnectRequest> own(static_cast<ConnectRequest*>(connected->data));
    own->done(status);
  };
  if (to.is_local()) {
    if (to.path.size() >= sizeof(sockaddr_un::sun_path)) return UV_ENAMETOOLONG;
    uv_pipe_connect(&request->request, &stream->pipe, to.path.c_str(), on_connect);
    return 0;
  }
  const auto address = to_sockaddr(to.tcp);
  if (!address) return UV_EINVAL;
  return uv_tcp_connect(&request->request, &stream->tcp,
                        reinterpret_cast<const sockaddr*>(&*address), on_connect);
}

}  // namespace

Connecting connect(Loop& loop, const StreamAddress& to, Duration timeout, Connecting::Done done) {
  Connecting connecting;
  connecting.impl_ = std::make_shared<Connecting::Impl>(loop, to, std::move(done));
  const auto& impl = connecting.impl_;
  impl->self = impl;
  impl->stream = new StreamAccess::Impl(loop, to.is_local());
  impl->timer.start(timeout);
  auto* request = new ConnectRequest{{}, [weak = impl->self](int status) {
                                       if (const auto strong = weak.lock()) strong->finish(status);
                                     }};
  request->request.data = request;
  const int rc = start_connect(impl->stream, to, request);
  if (rc != 0) {
    delete request;
    loop.post([weak = impl->self, rc] {
      if (const auto strong = weak.lock()) strong->finish(rc);
    });
  }
  return connecting;
}

Connecting& Connecting::operator=(Connecting&& other) noexcept {
  if (impl_ && impl_ != other.impl_) impl_->finished = true;
  impl_ = std::move(other.impl_);
  return *this;
}

Connecting::~Connecting() {
  if (impl_) impl_->finished = true;
}

}  // namespace kith
