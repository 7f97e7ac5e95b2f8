#pragma once

#include <functional>

#include "io/stream.h"

namespace kith {

/// Two streams joined: what comes on one goes out on the other, each half-close is handed on, and
/// a slow reader slows the other side's writer.
class StreamPipe {
 public:
  /// `on_done` is called once, in a later iteration than this call: both halves have ended and
  /// all is written, or one side broke. It may destroy the pipe.
  StreamPipe(ByteStream left, ByteStream right, std::function<void()> on_done);
  StreamPipe(const StreamPipe&) = delete;
  StreamPipe& operator=(const StreamPipe&) = delete;

  void start();

 private:
  struct Side {
    ByteStream stream;
    bool ended = false;    // it has sent everything
    bool flushed = false;  // and has been given everything
  };
  void run(Side& from, Side& to);
  void on_end(Side& from, Side& to);
  void finish();
  void finish_if_complete();

  Side left_;
  Side right_;
  std::function<void()> on_done_;
};

}  // namespace kith
