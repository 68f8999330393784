#include "trainyard/workspace.h"

#include "capi/handles.h"
#include "core/records_json.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

namespace {

constexpr int32_t kMaxPage = 10000;

void CheckPageSize(int32_t page_size) {
  if (page_size >= 1 && page_size <= kMaxPage) return;
  throw Error::InvalidArgument("page_size must be from 1 to 10000, got " + std::to_string(page_size));
}

RunPage ListPage(const ty_workspace *workspace, const char *filter_json, int32_t page_size, const char *page_token) {
  CheckPageSize(page_size);
  RunFilter filter = RunFilterFromJson(capi::OptionalString(filter_json));
  filter.limit = page_size;
  filter.page_token = capi::OptionalString(page_token);
  return workspace->driver->ListRuns(filter);
}

struct FreeString {
  void operator()(char *string) const { ty_string_free(string); }
};

// The second output of a call, held until the first is there too: either both are set or none.
std::unique_ptr<char, FreeString> TokenOrNull(const std::string &token, const char *const *wanted) {
  return std::unique_ptr<char, FreeString>(token.empty() || wanted == nullptr ? nullptr : capi::CopyString(token));
}

}  // namespace

extern "C" {

ty_status ty_workspace_open(const char *location, ty_workspace **out_workspace, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_workspace, "out_workspace");
    auto workspace = std::make_unique<ty_workspace>();
    workspace->driver = OpenWorkspace(capi::Utf8(location, "location"));
    *out_workspace = workspace.release();
  });
}

void ty_workspace_free(ty_workspace *workspace) noexcept {
  std::unique_ptr<ty_workspace>{workspace};
}

const char *ty_workspace_location(const ty_workspace *workspace) noexcept {
  return workspace == nullptr ? nullptr : workspace->driver->location().c_str();
}

ty_status ty_workspace_list_runs(const ty_workspace *workspace, const char *filter_json, int32_t page_size,
                                 const char *page_token, ty_string_list **out_ids, char **out_next,
                                 ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_next);
    require_out(out_ids, "out_ids");
    require_handle(workspace, "workspace");
    const RunPage page = ListPage(workspace, filter_json, page_size, page_token);
    std::vector<std::string> ids;
    for (const RunRecord &run : page.runs) ids.push_back(run.id);
    auto next = TokenOrNull(page.next_page_token, out_next);
    *out_ids = capi::MakeStringList(std::move(ids));
    if (out_next != nullptr) *out_next = next.release();
  });
}

ty_status ty_workspace_list_runs_json(const ty_workspace *workspace, const char *filter_json, int32_t page_size,
                                      const char *page_token, char **out_json, char **out_next,
                                      ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_next);
    require_out(out_json, "out_json");
    require_handle(workspace, "workspace");
    const RunPage page = ListPage(workspace, filter_json, page_size, page_token);
    Json list = Json::Array();
    for (const RunRecord &run : page.runs) list.Append(RunToJson(run));
    auto next = TokenOrNull(page.next_page_token, out_next);
    *out_json = capi::CopyString(list.Dump());
    if (out_next != nullptr) *out_next = next.release();
  });
}

ty_status ty_workspace_list_experiments(const ty_workspace *workspace, ty_string_list **out_names,
                                        ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_names, "out_names");
    require_handle(workspace, "workspace");
    *out_names = capi::MakeStringList(workspace->driver->ListExperiments());
  });
}

ty_status ty_workspace_list_models(const ty_workspace *workspace, ty_string_list **out_names, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_names, "out_names");
    require_handle(workspace, "workspace");
    *out_names = capi::MakeStringList(workspace->driver->ListModels());
  });
}

ty_status ty_workspace_list_models_json(const ty_workspace *workspace, const char *filter_json, int32_t page_size,
                                        const char *page_token, char **out_json, char **out_next,
                                        ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_next);
    require_out(out_json, "out_json");
    require_handle(workspace, "workspace");
    CheckPageSize(page_size);
    ModelFilter filter = ModelFilterFromJson(capi::OptionalString(filter_json));
    filter.limit = page_size;
    filter.page_token = capi::OptionalString(page_token);
    const ModelPage page = workspace->driver->QueryModels(filter);
    Json list = Json::Array();
    for (const ModelRecord &model : page.models) list.Append(ModelToJson(model, /*with_files=*/false));
    auto next = TokenOrNull(page.next_page_token, out_next);
    *out_json = capi::CopyString(list.Dump());
    if (out_next != nullptr) *out_next = next.release();
  });
}

ty_status ty_workspace_prune(ty_workspace *workspace, const char *policy_json, int32_t dry_run, char **out_report_json,
                             ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_report_json);
    require_handle(workspace, "workspace");
    require(policy_json, "policy_json");
    const Json json = Json::Parse(policy_json, "policy");
    json.CheckKeys(
        {"runs_older_than_ms", "keep_last_runs", "experiment", "unreferenced_objects", "environments_unused_ms"});
    PrunePolicy policy;
    policy.dry_run = dry_run != 0;
    if (const auto age = json.Find("runs_older_than_ms")) policy.runs_older_than_ms = age->AsInt64(1);
    if (const auto count = json.Find("keep_last_runs")) policy.keep_last_runs = count->AsInt64(0);
    policy.experiment = json.GetString("experiment", "");
    policy.unreferenced_objects = json.GetBool("unreferenced_objects", true);
    policy.environments_unused_ms = json.GetInt64("environments_unused_ms", 0);
    const std::string report = workspace->driver->Prune(policy);
    if (out_report_json != nullptr) *out_report_json = capi::CopyString(report);
  });
}

}  // extern "C"
