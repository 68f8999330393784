#include "store/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <functional>

#include "core/secret_rules.h"
#include "store/snapshot_index.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hash.h"
#include "util/parallel.h"

namespace trainyard {
namespace {

constexpr size_t kMaxSecretWarnings = 20;
// Hashing and the file system's own work overlap; more threads than that would take the host's processors from it.
constexpr size_t kThreads = 2;
constexpr size_t kWorthAThread = 32;  // files
constexpr int kReplacedAttempts = 5;
constexpr int kPatience = 5;

// What a change of the list would change.
std::string ListDigest(const std::vector<SourceEntry> &entries) {
  Sha256 hash;
  std::string line;
  for (const auto &[entry, stamp] : entries) {
    line = entry.path;
    line += '\0';
    line += std::to_string(static_cast<int>(entry.kind)) + " " + std::to_string(entry.mode) + " ";
    line += entry.sha256 + entry.target;
    line += '\0';
    hash.Update(line);
  }
  return hash.HexDigest();
}

SecretKind SecretInFile(const std::string &absolute, const SnapshotEntry &entry) {
  const SecretKind by_name = SecretByName(entry.path);
  if (by_name != SecretKind::kNone || entry.size == 0 || entry.size > kSecretFileBytes) return by_name;
  const UniqueFd file = OpenFile(absolute, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  std::string head(std::min<size_t>(entry.size, kSecretHeadBytes), '\0');
  head.resize(ReadAt(file.get(), head.data(), head.size(), 0, absolute));
  return SecretByContent(head);
}

// One source directory, as it was found, with what is known of it from before.
class Source {
 public:
  explicit Source(const SnapshotRequest &request)
      : root_(AbsolutePath(request.directory)),
        index_path_(request.workspace.empty() ? "" : SnapshotIndex::Path(request.workspace, root_)),
        started_ns_(NowUnixMs() * 1000000),
        scan_(ScanSource(root_, request.limits, request.workspace)),
        secrets_(scan_.entries.size(), SecretKind::kNone),
        gone_(scan_.entries.size(), false) {
    if (!index_path_.empty()) index_ = SnapshotIndex::Load(index_path_);
    RecallUnchanged();
  }

  std::vector<SourceEntry> &entries() { return scan_.entries; }
  const SnapshotIndex &index() const { return index_; }

  // Those that have to be read: no hash is known.
  std::vector<size_t> Unknown() const {
    std::vector<size_t> unknown;
    for (size_t i = 0; i < scan_.entries.size(); ++i) {
      const SnapshotEntry &entry = scan_.entries[i].entry;
      if (entry.kind == SnapshotEntry::Kind::kFile && entry.sha256.empty() && !gone_[i]) unknown.push_back(i);
    }
    return unknown;
  }

  // `work` reads the file at the path that it is given; one that has vanished is noted.
  void ReadEach(const std::vector<size_t> &which,
                const std::function<void(SnapshotEntry *, const std::string &)> &work) {
    const auto read = [&](size_t n) {
      const size_t i = which[n];
      SnapshotEntry &entry = scan_.entries[i].entry;
      const std::string absolute = root_ + "/" + entry.path;
      for (int attempt = 1;; ++attempt) {
        try {
          secrets_[i] = SecretInFile(absolute, entry);
          work(&entry, absolute);
          break;
        } catch (const Error &error) {
          if (error.status() == Status::kPermission && error.details().contains("path") &&
              error.details().at("path") == absolute) {
            ThrowUnreadable(EACCES, root_, entry.path, false, scan_.ignore_file);
          }
          const auto now = Stat(absolute, false);
          const bool is_file = now && now->kind == FileInfo::Kind::kFile;
          // It may have been replaced just now: away when it was opened, there again when it was looked at.
          if (is_file && error.status() == Status::kNotFound && attempt < kReplacedAttempts) continue;
          if (is_file && error.status() != Status::kNotFound) throw;
          gone_[i] = true;  // or it has become something else, which comes to the same
          break;
        }
      }
      if (!gone_[i]) {
        ++read_files_;
        read_bytes_ += entry.size;
      }
    };
    ParallelFor(which.size(), which.size() < kWorthAThread ? 1 : kThreads, read);
  }

  void DropVanished() {
    for (size_t i = scan_.entries.size(); i-- > 0;) {
      if (!gone_[i]) continue;
      scan_.warnings.push_back("'" + scan_.entries[i].entry.path +
                               "' vanished while the snapshot was taken: it is not in it");
      scan_.entries.erase(scan_.entries.begin() + static_cast<std::ptrdiff_t>(i));
      secrets_.erase(secrets_.begin() + static_cast<std::ptrdiff_t>(i));
      gone_.erase(gone_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  SnapshotReport Report() const {
    SnapshotReport report;
    report.warnings = scan_.warnings;
    report.read_files = read_files_;
    report.read_bytes = read_bytes_;
    size_t secrets = 0;
    for (size_t i = 0; i < scan_.entries.size(); ++i) {
      const SnapshotEntry &entry = scan_.entries[i].entry;
      if (entry.kind != SnapshotEntry::Kind::kDirectory) ++report.files;
      report.bytes += entry.size;
      if (secrets_[i] == SecretKind::kNone || ++secrets > kMaxSecretWarnings) continue;
      report.warnings.push_back(SecretWarning(entry.path, secrets_[i], scan_.ignore_file));
    }
    if (secrets > kMaxSecretWarnings) {
      report.warnings.push_back(std::to_string(secrets - kMaxSecretWarnings) +
                                " more files look like secrets: see ty_job_validate after these are left out");
    }
    return report;
  }

  // For the next time; nothing is written when nothing has changed.
  void Remember(const std::string &id, const std::string &digest, const std::string &generation) {
    if (index_path_.empty()) return;
    SnapshotIndex fresh;
    fresh.snapshot_id = id;
    fresh.list_digest = digest;
    fresh.generation = generation;
    for (size_t i = 0; i < scan_.entries.size(); ++i) {
      const auto &[entry, stamp] = scan_.entries[i];
      if (entry.kind != SnapshotEntry::Kind::kFile) continue;
      const bool young = std::max(stamp.modified_ns, stamp.changed_ns) + SnapshotIndex::kMarginNs >= started_ns_;
      fresh.files.push_back({entry.path, stamp, young ? "" : entry.sha256, secrets_[i]});
    }
    const bool same = read_files_ == 0 && index_.list_digest == digest && index_.generation == generation;
    if (same && utimensat(AT_FDCWD, index_path_.c_str(), nullptr, 0) == 0) return;
    fresh.Save(index_path_);
  }

 private:
  void RecallUnchanged() {
    auto known = index_.files.begin();
    for (size_t i = 0; i < scan_.entries.size(); ++i) {
      auto &[entry, stamp] = scan_.entries[i];
      if (entry.kind != SnapshotEntry::Kind::kFile) continue;
      while (known != index_.files.end() && known->path < entry.path) ++known;
      if (known == index_.files.end()) return;
      if (known->path != entry.path || known->stamp != stamp) continue;
      entry.sha256 = known->sha256;
      secrets_[i] = known->secret;
    }
  }

  const std::string root_, index_path_;
  const int64_t started_ns_;
  SourceScan scan_;
  SnapshotIndex index_;
  std::vector<SecretKind> secrets_;  // of each entry
  std::vector<char> gone_;           // of each entry; not vector<bool>: threads write their own
  std::atomic<uint64_t> read_files_{0}, read_bytes_{0};
};

// Puts one source into the store. What was known from before is believed to be there as long as nothing has been
// pruned since (ObjectStore::Generation).
class Taker {
 public:
  Taker(Source *source, ObjectStore *objects) : source_(source), objects_(objects) {}

  SnapshotManifest Run() {
    std::string generation = objects_->Generation();
    bool sure = generation == source_->index().generation && !source_->index().snapshot_id.empty();
    for (int attempt = 0; attempt < kPatience; ++attempt) {
      if (!sure) ForgetLost();
      Store(sure);
      if (objects_->Hold(manifest_.id, generation)) {
        source_->Remember(manifest_.id, digest_, generation);
        return std::move(manifest_);
      }
      generation = objects_->Generation();
      sure = false;
    }
    throw Error(Status::kBusy, "the workspace is being pruned again and again: submit when that has ended");
  }

 private:
  void ForgetLost() {
    for (auto &[entry, stamp] : source_->entries()) {
      if (!entry.sha256.empty() && !objects_->Refresh(entry.sha256)) entry.sha256.clear();
    }
  }

  void Store(bool sure) {
    const std::vector<size_t> unknown = source_->Unknown();
    source_->ReadEach(unknown, [&](SnapshotEntry *entry, const std::string &absolute) {
      const ObjectInfo object = objects_->PutFile(absolute, /*sync=*/false);
      entry->sha256 = object.sha256;
      entry->size = object.size;
    });
    std::vector<std::string> fresh;
    for (const size_t i : unknown) {
      if (const std::string &hash = source_->entries()[i].entry.sha256; !hash.empty()) fresh.push_back(hash);
    }
    source_->DropVanished();
    digest_ = ListDigest(source_->entries());
    const SnapshotIndex &index = source_->index();
    manifest_ = {};
    for (const auto &[entry, stamp] : source_->entries()) {
      manifest_.entries.push_back(entry);
      manifest_.bytes += entry.size;
    }
    if (digest_ == index.list_digest && (sure || objects_->Refresh(index.snapshot_id))) {
      manifest_.id = index.snapshot_id;
    } else {
      manifest_.id = objects_->PutBytes(ManifestText(manifest_.entries), /*sync=*/false).sha256;
      fresh.push_back(manifest_.id);
    }
    objects_->Sync(fresh);
  }

  Source *const source_;
  ObjectStore *const objects_;
  SnapshotManifest manifest_;
  std::string digest_;
};

}  // namespace

SnapshotManifest TakeSnapshot(const SnapshotRequest &request, ObjectStore *objects, SnapshotReport *report) {
  Source source(request);
  SnapshotManifest manifest = Taker(&source, objects).Run();
  if (report != nullptr) *report = source.Report();
  return manifest;
}

SnapshotReport InspectSource(const SnapshotRequest &request) {
  Source source(request);
  source.ReadEach(source.Unknown(), [](SnapshotEntry *, const std::string &absolute) {
    OpenFile(absolute, O_RDONLY | O_NONBLOCK);  // says whether it can be read
  });
  source.DropVanished();
  return source.Report();
}

}  // namespace trainyard
