#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace kith {

/// The secret that admits to a cluster. Whoever holds it can join while it is the primary; whoever
/// does not is not answered.
struct ClusterKey {
  static constexpr size_t kSize = 32;
  std::array<uint8_t, kSize> secret{};

  bool operator==(const ClusterKey&) const = default;

  /// Draws from the operating system: for `kith init`.
  [[nodiscard]] static ClusterKey generate();
  /// `text`: 32 bytes in base64, blanks and line ends around it allowed, as in the YAML's `key` or
  /// the content of its `key_file`. kInvalid names what is wrong and the mend; it never repeats
  /// the text.
  [[nodiscard]] static Result<ClusterKey> parse(std::string_view text);
  [[nodiscard]] std::string base64() const;
  /// Names the key on the wire and in `kith key ls`; tells nothing of the secret.
  [[nodiscard]] uint64_t id() const;
};

/// The keys of one node's packets and streams. It seals with the primary and opens with any. Which
/// these are is SharedRing's to say.
class KeyRing {
 public:
  static constexpr size_t kMaxKeys = 8;

  explicit KeyRing(ClusterKey primary) : primary_(primary) {}

  [[nodiscard]] const ClusterKey& primary() const { return primary_; }
  [[nodiscard]] const std::vector<ClusterKey>& others() const { return others_; }
  /// Null if no key of the ring has this id.
  [[nodiscard]] const ClusterKey* find(uint64_t key_id) const;

  /// Opens with `key` from now on. A key already there changes nothing; kTooLarge beyond kMaxKeys.
  [[nodiscard]] Status add(const ClusterKey& key);

 private:
  ClusterKey primary_;
  std::vector<ClusterKey> others_;
};

/// What every packet authenticates, so that two clusters that share a key by mistake stay apart.
[[nodiscard]] uint64_t cluster_id_of(std::string_view cluster_name);

}  // namespace kith
