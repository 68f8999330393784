#include "store/run_files.h"

#include <algorithm>
#include <array>
#include <optional>

#include "util/error.h"
#include "util/fs.h"
#include "util/inside.h"
#include "util/log.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr std::array<std::string_view, 5> kTrees = {"images", "logs", "outputs", "system_logs", "user_logs"};

Error NoFile(std::string_view name) {
  return Error::NotFound("the run has no file '" + std::string(name.substr(0, 200)) + "'",
                         {{"path", std::string(name)}});
}

// Where the tree of a name is; outputs and logs are in the ranks' directory until the run ends.
std::string TreePath(const RunLayout &layout, std::string_view tree) {
  const std::string ended = layout.Root() + "/" + std::string(tree);
  if (tree != "outputs" && tree != "logs") return ended;
  const std::string running = layout.Code() + "/" + std::string(tree);
  return IsDirectory(ended) || !IsDirectory(layout.Code()) ? ended : running;
}

// What is at `path` if it is a file, or a link to one that does not lead out of the run.
std::optional<FileInfo> FileAt(const RunLayout &layout, const std::string &path) {
  auto info = Stat(path, /*follow_symlinks=*/false);
  if (info && info->kind == FileInfo::Kind::kSymlink) {
    if (!LeadsInside(layout.Root(), path)) return std::nullopt;
    info = Stat(path);
  }
  return info && info->kind == FileInfo::Kind::kFile ? info : std::nullopt;
}

}  // namespace

std::string RunFiles::Place(std::string_view name) const {
  std::string own(name);
  constexpr std::string_view kOld = "azureml-logs/70_driver_log";
  if (name == "azureml-logs/20_image_build_log.txt") own = "system_logs/environment_build.log";
  if (name.starts_with(kOld)) own = "user_logs/std_log" + std::string(name.substr(kOld.size()));
  const size_t slash = own.find('/');
  const std::string tree = own.substr(0, slash);
  if (!IsSafeRelativePath(own) || std::find(kTrees.begin(), kTrees.end(), tree) == kTrees.end()) {
    throw Error::InvalidArgument(
        "'" + std::string(name.substr(0, 200)) +
            "' is not the name of a run's file: it must start with outputs/, logs/, user_logs/, system_logs/ "
            "or images/ and hold no '..'",
        {{"path", std::string(name.substr(0, 200))}});
  }
  const std::string root = TreePath(layout_, tree);
  return slash == std::string::npos ? root : root + own.substr(slash);
}

FilePage RunFiles::List(std::string_view prefix, int32_t limit, std::string_view page_token) const {
  std::vector<std::string> names;
  for (const std::string_view tree : kTrees) {
    const std::string name = std::string(tree) + "/";
    // A tree is looked at only if a name in it can have the prefix.
    if (!std::string_view(name).starts_with(prefix.substr(0, name.size()))) continue;
    const std::string root = TreePath(layout_, tree);
    // A job may have put a link in its place, which leads elsewhere.
    const auto info = Stat(root, /*follow_symlinks=*/false);
    if (!info || info->kind != FileInfo::Kind::kDirectory) continue;
    for (const std::string &path : ListTree(root)) {
      if ((name + path).starts_with(prefix) && name + path > page_token) names.push_back(name + path);
    }
  }
  std::sort(names.begin(), names.end());
  FilePage page;
  const size_t most = limit <= 0 ? 1000 : static_cast<size_t>(limit);
  for (const std::string &name : names) {
    const auto info = FileAt(layout_, Place(name));
    if (!info) continue;
    if (!IsValidUtf8(name)) {
      Log(LogLevel::kWarning, "run " + BaseName(layout_.Root()) + ": the file '" + SanitizeUtf8(name) +
                                  "' is left out of the list: its name is not valid UTF-8");
      continue;
    }
    if (page.files.size() == most) {
      page.next_page_token = page.files.back().path;
      break;
    }
    page.files.push_back({name, "", info->size, info->modified_ms});
  }
  return page;
}

std::string RunFiles::ResolveTree(std::string_view name) const {
  while (name.size() > 1 && name.back() == '/') name.remove_suffix(1);
  const std::string path = Place(name);
  const std::string real = RealPath(path);
  if (real.empty()) throw NoFile(name);
  if (!LeadsInside(layout_.Root(), real)) {
    throw Error::InvalidArgument("'" + std::string(name) + "' leads out of the run's directory",
                                 {{"path", std::string(name)}});
  }
  return real;
}

std::string RunFiles::Resolve(std::string_view name) const {
  const std::string path = ResolveTree(name);
  const auto info = Stat(path);
  if (!info || info->kind != FileInfo::Kind::kFile) throw NoFile(name);
  return path;
}

std::string RunFiles::UploadPlace(std::string_view name) const {
  const std::string path = Place(name);
  if (name.starts_with("outputs/") || name.starts_with("logs/")) return path;
  throw Error::InvalidArgument("files can be uploaded to outputs/ and logs/ only, not to '" + std::string(name) + "'",
                               {{"path", std::string(name)}});
}

void RunFiles::Upload(const std::string &local_path, std::string_view name) const {
  const std::string path = UploadPlace(name);
  const std::string parent = ParentPath(path);
  const auto check = [&] {
    if (LeadsInside(layout_.Root(), parent)) return;
    throw Error::InvalidArgument("'" + std::string(name) + "' leads out of the run's directory",
                                 {{"path", std::string(name)}});
  };
  // Before anything is made, and again, because the job may still change it.
  check();
  MakeDirs(parent);
  check();
  CopyFile(local_path, path, /*replace=*/true);
}

bool RunFiles::IsTaken(std::string_view name) const {
  return Stat(UploadPlace(name), /*follow_symlinks=*/false).has_value();
}

bool RunFiles::IsSame(std::string_view name, const std::string &local_path) const {
  const auto mine = FileAt(layout_, Place(name));
  const auto other = Stat(local_path);
  return mine && other && mine->device == other->device && mine->inode == other->inode;
}

void RunFiles::Download(std::string_view name, const std::string &local_path) const {
  const std::string source = Resolve(name);
  const std::string target = IsDirectory(local_path) ? JoinPath(local_path, BaseName(name)) : local_path;
  MakeDirs(ParentPath(target), 0755);
  CopyFile(source, target, /*replace=*/true);
}

int64_t RunFiles::DownloadAll(std::string_view prefix, const std::string &directory) const {
  int64_t count = 0;
  std::string token;
  do {
    const FilePage page = List(prefix, 1000, token);
    for (const StoredFile &file : page.files) {
      Download(file.path, JoinPath(directory, file.path));
      ++count;
    }
    token = page.next_page_token;
  } while (!token.empty());
  return count;
}

}  // namespace trainyard
