#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "gossip/identity.h"

namespace kith {

/// `<data_dir>/identity`: the seed in hexadecimal, readable by its owner alone. Made, and synced to
/// disk, at the first start. A damaged one is refused by name: it is never replaced.
[[nodiscard]] Result<Identity> load_identity(const std::string& data_dir);

/// `<data_dir>/epoch`: the last epoch this node started with, beside the database, so that a
/// damaged one does not make it begin anew. 0 if there is none.
[[nodiscard]] uint64_t load_epoch(const std::string& data_dir);
[[nodiscard]] Status save_epoch(const std::string& data_dir, uint64_t epoch);

/// `<data_dir>/ring`: the key ring, secrets included, as SharedRing encodes it. Empty if there is
/// none.
[[nodiscard]] Bytes load_ring(const std::string& data_dir);
/// Also writes `<data_dir>/key`: the primary alone, as the configuration takes it.
[[nodiscard]] Status save_ring(const std::string& data_dir, ByteView ring);

}  // namespace kith
