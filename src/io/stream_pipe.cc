#include "io/stream_pipe.h"

#include <utility>

namespace kith {

StreamPipe::StreamPipe(ByteStream left, ByteStream right, std::function<void()> on_done)
    : on_done_(std::move(on_done)) {
  left_.stream = std::move(left);
  right_.stream = std::move(right);
}

void StreamPipe::start() {
  run(left_, right_);
  run(right_, left_);
}

void StreamPipe::run(Side& from, Side& to) {
  from.stream.start({.on_data =
                         [&from, &to](ByteView bytes) {
                           if (!to.stream.write(Bytes(bytes.begin(), bytes.end()))) {
                             from.stream.pause();
                           }
                         },
                     .on_end = [this, &from, &to] { on_end(from, to); },
                     .on_close = [this](const Error&) { finish(); },
                     .on_drain = [&to] { to.stream.resume(); }});
}

void StreamPipe::on_end(Side& from, Side& to) {
  from.ended = true;
  // A peer that has closed both halves reads no more either: the other side learns it by our
  // close, once it has been given everything.
  const bool gone = from.stream.peer_gone();
  to.stream.write({}, [this, &from, &to, gone] {
    to.flushed = true;
    if (gone) from.flushed = true;
    if (gone) to.ended = true;
    finish_if_complete();
  });
  to.stream.shutdown();
}

void StreamPipe::finish_if_complete() {
  if (left_.ended && left_.flushed && right_.ended && right_.flushed) finish();
}

void StreamPipe::finish() {
  left_.stream = {};
  right_.stream = {};
  if (const auto done = std::exchange(on_done_, nullptr)) done();
}

}  // namespace kith
