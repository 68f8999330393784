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

constexpr int64_t kOrphanGraceMs = 3600 * 1000;
constexpr int64_t kIndexLifeMs = int64_t{30} * 86400 * 1000;

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

void PruneRuns(Store *store, const PruneRequest &request, PruneReport *report, Kept *kept) {
  std::vector<std::string> gone;
  std::map<std::string, int64_t> ended;  // runs of an experiment seen so far, newest first
  store->database().Read([&](Connection &db) {
    auto rows =
        db.Prepare("SELECT id, experiment, state, ended_ms, snapshot_id FROM runs ORDER BY ended_ms DESC, id DESC");
    while (rows.Step()) {
      const bool final = IsFinal(static_cast<RunState>(rows.Int(2)));
      const bool old =
          request.runs_ended_before_ms != 0 && rows.Int(3) != 0 && rows.Int(3) < request.runs_ended_before_ms;
      const bool surplus = final && request.runs_to_keep >= 0 && ++ended[rows.Text(1)] > request.runs_to_keep;
      const bool goes = final && (old || surplus);
      if (goes && (request.experiment.empty() || rows.Text(1) == request.experiment)) {
        gone.push_back(rows.Text(0));
      } else {
        kept->run_ids.insert(rows.Text(0));
        if (!rows.Text(4).empty()) kept->snapshots.insert(rows.Text(4));
      }
    }
  });
  for (const std::string &id : gone) {
    Add(&report->runs, id, TreeBytes(store->RunPaths(id).Root()));
    if (!request.dry_run) store->runs().Delete(id);
  }
  if (request.runs_ended_before_ms == 0 || !IsDirectory(store->layout().Runs())) return;
  // Directories that a crash left behind when their record was gone already.
  const std::set<std::string> listed(gone.begin(), gone.end());
  for (const DirEntry &entry : ListDir(store->layout().Runs())) {
    if (kept->run_ids.contains(entry.name) || listed.contains(entry.name)) continue;
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

// What is known of source directories that nobody has submitted for long. It can be had again, so it is no loss to
// report.
void PruneIndexes(Store *store, const PruneRequest &request) {
  const std::string root = store->layout().Root() + "/cache/snapshots";
  if (request.dry_run || !IsDirectory(root)) return;
  for (const DirEntry &entry : ListDir(root)) {
    const auto info = Stat(root + "/" + entry.name, false);
    if (info && info->modified_ms < NowUnixMs() - kIndexLifeMs) RemoveFile(root + "/" + entry.name);
  }
}

}  // namespace

PruneReport Prune(Store *store, const PruneRequest &request) {
  PruneReport report;
  Kept kept;
  PruneRuns(store, request, &report, &kept);
  PruneModels(store, request, &report, &kept);
  PruneEnvironments(store, request, &report);
  if (request.objects) PruneObjects(store, request, &report, kept);
  PruneIndexes(store, request);
  return report;
}

}  // namespace trainyard
