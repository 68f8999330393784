#include "core/host_run.h"

#include "core/job.h"
#include "core/run_id.h"
#include "util/json.h"

namespace trainyard {

void HostRunOptions::Check() const {
  if (!run_id.empty()) CheckRunId(run_id);
  if (!parent_id.empty()) CheckParent(run_id, parent_id);
  for (const auto &[key, value] : tags) CheckTag(key, value);
}

HostRunOptions HostRunOptionsFromJson(std::string_view text) {
  HostRunOptions options;
  if (text.empty()) return options;
  const Json json = Json::Parse(text, "options");
  json.CheckKeys({"run_id", "display_name", "parent", "source_directory", "tags", "properties"});
  options.run_id = json.GetString("run_id", "");
  options.display_name = json.GetString("display_name", "");
  options.parent_id = json.GetString("parent", "");
  options.source_directory = json.GetString("source_directory", "");
  options.tags = json.GetStringMap("tags");
  options.properties = json.GetStringMap("properties");
  return options;
}

}  // namespace trainyard
