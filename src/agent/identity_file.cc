#include "agent/identity_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/bytes.h"
#include "gossip/shared_ring.h"

namespace kith {
namespace {

constexpr size_t kTextSize = Identity::kSeedSize * 2 + 1;

Error fault(const std::string& path, const char* what) {
  return {ErrorCode::kFailed, path + ": " + what + ": " + std::strerror(errno)};
}

/// All of it or nothing, and synced: a file of the same name is replaced.
Status replace_file(const std::string& folder, const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return fail(fault(fresh, "cannot be made"));
  const bool whole =
      write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  const Error why = fault(fresh, "cannot be written");
  close(fd);
  if (!whole) return fail(why);
  if (rename(fresh.c_str(), path.c_str()) != 0) return fail(fault(path, "cannot be made"));
  const int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    fsync(directory);
    close(directory);
  }
  return {};
}

Result<Identity> create(const std::string& data_dir, const std::string& path) {
  Identity identity = Identity::generate();
  if (auto kept = replace_file(data_dir, path, to_hex(identity.seed()) + "\n"); !kept)
    return fail(kept.error());
  return identity;
}

}  // namespace

Result<Identity> load_identity(const std::string& data_dir) {
  const std::string path = data_dir + "/identity";
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return create(data_dir, path);
  if (fd < 0) return fail(fault(path, "cannot be read"));
  char text[kTextSize + 1];
  const ssize_t size = read(fd, text, sizeof text);
  close(fd);
  const auto bytes =
      size < 0 ? std::nullopt
               : from_hex(std::string_view(
                     text, std::min<size_t>(static_cast<size_t>(size), Identity::kSeedSize * 2)));
  if (!bytes || bytes->size() != Identity::kSeedSize)
    return fail(path +
                " is damaged: it does not hold 64 hexadecimal digits. Put it back from a "
                "backup; or remove it, and this host joins as a new node");
  Identity::Seed seed{};
  std::copy(bytes->begin(), bytes->end(), seed.begin());
  return Identity::from_seed(seed);
}

uint64_t load_epoch(const std::string& data_dir) {
  std::ifstream in(data_dir + "/epoch");
  uint64_t epoch = 0;
  return in >> epoch ? epoch : 0;
}

Bytes load_ring(const std::string& data_dir) {
  std::ifstream in(data_dir + "/ring");
  std::string text;
  // What is no hexadecimal is no ring either: the Node says so.
  return in >> text ? from_hex(text).value_or(Bytes{0}) : Bytes{};
}

Status save_ring(const std::string& data_dir, ByteView ring) {
  const auto decoded = SharedRing::decode(ring);
  if (!decoded) return fail(decoded.error());
  if (auto kept = replace_file(data_dir, data_dir + "/ring", to_hex(ring) + "\n"); !kept)
    return kept;
  return replace_file(data_dir, data_dir + "/key", decoded->primary().base64() + "\n");
}

Status save_epoch(const std::string& data_dir, uint64_t epoch) {
  return replace_file(data_dir, data_dir + "/epoch", std::to_string(epoch) + "\n");
}

}  // namespace kith
