#include "runner/prepare.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "drivers/local/preflight.h"
#include "store/snapshot.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/http.h"
#include "util/log.h"

namespace trainyard {
namespace {

std::string DownloadPath(const WeightsSource &source, Store *store) {
  return store->layout().Root() + "/cache/downloads/" + source.sha256;
}

// One run downloads, the others that want the same file wait for it.
std::string Download(const WeightsSource &source, Store *store, const std::function<bool()> &go_on) {
  const std::string path = DownloadPath(source, store);
  MakeDirs(ParentPath(path));
  const UniqueFd lock = OpenFile(path + ".lock", O_RDWR | O_CREAT);
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (!go_on()) throw Error(Status::kCanceled, "canceled while waiting for another run's download");
    usleep(100000);
  }
  if (PathExists(path)) return path;  // checked when it came
  DownloadOptions options;
  options.sha256 = source.sha256;
  options.progress = [&](uint64_t, uint64_t) { return go_on(); };
  Log(LogLevel::kInfo, "downloading " + source.url);
  DownloadFile(source.url, path, options);
  Log(LogLevel::kInfo, "downloaded " + source.url + " to " + path);
  return path;
}

WeightsSource SourceOf(const Job &job) {
  return job.train ? ParseWeights(job.train->GetString("model.weights")) : WeightsSource();
}

}  // namespace

void PrepareCode(const RunRecord &run, Store *store) {
  const RunLayout layout = store->RunPaths(run.id);
  MakeDirs(layout.Code());
  if (!run.snapshot_id.empty()) {
    RestoreSnapshot(LoadSnapshot(run.snapshot_id, store->objects()), store->objects(), layout.Code());
  }
  for (const std::string &path : {layout.CodeOutputs(), layout.CodeLogs()}) {
    // A link in the source would put outputs outside the run.
    const auto info = Stat(path, false);
    if (info && info->kind != FileInfo::Kind::kDirectory) RemoveFile(path);
    MakeDirs(path);
  }
  MakeDirs(layout.UserLogs());
  MakeDirs(layout.Journal());
}

bool NeedsDownload(const Job &job, Store *store) {
  const WeightsSource source = SourceOf(job);
  return source.kind == WeightsSource::Kind::kUrl && !PathExists(DownloadPath(source, store));
}

std::string ResolveWeights(const Job &job, Store *store, const std::function<bool()> &go_on) {
  const WeightsSource source = SourceOf(job);
  switch (source.kind) {
    case WeightsSource::Kind::kNone:
      return "";
    case WeightsSource::Kind::kFile:
      return source.path;
    case WeightsSource::Kind::kUrl:
      return Download(source, store, go_on);
    case WeightsSource::Kind::kModel:
      return WeightsOfModel(source, store);
  }
  return "";
}

}  // namespace trainyard
