#include "engine_torch/weights/bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "util/fs.h"
#include "util/text.h"

namespace trainyard {

std::shared_ptr<const MappedFile> MappedFile::Open(const std::filesystem::path &path) {
  // Opening a pipe must not wait for a writer.
  const UniqueFd file_descriptor = OpenFile(path, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  if (fstat(file_descriptor.get(), &status) != 0) throw Error::FromErrno(errno, "read", path.string());
  if (!S_ISREG(status.st_mode)) {
    throw Error(Status::kUnsupported, "'" + path.string() + "' is not a file: give the file itself",
                {{"path", path.string()}});
  }
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->size_ = static_cast<size_t>(status.st_size);
  if (file->size_ == 0) return file;  // mmap refuses empty files; the readers say what is wrong with one
  void *address = mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, file_descriptor.get(), 0);
  if (address == MAP_FAILED) throw Error::FromErrno(errno, "map", path.string());
  file->address_ = address;
  return file;
}

MappedFile::~MappedFile() {
  if (address_ != nullptr) munmap(address_, size_);
}

std::string Printable(std::string_view text) {
  return PrintableLine(text, 120);
}

Error Truncated(const std::filesystem::path &path, const std::string &what, uint64_t expected, uint64_t present) {
  return Error::Corrupt("'" + path.string() + "' is truncated: " + what + ": " + std::to_string(expected) +
                            " bytes expected, " + std::to_string(present) + " present; copy or download it again",
                        {{"path", path.string()},
                         {"expected_bytes", std::to_string(expected)},
                         {"present_bytes", std::to_string(present)}});
}

}  // namespace trainyard
