// Every function of the library with NULL in each pointer argument, and every handle in a forked child. The table below
// is compared with the exported symbols: a function that is not in it fails the test.
#include <sys/wait.h>

#include <set>

#include "capi/null_arguments.h"

namespace trainyard_test {
namespace {

// Valid arguments for every function.
class NullArguments : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    // A supervisor that does nothing: no test here needs a run to go on.
    runtime = directory / "runtime";
    WriteAll(runtime + "/trainyard-runner", "#!/bin/sh\necho \"ok $$ 1\" >&3\n");
    ASSERT_EQ(chmod((runtime + "/trainyard-runner").c_str(), 0755), 0);
    ASSERT_OK(ty_runtime_set_directory(runtime.c_str(), err));
    job = Shell("true");
    run = Submit(job);
    ASSERT_NE(run.get(), nullptr);
    ASSERT_OK(ty_run_events(run, nullptr, TY_EVENT_ALL, stream.out(), err));
    WriteAll(directory / "weights", "weights");
    ASSERT_OK(ty_model_register(workspace, "m", (directory / "weights").c_str(), nullptr, model.out(), err));
    ASSERT_OK(ty_compute_create(workspace, "c", nullptr, compute.out(), err));
    ASSERT_OK(ty_train_config_new(config.out(), err));
    ASSERT_OK(ty_environment_new("e", environment.out(), err));
    predictor = std::make_unique<ty_predictor>();  // has no engine: no call in this file may get so far
    trainer = std::make_unique<ty_trainer>();      // likewise
    AddCommon();
    AddWorkspace();
    AddDistribution();
    AddJob();
    AddData();
    AddRun();
    AddMetric();
    AddHostAndChildRun();
    AddRunContent();
    AddEvents();
    AddModel();
    AddCompute();
    AddEnvironment();
    AddTrain();
    AddTrainer();
    AddPredict();
    AddExport();
  }
  void TearDown() override { ASSERT_OK(ty_runtime_set_directory(nullptr, err)); }

  void AddCommon() {
    table.AddPlain("ty_string_free", [] { ty_string_free(nullptr); });
    table.AddPlain("ty_string_list_size", [] { EXPECT_EQ(ty_string_list_size(nullptr), 0U); });
    table.AddPlain("ty_string_list_get", [] { EXPECT_EQ(ty_string_list_get(nullptr, 0), nullptr); });
    table.AddPlain("ty_string_list_free", [] { ty_string_list_free(nullptr); });
    table.AddPlain("ty_error_status", [] { EXPECT_EQ(ty_error_status(nullptr), TY_OK); });
    table.AddPlain("ty_error_message", [] { EXPECT_STREQ(ty_error_message(nullptr), ""); });
    table.AddPlain("ty_error_detail", [this] {
      EXPECT_EQ(ty_error_detail(nullptr, "path"), nullptr);
      EXPECT_EQ(ty_workspace_open(nullptr, workspace_out, err), TY_ERR_INVALID_ARGUMENT);
      EXPECT_EQ(ty_error_detail(err.get(), nullptr), nullptr);
    });
    table.AddPlain("ty_error_free", [] { ty_error_free(nullptr); });
    table.AddPlain("ty_status_name", [] {});
    table.AddPlain("ty_version", [] {});
    table.AddPlain("ty_abi_version", [] {});
    table.Add("ty_runtime_set_directory", &ty_runtime_set_directory, Any(nullptr));
    table.Add("ty_runtime_directory", &ty_runtime_directory, Out("out_directory", &text));
    table.Add("ty_log_set_callback", &ty_log_set_callback, Any(nullptr), Any(nullptr), Any(nullptr),
              Any(int32_t{TY_LOG_INFO}));
  }

  void AddWorkspace() {
    ty_workspace *ws = workspace.get();
    table.Add("ty_workspace_open", &ty_workspace_open, In("location", location.c_str()),
              Out("out_workspace", workspace_out));
    table.AddPlain("ty_workspace_free", [] { ty_workspace_free(nullptr); });
    table.AddPlain("ty_workspace_location", [] { EXPECT_EQ(ty_workspace_location(nullptr), nullptr); });
    table.Add("ty_workspace_list_runs", &ty_workspace_list_runs, In("workspace", ws), Any(nullptr), Any(10),
              Any(nullptr), Out("out_ids", &list), OptionalOut(&text));
    table.Add("ty_workspace_list_runs_json", &ty_workspace_list_runs_json, In("workspace", ws), Any(nullptr), Any(10),
              Any(nullptr), Out("out_json", &text), OptionalOut(&second_text));
    table.Add("ty_workspace_list_experiments", &ty_workspace_list_experiments, In("workspace", ws),
              Out("out_names", &list));
    table.Add("ty_workspace_list_models", &ty_workspace_list_models, In("workspace", ws), Out("out_names", &list));
    table.Add("ty_workspace_list_models_json", &ty_workspace_list_models_json, In("workspace", ws), Any(nullptr),
              Any(10), Any(nullptr), Out("out_json", &text), OptionalOut(&second_text));
    table.Add("ty_workspace_prune", &ty_workspace_prune, In("workspace", ws), In("policy_json", "{}"), Any(1),
              OptionalOut(&text));
  }

  void AddDistribution() {
    ASSERT_OK(ty_distribution_new_pytorch(1, 1, distribution.out(), err));
    ty_distribution *ds = distribution.get();
    const auto out = Out("out_distribution", &distribution_out);
    table.Add("ty_distribution_new_mpi", &ty_distribution_new_mpi, Any(1), Any(1), out);
    table.Add("ty_distribution_new_pytorch", &ty_distribution_new_pytorch, Any(1), Any(1), out);
    table.Add("ty_distribution_new_pytorch_per_node", &ty_distribution_new_pytorch_per_node, Any(1), out);
    table.Add("ty_distribution_from_json", &ty_distribution_from_json, In("json", "{}"), out);
    table.Add("ty_distribution_to_json", &ty_distribution_to_json, In("distribution", ds), Out("out_json", &text));
    table.AddPlain("ty_distribution_free", [] { ty_distribution_free(nullptr); });
    table.Add("ty_distribution_set_backend", &ty_distribution_set_backend, In("distribution", ds), Any(nullptr));
    table.Add("ty_distribution_set_master_port", &ty_distribution_set_master_port, In("distribution", ds), Any(0));
    table.Add("ty_distribution_set_max_restarts", &ty_distribution_set_max_restarts, In("distribution", ds), Any(0));
  }

  void AddJob() {
    ty_job *jb = job.get();
    table.Add("ty_job_new_command", &ty_job_new_command, Any(nullptr), In("argv", &argv[0]), Any(size_t{1}),
              Out("out_job", &job_out));
    table.Add("ty_job_new_shell", &ty_job_new_shell, Any(nullptr), In("line", "true"), Out("out_job", &job_out));
    table.Add("ty_job_new_script", &ty_job_new_script, In("source_directory", "/tmp"), In("script", "a.sh"),
              Out("out_job", &job_out));
    table.Add("ty_job_new_train", &ty_job_new_train, In("config", config.get()), Out("out_job", &job_out));
    table.Add("ty_job_from_json", &ty_job_from_json, In("json", "{}"), Out("out_job", &job_out));
    table.Add("ty_job_to_json", &ty_job_to_json, In("job", jb), Out("out_json", &text));
    table.AddPlain("ty_job_free", [] { ty_job_free(nullptr); });
    table.Add("ty_job_set_run_id", &ty_job_set_run_id, In("job", jb), Any(nullptr));
    table.Add("ty_job_set_display_name", &ty_job_set_display_name, In("job", jb), Any(nullptr));
    table.Add("ty_job_set_parent", &ty_job_set_parent, In("job", jb), Any(nullptr));
    table.Add("ty_job_add_argument", &ty_job_add_argument, In("job", jb), In("argument", "a"));
    table.Add("ty_job_set_script_parameter", &ty_job_set_script_parameter, In("job", jb), In("name", "--n"),
              Any(nullptr));
    table.Add("ty_job_set_variable", &ty_job_set_variable, In("job", jb), In("name", "N"), Any(nullptr));
    table.Add("ty_job_set_secret", &ty_job_set_secret, In("job", jb), In("name", "N"), Any(nullptr));
    table.Add("ty_job_set_distribution", &ty_job_set_distribution, In("job", jb), Any(nullptr));
    table.Add("ty_job_set_compute", &ty_job_set_compute, In("job", jb), In("name", "c"));
    table.Add("ty_job_set_gpus", &ty_job_set_gpus, In("job", jb), Any(1));
    table.Add("ty_job_set_gpu_sharing", &ty_job_set_gpu_sharing, In("job", jb), Any(0));
    table.Add("ty_job_set_cpus", &ty_job_set_cpus, In("job", jb), Any(0));
    table.Add("ty_job_set_memory", &ty_job_set_memory, In("job", jb), Any(uint64_t{0}));
    table.Add("ty_job_set_priority", &ty_job_set_priority, In("job", jb), Any(0));
    table.Add("ty_job_set_preemptible", &ty_job_set_preemptible, In("job", jb), Any(0));
    table.Add("ty_job_set_time_limit", &ty_job_set_time_limit, In("job", jb), Any(int64_t{1000}));
    table.Add("ty_job_set_retries", &ty_job_set_retries, In("job", jb), Any(1), In("never_exit_codes", &exit_code),
              Any(size_t{1}));
    table.Add("ty_job_add_input", &ty_job_add_input, In("job", jb), In("name", "n"), In("source", "/"),
              Any(int32_t{TY_INPUT_LINK}));
    table.Add("ty_job_set_snapshot_limits", &ty_job_set_snapshot_limits, In("job", jb), Any(uint64_t{0}),
              Any(uint64_t{0}));
    table.Add("ty_job_set_tag", &ty_job_set_tag, In("job", jb), In("key", "k"), Any(nullptr));
    table.Add("ty_job_validate", &ty_job_validate, In("workspace", workspace.get()), In("job", jb),
              Out("out_report_json", &text));
  }

  void AddData() {
    const ty_workspace *ws = workspace.get();
    table.Add("ty_datastore_register", &ty_datastore_register, In("workspace", ws), In("name", "d"),
              In("directory", "/"));
    table.Add("ty_datastore_get", &ty_datastore_get, In("workspace", ws), In("name", "d"), Out("out_directory", &text));
    table.Add("ty_datastore_list", &ty_datastore_list, In("workspace", ws), Out("out_names", &list));
    table.Add("ty_datastore_delete", &ty_datastore_delete, In("workspace", ws), In("name", "d"));
    table.Add("ty_datastore_upload", &ty_datastore_upload, In("workspace", ws), In("name", "d"),
              In("path", location.c_str()), Any(nullptr), Any(0));
    table.Add("ty_data_register", &ty_data_register, In("workspace", ws), In("name", "a"), In("source", "/"),
              Any(nullptr), OptionalOut(&version));
    table.Add("ty_data_get", &ty_data_get, In("workspace", ws), In("name", "a"), Any(int64_t{0}),
              Out("out_json", &text));
    table.Add("ty_data_delete", &ty_data_delete, In("workspace", ws), In("name", "a"), Any(int64_t{1}));
    table.Add("ty_data_list", &ty_data_list, In("workspace", ws), Out("out_names", &list));
    table.Add("ty_data_list_versions", &ty_data_list_versions, In("workspace", ws), In("name", "a"),
              Out("out_versions", &list));
  }

  void AddRun() {
    ty_run *rn = run.get();
    table.AddPlain("ty_run_state_name", [] {});
    table.AddPlain("ty_run_state_is_final", [] {});
    table.Add("ty_run_submit", &ty_run_submit, In("workspace", workspace.get()), In("experiment", "e"),
              In("job", job.get()), Out("out_run", &run_out));
    table.Add("ty_run_get", &ty_run_get, In("workspace", workspace.get()), In("run_id", "r"), Out("out_run", &run_out));
    table.Add("ty_run_current", &ty_run_current, Out("out_run", &run_out));
    table.AddPlain("ty_run_free", [] { ty_run_free(nullptr); });
    table.AddPlain("ty_run_id", [] { EXPECT_EQ(ty_run_id(nullptr), nullptr); });
    table.AddPlain("ty_run_experiment", [] { EXPECT_EQ(ty_run_experiment(nullptr), nullptr); });
    table.Add("ty_run_get_state", &ty_run_get_state, In("run", rn), Out("out_state", &number));
    table.Add("ty_run_wait", &ty_run_wait, In("run", rn), Any(int64_t{0}), OptionalOut(&number));
    table.Add("ty_run_stream", &ty_run_stream, In("run", rn), Any(-1), Any(0), OptionalOut(&number));
    table.Add("ty_run_wait_for_completion", &ty_run_wait_for_completion, In("run", rn), Any(-1), OptionalOut(&number));
    table.Add("ty_run_cancel", &ty_run_cancel, In("run", rn));
    table.Add("ty_run_request_stop", &ty_run_request_stop, In("run", rn));
    table.Add("ty_run_failure", &ty_run_failure, In("run", rn), Out("out_failure", &failure_out));
    table.Add("ty_run_to_json", &ty_run_to_json, In("run", rn), Out("out_json", &text));
    table.Add("ty_run_log_read", &ty_run_log_read, In("run", rn), Any(0), Any(uint64_t{0}),
              In("buffer", static_cast<void *>(buffer)), Any(sizeof buffer), Out("out_read", &size));
  }

  void AddMetric() {
    ty_run *rn = run.get();
    table.Add("ty_run_log_metric", &ty_run_log_metric, In("run", rn), In("name", "n"), Any(1.0), Any(int64_t{-1}));
    table.Add("ty_run_log_metrics", &ty_run_log_metrics, In("run", rn), In("name", "n"), In("values", &value),
              Any(nullptr), Any(size_t{1}));
    table.AddPlain("ty_metric_kind_name", [] {});
    table.Add("ty_run_log_text", &ty_run_log_text, In("run", rn), In("name", "n"), In("text", "t"), Any(int64_t{-1}));
    const auto add_value = [&](const char *name, auto function, const char *json) {
      table.Add(name, function, In("run", rn), In("name", "n"), In("json", json), Any(int64_t{-1}));
    };
    add_value("ty_run_log_list", &ty_run_log_list, "[]");
    add_value("ty_run_log_row", &ty_run_log_row, "{}");
    add_value("ty_run_log_table", &ty_run_log_table, "{}");
    add_value("ty_run_log_confusion_matrix", &ty_run_log_confusion_matrix, "{}");
    add_value("ty_run_log_accuracy_table", &ty_run_log_accuracy_table, "{}");
    add_value("ty_run_log_predictions", &ty_run_log_predictions, "{}");
    add_value("ty_run_log_residuals", &ty_run_log_residuals, "{}");
    table.Add("ty_run_log_image", &ty_run_log_image, In("run", rn), In("name", "n"), In("path", location.c_str()),
              Any(nullptr), Any(int64_t{-1}));
    table.Add("ty_run_list_metrics_json", &ty_run_list_metrics_json, In("run", rn), Out("out_json", &text));
    table.Add("ty_run_get_metrics_json", &ty_run_get_metrics_json, In("run", rn), Any(nullptr), Out("out_json", &text));
    table.Add("ty_run_log_progress", &ty_run_log_progress, In("run", rn), In("json", "{}"));
    table.Add("ty_run_flush", &ty_run_flush, In("run", rn));
    table.Add("ty_run_list_metrics", &ty_run_list_metrics, In("run", rn), Out("out_names", &list));
    table.Add("ty_run_get_metric", &ty_run_get_metric, In("run", rn), In("name", "n"), Any(nullptr),
              Out("out_series", &series_out));
    table.Add("ty_run_get_metric_value", &ty_run_get_metric_value, In("run", rn), In("name", "n"),
              Out("out_value", &value));
    table.Add("ty_run_export_tensorboard", &ty_run_export_tensorboard, In("run", rn),
              In("directory", location.c_str()));
    table.Add("ty_run_export_csv", &ty_run_export_csv, In("run", rn), In("path", location.c_str()));
    table.AddPlain("ty_metric_series_size", [] { EXPECT_EQ(ty_metric_series_size(nullptr), 0U); });
    table.AddPlain("ty_metric_series_total", [] { EXPECT_EQ(ty_metric_series_total(nullptr), 0); });
    table.AddPlain("ty_metric_series_steps", [] { EXPECT_EQ(ty_metric_series_steps(nullptr), nullptr); });
    table.AddPlain("ty_metric_series_times", [] { EXPECT_EQ(ty_metric_series_times(nullptr), nullptr); });
    table.AddPlain("ty_metric_series_values", [] { EXPECT_EQ(ty_metric_series_values(nullptr), nullptr); });
    table.AddPlain("ty_metric_series_ranks", [] { EXPECT_EQ(ty_metric_series_ranks(nullptr), nullptr); });
    table.AddPlain("ty_metric_series_free", [] { ty_metric_series_free(nullptr); });
  }

  void AddHostAndChildRun() {
    ty_run *rn = run.get();
    table.Add("ty_run_start", &ty_run_start, In("workspace", workspace.get()), In("experiment", "e"), Any(nullptr),
              Out("out_run", &run_out));
    table.Add("ty_run_complete", &ty_run_complete, In("run", rn));
    table.Add("ty_run_fail", &ty_run_fail, In("run", rn), Any(nullptr), Any(nullptr));
    table.Add("ty_run_start_child", &ty_run_start_child, In("parent", rn), Any(nullptr), Out("out_run", &run_out));
    table.Add("ty_run_submit_child", &ty_run_submit_child, In("parent", rn), In("job", job.get()),
              Out("out_run", &run_out));
    table.Add("ty_run_list_children", &ty_run_list_children, In("run", rn), Any(0), Any(nullptr),
              Out("out_ids", &list));
    table.Add("ty_run_list_children_json", &ty_run_list_children_json, In("run", rn), Any(0), Any(nullptr),
              Out("out_json", &text));
  }

  void AddRunContent() {
    ty_run *rn = run.get();
    table.Add("ty_run_set_tags", &ty_run_set_tags, In("run", rn), In("json", "{}"));
    table.Add("ty_run_set_properties", &ty_run_set_properties, In("run", rn), In("json", "{}"));
    table.Add("ty_run_list_tags", &ty_run_list_tags, In("run", rn), Out("out_json", &text));
    table.Add("ty_run_list_properties", &ty_run_list_properties, In("run", rn), Out("out_json", &text));
    table.Add("ty_run_upload_folder", &ty_run_upload_folder, In("run", rn), In("name", "outputs/n"),
              In("path", location.c_str()));
    table.Add("ty_run_get_all_logs", &ty_run_get_all_logs, In("run", rn), In("destination", location.c_str()),
              OptionalOut(&list));
    table.Add("ty_run_set_tag", &ty_run_set_tag, In("run", rn), In("key", "k"), Any(nullptr));
    table.Add("ty_run_set_property", &ty_run_set_property, In("run", rn), In("key", "k"), In("value", "v"));
    table.Add("ty_run_get_tag", &ty_run_get_tag, In("run", rn), In("key", "k"), Out("out_value", &text));
    table.Add("ty_run_get_property", &ty_run_get_property, In("run", rn), In("key", "k"), Out("out_value", &text));
    table.Add("ty_run_list_files", &ty_run_list_files, In("run", rn), Any(nullptr), Out("out_names", &list));
    table.Add("ty_run_download_file", &ty_run_download_file, In("run", rn), In("name", "n"),
              In("destination", location.c_str()));
    table.Add("ty_run_download_files", &ty_run_download_files, In("run", rn), Any(nullptr),
              In("directory", location.c_str()));
    table.Add("ty_run_upload_file", &ty_run_upload_file, In("run", rn), In("name", "outputs/n"),
              In("path", location.c_str()));
    table.Add("ty_run_register_model", &ty_run_register_model, In("run", rn), In("model_name", "m"), Any(nullptr),
              Any(nullptr), OptionalOut(&model_out));
    table.Add("ty_run_restore_snapshot", &ty_run_restore_snapshot, In("run", rn), In("directory", location.c_str()));
    table.Add("ty_run_delete", &ty_run_delete, In("run", rn));
  }

  void AddEvents() {
    ty_event_stream *st = stream.get();
    table.Add("ty_run_events", &ty_run_events, In("run", run.get()), Any(nullptr), Any(int32_t{TY_EVENT_ALL}),
              Out("out_stream", &stream_out));
    table.Add("ty_event_stream_next", &ty_event_stream_next, In("stream", st), Any(int64_t{0}),
              Out("out_event", &event));
    table.Add("ty_event_stream_fd", &ty_event_stream_fd, In("stream", st), Out("out_fd", &number));
    table.Add("ty_event_stream_cursor", &ty_event_stream_cursor, In("stream", st), Out("out_cursor", &text));
    table.Add("ty_event_stream_set_wake", &ty_event_stream_set_wake, In("stream", st), Any(nullptr), Any(nullptr),
              Any(nullptr));
    table.AddPlain("ty_event_stream_free", [] { ty_event_stream_free(nullptr); });
  }

  void AddCompute() {
    ty_compute *cp = compute.get();
    table.Add("ty_compute_get", &ty_compute_get, In("workspace", workspace.get()), In("name", "c"),
              Out("out_compute", &compute_out));
    table.Add("ty_compute_create", &ty_compute_create, In("workspace", workspace.get()), In("name", "c"), Any(nullptr),
              OptionalOut(&compute_out));
    table.Add("ty_compute_list", &ty_compute_list, In("workspace", workspace.get()), Out("out_names", &list));
    table.AddPlain("ty_compute_name", [] { EXPECT_EQ(ty_compute_name(nullptr), nullptr); });
    table.Add("ty_compute_status", &ty_compute_status, In("compute", cp), Out("out_json", &text));
    table.Add("ty_compute_wait", &ty_compute_wait, In("compute", cp), Any(0), Any(int64_t{0}));
    table.Add("ty_compute_delete", &ty_compute_delete, In("compute", cp));
    table.AddPlain("ty_compute_free", [] { ty_compute_free(nullptr); });
  }

  void AddModel() {
    ty_model *md = model.get();
    table.Add("ty_model_get", &ty_model_get, In("workspace", workspace.get()), In("name", "m"), Any(int64_t{0}),
              Out("out_model", &model_out));
    table.Add("ty_model_register", &ty_model_register, In("workspace", workspace.get()), In("name", "m"),
              In("path", location.c_str()), Any(nullptr), OptionalOut(&model_out));
    table.Add("ty_model_list_versions", &ty_model_list_versions, In("workspace", workspace.get()), In("name", "m"),
              Out("out_versions", &list));
    table.AddPlain("ty_model_name", [] { EXPECT_EQ(ty_model_name(nullptr), nullptr); });
    table.AddPlain("ty_model_version", [] { EXPECT_EQ(ty_model_version(nullptr), 0); });
    table.AddPlain("ty_model_run_id", [] { EXPECT_EQ(ty_model_run_id(nullptr), nullptr); });
    table.Add("ty_model_to_json", &ty_model_to_json, In("model", md), Out("out_json", &text));
    table.Add("ty_model_set_tag", &ty_model_set_tag, In("model", md), In("key", "k"), Any(nullptr));
    table.Add("ty_model_download", &ty_model_download, In("model", md), In("directory", location.c_str()));
    table.Add("ty_model_delete", &ty_model_delete, In("model", md));
    table.AddPlain("ty_model_free", [] { ty_model_free(nullptr); });
  }

  void AddEnvironment() {
    ty_environment *ev = environment.get();
    ty_workspace *ws = workspace.get();
    table.Add("ty_environment_new", &ty_environment_new, In("name", "e"), Out("out_environment", &environment_out));
    table.Add("ty_environment_get", &ty_environment_get, In("workspace", ws), In("name", "e"), Any(nullptr),
              Out("out_environment", &environment_out));
    table.Add("ty_environment_list", &ty_environment_list, In("workspace", ws), Out("out_names", &list));
    table.Add("ty_environment_list_versions", &ty_environment_list_versions, In("workspace", ws), In("name", "e"),
              Out("out_versions", &list));
    table.Add("ty_environment_register", &ty_environment_register, In("workspace", ws), In("environment", ev),
              OptionalOut(&environment_out));
    table.Add("ty_environment_delete", &ty_environment_delete, In("workspace", ws), In("name", "e"),
              In("version", "1"));
    table.AddPlain("ty_environment_name", [] { EXPECT_EQ(ty_environment_name(nullptr), nullptr); });
    table.AddPlain("ty_environment_version", [] { EXPECT_EQ(ty_environment_version(nullptr), nullptr); });
    table.Add("ty_environment_hash", &ty_environment_hash, In("environment", ev), Out("out_hash", &text));
    table.Add("ty_environment_set_base_image", &ty_environment_set_base_image, In("environment", ev), Any(nullptr));
    table.Add("ty_environment_set_registry_credentials", &ty_environment_set_registry_credentials,
              In("environment", ev), Any(nullptr), Any(nullptr), Any(nullptr));
    table.Add("ty_environment_set_dockerfile", &ty_environment_set_dockerfile, In("environment", ev), Any(nullptr));
    table.Add("ty_environment_set_container_options", &ty_environment_set_container_options, In("environment", ev),
              Any(nullptr), In("arguments", &argv[0]), Any(size_t{1}));
    table.Add("ty_environment_set_conda_file", &ty_environment_set_conda_file, In("environment", ev), Any(nullptr));
    table.Add("ty_environment_add_conda_package", &ty_environment_add_conda_package, In("environment", ev),
              In("package", "p"));
    table.Add("ty_environment_add_conda_channel", &ty_environment_add_conda_channel, In("environment", ev),
              In("channel", "c"));
    table.Add("ty_environment_add_pip_package", &ty_environment_add_pip_package, In("environment", ev),
              In("package", "p"));
    table.Add("ty_environment_set_pip_requirements", &ty_environment_set_pip_requirements, In("environment", ev),
              Any(nullptr));
    table.Add("ty_environment_set_framework", &ty_environment_set_framework, In("environment", ev), Any(nullptr),
              Any(nullptr));
    table.Add("ty_environment_set_interpreter", &ty_environment_set_interpreter, In("environment", ev), Any(nullptr));
    table.Add("ty_environment_set_variable", &ty_environment_set_variable, In("environment", ev), In("name", "N"),
              Any(nullptr));
    table.Add("ty_environment_clone", &ty_environment_clone, In("environment", ev), In("name", "f"),
              Out("out_environment", &environment_out));
    table.Add("ty_environment_save_to_directory", &ty_environment_save_to_directory, In("environment", ev),
              In("directory", location.c_str()), Any(0));
    table.Add("ty_environment_load_from_directory", &ty_environment_load_from_directory,
              In("directory", location.c_str()), Out("out_environment", &environment_out));
    table.Add("ty_environment_build", &ty_environment_build, In("workspace", ws), In("environment", ev), Any(-1),
              OptionalOut(&text));
    table.Add("ty_environment_to_json", &ty_environment_to_json, In("environment", ev), Out("out_json", &text));
    table.Add("ty_environment_from_json", &ty_environment_from_json, In("json", "{}"),
              Out("out_environment", &environment_out));
    table.AddPlain("ty_environment_free", [] { ty_environment_free(nullptr); });
    table.Add("ty_job_set_environment", &ty_job_set_environment, In("job", job.get()), Any(nullptr));
    table.Add("ty_job_set_environment_name", &ty_job_set_environment_name, In("job", job.get()), Any(nullptr));
  }

  void AddTrain() {
    ty_train_config *cf = config.get();
    table.Add("ty_train_config_new", &ty_train_config_new, Out("out_config", &config_out));
    table.Add("ty_train_config_from_json", &ty_train_config_from_json, In("json", "{}"),
              Out("out_config", &config_out));
    table.Add("ty_train_config_to_json", &ty_train_config_to_json, In("config", cf), Out("out_json", &text));
    table.Add("ty_train_config_describe", &ty_train_config_describe, Out("out_json", &text));
    table.Add("ty_train_config_set_string", &ty_train_config_set_string, In("config", cf), In("key", "device"),
              In("value", "cpu"));
    table.Add("ty_train_config_set_int", &ty_train_config_set_int, In("config", cf), In("key", "threads"),
              Any(int64_t{1}));
    table.Add("ty_train_config_set_double", &ty_train_config_set_double, In("config", cf), In("key", "optimizer.lr"),
              Any(0.1));
    table.Add("ty_train_config_set_bool", &ty_train_config_set_bool, In("config", cf), In("key", "transform.augment"),
              Any(1));
    table.Add("ty_train_config_set_doubles", &ty_train_config_set_doubles, In("config", cf),
              In("key", "transform.mean"), In("values", &doubles[0]), Any(size_t{3}));
    table.AddPlain("ty_train_config_free", [] { ty_train_config_free(nullptr); });
  }

  void AddTrainer() {
    ty_trainer *tr = trainer.get();
    table.Add("ty_trainer_new", &ty_trainer_new, In("config", config.get()), Any(nullptr),
              Out("out_trainer", &trainer_out));
    table.Add("ty_trainer_step", &ty_trainer_step, In("trainer", tr), In("inputs", &tensor), In("targets", &tensor),
              Any(nullptr));
    table.Add("ty_trainer_evaluate", &ty_trainer_evaluate, In("trainer", tr), In("inputs", &tensor),
              In("targets", &tensor), Any(nullptr), Any(nullptr));
    table.Add("ty_trainer_predict", &ty_trainer_predict, In("trainer", tr), In("inputs", &tensor),
              In("outputs", &probability), Any(size_t{1}));
    table.Add("ty_trainer_end_epoch", &ty_trainer_end_epoch, In("trainer", tr), Any(0.5));
    table.Add("ty_trainer_save", &ty_trainer_save, In("trainer", tr), In("path", "p"));
    table.Add("ty_trainer_load", &ty_trainer_load, In("trainer", tr), In("path", "p"));
    table.Add("ty_trainer_save_weights", &ty_trainer_save_weights, In("trainer", tr), In("path", "p"));
    table.AddPlain("ty_trainer_free", [] { ty_trainer_free(nullptr); });
  }

  void AddPredict() {
    ty_predictor *pr = predictor.get();
    table.Add("ty_predictor_open", &ty_predictor_open, In("path", location.c_str()), Any(nullptr),
              Out("out_predictor", &predictor_out));
    table.Add("ty_predictor_open_model", &ty_predictor_open_model, In("model", model.get()), Any(nullptr),
              Out("out_predictor", &predictor_out));
    table.AddPlain("ty_predictor_class_count", [] { EXPECT_EQ(ty_predictor_class_count(nullptr), 0); });
    table.AddPlain("ty_predictor_class_name", [] { EXPECT_EQ(ty_predictor_class_name(nullptr, 0), nullptr); });
    table.Add("ty_predictor_predict_image_file", &ty_predictor_predict_image_file, In("predictor", pr), In("path", "p"),
              Any(1), Out("out_prediction", &prediction_out));
    table.Add("ty_predictor_predict_folder", &ty_predictor_predict_folder, In("predictor", pr), In("directory", "d"),
              Any(1), Out("out_prediction", &prediction_out));
    table.Add("ty_predictor_predict", &ty_predictor_predict, In("predictor", pr), In("input", &tensor),
              In("output", &probability), Any(size_t{1}));
    table.AddPlain("ty_predictor_free", [] { ty_predictor_free(nullptr); });
    table.AddPlain("ty_prediction_size", [] { EXPECT_EQ(ty_prediction_size(nullptr), 0U); });
    table.AddPlain("ty_prediction_path", [] { EXPECT_EQ(ty_prediction_path(nullptr, 0), nullptr); });
    table.AddPlain("ty_prediction_error", [] { EXPECT_EQ(ty_prediction_error(nullptr, 0), nullptr); });
    table.AddPlain("ty_prediction_class_count", [] { EXPECT_EQ(ty_prediction_class_count(nullptr, 0), 0); });
    table.AddPlain("ty_prediction_class_index", [] { EXPECT_EQ(ty_prediction_class_index(nullptr, 0, 0), -1); });
    table.AddPlain("ty_prediction_class_name", [] { EXPECT_EQ(ty_prediction_class_name(nullptr, 0, 0), nullptr); });
    table.AddPlain("ty_prediction_probability", [] { EXPECT_EQ(ty_prediction_probability(nullptr, 0, 0), 0.0); });
    table.AddPlain("ty_prediction_free", [] { ty_prediction_free(nullptr); });
  }

  void AddExport() {
    table.Add("ty_export_onnx", &ty_export_onnx, In("model_path", location.c_str()), Any(nullptr),
              In("out_path", location.c_str()));
    table.Add("ty_export_weights", &ty_export_weights, In("model_path", location.c_str()), In("format", "state_dict"),
              In("out_path", location.c_str()));
  }

  Table table;
  std::string runtime;
  std::string location = directory / "nothing";
  TyDistribution distribution;
  TyJob job;
  TyRun run;
  Stream stream;
  Model model;
  Handle<ty_compute, &ty_compute_free> compute;
  Config config;
  TyEnvironment environment;
  std::unique_ptr<ty_predictor> predictor;
  std::unique_ptr<ty_trainer> trainer;
  const char *argv[1] = {"true"};
  int32_t exit_code = 1;
  double doubles[3] = {1, 2, 3};
  char buffer[16] = {};
  DLTensor tensor = {};
  float probability = 0;

  // Outputs.
  char *text = nullptr, *second_text = nullptr;
  ty_string_list *list = nullptr;
  ty_workspace *workspace_place = nullptr, **workspace_out = &workspace_place;
  ty_distribution *distribution_out = nullptr;
  ty_job *job_out = nullptr;
  ty_run *run_out = nullptr;
  ty_error *failure_out = nullptr;
  ty_metric_series *series_out = nullptr;
  ty_event_stream *stream_out = nullptr;
  const ty_event *event = nullptr;
  ty_model *model_out = nullptr;
  ty_compute *compute_out = nullptr;
  ty_train_config *config_out = nullptr;
  ty_environment *environment_out = nullptr;
  ty_predictor *predictor_out = nullptr;
  ty_trainer *trainer_out = nullptr;
  ty_prediction *prediction_out = nullptr;
  int32_t number = 0;
  int64_t version = 0;
  size_t size = 0;
  double value = 0;
};

TEST_F(NullArguments, EveryFunctionIsInTheTable) {
  std::set<std::string> exported, known;
  std::ifstream symbols(TRAINYARD_SYMBOLS);
  for (std::string line; std::getline(symbols, line);) {
    if (!line.empty()) exported.insert(line);
  }
  for (const Function &function : table.functions) known.insert(function.name);
  EXPECT_EQ(known.size(), table.functions.size()) << "a function is in the table twice";
  EXPECT_EQ(known, exported) << "add a function with its arguments to the table of this file";
}

TEST_F(NullArguments, AreRefusedByName) {
  for (const Function &function : table.functions) function.check_null();
}

TEST_F(NullArguments, ElementsOfArgvAreChecked) {
  const char *const words[] = {"echo", nullptr};
  EXPECT_EQ(ty_job_new_command(nullptr, words, 2, &job_out, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("argv"), std::string::npos);
  EXPECT_EQ(ty_job_new_command(nullptr, words, 0, &job_out, err), TY_ERR_INVALID_ARGUMENT);
}

// Every call on a handle from before the fork answers TY_ERR_FORKED, and freeing there does not disturb the parent.
TEST_F(NullArguments, HandlesAreRefusedInAForkedChild) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    for (const Function &function : table.functions) {
      if (!function.bound) continue;
      const ty_status status = function.call();
      if (status == TY_ERR_FORKED) continue;
      const std::string line = function.name + " answers " + ty_status_name(status) + "\n";
      if (write(pipe_ends[1], line.data(), line.size()) < 0) _exit(1);
    }
    stream.reset();
    run.reset();
    model.reset();
    compute.reset();
    workspace.reset();
    _exit(0);
  }
  close(pipe_ends[1]);
  std::string told;
  char part[512];
  for (ssize_t n = 0; (n = read(pipe_ends[0], part, sizeof part)) > 0;) told.append(part, static_cast<size_t>(n));
  close(pipe_ends[0]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(told, "");
  EXPECT_OK(ty_run_set_tag(run, "still", "here", err));
  Text tag;
  EXPECT_OK(ty_run_get_tag(run, "still", tag.out(), err));
  EXPECT_EQ(tag.str(), "here");
  EXPECT_OK(ty_event_stream_next(stream, 0, &event, err));
}

}  // namespace
}  // namespace trainyard_test
