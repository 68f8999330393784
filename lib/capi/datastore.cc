#include "trainyard/datastore.h"

#include "capi/handles.h"
#include "core/data_reference.h"
#include "util/json.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

extern "C" {

ty_status ty_datastore_register(const ty_workspace *workspace, const char *name, const char *directory,
                                ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(workspace, "workspace");
    require(name, "name");
    require(directory, "directory");
    workspace->driver->RegisterDatastore(name, capi::Utf8(directory, "directory"));
  });
}

ty_status ty_datastore_get(const ty_workspace *workspace, const char *name, char **out_directory,
                           ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_directory, "out_directory");
    require_handle(workspace, "workspace");
    require(name, "name");
    *out_directory = capi::CopyString(workspace->driver->DatastoreDirectory(name));
  });
}

ty_status ty_datastore_list(const ty_workspace *workspace, ty_string_list **out_names, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_names, "out_names");
    require_handle(workspace, "workspace");
    *out_names = capi::MakeStringList(workspace->driver->ListDatastores());
  });
}

ty_status ty_datastore_delete(const ty_workspace *workspace, const char *name, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(workspace, "workspace");
    require(name, "name");
    workspace->driver->DeleteDatastore(name);
  });
}

ty_status ty_datastore_upload(const ty_workspace *workspace, const char *name, const char *path, const char *target,
                              int32_t overwrite, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(workspace, "workspace");
    require(name, "name");
    require(path, "path");
    workspace->driver->UploadToDatastore(name, path, capi::OptionalUtf8(target, "target"), overwrite != 0);
  });
}

ty_status ty_data_register(const ty_workspace *workspace, const char *name, const char *source,
                           const char *metadata_json, int64_t *out_version, ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_version);
    require_handle(workspace, "workspace");
    require(name, "name");
    DataAsset asset;
    asset.name = name;
    require(source, "source");
    asset.source = capi::Utf8(source, "source");
    if (metadata_json != nullptr) {
      const Json metadata = Json::Parse(metadata_json, "metadata");
      metadata.CheckKeys({"description", "tags"});
      asset.description = metadata.GetString("description", "");
      asset.tags = metadata.GetStringMap("tags");
    }
    asset = workspace->driver->RegisterData(asset);
    if (out_version != nullptr) *out_version = asset.version;
  });
}

ty_status ty_data_get(const ty_workspace *workspace, const char *name, int64_t version, char **out_json,
                      ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require_handle(workspace, "workspace");
    require(name, "name");
    capi::CheckVersion(version);
    *out_json = capi::CopyString(workspace->driver->GetData(name, version).ToJson().Dump());
  });
}

ty_status ty_data_delete(const ty_workspace *workspace, const char *name, int64_t version, ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(workspace, "workspace");
    require(name, "name");
    if (version < 1)
      throw Error::InvalidArgument("version must be 1 or more, got " + std::to_string(version) +
                                   ": name the one to delete");
    workspace->driver->DeleteData(name, version);
  });
}

ty_status ty_data_list(const ty_workspace *workspace, ty_string_list **out_names, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_names, "out_names");
    require_handle(workspace, "workspace");
    *out_names = capi::MakeStringList(workspace->driver->ListData());
  });
}

ty_status ty_data_list_versions(const ty_workspace *workspace, const char *name, ty_string_list **out_versions,
                                ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_versions, "out_versions");
    require_handle(workspace, "workspace");
    require(name, "name");
    *out_versions = capi::MakeVersionList(workspace->driver->ListDataVersions(name));
  });
}

}  // extern "C"
