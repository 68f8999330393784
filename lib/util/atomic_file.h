// A file that is written piece by piece and appears under its name complete and synced, or not at all: for files too
// large for WriteFileAtomic(). Thread rule: one thread at a time; of two writers of one path the last Commit() wins.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "util/fs.h"

namespace trainyard {

class AtomicFile {
 public:
  // Starts a file in the directory of `path`. While it is written it has no name where the file system can do that, so
  // that a kill leaves nothing; elsewhere it is called ".<name>.tmp-<random>".
  explicit AtomicFile(std::string path, mode_t mode = 0666);
  // Without Commit() nothing is left.
  ~AtomicFile();
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;

  void Write(const void *data, size_t size) { WriteAll(file_.get(), data, size, path_); }
  // Syncs the file, puts it in place of what is there, syncs the directory. Call once, last.
  void Commit();

 private:
  std::string path_;
  std::string temporary_;
  bool named_ = false;  // whether temporary_ exists
  UniqueFd file_;
};

}  // namespace trainyard
