#include "api/api_server.h"

#include <unistd.h>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace kith {

std::optional<unsigned> group_id(const std::string& name) {
  std::ifstream file("/etc/group");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name + ":")) continue;
    const size_t second = line.find(':', name.size() + 1);
    if (second == line.npos) return {};
    unsigned id = 0;
    const auto [end, error] =
        std::from_chars(line.data() + second + 1, line.data() + line.size(), id);
    if (error == std::errc() && end != line.data() + line.size() && *end == ':') return id;
  }
  return {};
}

ApiServer::ApiServer(Loop& loop, Cluster& cluster)
    : docker_(loop, cluster),
      native_(loop, cluster),
      local_server_(loop,
                    [this](const ExchangePtr& exchange) {
                      if (NativeApi::owns(exchange->request().path)) {
                        native_.handle(exchange, Door::kLocal);
                      } else {
                        docker_.handle(exchange);
                      }
                    }),
      network_server_(
          loop, [this](const ExchangePtr& exchange) { native_.handle(exchange, Door::kNetwork); }) {
}

Result<std::unique_ptr<ApiServer>> ApiServer::open(Loop& loop, Cluster& cluster,
                                                   const ApiConfig& config) {
  std::unique_ptr<ApiServer> server(new ApiServer(loop, cluster));
  if (auto status = server->listen(loop, config); !status) return fail(status.error());
  return server;
}

Status ApiServer::listen(Loop& loop, const ApiConfig& config) {
  std::error_code error;
  const auto folder = std::filesystem::path(config.socket).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error) return fail("api.socket: cannot make " + folder.string() + ": " + error.message());
  auto local =
      Listener::open(loop, StreamAddress::local(config.socket), ListenOptions{},
                     [this](ByteStream stream) { local_server_.serve(std::move(stream)); });
  if (!local) return fail(local.error().code, "api.socket: " + local.error().message);
  local_.emplace(std::move(*local));
  // Without the right to change it the group stays; root can use the socket all the same.
  if (const auto group = group_id(config.group))
    if (::chown(config.socket.c_str(), static_cast<uid_t>(-1), *group) != 0 && errno != EPERM)
      return fail("api.socket: cannot give " + config.socket + " to group " + config.group + ": " +
                  std::strerror(errno));
  if (!config.listen) return {};
  auto network =
      Listener::open(loop, StreamAddress::at(*config.listen), ListenOptions{},
                     [this](ByteStream stream) { network_server_.serve(std::move(stream)); });
  if (!network) return fail(network.error().code, "api.listen: " + network.error().message);
  network_.emplace(std::move(*network));
  return {};
}

std::optional<Endpoint> ApiServer::network_address() const {
  if (!network_) return {};
  return network_->address().tcp;
}

}  // namespace kith
