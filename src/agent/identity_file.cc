#include "agent/identity_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/bytes.h"

namespace kith {
namespace {

constexpr size_t kTextSize = Identity::kSeedSize * 2 + 1;

Error fault(const std::string& path, const char* what) {
  return {ErrorCode::kFailed, path + ": " + what + ": " + std::strerror(errno)};
}

Result<Identity> create(const std::string& data_dir, const std::string& path) {
  const Identity identity = Identity::generate();
  const std::string text = to_hex(identity.seed()) + "\n";
  const std::string fresh = path + ".new";
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return fail(fault(fresh, "cannot be made"));
  const bool whole =
      write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  const Error why = fault(fresh, "cannot be written");
  close(fd);
  if (!whole) return fail(why);
  if (rename(fresh.c_str(), path.c_str()) != 0) return fail(fault(path, "cannot be made"));
  const int folder = open(data_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    close(folder);
  }
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

}  // namespace kith
