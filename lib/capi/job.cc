#include "trainyard/job.h"

#include <algorithm>
#include <utility>

#include "capi/handles.h"
#include "core/compute.h"
#include "core/run_id.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_out;

namespace {

constexpr int32_t kMaxExitCode = 255;

ty_job *Release(Job job) {
  return std::make_unique<ty_job>(ty_job{std::move(job)}).release();
}

// NULL takes a variable, secret or tag back.
void SetOrErase(std::map<std::string, std::string> *map, const char *name, const char *value) {
  if (value == nullptr) {
    map->erase(name);
  } else {
    (*map)[name] = capi::Utf8(value, "value");
  }
}

template <typename Change>
ty_status ChangeJob(ty_job *job, ty_error **err, Change change) noexcept {
  return guard(err, [&] {
    require(job, "job");
    change(job->job);
  });
}

// A refused value is not kept.
template <typename Change>
ty_status ChangeResources(ty_job *job, ty_error **err, Change change) noexcept {
  return ChangeJob(job, err, [&](Job &target) {
    Resources changed = target.resources;
    change(changed);
    changed.Check();
    target.resources = changed;
  });
}

void CheckVariable(const char *name) {
  const std::string text = capi::Utf8(name, "name");
  if (text.empty() || text.find('=') != std::string::npos) {
    throw Error::InvalidArgument("variable name '" + text + "' must not be empty and must not contain '='");
  }
}

}  // namespace

extern "C" {

ty_status ty_job_new_command(const char *source_directory, const char *const *argv, size_t argc, ty_job **out_job,
                             ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_job, "out_job");
    require(argv, "argv");
    if (argc == 0) throw Error::InvalidArgument("argv must hold at least the program");
    Job job;
    job.source_directory = capi::OptionalUtf8(source_directory, "source_directory");
    for (size_t i = 0; i < argc; ++i) {
      job.command.push_back(capi::Utf8(argv[i], "argv[i]"));
    }
    job.Check();
    *out_job = Release(std::move(job));
  });
}

ty_status ty_job_new_shell(const char *source_directory, const char *line, ty_job **out_job, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_job, "out_job");
    Job job;
    job.source_directory = capi::OptionalUtf8(source_directory, "source_directory");
    job.shell_command = capi::Utf8(line, "line");
    if (job.shell_command.empty()) throw Error::InvalidArgument("line must not be empty", {{"argument", "line"}});
    job.Check();
    *out_job = Release(std::move(job));
  });
}

ty_status ty_job_new_script(const char *source_directory, const char *script, ty_job **out_job,
                            ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_job, "out_job");
    Job job;
    job.kind = RunKind::kScript;
    job.source_directory = capi::Utf8(source_directory, "source_directory");
    job.script = capi::Utf8(script, "script");
    job.Check();
    *out_job = Release(std::move(job));
  });
}

ty_status ty_job_new_train(const ty_train_config *config, ty_job **out_job, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_job, "out_job");
    require(config, "config");
    Job job;
    job.kind = RunKind::kTrain;
    job.train = config->config;
    *out_job = Release(std::move(job));
  });
}

ty_status ty_job_from_json(const char *json, ty_job **out_job, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_job, "out_job");
    require(json, "json");
    *out_job = Release(Job::Parse(json, "job"));
  });
}

ty_status ty_job_to_json(const ty_job *job, char **out_json, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_json, "out_json");
    require(job, "job");
    *out_json = capi::CopyString(job->job.ToJson().DumpPretty());
  });
}

void ty_job_free(ty_job *job) noexcept {
  std::unique_ptr<ty_job>{job};
}

ty_status ty_job_set_run_id(ty_job *job, const char *run_id, ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) {
    const std::string id = capi::OptionalString(run_id);
    if (run_id != nullptr) CheckRunId(id);
    target.run_id = id;
  });
}

ty_status ty_job_set_display_name(ty_job *job, const char *name, ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) { target.display_name = capi::OptionalUtf8(name, "name"); });
}

ty_status ty_job_set_parent(ty_job *job, const char *run_id, ty_error **err) noexcept {
  return guard(err, [&] {
    require(job, "job");
    const std::string parent = capi::OptionalString(run_id);
    if (!parent.empty()) CheckParent(job->job.run_id, parent);
    job->job.parent_id = parent;
  });
}

ty_status ty_job_add_argument(ty_job *job, const char *argument, ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) {
    std::string text = capi::Utf8(argument, "argument");
    if (target.kind == RunKind::kTrain)
      throw Error::InvalidArgument("a training job takes no arguments: use its settings");
    target.arguments.push_back(std::move(text));
  });
}

ty_status ty_job_set_script_parameter(ty_job *job, const char *name, const char *value, ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) {
    const std::string key = capi::Utf8(name, "name");
    if (target.kind != RunKind::kScript) {
      throw Error::InvalidArgument("only a script job takes script parameters: use ty_job_add_argument");
    }
    if (key.empty()) throw Error::InvalidArgument("a script parameter must have a name");
    auto &parameters = target.script_parameters;
    const auto same = [&](const auto &parameter) { return parameter.first == key; };
    if (value == nullptr) {
      std::erase_if(parameters, same);
      return;
    }
    const auto found = std::find_if(parameters.begin(), parameters.end(), same);
    if (found != parameters.end()) {
      found->second = capi::Utf8(value, "value");
    } else {
      parameters.emplace_back(key, capi::Utf8(value, "value"));
    }
  });
}

ty_status ty_job_set_variable(ty_job *job, const char *name, const char *value, ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) {
    CheckVariable(name);
    SetOrErase(&target.variables, name, value);
  });
}

ty_status ty_job_set_secret(ty_job *job, const char *name, const char *value, ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) {
    CheckVariable(name);
    SetOrErase(&target.secrets, name, value);
  });
}

ty_status ty_job_set_distribution(ty_job *job, const ty_distribution *distribution, ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) {
    if (distribution == nullptr) {
      target.distribution.reset();
      return;
    }
    const Distribution &wanted = distribution->distribution;
    // Whether it has GPUs, which it needs then, may be said later: submit looks at it.
    if (target.kind == RunKind::kTrain && wanted.process_count != 1 &&
        wanted.kind == Distribution::Kind::kPyTorchPerNode) {
      throw Error::InvalidArgument(
          "a training job has no command that could start a node's processes: give it a distribution of "
          "ty_distribution_new_pytorch (a GPU for each rank) or ty_distribution_new_mpi");
    }
    target.distribution = wanted;
  });
}

ty_status ty_job_set_compute(ty_job *job, const char *name, ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) {
    require(name, "name");
    CheckComputeName(name);
    target.compute = name;
  });
}

ty_status ty_job_set_gpus(ty_job *job, int32_t count, ty_error **err) noexcept {
  return ChangeResources(job, err, [&](Resources &resources) {
    resources.gpus = count == -1 ? std::nullopt : std::optional<int32_t>(count);
  });
}

ty_status ty_job_set_gpu_sharing(ty_job *job, int32_t shared, ty_error **err) noexcept {
  return ChangeResources(job, err, [&](Resources &resources) { resources.share_gpus = shared != 0; });
}

ty_status ty_job_set_cpus(ty_job *job, int32_t count, ty_error **err) noexcept {
  return ChangeResources(job, err, [&](Resources &resources) { resources.cpus = count; });
}

ty_status ty_job_set_memory(ty_job *job, uint64_t bytes, ty_error **err) noexcept {
  return ChangeResources(job, err, [&](Resources &resources) { resources.memory_bytes = bytes; });
}

ty_status ty_job_set_priority(ty_job *job, int32_t priority, ty_error **err) noexcept {
  return ChangeResources(job, err, [&](Resources &resources) { resources.priority = priority; });
}

ty_status ty_job_set_preemptible(ty_job *job, int32_t preemptible, ty_error **err) noexcept {
  return ChangeResources(job, err, [&](Resources &resources) { resources.preemptible = preemptible != 0; });
}

ty_status ty_job_set_time_limit(ty_job *job, int64_t limit_ms, ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) {
    if (limit_ms <= 0)
      throw Error::InvalidArgument("the time limit must be at least 1 ms, got " + std::to_string(limit_ms));
    target.resources.time_limit_ms = limit_ms;
  });
}

ty_status ty_job_set_retries(ty_job *job, int32_t maximum, const int32_t *never_exit_codes, size_t count,
                             ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) {
    if (maximum < 0)
      throw Error::InvalidArgument("the number of retries must not be negative, got " + std::to_string(maximum));
    if (count != 0) require(never_exit_codes, "never_exit_codes");
    for (size_t i = 0; i < count; ++i) {
      if (never_exit_codes[i] < 0 || never_exit_codes[i] > kMaxExitCode)
        throw Error::InvalidArgument("an exit code must be from 0 to 255, got " + std::to_string(never_exit_codes[i]));
    }
    target.retries.maximum = maximum;
    target.retries.never_on_exit_codes.assign(never_exit_codes, never_exit_codes + count);
  });
}

ty_status ty_job_add_input(ty_job *job, const char *name, const char *source, ty_input_mode mode,
                           ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) {
    JobInput input;
    const std::string input_name = capi::Utf8(name, "name");
    input.source = capi::Utf8(source, "source");
    if (mode != TY_INPUT_LINK && mode != TY_INPUT_DOWNLOAD)
      throw Error::InvalidArgument("mode must be TY_INPUT_LINK or TY_INPUT_DOWNLOAD, got " + std::to_string(mode));
    input.mode = static_cast<JobInput::Mode>(mode);
    CheckInput(input_name, input);
    target.inputs[input_name] = std::move(input);
  });
}

ty_status ty_job_set_snapshot_limits(ty_job *job, uint64_t max_bytes, uint64_t max_files, ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) { target.snapshot_limits = {max_bytes, max_files}; });
}

ty_status ty_job_set_tag(ty_job *job, const char *key, const char *value, ty_error **err) noexcept {
  return ChangeJob(job, err, [&](Job &target) {
    CheckTag(capi::Utf8(key, "key"), capi::OptionalString(value));
    SetOrErase(&target.tags, key, value);
  });
}

ty_status ty_job_validate(const ty_workspace *workspace, const ty_job *job, char **out_report_json,
                          ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_report_json, "out_report_json");
    capi::require_handle(workspace, "workspace");
    require(job, "job");
    *out_report_json = capi::CopyString(workspace->driver->Validate(job->job));
  });
}

}  // extern "C"
