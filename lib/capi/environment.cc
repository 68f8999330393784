#include "trainyard/environment.h"

#include <utility>

#include "capi/handles.h"
#include "store/environment_files.h"
#include "util/fs.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

namespace {

constexpr uint64_t kMaxTextFile = 16 << 20;

ty_environment *Release(Environment environment) {
  return std::make_unique<ty_environment>(ty_environment{std::move(environment)}).release();
}

// A refused value is not kept.
template <typename Change>
ty_status ChangeEnvironment(ty_environment *environment, ty_error **err, Change change) noexcept {
  return guard(err, [&] {
    require(environment, "environment");
    if (environment->environment.curated) {
      throw Error::InvalidState("environment '" + environment->environment.name +
                                "' came with the library and cannot be changed: clone it under a name of your own");
    }
    Environment changed = environment->environment;
    change(changed);
    changed.CheckCredentials();
    environment->environment = std::move(changed);
  });
}

// The content of a file; empty for NULL.
std::string TextOf(const char *path) {
  if (path == nullptr) return "";
  std::string text = ReadFile(path, kMaxTextFile);
  return capi::Utf8(text.c_str(), path);
}

}  // namespace

extern "C" {

ty_status ty_environment_new(const char *name, ty_environment **out_environment, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_environment, "out_environment");
    require(name, "name");
    Environment environment;
    environment.name = name;
    environment.Check();
    *out_environment = Release(std::move(environment));
  });
}

ty_status ty_environment_get(const ty_workspace *workspace, const char *name, const char *version,
                             ty_environment **out_environment, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_environment, "out_environment");
    require_handle(workspace, "workspace");
    require(name, "name");
    *out_environment = Release(workspace->driver->GetEnvironment(name, capi::OptionalString(version)));
  });
}

ty_status ty_environment_list(const ty_workspace *workspace, ty_string_list **out_names, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_names, "out_names");
    require_handle(workspace, "workspace");
    *out_names = capi::MakeStringList(workspace->driver->ListEnvironments());
  });
}

ty_status ty_environment_list_versions(const ty_workspace *workspace, const char *name, ty_string_list **out_versions,
                                       ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_versions, "out_versions");
    require_handle(workspace, "workspace");
    require(name, "name");
    *out_versions = capi::MakeStringList(workspace->driver->ListEnvironmentVersions(name));
  });
}

ty_status ty_environment_register(const ty_workspace *workspace, const ty_environment *environment,
                                  ty_environment **out_environment, ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_environment);
    require_handle(workspace, "workspace");
    require(environment, "environment");
    Environment made = workspace->driver->RegisterEnvironment(environment->environment);
    if (out_environment != nullptr) *out_environment = Release(std::move(made));
  });
}

ty_status ty_environment_delete(const ty_workspace *workspace, const char *name, const char *version,
                                ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(workspace, "workspace");
    require(name, "name");
    require(version, "version");
    workspace->driver->DeleteEnvironment(name, version);
  });
}

const char *ty_environment_name(const ty_environment *environment) noexcept {
  return environment == nullptr ? nullptr : environment->environment.name.c_str();
}

const char *ty_environment_version(const ty_environment *environment) noexcept {
  return environment == nullptr ? nullptr : environment->environment.version.c_str();
}

ty_status ty_environment_hash(const ty_environment *environment, char **out_hash, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_hash, "out_hash");
    require(environment, "environment");
    *out_hash = capi::CopyString(environment->environment.ContentHash());
  });
}

ty_status ty_environment_set_base_image(ty_environment *environment, const char *image, ty_error **err) noexcept {
  return ChangeEnvironment(environment, err,
                           [&](Environment &target) { target.base_image = capi::OptionalUtf8(image, "image"); });
}

ty_status ty_environment_set_registry_credentials(ty_environment *environment, const char *address,
                                                  const char *username, const char *password, ty_error **err) noexcept {
  return ChangeEnvironment(environment, err, [&](Environment &target) {
    target.registry.address = capi::OptionalUtf8(address, "address");
    target.registry.username = capi::OptionalUtf8(username, "username");
    target.registry.password = capi::OptionalUtf8(password, "password");
  });
}

ty_status ty_environment_set_dockerfile(ty_environment *environment, const char *text, ty_error **err) noexcept {
  return ChangeEnvironment(environment, err,
                           [&](Environment &target) { target.dockerfile = capi::OptionalUtf8(text, "text"); });
}

ty_status ty_environment_set_container_options(ty_environment *environment, const char *shm_size,
                                               const char *const *arguments, size_t count, ty_error **err) noexcept {
  return ChangeEnvironment(environment, err, [&](Environment &target) {
    if (count != 0) require(arguments, "arguments");
    std::vector<std::string> all;
    for (size_t i = 0; i < count; ++i) all.push_back(capi::Utf8(arguments[i], "arguments[i]"));
    target.shm_size = capi::OptionalUtf8(shm_size, "shm_size");
    target.container_arguments = std::move(all);
  });
}

ty_status ty_environment_set_conda_file(ty_environment *environment, const char *path, ty_error **err) noexcept {
  return ChangeEnvironment(environment, err, [&](Environment &target) { target.conda_file = TextOf(path); });
}

ty_status ty_environment_add_conda_package(ty_environment *environment, const char *package, ty_error **err) noexcept {
  return ChangeEnvironment(
      environment, err, [&](Environment &target) { target.conda_packages.push_back(capi::Utf8(package, "package")); });
}

ty_status ty_environment_add_conda_channel(ty_environment *environment, const char *channel, ty_error **err) noexcept {
  return ChangeEnvironment(
      environment, err, [&](Environment &target) { target.conda_channels.push_back(capi::Utf8(channel, "channel")); });
}

ty_status ty_environment_add_pip_package(ty_environment *environment, const char *package, ty_error **err) noexcept {
  return ChangeEnvironment(environment, err, [&](Environment &target) {
    const std::string line = capi::Utf8(package, "package");
    CheckPipLine(line);
    target.pip_packages.push_back(line);
  });
}

ty_status ty_environment_set_pip_requirements(ty_environment *environment, const char *path, ty_error **err) noexcept {
  return ChangeEnvironment(environment, err, [&](Environment &target) {
    Environment changed;
    changed.pip_requirements = TextOf(path);
    for (const std::string &line : changed.PipLines()) CheckPipLine(line);
    target.pip_requirements = changed.pip_requirements;
  });
}

ty_status ty_environment_set_framework(ty_environment *environment, const char *name, const char *version,
                                       ty_error **err) noexcept {
  return ChangeEnvironment(environment, err, [&](Environment &target) {
    const std::string framework(name == nullptr ? std::string_view() : FindFramework(name).name);
    target.framework = framework;
    target.framework_version = name == nullptr ? "" : capi::OptionalUtf8(version, "version");
  });
}

ty_status ty_environment_set_interpreter(ty_environment *environment, const char *path, ty_error **err) noexcept {
  return ChangeEnvironment(environment, err,
                           [&](Environment &target) { target.interpreter = capi::OptionalUtf8(path, "path"); });
}

ty_status ty_environment_set_variable(ty_environment *environment, const char *name, const char *value,
                                      ty_error **err) noexcept {
  return ChangeEnvironment(environment, err, [&](Environment &target) {
    const std::string key = capi::Utf8(name, "name");
    if (key.empty() || key.find('=') != std::string::npos)
      throw Error::InvalidArgument("variable name '" + key + "' must not be empty and must not contain '='");
    if (value == nullptr) {
      target.variables.erase(key);
    } else {
      target.variables[key] = capi::Utf8(value, "value");
    }
  });
}

ty_status ty_environment_clone(const ty_environment *environment, const char *name, ty_environment **out_environment,
                               ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_environment, "out_environment");
    require(environment, "environment");
    require(name, "name");
    CheckEnvironmentName(name);
    Environment copy = environment->environment;
    copy.name = name;
    copy.version.clear();
    copy.curated = false;
    *out_environment = Release(std::move(copy));
  });
}

ty_status ty_environment_save_to_directory(const ty_environment *environment, const char *directory, int32_t overwrite,
                                           ty_error **err) noexcept {
  return guard(err, [&] {
    require(environment, "environment");
    require(directory, "directory");
    SaveEnvironment(environment->environment, directory, overwrite != 0);
  });
}

ty_status ty_environment_load_from_directory(const char *directory, ty_environment **out_environment,
                                             ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_environment, "out_environment");
    require(directory, "directory");
    *out_environment = Release(LoadEnvironment(directory));
  });
}

ty_status ty_environment_build(const ty_workspace *workspace, const ty_environment *environment, int32_t log_fd,
                               char **out_report_json, ty_error **err) noexcept {
  return guard(err, [&] {
    capi::clear_out(out_report_json);
    require_handle(workspace, "workspace");
    require(environment, "environment");
    if (log_fd < -1) throw Error::InvalidArgument("log_fd must be a file descriptor, or -1 for none");
    const std::string report = workspace->driver->BuildEnvironment(environment->environment, log_fd);
    if (out_report_json != nullptr) *out_report_json = capi::CopyString(report);
  });
}

ty_status ty_environment_to_json(const ty_environment *environment, char **out_json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require(environment, "environment");
    *out_json = capi::CopyString(environment->environment.ToJson().DumpPretty());
  });
}

ty_status ty_environment_from_json(const char *json, ty_environment **out_environment, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_environment, "out_environment");
    require(json, "json");
    Environment environment = Environment::Parse(json, "environment");
    environment.Check();
    *out_environment = Release(std::move(environment));
  });
}

void ty_environment_free(ty_environment *environment) noexcept {
  std::unique_ptr<ty_environment>{environment};
}

ty_status ty_job_set_environment(ty_job *job, const ty_environment *environment, ty_error **err) noexcept {
  return guard(err, [&] {
    require(job, "job");
    if (environment == nullptr) {
      job->job.environment = "system";
      job->job.environment_definition.reset();
      return;
    }
    environment->environment.Check();
    job->job.environment = environment->environment.name;
    job->job.environment_definition = environment->environment;
  });
}

ty_status ty_job_set_environment_name(ty_job *job, const char *name, ty_error **err) noexcept {
  return guard(err, [&] {
    require(job, "job");
    const std::string text = name == nullptr ? "system" : capi::Utf8(name, "name");
    CheckEnvironmentName(text.substr(0, text.find(':')));
    job->job.environment = text;
    job->job.environment_definition.reset();
  });
}

}  // extern "C"
