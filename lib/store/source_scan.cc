#include "store/source_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <memory>
#include <optional>

#include "core/ignore_rules.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr char kAlwaysOut[] = ".git\n.hg/\n.svn/\n__pycache__/\n.ipynb_checkpoints/\n/outputs/\n/logs/\n";
constexpr char kAmlIgnore[] = ".amlignore";
constexpr char kGitIgnore[] = ".gitignore";
constexpr uint64_t kMaxIgnoreFile = 1 << 20;
constexpr size_t kMaxOffenders = 10;
constexpr size_t kMaxWarnings = 20;
// A walk that has gone so far beyond the limit is not going to end within it: "/" as the source directory.
constexpr uint64_t kHopeless = 100;
constexpr uint64_t kHopelessAtLeast = 200000;

struct Name {
  std::string name;
  unsigned char type = DT_UNKNOWN;
};

int64_t Nanoseconds(const timespec &time) {
  return int64_t{time.tv_sec} * 1000000000 + time.tv_nsec;
}

std::string Below(const std::string &directory, const std::string &name) {
  return directory.empty() ? name : directory + "/" + name;
}

const char *SpecialName(mode_t mode) {
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISFIFO(mode)) return "a pipe";
  return "a device";
}

class Walk {
 public:
  Walk(std::string root, const SnapshotLimits &limits, const std::string &workspace)
      : root_(std::move(root)), limits_(limits) {
    if (!workspace.empty()) workspace_ = Stat(workspace);
    rules_.Push("", IgnoreFile::Parse(kAlwaysOut));
  }

  SourceScan Run() {
    open_.push_back({"", true});
    while (!open_.empty()) {
      const Pending pending = std::move(open_.back());
      open_.pop_back();
      Visit(pending.path, pending.listed);
      if (limits_.max_files != 0 && scan_.files > std::max(kHopelessAtLeast, limits_.max_files * kHopeless)) {
        complete_ = false;
        break;
      }
    }
    if (!limits_.Allow(scan_.bytes, scan_.files)) ThrowTooLarge();
    if (specials_ > kMaxWarnings) {
      scan_.warnings.push_back(std::to_string(specials_ - kMaxWarnings) + " more sockets, pipes and devices in '" +
                               root_ + "' are left out of the snapshot");
    }
    std::sort(scan_.entries.begin(), scan_.entries.end(),
              [](const SourceEntry &a, const SourceEntry &b) { return a.entry.path < b.entry.path; });
    scan_.ignore_file = IgnoreFileName();
    return std::move(scan_);
  }

 private:
  struct Pending {
    std::string path;
    bool listed = false;  // is an entry already
  };

  void Visit(const std::string &directory, bool listed) {
    const std::string absolute = directory.empty() ? root_ : root_ + "/" + directory;
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (directory.empty() ? 0 : O_NOFOLLOW);
    const int fd = open(absolute.c_str(), flags);
    if (fd < 0) {
      if (!directory.empty() && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return;  // changed meanwhile
      Unreadable(errno, directory, true);
    }
    const std::unique_ptr<DIR, int (*)(DIR *)> listing(fdopendir(fd), closedir);
    if (!listing) {
      close(fd);
      throw Error::FromErrno(ENOMEM, "list", absolute);
    }
    std::vector<Name> names = List(listing.get(), directory);
    ReadRules(directory, names);
    size_t kept = 0;
    for (Name &name : names) kept += Take(fd, directory, &name) ? 1 : 0;
    if (kept == 0 && !listed) AddDirectory(directory, 0755);
  }

  std::vector<Name> List(DIR *listing, const std::string &directory) const {
    std::vector<Name> names;
    for (;;) {
      errno = 0;
      const dirent *entry = readdir(listing);
      if (entry == nullptr) break;
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
        names.push_back({entry->d_name, entry->d_type});
    }
    if (errno != 0) Unreadable(errno, directory, true);
    return names;
  }

  void ReadRules(const std::string &directory, const std::vector<Name> &names) {
    rules_.Enter(directory);
    const auto has = [&](const char *wanted) {
      return std::any_of(names.begin(), names.end(), [&](const Name &name) { return name.name == wanted; });
    };
    if (directory.empty()) aml_ignore_ = has(kAmlIgnore);
    const char *name = aml_ignore_ ? kAmlIgnore : kGitIgnore;
    if ((aml_ignore_ && !directory.empty()) || !has(name)) return;
    git_ignore_ = !aml_ignore_;
    const std::string path = root_ + "/" + Below(directory, name);
    const auto info = Stat(path);
    if (!info || info->kind != FileInfo::Kind::kFile) return;
    rules_.Push(directory, IgnoreFile::Parse(ReadFile(path, kMaxIgnoreFile)));
  }

  // False: it stays out.
  bool Take(int directory_fd, const std::string &directory, Name *name) {
    const std::string path = Below(directory, name->name);
    if (name->type != DT_UNKNOWN && rules_.Ignores(path, name->type == DT_DIR)) return false;
    struct stat info {};
    if (fstatat(directory_fd, name->name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return false;  // removed while we looked
      Unreadable(errno, path, false);
    }
    const bool is_directory = S_ISDIR(info.st_mode);
    // What readdir did not tell, or what has become something else since.
    if (IFTODT(info.st_mode) != name->type && rules_.Ignores(path, is_directory)) return false;
    if (workspace_ && is_directory && info.st_dev == workspace_->device && info.st_ino == workspace_->inode)
      return false;
    CheckName(path);
    if (is_directory) {
      const uint32_t mode = info.st_mode & 0777;
      if (mode != 0755) AddDirectory(path, mode);
      open_.push_back({path, mode != 0755});
    } else if (S_ISLNK(info.st_mode)) {
      AddSymlink(path);
    } else if (S_ISREG(info.st_mode)) {
      AddFile(path, info);
    } else {
      if (++specials_ <= kMaxWarnings) {
        scan_.warnings.push_back("'" + path + "' is " + SpecialName(info.st_mode) + ": it is left out of the snapshot");
      }
      return false;
    }
    return true;
  }

  void CheckName(const std::string &path) const {
    if (IsValidUtf8(path)) return;
    throw Error::InvalidArgument("the file name '" + SanitizeUtf8(path) + "' in '" + root_ +
                                     "' is not valid UTF-8: rename it, or leave it out with a line in " +
                                     IgnoreFileName(),
                                 {{"path", SanitizeUtf8(path)}});
  }

  void AddDirectory(const std::string &path, uint32_t mode) {
    SourceEntry directory;
    directory.entry.kind = SnapshotEntry::Kind::kDirectory;
    directory.entry.path = path;
    directory.entry.mode = mode;
    scan_.entries.push_back(std::move(directory));
  }

  void AddSymlink(const std::string &path) {
    std::array<char, PATH_MAX> text;
    const ssize_t size = readlink((root_ + "/" + path).c_str(), text.data(), text.size());
    if (size < 0) {
      if (errno == ENOENT || errno == EINVAL) return;  // changed meanwhile
      Unreadable(errno, path, false);
    }
    const std::string target(text.data(), static_cast<size_t>(size));
    const std::string shown = SanitizeUtf8(target);
    const SymlinkWay way = FollowSymlink(root_, path, target);
    if (way == SymlinkWay::kTooLong) {
      throw Error::InvalidArgument("the symlink '" + path + "' in '" + root_ + "' leads to '" + shown +
                                       "' over more than 40 other links, or round in circles: remove it, or leave it "
                                       "out with the line " +
                                       IgnoreLineFor(path, false) + " in " + IgnoreFileName(),
                                   {{"path", root_ + "/" + path}, {"target", shown}});
    }
    if (!IsValidUtf8(target) || way == SymlinkWay::kLeaves) {
      const bool inside = target.starts_with(root_ + "/");
      throw Error::InvalidArgument(
          "the symlink '" + path + "' in '" + root_ + "' leads to '" + shown + "', " +
              (inside ? "an absolute path, which the copy of the directory would leave: make it relative (ln -sr)"
                      : "outside of the directory: put a copy in its place") +
              ", or leave it out with the line " + IgnoreLineFor(path, false) + " in " + IgnoreFileName(),
          {{"path", root_ + "/" + path}, {"target", shown}});
    }
    SourceEntry link;
    link.entry.kind = SnapshotEntry::Kind::kSymlink;
    link.entry.path = path;
    link.entry.mode = 0777;
    link.entry.target = target;
    ++scan_.files;
    scan_.entries.push_back(std::move(link));
  }

  void AddFile(const std::string &path, const struct stat &info) {
    SourceEntry file;
    file.entry.path = path;
    file.entry.mode = info.st_mode & 0777;
    file.entry.size = static_cast<uint64_t>(info.st_size);
    file.stamp = {info.st_dev, info.st_ino, file.entry.size, Nanoseconds(info.st_mtim), Nanoseconds(info.st_ctim)};
    ++scan_.files;
    scan_.bytes += file.entry.size;
    scan_.entries.push_back(std::move(file));
  }

  // Where a new line belongs: a new .amlignore would put the .gitignore files out of force.
  std::string IgnoreFileName() const { return git_ignore_ ? kGitIgnore : kAmlIgnore; }

  [[noreturn]] void Unreadable(int number, const std::string &path, bool directory) const {
    ThrowUnreadable(number, root_, path, directory, IgnoreFileName());
  }

  [[noreturn]] void ThrowTooLarge() const {
    std::vector<SizedPath> files;
    for (const SourceEntry &entry : scan_.entries) {
      if (entry.entry.kind != SnapshotEntry::Kind::kDirectory) files.push_back({entry.entry.path, entry.entry.size});
    }
    std::vector<std::string> names, lines;
    for (const Offender &offender : FindOffenders(files, limits_, kMaxOffenders)) {
      const bool one = offender.files == 1 && !offender.name.ends_with('/');
      names.push_back("'" + offender.name + "' (" +
                      (one ? "" : std::to_string(offender.files) + (offender.files == 1 ? " file, " : " files, ")) +
                      FormatBytes(offender.bytes) + ")");
      lines.push_back(offender.line);
    }
    const std::string file = root_ + "/" + IgnoreFileName();
    std::string where = aml_ignore_ || git_ignore_ ? "add these lines to '" + file + "'"
                                                   : "make the file '" + file + "' with these lines";
    std::string limit = limits_.max_bytes == 0 ? "" : FormatBytes(limits_.max_bytes);
    if (limits_.max_files != 0) limit += (limit.empty() ? "" : " or ") + std::to_string(limits_.max_files) + " files";
    throw Error::InvalidArgument(
        "the source directory '" + root_ + "' has " + (complete_ ? "" : "more than ") + std::to_string(scan_.files) +
            " files of " + FormatBytes(scan_.bytes) + " in all, more than the limit of " + limit +
            ". The largest: " + Join(names, ", ") + ". To leave them out of snapshots " + where + ": " +
            Join(lines, "  ") + "  (or raise the limit with ty_job_set_snapshot_limits)",
        {{"path", root_}, {"ignore_file", file}, {"ignore_lines", Join(lines, "\n")}});
  }

  const std::string root_;
  const SnapshotLimits limits_;
  std::optional<FileInfo> workspace_;
  IgnoreRules rules_;
  bool aml_ignore_ = false, git_ignore_ = false;  // which of them apply
  std::vector<Pending> open_;                     // directories to visit; the last is next
  SourceScan scan_;
  uint64_t specials_ = 0;
  bool complete_ = true;
};

}  // namespace

void ThrowUnreadable(int number, const std::string &root, const std::string &path, bool directory,
                     const std::string &ignore_file) {
  const std::string absolute = path.empty() ? root : root + "/" + path;
  const Error plain = Error::FromErrno(number, "read", absolute);
  if (path.empty() || plain.status() != Status::kPermission) throw Error(plain);
  throw Error(plain.status(),
              std::string(plain.what()) + ": make it readable, or leave it out with the line " +
                  IgnoreLineFor(path, directory) + " in '" + root + "/" + ignore_file + "'",
              {{"path", absolute}});
}

SourceScan ScanSource(const std::string &directory, const SnapshotLimits &limits, const std::string &workspace) {
  if (!IsDirectory(directory)) {
    throw Error::NotFound("the source directory '" + directory + "' is not there or is no directory",
                          {{"path", directory}});
  }
  return Walk(AbsolutePath(directory), limits, workspace).Run();
}

}  // namespace trainyard
