#include "runner/inputs/unpack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "engine/runtime.h"
#include "runner/environment/build_tools.h"
#include "runner/inputs/gzip_reader.h"
#include "runner/inputs/libarchive.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr size_t kBuffer = size_t{256} << 10;
constexpr size_t kMaxPathBytes = 2048;  // PATH_MAX is for the folder where it is unpacked, too
constexpr la_int64_t kTarBlock = 512;
constexpr uint64_t kLinkBytes = 100;  // what keeping one takes besides its texts
constexpr char kNothingUnpacked[] = "; nothing of it was unpacked";

class Unpacker {
 public:
  Unpacker(const std::string &archive, std::string shown, const UnpackLimits &limits)
      : archive_(archive),
        shown_(std::move(shown)),
        limits_(limits),
        reader_(library_.read_new(), library_.read_free),
        disk_(library_.write_disk_new(), library_.write_free) {
    if (!reader_ || !disk_) throw Error(Status::kOutOfMemory, "out of memory for unpacking '" + shown_ + "'");
    const auto info = Stat(archive);
    const uint64_t size = info ? info->size : 0;
    const bool too_large = limits.max_ratio != 0 && size > UINT64_MAX / limits.max_ratio;
    max_bytes_ = std::max(limits.min_bytes, too_large ? UINT64_MAX : size * limits.max_ratio);
    // Paths stay below the working directory whatever the checks here may miss.
    library_.write_disk_set_options(disk_.get(), ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                                                     ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS);
    if (GzipReader::IsGzip(archive)) gzip_.emplace(archive);
    // By name: "all" would also start programs for formats that libarchive does not know itself. Zip by its list of
    // entries at the end alone: without it nobody can say whether all of them are there.
    for (const auto support :
         {library_.read_support_filter_bzip2, library_.read_support_filter_compress, library_.read_support_filter_lz4,
          library_.read_support_filter_xz, library_.read_support_filter_zstd, library_.read_support_format_tar,
          library_.read_support_format_zip_seekable}) {
      support(reader_.get());
    }
  }

  void Run() {
    const int opened = gzip_ ? library_.read_open(reader_.get(), this, nullptr, &ReadGzip, nullptr)
                             : library_.read_open_filename(reader_.get(), archive_.c_str(), kBuffer);
    if (opened != ARCHIVE_OK) ThrowDamaged("");
    archive_entry *entry = nullptr;
    for (;;) {
      const int code = library_.read_next_header(reader_.get(), &entry);
      if (code == ARCHIVE_EOF) break;
      if (code != ARCHIVE_OK && code != ARCHIVE_WARN) ThrowDamaged("");
      if (++entries_ > limits_.max_entries)
        Refuse("", "it has more than " + std::to_string(limits_.max_entries) + " entries");
      Take(entry);
    }
    CheckEnd();
    MakeSymlinks();
  }

 private:
  [[noreturn]] void Refuse(const std::string &entry, const std::string &reason) const {
    Error::Details details = {{"archive", shown_}};
    if (!entry.empty()) details["entry"] = PrintableUtf8(entry);
    throw Error::Corrupt("archive '" + shown_ + "'" + (entry.empty() ? "" : ", entry '" + PrintableUtf8(entry) + "'") +
                             ": " + PrintableUtf8(reason) + kNothingUnpacked,
                         details);
  }
  [[noreturn]] void ThrowDamaged(const std::string &entry) const {
    if (!gzip_problem_.empty()) Refuse(entry, gzip_problem_);
    if (entries_ == 0 && BeginsAsZip())
      Refuse("", "its list of entries is damaged or not there: it may have been cut short");
    const char *reason = library_.error_string(reader_.get());
    Refuse(entry, reason == nullptr ? "it is damaged" : std::string("it cannot be read: ") + reason);
  }
  // A full disk is no fault of the archive.
  [[noreturn]] void ThrowUnwritten(const std::string &entry) const {
    const char *text = library_.error_string(disk_.get());
    const std::string reason = text == nullptr ? "it cannot be written" : text;
    const int number = library_.error_number(disk_.get());
    if (number == ENOSPC || number == EDQUOT)
      throw Error::FromErrno(number, "unpack '" + shown_ + "' to", PrintableUtf8(entry));
    Refuse(entry, reason);
  }

  bool BeginsAsZip() const {
    std::array<char, 4> start{};
    const UniqueFd file = OpenFile(archive_, O_RDONLY);
    return ReadAt(file.get(), start.data(), start.size(), 0, archive_) == start.size() &&
           std::string_view(start.data(), start.size()) == std::string_view("PK\3\4");
  }

  // For libarchive, which must see no exception.
  static la_ssize_t ReadGzip(archive *, void *self, const void **data) {
    auto *unpacker = static_cast<Unpacker *>(self);
    try {
      const std::string_view piece = unpacker->gzip_->Read();
      *data = piece.data();
      return static_cast<la_ssize_t>(piece.size());
    } catch (const std::exception &error) {
      unpacker->gzip_problem_ = error.what();
      return ARCHIVE_FATAL;
    }
  }

  // libarchive takes the end of the file for the end of a tar. What was cut between two entries lacks the blocks of
  // zeros that every tool writes last; they are what was read behind the last entry. The rest of a gzip file is read
  // for its checksum.
  void CheckEnd() {
    const bool tar = (library_.format(reader_.get()) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
    if (tar && library_.filter_bytes(reader_.get(), 0) - library_.read_header_position(reader_.get()) < kTarBlock)
      Refuse("", "it has no end mark: it was cut short");
    if (!gzip_) return;
    for (const void *piece = nullptr;;) {
      const la_ssize_t size = ReadGzip(nullptr, this, &piece);
      if (size < 0) ThrowDamaged("");
      if (size == 0) return;
      Count("", static_cast<uint64_t>(size));
    }
  }

  // Holes count as well: whoever copies the file writes them.
  void Count(const std::string &name, uint64_t bytes) {
    if (bytes > max_bytes_ - bytes_) Refuse(name, "it holds more than " + std::to_string(max_bytes_) + " bytes in all");
    bytes_ += bytes;
  }

  // Names come in the archive's own encoding, or as UTF-8 where the locale has no words for them.
  static std::string Text(const char *own, const char *utf8) {
    return own != nullptr ? own : utf8 != nullptr ? utf8 : "";
  }

  // "./a//b/" -> "a/b"; "" for the root itself.
  std::string Normal(const std::string &name, const char *what) const {
    if (name.starts_with('/')) Refuse(name, std::string(what) + " is absolute");
    std::vector<std::string> parts;
    for (const std::string_view part : Split(name, '/')) {
      if (part == "..") Refuse(name, std::string(what) + " leads out of the folder with '..'");
      if (!part.empty() && part != ".") parts.emplace_back(part);
    }
    if (parts.size() > limits_.max_depth || name.size() > kMaxPathBytes)
      Refuse(name.substr(0, kMaxPathBytes), std::string(what) + " is deeper than " + std::to_string(limits_.max_depth) +
                                                " folders or longer than " + std::to_string(kMaxPathBytes) + " bytes");
    return Join(parts, "/");
  }

  void Take(archive_entry *entry) {
    const std::string name = Text(library_.entry_pathname(entry), library_.entry_pathname_utf8(entry));
    if (name.empty()) Refuse("", "an entry has no name");
    const std::string path = Normal(name, "its path");
    if (path.empty()) return;
    const std::string hardlink = Text(library_.entry_hardlink(entry), library_.entry_hardlink_utf8(entry));
    if (!hardlink.empty()) return TakeHardlink(name, path, Normal(hardlink, "the hard link's target"));
    switch (library_.entry_filetype(entry)) {
      case AE_IFDIR:
        return Write(name, path, AE_IFDIR, 0755, {});
      case AE_IFREG: {
        Content content;
        if (library_.entry_size_is_set(entry) != 0) content.size = library_.entry_size(entry);
        return Write(name, path, AE_IFREG, (library_.entry_perm(entry) & 0777) | 0600, content);
      }
      case AE_IFLNK:
        return TakeSymlink(name, path, Text(library_.entry_symlink(entry), library_.entry_symlink_utf8(entry)));
      default:
        Refuse(name, "it is a device, a pipe or a socket");
    }
  }

  // Kept until the end, so their number and length are a matter of memory. Of one name the last symlink counts; a file
  // of that name beside it is refused when the symlinks are made.
  void TakeSymlink(const std::string &name, const std::string &path, std::string target) {
    if (target.size() >= PATH_MAX)
      Refuse(name, "it is a symlink to a path of " + std::to_string(target.size()) + " bytes");
    link_bytes_ += kLinkBytes + path.size() + target.size();
    Count(name, path.size() + target.size());
    if (link_bytes_ > limits_.max_link_bytes)
      Refuse(name, "its symlinks have more than " + std::to_string(limits_.max_link_bytes) + " bytes in all");
    links_[path] = std::move(target);
  }

  // What a file gets: the content that follows, of this size where the archive says one; or that of another file.
  struct Content {
    std::optional<la_int64_t> size;
    const char *hardlink = nullptr;
  };

  // An entry of our own with the path and mode that were checked, and nothing else of what the archive says: no owner,
  // no times, no attributes.
  void Write(const std::string &name, const std::string &path, unsigned type, mode_t mode, const Content &content) {
    const std::unique_ptr<archive_entry, decltype(library_.entry_free)> entry(library_.entry_new(),
                                                                              library_.entry_free);
    if (!entry) throw Error(Status::kOutOfMemory, "out of memory for unpacking '" + shown_ + "'");
    library_.entry_set_pathname(entry.get(), path.c_str());
    library_.entry_set_filetype(entry.get(), type);
    library_.entry_set_perm(entry.get(), mode);
    if (content.hardlink != nullptr) library_.entry_set_hardlink(entry.get(), content.hardlink);
    // What is sparse may end in a hole, for which no data comes.
    const uint64_t size = content.size ? static_cast<uint64_t>(*content.size) : 0;
    if (size > max_bytes_ - bytes_) Count(name, size);
    if (content.size) library_.entry_set_size(entry.get(), *content.size);
    if (library_.write_header(disk_.get(), entry.get()) != ARCHIVE_OK) ThrowUnwritten(name);
    if (type == AE_IFREG && content.hardlink == nullptr) Count(name, std::max(size, WriteData(name)));
    if (library_.write_finish_entry(disk_.get()) != ARCHIVE_OK) ThrowUnwritten(name);
  }

  // Answers where the data ends.
  uint64_t WriteData(const std::string &name) {
    for (uint64_t end = 0;;) {
      const void *data = nullptr;
      size_t size = 0;
      la_int64_t offset = 0;
      const int code = library_.read_data_block(reader_.get(), &data, &size, &offset);
      if (code == ARCHIVE_EOF) return end;
      if (code != ARCHIVE_OK) ThrowDamaged(name);
      if (offset < 0) Refuse(name, "it has data before its beginning");
      end = std::max(end, static_cast<uint64_t>(offset) + size);
      if (end > max_bytes_ - bytes_) Count(name, end);
      if (library_.write_data_block(disk_.get(), data, size, offset) != ARCHIVE_OK) ThrowUnwritten(name);
    }
  }

  void TakeHardlink(const std::string &name, const std::string &path, const std::string &target) {
    const auto info = Stat(target, false);
    if (!info || info->kind != FileInfo::Kind::kFile)
      Refuse(name, "it is a hard link to '" + target + "', which is not in it");
    Content content;
    content.hardlink = target.c_str();
    Write(name, path, AE_IFREG, 0600, content);
  }

  // One that lies behind another would be made wherever that one leads.
  void CheckFolders(const std::string &path) const {
    for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      if (links_.contains(path.substr(0, slash)))
        Refuse(path, "it lies in '" + path.substr(0, slash) + "', which is a symlink");
    }
  }

  // After everything else: nothing is written through one. Their own folders are real, as CheckFolders says.
  void MakeSymlinks() const {
    for (const auto &[path, target] : links_) CheckFolders(path);
    for (const auto &[path, target] : links_) {
      try {
        MakeDirs(ParentPath(path), 0755);
      } catch (const Error &error) {
        Refuse(path, error.what());
      }
      if (symlink(target.c_str(), path.c_str()) != 0)
        Refuse(path, Error::FromErrno(errno, "create the symlink", path).what());
    }
    for (const auto &[path, target] : links_) {
      const SymlinkWay way = FollowSymlink(".", path, target);
      if (way == SymlinkWay::kLeaves) Refuse(path, "it is a symlink that leads out of the folder, to '" + target + "'");
      if (way == SymlinkWay::kTooLong)
        Refuse(path, "it is a symlink over more than 40 others, or round in circles, to '" + target + "'");
    }
  }

  const Libarchive &library_ = GetLibarchive();
  const std::string archive_, shown_;
  const UnpackLimits limits_;
  const std::unique_ptr<archive, decltype(library_.read_free)> reader_;
  const std::unique_ptr<archive, decltype(library_.write_free)> disk_;
  std::optional<GzipReader> gzip_;
  std::string gzip_problem_;
  std::map<std::string, std::string> links_;  // path to target
  uint64_t max_bytes_ = 0, bytes_ = 0, link_bytes_ = 0, entries_ = 0;
};

}  // namespace

bool IsArchiveName(std::string_view name) {
  constexpr std::array<std::string_view, 13> kEndings = {".zip",     ".tar",    ".tar.gz", ".tgz",     ".tar.bz2",
                                                         ".tbz2",    ".tar.xz", ".txz",    ".tar.zst", ".tzst",
                                                         ".tar.lz4", ".tar.Z",  ".taz"};
  return std::any_of(kEndings.begin(), kEndings.end(),
                     [&](std::string_view ending) { return name.size() > ending.size() && name.ends_with(ending); });
}

void UnpackHere(const std::string &archive, const std::string &shown, const UnpackLimits &limits) {
  Unpacker(archive, shown, limits).Run();
}

int UnpackTask(const std::string &archive, const std::string &shown) {
  try {
    UnpackHere(archive, shown);
    return 0;
  } catch (const Error &error) {
    Json report = Json::Object();
    report.Set("status", static_cast<int64_t>(error.status())).Set("message", error.what());
    std::puts(report.Dump().c_str());
    return 1;
  }
}

void UnpackArchive(const std::string &archive, const std::string &shown, const std::string &directory,
                   const std::string &marker, const std::function<bool()> &go_on) {
  MakeDirs(ParentPath(directory));
  if (mkdir(directory.c_str(), 0755) != 0) throw Error::FromErrno(errno, "create the directory", directory);
  try {
    BuildTools tools("", marker, go_on);
    BuildTools::Options options;
    options.directory = directory;
    options.quiet = true;
    const BuildTools::Result result = tools.Run({RunnerPath(), "unpack", archive, shown}, options);
    if (result.ok()) return;
    if (!result.output.starts_with('{')) {
      throw Error::Corrupt("archive '" + shown + "': the process that unpacks it ended with status " +
                           std::to_string(result.exit_code) + kNothingUnpacked);
    }
    const Json report = Json::Parse(result.output, "report");
    throw Error(static_cast<Status>(report.GetInt64("status", 0)), report.GetString("message"));
  } catch (...) {
    RemoveTree(directory);
    throw;
  }
}

}  // namespace trainyard
