#include "state/sync_frame.h"

namespace kith {

void FrameWriter::add_packed(Bytes entry) {
  if (count_ != 0 && !fits(entry.size())) full_.push_back(take());
  entries_.insert(entries_.end(), entry.begin(), entry.end());
  ++count_;
}

Bytes FrameWriter::take() {
  wire::Buffer buffer;
  wire::Packer packer(buffer);
  packer.pack_array(count_ + 1);
  packer.pack(static_cast<uint8_t>(type_));
  Bytes frame = buffer.take();
  frame.insert(frame.end(), entries_.begin(), entries_.end());
  entries_.clear();
  count_ = 0;
  return frame;
}

std::deque<Bytes> FrameWriter::finish() {
  if (count_ != 0) full_.push_back(take());
  return std::move(full_);
}

}  // namespace kith
