#include "trainyard/model.h"

#include "capi/handles.h"
#include "core/records_json.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

namespace trainyard::capi {

ty_model *MakeModel(std::shared_ptr<Driver> driver, ModelRecord record) {
  auto model = std::make_unique<ty_model>();
  model->driver = std::move(driver);
  model->record = std::move(record);
  return model.release();
}

}  // namespace trainyard::capi

extern "C" {

ty_status ty_model_get(ty_workspace *workspace, const char *name, int64_t version, ty_model **out_model,
                       ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_model, "out_model");
    require_handle(workspace, "workspace");
    require(name, "name");
    capi::CheckVersion(version);
    *out_model = capi::MakeModel(workspace->driver, workspace->driver->GetModel(name, version));
  });
}

ty_status ty_model_register(ty_workspace *workspace, const char *name, const char *path, const char *metadata_json,
                            ty_model **out_model, ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_model);
    require_handle(workspace, "workspace");
    require(name, "name");
    require(path, "path");
    ModelRecord wanted = ModelRequestFromJson(capi::OptionalString(metadata_json)).model;
    wanted.name = name;
    ModelRecord made = workspace->driver->RegisterModelFromPath(path, std::move(wanted));
    if (out_model != nullptr) *out_model = capi::MakeModel(workspace->driver, std::move(made));
  });
}

ty_status ty_model_list_versions(const ty_workspace *workspace, const char *name, ty_string_list **out_versions,
                                 ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_versions, "out_versions");
    require_handle(workspace, "workspace");
    require(name, "name");
    *out_versions = capi::MakeVersionList(workspace->driver->ListModelVersions(name));
  });
}

const char *ty_model_name(const ty_model *model) noexcept {
  return model == nullptr ? nullptr : model->record.name.c_str();
}

int64_t ty_model_version(const ty_model *model) noexcept {
  return model == nullptr ? 0 : model->record.version;
}

const char *ty_model_run_id(const ty_model *model) noexcept {
  return model == nullptr ? nullptr : model->record.run_id.c_str();
}

ty_status ty_model_to_json(const ty_model *model, char **out_json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require_handle(model, "model");
    const ModelRecord now = model->driver->GetModel(model->record.name, model->record.version);
    *out_json = capi::CopyString(ModelToJson(now).DumpPretty());
  });
}

ty_status ty_model_set_tag(const ty_model *model, const char *key, const char *value, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(model, "model");
    require(key, "key");
    model->driver->SetModelTag(model->record, key, value == nullptr ? std::nullopt : std::optional<std::string>(value));
  });
}

ty_status ty_model_download(const ty_model *model, const char *directory, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(model, "model");
    require(directory, "directory");
    model->driver->DownloadModel(model->record, directory);
  });
}

ty_status ty_model_delete(const ty_model *model, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(model, "model");
    model->driver->DeleteModel(model->record);
  });
}

void ty_model_free(ty_model *model) noexcept {
  std::unique_ptr<ty_model>{model};
}

}  // extern "C"
