#pragma once

#include <string>

#include "base/result.h"
#include "gossip/identity.h"

namespace kith {

/// `<data_dir>/identity`: the seed in hexadecimal, readable by its owner alone. Made, and synced to
/// disk, at the first start. A damaged one is refused by name: it is never replaced.
[[nodiscard]] Result<Identity> load_identity(const std::string& data_dir);

}  // namespace kith
