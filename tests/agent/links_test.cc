#include "agent/links.h"

#include <doctest/doctest.h>

using namespace kith;

namespace {

struct Peer {
  SecureChannel channel;
  Bytes last;  ///< of its handshake, held back
};

class Handler final : public LinkHandler {
 public:
  [[nodiscard]] bool admits(const NodeId&, uint64_t) const override { return true; }
  void link_established(uint64_t stream, Now) override {
    CHECK(links->alive(stream));
    ++established;
  }
  void link_frame(uint64_t, ByteView, Now) override {}
  void link_lost(uint64_t stream, const Error&, bool, Now) override { lost.push_back(stream); }

  Links* links = nullptr;
  size_t established = 0;
  std::vector<uint64_t> lost;
};

Bytes written_to(uint64_t stream, const std::vector<StreamCommand>& commands) {
  Bytes all;
  for (const StreamCommand& command : commands)
    if (const auto* write = std::get_if<StreamWrite>(&command); write && write->stream == stream)
      all.insert(all.end(), write->bytes.begin(), write->bytes.end());
  return all;
}

}  // namespace

TEST_CASE("links: the eldest of a peer's streams goes, even if it is the one that comes up last") {
  const Identity self = Identity::generate();
  const Identity other = Identity::generate();
  const KeyRing keys(ClusterKey::generate());
  Handler handler;
  Links links(self, keys, 1, handler);
  handler.links = &links;
  std::vector<Peer> peers;
  for (uint64_t i = 0; i <= Links::kMaxAcceptedAPeer; ++i) {
    std::vector<StreamCommand> out;
    std::vector<Bytes> frames;
    Peer peer{SecureChannel::client(other, keys, 1), {}};
    links.accepted(2 * i, {}, out);
    links.data(2 * i, peer.channel.start(), {}, out);
    REQUIRE(peer.channel.receive(written_to(2 * i, out), frames, peer.last));
    peers.push_back(std::move(peer));
  }
  std::vector<StreamCommand> out;
  for (uint64_t i = Links::kMaxAcceptedAPeer + 1; i-- > 0;)
    links.data(2 * i, peers[i].last, {}, out);
  CHECK(handler.established == Links::kMaxAcceptedAPeer);
  CHECK(handler.lost == std::vector<uint64_t>{0});
  CHECK_FALSE(links.alive(0));
  CHECK(links.alive(2));
}
