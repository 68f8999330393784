#include "drivers/local/uploads.h"

#include <optional>
#include <utility>

#include "util/error.h"
#include "util/fs.h"

namespace trainyard {
namespace {

// Why what is at `path` cannot be uploaded as a file: `kind` is what it leads to, if anything.
Error NoUpload(const std::string &path, bool is_link, const std::optional<FileInfo> &kind) {
  std::string what = is_link ? "a link to nothing: remove it, or restore what it leads to" : "gone";
  if (kind && kind->kind == FileInfo::Kind::kDirectory)
    what = "a link to a directory: upload that directory on its own";
  if (kind && kind->kind == FileInfo::Kind::kOther)
    what = std::string(is_link ? "a link to " : "") + "a pipe, a socket or a device: remove it, or put a file there";
  return Error::InvalidArgument("'" + path + "' is " + what + "; nothing was uploaded", {{"path", path}});
}

}  // namespace

std::vector<std::string> FilesToUpload(const std::string &directory, const std::string &below) {
  std::vector<std::string> files;
  for (const DirEntry &entry : ListDir(JoinPath(directory, below))) {
    const std::string file = JoinPath(below, entry.name);
    if (entry.kind == FileInfo::Kind::kDirectory) {
      for (std::string &deeper : FilesToUpload(directory, file)) files.push_back(std::move(deeper));
      continue;
    }
    const std::string path = JoinPath(directory, file);
    const auto kind = Stat(path);
    if (!kind || kind->kind != FileInfo::Kind::kFile) {
      throw NoUpload(path, entry.kind == FileInfo::Kind::kSymlink, kind);
    }
    files.push_back(file);
  }
  return files;
}

}  // namespace trainyard
