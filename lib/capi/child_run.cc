#include "trainyard/child_run.h"

#include "capi/handles.h"
#include "core/records_json.h"
#include "drivers/run_tree.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

namespace {

std::vector<RunRecord> Children(const ty_run *run, int32_t recursive, const char *filter_json) {
  const RunFilter filter = RunFilterFromJson(capi::OptionalString(filter_json));
  if (!filter.parent_id.empty() || !filter.ancestor_id.empty()) {
    throw Error::InvalidArgument("filter: the parent is the run itself; leave 'parent' and 'ancestor' out");
  }
  return ListChildren(run->driver.get(), run->id, recursive != 0, filter);
}

}  // namespace

extern "C" {

ty_status ty_run_submit_child(const ty_run *parent, const ty_job *job, ty_run **out_run, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_run, "out_run");
    require_handle(parent, "parent");
    require(job, "job");
    Job child = job->job;
    if (!child.parent_id.empty() && child.parent_id != parent->id) {
      throw Error::InvalidArgument("the job has another parent, '" + child.parent_id +
                                   "': take it back, or use "
                                   "ty_run_submit");
    }
    child.parent_id = parent->id;
    const RunRecord record = parent->driver->Submit(parent->experiment, child);
    *out_run = capi::MakeRun(parent->driver, record.id, record.experiment);
  });
}

ty_status ty_run_start_child(const ty_run *parent, const char *options_json, ty_run **out_run,
                             ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_run, "out_run");
    require_handle(parent, "parent");
    HostRunOptions options = HostRunOptionsFromJson(capi::OptionalString(options_json));
    if (!options.parent_id.empty() && options.parent_id != parent->id) {
      throw Error::InvalidArgument("options.parent is another run, '" + options.parent_id + "': leave it out");
    }
    options.parent_id = parent->id;
    const RunRecord record = parent->driver->StartRun(parent->experiment, options);
    *out_run = capi::MakeRun(parent->driver, record.id, record.experiment);
  });
}

ty_status ty_run_list_children(const ty_run *run, int32_t recursive, const char *filter_json, ty_string_list **out_ids,
                               ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_ids, "out_ids");
    require_handle(run, "run");
    std::vector<std::string> ids;
    for (const RunRecord &child : Children(run, recursive, filter_json)) ids.push_back(child.id);
    *out_ids = capi::MakeStringList(std::move(ids));
  });
}

ty_status ty_run_list_children_json(const ty_run *run, int32_t recursive, const char *filter_json, char **out_json,
                                    ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require_handle(run, "run");
    Json list = Json::Array();
    for (const RunRecord &child : Children(run, recursive, filter_json)) list.Append(RunToJson(child));
    *out_json = capi::CopyString(list.Dump());
  });
}

}  // extern "C"
