#include "drivers/run_tree.h"

#include <algorithm>
#include <iterator>

#include "core/metric_value.h"
#include "util/fs.h"

namespace trainyard {
namespace {

Json ValuesOf(Driver *driver, const std::string &id, const MetricValuesQuery &query) {
  Json json = Json::Object();
  for (const auto &[name, entries] : driver->MetricValues(id, query)) {
    json.Set(name, query.details ? MetricDetailsToJson(entries) : MetricValueToJson(entries));
  }
  return json;
}

}  // namespace

std::vector<RunRecord> ListChildren(Driver *driver, const std::string &id, bool recursive, RunFilter filter) {
  constexpr int32_t kPage = 1000;
  driver->GetState(id);  // tells a run that does not exist from one without children
  (recursive ? filter.ancestor_id : filter.parent_id) = id;
  filter.top_level = false;
  filter.limit = kPage;
  std::vector<RunRecord> runs;
  do {
    RunPage page = driver->ListRuns(filter);
    std::move(page.runs.begin(), page.runs.end(), std::back_inserter(runs));
    filter.page_token = page.next_page_token;
  } while (!filter.page_token.empty());
  return runs;
}

Json MetricValuesToJson(Driver *driver, const std::string &id, const MetricValuesQuery &query) {
  if (!query.recursive) return ValuesOf(driver, id, query);
  Json json = Json::Object();
  json.Set(id, ValuesOf(driver, id, query));
  std::vector<RunRecord> below = ListChildren(driver, id, /*recursive=*/true, {});
  std::reverse(below.begin(), below.end());
  for (const RunRecord &run : below) json.Set(run.id, ValuesOf(driver, run.id, query));
  return json;
}

std::vector<std::string> DownloadLogs(Driver *driver, const std::string &id, const std::string &directory) {
  std::vector<std::string> paths;
  MakeDirs(directory, 0755);
  for (const char *prefix : {"user_logs/", "system_logs/", "logs/"}) {
    for (const std::string &name : driver->ListFiles(id, prefix)) {
      paths.push_back(JoinPath(directory, name));
      driver->DownloadFile(id, name, paths.back());
    }
  }
  return paths;
}

}  // namespace trainyard
