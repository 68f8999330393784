#include "store/prune.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <map>
#include <set>

#include "store/snapshot.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

namespace trainyard {
namespace {

constexpr std::string_view kLockEnding = ".lock";
constexpr int64_t kOrphanGraceMs = 3600 * 1000;
constexpr int64_t kCacheLifeMs = int64_t{30} * 86400 * 1000;

uint64_t TreeBytes(const std::string &path) {
  uint64_t bytes = 0;
  if (!IsDirectory(path)) return 0;
  for (const std::string &name : ListTree(path)) {
    const auto info = Stat(path + "/" + name, false);
    if (info) bytes += info->size;
  }
  return bytes;
}

void Add(PruneReport::Part *part, std::string name, uint64_t bytes) {
  ++part->count;
  part->bytes += bytes;
  part->names.push_back(std::move(name));
}

struct Kept {
  std::set<std::string> run_ids;    // all that stay
  std::set<std::string> snapshots;  // of those
  std::set<std::string> objects;    // files of models that stay
};

// A run and its descendants: they go together or stay together.
struct RunTree {
  std::string experiment;  // of the run at the top
  std::vector<std::string> ids, snapshots;
  int64_t ended_ms = 0;  // the last of them
  bool ended = true;     // all of them
};

// Newest first.
std::vector<RunTree> ListTrees(Store *store) {
  std::map<std::string, RunTree> trees;  // by the run at the top
  store->database().Read([&](Connection &db) {
    auto rows = db.Prepare("SELECT id, root_id, experiment, state, ended_ms, snapshot_id FROM runs ORDER BY seq");
    while (rows.Step()) {
      const bool is_top = rows.Text(1).empty();
      RunTree &tree = trees[is_top ? rows.Text(0) : rows.Text(1)];
      if (is_top || tree.experiment.empty()) tree.experiment = rows.Text(2);
      tree.ids.push_back(rows.Text(0));
      if (!rows.Text(5).empty()) tree.snapshots.push_back(rows.Text(5));
      tree.ended_ms = std::max(tree.ended_ms, rows.Int(4));
      tree.ended = tree.ended && IsFinal(static_cast<RunState>(rows.Int(3)));
    }
  });
  std::vector<RunTree> list;
  for (auto &[top, tree] : trees) list.push_back(std::move(tree));
  std::sort(list.begin(), list.end(), [](const RunTree &a, const RunTree &b) {
    return a.ended_ms != b.ended_ms ? a.ended_ms > b.ended_ms : a.ids > b.ids;
  });
  return list;
}

void PruneRuns(Store *store, const PruneRequest &request, PruneReport *report, Kept *kept) {
  std::set<std::string> gone;
  std::map<std::string, int64_t> seen;  // ended ones of an experiment
  for (const RunTree &tree : ListTrees(store)) {
    const bool old = request.runs_ended_before_ms != 0 && tree.ended_ms < request.runs_ended_before_ms;
    const bool surplus = tree.ended && request.runs_to_keep >= 0 && ++seen[tree.experiment] > request.runs_to_keep;
    const bool asked = request.experiment.empty() || tree.experiment == request.experiment;
    if (!tree.ended || !asked || !(old || surplus)) {
      kept->run_ids.insert(tree.ids.begin(), tree.ids.end());
      kept->snapshots.insert(tree.snapshots.begin(), tree.snapshots.end());
      continue;
    }
    for (const std::string &id : tree.ids) Add(&report->runs, id, TreeBytes(store->RunPaths(id).Root()));
    gone.insert(tree.ids.begin(), tree.ids.end());
    if (!request.dry_run) store->runs().Delete(tree.ids.front());
  }
  if (request.runs_ended_before_ms == 0 || !IsDirectory(store->layout().Runs())) return;
  // Directories that a crash left behind when their record was gone already.
  for (const DirEntry &entry : ListDir(store->layout().Runs())) {
    if (kept->run_ids.contains(entry.name) || gone.contains(entry.name)) continue;
    const std::string path = store->layout().Runs() + "/" + entry.name;
    const auto info = Stat(path, false);
    if (!info || info->modified_ms > NowUnixMs() - kOrphanGraceMs) continue;
    Add(&report->runs, entry.name, TreeBytes(path));
    if (!request.dry_run) RemoveTree(path);
  }
}

void PruneModels(Store *store, const PruneRequest &request, PruneReport *report, Kept *kept) {
  struct Version {
    std::string name;
    int64_t version = 0;
    uint64_t bytes = 0;
    std::vector<std::string> hashes;
  };
  std::vector<Version> versions;
  store->database().Read([&](Connection &db) {
    auto rows = db.Prepare(
        "SELECT m.name, m.version, f.sha256, f.size FROM models m JOIN model_files f ON f.model_id = m.id "
        "ORDER BY m.name, m.version DESC");
    while (rows.Step()) {
      if (versions.empty() || versions.back().name != rows.Text(0) || versions.back().version != rows.Int(1)) {
        versions.push_back({rows.Text(0), rows.Int(1), 0, {}});
      }
      versions.back().bytes += static_cast<uint64_t>(rows.Int(3));
      versions.back().hashes.push_back(rows.Text(2));
    }
  });
  std::map<std::string, int32_t> seen;
  for (const Version &version : versions) {
    if (request.model_versions_to_keep < 0 || seen[version.name]++ < request.model_versions_to_keep) {
      kept->objects.insert(version.hashes.begin(), version.hashes.end());
      continue;
    }
    Add(&report->models, version.name + ":" + std::to_string(version.version), version.bytes);
    if (!request.dry_run) store->models().Delete(version.name, version.version);
  }
}

void PruneEnvironments(Store *store, const PruneRequest &request, PruneReport *report) {
  const std::string root = store->layout().Environments();
  if (request.environments_unused_before_ms == 0 || !IsDirectory(root)) return;
  for (const DirEntry &entry : ListDir(root)) {
    if (entry.kind != FileInfo::Kind::kDirectory) continue;
    const EnvironmentLayout environment = store->layout().Environment(entry.name);
    // Each use touches the lock; whoever uses or makes it holds the lock.
    const UniqueFd lock = OpenFile(environment.Lock(), O_RDWR | O_CREAT);
    const auto info = Stat(environment.Lock(), false);
    if (!info || info->modified_ms >= request.environments_unused_before_ms) continue;
    if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) continue;
    Add(&report->environments, entry.name, TreeBytes(environment.Root()));
    if (!request.dry_run) RemoveTree(environment.Root());
  }
}

void PruneObjects(Store *store, const PruneRequest &request, PruneReport *report, const Kept &kept) {
  std::set<std::string> referenced = kept.objects;
  const auto add = [&](const std::string &id, std::set<std::string> *all) {
    all->insert(id);
    try {
      for (const SnapshotEntry &entry : LoadSnapshot(id, store->objects()).entries) all->insert(entry.sha256);
    } catch (const Error &error) {
      if (error.status() != Status::kNotFound) throw;
      Log(LogLevel::kWarning, "the snapshot '" + id + "' is gone");
    }
  };
  for (const std::string &id : kept.snapshots) add(id, &referenced);
  const GarbageReport garbage =
      store->objects().CollectGarbage(std::move(referenced), request.dry_run, request.object_grace_ms, add);
  report->objects = {garbage.count, garbage.bytes, garbage.names};
}

// What nobody has used for long and can be had again, so it is no loss to report: what is known of source directories.
void PruneIndexes(Store *store, const PruneRequest &request) {
  const std::string root = store->layout().Root() + "/cache/snapshots";
  if (request.dry_run || !IsDirectory(root)) return;
  for (const DirEntry &entry : ListDir(root)) {
    const auto info = Stat(root + "/" + entry.name, false);
    if (info && info->modified_ms < NowUnixMs() - kCacheLifeMs) RemoveFile(root + "/" + entry.name);
  }
}

// And what URLs gave.
void PruneDownloads(Store *store, const PruneRequest &request) {
  if (request.dry_run) return;
  for (const std::string &root : {store->layout().Downloads(), store->layout().Unpacked()}) {
    if (!IsDirectory(root)) continue;
    for (const DirEntry &entry : ListDir(root)) {
      if (!entry.name.ends_with(kLockEnding)) continue;
      const std::string path = root + "/" + entry.name;
      const auto info = Stat(path, false);
      if (!info || info->modified_ms >= NowUnixMs() - kCacheLifeMs) continue;
      const UniqueFd lock = OpenFile(path, O_RDWR);
      if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) continue;  // in use
      const std::string data = path.substr(0, path.size() - kLockEnding.size());
      try {
        for (const char *ending : {"", ".part", ".archive", ".archive.part", ".tmp"}) RemoveTree(data + ending);
      } catch (const Error &error) {
        Log(LogLevel::kWarning, std::string("prune leaves a download: ") + error.what());
      }
    }
  }
}

}  // namespace

PruneReport Prune(Store *store, const PruneRequest &request) {
  PruneReport report;
  Kept kept;
  // What needs no space first: the disk may be full.
  PruneIndexes(store, request);
  PruneDownloads(store, request);
  PruneRuns(store, request, &report, &kept);
  PruneModels(store, request, &report, &kept);
  PruneEnvironments(store, request, &report);
  if (request.objects) PruneObjects(store, request, &report, kept);
  return report;
}

}  // namespace trainyard
