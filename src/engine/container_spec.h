#pragma once

#include <string>

#include "base/result.h"
#include "engine/host.h"

namespace kith {

constexpr std::string_view kTaskLabel = "io.kith.task";
constexpr std::string_view kServiceLabel = "io.kith.service";
constexpr std::string_view kSlotLabel = "io.kith.slot";  ///< index, or node id in hex
constexpr std::string_view kServiceIdLabel = "io.kith.service_id";
constexpr std::string_view kGenerationLabel = "io.kith.generation";
constexpr std::string_view kTermLabel = "io.kith.term";
/// Of the service: `always` pulls before each start; otherwise only an absent image is pulled.
constexpr std::string_view kPullLabel = "io.kith.pull";
/// Of a stored spec, beside Docker's fields: what a pull is sent as X-Registry-Auth.
constexpr std::string_view kRegistryAuthField = "KithRegistryAuth";

/// `web.2.<task id>`, as Swarm names containers.
[[nodiscard]] std::string container_name(const StartTask& task);

struct ContainerSpec {
  std::string image;
  bool pull_always = false;
  std::string registry_auth;  ///< for a pull; empty for none
  std::string body;           ///< of POST /containers/create
};

/// Docker's ServiceSpec, in Docker's spelling of keys, as a container of this task: Swarm's mapping
/// and templates, its labels beside ours, never a restart policy of the engine's own.
[[nodiscard]] Result<ContainerSpec> container_spec(const StartTask& task);

}  // namespace kith
