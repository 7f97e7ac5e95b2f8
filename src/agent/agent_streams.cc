// Agent: the byte streams that the Node asks for, and those it is asked by.

#include <utility>

#include "agent/agent.h"
#include "agent/host_address.h"

namespace kith {
namespace {

constexpr Duration kConnectTime = std::chrono::seconds(3);

}  // namespace

void Agent::carry_out(const StreamOpen& open) {
  wires_[open.stream];
  if (is_address(open.to.host)) {
    connect_to(open.stream, open.to);
    return;
  }
  resolver_.lookup(open.to.host, [this, stream = open.stream,
                                  port = open.to.port](Result<std::vector<std::string>> hosts) {
    if (!wires_.contains(stream)) return;
    if (hosts)
      connect_to(stream, {hosts->front(), port});
    else
      lost(stream, hosts.error());
  });
}

void Agent::connect_to(uint64_t stream, const Endpoint& to) {
  wires_[stream].connecting = connect(loop_, StreamAddress::at(to), kConnectTime,
                                      [this, stream](Result<ByteStream> connected) {
                                        const auto at = wires_.find(stream);
                                        if (at == wires_.end()) return;
                                        if (!connected) {
                                          lost(stream, connected.error());
                                          return;
                                        }
                                        std::vector<Bytes> waiting = std::move(at->second.waiting);
                                        attach(stream, std::move(*connected));
                                        for (Bytes& bytes : waiting)
                                          wires_[stream].stream.write(std::move(bytes));
                                        node_->stream_connected(stream, wake(), effects_);
                                        soon();
                                      });
}

void Agent::attach(uint64_t stream, ByteStream bytes) {
  Wire& wire = wires_[stream];
  wire.stream = std::move(bytes);
  StreamHandlers handlers;
  handlers.on_data = [this, stream](ByteView data) {
    node_->stream_data(stream, data, wake(), effects_);
    soon();
  };
  handlers.on_end = [this, stream] { lost(stream, {ErrorCode::kUnavailable, "closed"}); };
  handlers.on_close = [this, stream](const Error& why) { lost(stream, why); };
  wire.stream.start(std::move(handlers));
}

void Agent::lost(uint64_t stream, const Error& why) {
  if (wires_.erase(stream) == 0) return;
  node_->stream_closed(stream, why, wake(), effects_);
  soon();
}

void Agent::carry_out(StreamWrite& write) {
  const auto at = wires_.find(write.stream);
  if (at == wires_.end()) return;
  if (at->second.stream)
    at->second.stream.write(std::move(write.bytes));
  else
    at->second.waiting.push_back(std::move(write.bytes));
}

void Agent::carry_out(const StreamClose& close) {
  const auto at = wires_.find(close.stream);
  if (at == wires_.end()) return;
  ByteStream stream = std::move(at->second.stream);
  wires_.erase(at);
  if (!stream || stream.queued() == 0) return;
  const uint64_t number = close.stream;
  StreamHandlers handlers;
  handlers.on_data = [](ByteView) {};
  handlers.on_end = [this, number] { lingering_.erase(number); };
  handlers.on_close = [this, number](const Error&) { lingering_.erase(number); };
  stream.start(std::move(handlers));
  stream.shutdown();
  lingering_[number] = std::move(stream);
}

}  // namespace kith
