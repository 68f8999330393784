#include "runner/prepare.h"

#include "drivers/local/preflight.h"
#include "runner/inputs/data_cache.h"
#include "store/snapshot.h"
#include "util/fs.h"

namespace trainyard {
namespace {

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
  return source.kind == WeightsSource::Kind::kUrl && !IsCached(source.sha256, store->layout());
}

std::string ResolveWeights(const Job &job, Store *store, const std::function<bool()> &go_on) {
  const WeightsSource source = SourceOf(job);
  switch (source.kind) {
    case WeightsSource::Kind::kNone:
      return "";
    case WeightsSource::Kind::kFile:
      return source.path;
    case WeightsSource::Kind::kUrl:
      return CacheFile(source.url, source.sha256, store->layout(), go_on).path;
    case WeightsSource::Kind::kModel:
      return WeightsOfModel(source, store);
  }
  return "";
}

}  // namespace trainyard
