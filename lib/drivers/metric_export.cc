#include "drivers/metric_export.h"

#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>

#include "core/metric_value.h"
#include "drivers/tensorboard_file.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/random.h"
#include "util/text.h"

namespace trainyard {
namespace {

constexpr int64_t kPage = 65536;

// visit(name, rank, point) for every number of the run.
void ForEachPoint(Driver *driver, const std::string &id,
                  const std::function<void(const std::string &, int32_t, const MetricPoint &)> &visit) {
  for (const MetricSummary &metric : driver->ListMetrics(id)) {
    MetricQuery query;
    query.name = metric.name;
    query.limit = kPage;
    for (;;) {
      const MetricSeries series = driver->QueryMetric(id, query);
      for (size_t i = 0; i < series.points.size(); ++i) visit(metric.name, series.ranks[i], series.points[i]);
      query.offset += static_cast<int64_t>(series.points.size());
      if (series.points.empty()) break;
    }
  }
}

class TensorBoardExport {
 public:
  TensorBoardExport(Driver *driver, const std::string &id, std::string directory)
      : driver_(driver), run_(driver->GetRun(id)), directory_(std::move(directory)) {}

  void Run() {
    MakeDirs(directory_, 0755);
    ForEachPoint(driver_, run_.id, [this](const std::string &name, int32_t rank, const MetricPoint &point) {
      File(rank).AddScalar(name, point.step, point.time_ms, point.value);
    });
    AddImages();
    for (auto &[rank, file] : files_) file->Finish();
  }

 private:
  TensorBoardFile &File(int32_t rank) {
    auto &file = files_[rank];
    if (file) return *file;
    std::string directory = directory_;
    if (rank == kRunnerRank) {
      directory = JoinPath(directory_, "runner");
    } else if (run_.rank_count > 1) {
      directory = JoinPath(directory_, "rank_" + std::to_string(rank));
    }
    const std::string name =
        "events.out.tfevents." + std::to_string(run_.created_ms / 1000) + "." + run_.id + "." + std::to_string(rank);
    file = std::make_unique<TensorBoardFile>(directory, name, run_.created_ms);
    return *file;
  }

  void AddImages() {
    MetricValuesQuery query;
    query.kinds = {MetricKind::kImage};
    const TempDir temporary("trainyard-export");
    for (const auto &[name, entries] : driver_->MetricValues(run_.id, query)) {
      for (const MetricEntry &entry : entries) {
        const std::string copy = temporary.path() + "/image";
        try {
          driver_->DownloadFile(run_.id, MetricValueToJson({entry}).AsString(), copy);
        } catch (const Error &error) {
          if (error.status() != Status::kNotFound && error.status() != Status::kInvalidArgument) throw;
          continue;  // the file is gone, the record of it is not
        }
        File(entry.rank).AddImage(name, entry.point.step, entry.point.time_ms, ReadFile(copy));
      }
    }
  }

  Driver *driver_;
  const RunRecord run_;
  const std::string directory_;
  std::map<int32_t, std::unique_ptr<TensorBoardFile>> files_;
};

std::string CsvField(const std::string &text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

void ExportTensorBoard(Driver *driver, const std::string &id, const std::string &directory) {
  TensorBoardExport(driver, id, directory).Run();
}

void ExportCsv(Driver *driver, const std::string &id, const std::string &path) {
  constexpr size_t kBuffer = size_t{64} << 10;
  driver->GetState(id);
  MakeDirs(ParentPath(path), 0755);
  const std::string temporary = path + ".tmp-" + RandomBase32(10);
  try {
    const UniqueFd file = OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL, 0644);
    std::string buffer = "name,rank,step,time_ms,value\n";
    ForEachPoint(driver, id, [&](const std::string &name, int32_t rank, const MetricPoint &point) {
      buffer += CsvField(name) + "," + std::to_string(rank) + "," + std::to_string(point.step) + "," +
                std::to_string(point.time_ms) + "," + FormatDouble(point.value) + "\n";
      if (buffer.size() < kBuffer) return;
      WriteAll(file.get(), buffer.data(), buffer.size(), temporary);
      buffer.clear();
    });
    WriteAll(file.get(), buffer.data(), buffer.size(), temporary);
    RenamePath(temporary, path);
  } catch (...) {
    unlink(temporary.c_str());
    throw;
  }
}

}  // namespace trainyard
