// Of runs: jobs, what they make, and what is asked of them.
#include "capi/null_arguments_table.h"

namespace trainyard_test {

void NullArguments::AddDistribution() {
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

void NullArguments::AddJob() {
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

void NullArguments::AddRun() {
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

void NullArguments::AddMetric() {
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
  table.Add("ty_run_export_tensorboard", &ty_run_export_tensorboard, In("run", rn), In("directory", location.c_str()));
  table.Add("ty_run_export_csv", &ty_run_export_csv, In("run", rn), In("path", location.c_str()));
  table.AddPlain("ty_metric_series_size", [] { EXPECT_EQ(ty_metric_series_size(nullptr), 0U); });
  table.AddPlain("ty_metric_series_total", [] { EXPECT_EQ(ty_metric_series_total(nullptr), 0); });
  table.AddPlain("ty_metric_series_steps", [] { EXPECT_EQ(ty_metric_series_steps(nullptr), nullptr); });
  table.AddPlain("ty_metric_series_times", [] { EXPECT_EQ(ty_metric_series_times(nullptr), nullptr); });
  table.AddPlain("ty_metric_series_values", [] { EXPECT_EQ(ty_metric_series_values(nullptr), nullptr); });
  table.AddPlain("ty_metric_series_ranks", [] { EXPECT_EQ(ty_metric_series_ranks(nullptr), nullptr); });
  table.AddPlain("ty_metric_series_free", [] { ty_metric_series_free(nullptr); });
}

void NullArguments::AddHostAndChildRun() {
  ty_run *rn = run.get();
  table.Add("ty_run_start", &ty_run_start, In("workspace", workspace.get()), In("experiment", "e"), Any(nullptr),
            Out("out_run", &run_out));
  table.Add("ty_run_complete", &ty_run_complete, In("run", rn));
  table.Add("ty_run_fail", &ty_run_fail, In("run", rn), Any(nullptr), Any(nullptr));
  table.Add("ty_run_start_child", &ty_run_start_child, In("parent", rn), Any(nullptr), Out("out_run", &run_out));
  table.Add("ty_run_submit_child", &ty_run_submit_child, In("parent", rn), In("job", job.get()),
            Out("out_run", &run_out));
  table.Add("ty_run_list_children", &ty_run_list_children, In("run", rn), Any(0), Any(nullptr), Out("out_ids", &list));
  table.Add("ty_run_list_children_json", &ty_run_list_children_json, In("run", rn), Any(0), Any(nullptr),
            Out("out_json", &text));
}

void NullArguments::AddRunContent() {
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

void NullArguments::AddEvents() {
  ty_event_stream *st = stream.get();
  table.Add("ty_run_events", &ty_run_events, In("run", run.get()), Any(nullptr), Any(int32_t{TY_EVENT_ALL}),
            Out("out_stream", &stream_out));
  table.Add("ty_event_stream_next", &ty_event_stream_next, In("stream", st), Any(int64_t{0}), Out("out_event", &event));
  table.Add("ty_event_stream_fd", &ty_event_stream_fd, In("stream", st), Out("out_fd", &number));
  table.Add("ty_event_stream_cursor", &ty_event_stream_cursor, In("stream", st), Out("out_cursor", &text));
  table.Add("ty_event_stream_set_wake", &ty_event_stream_set_wake, In("stream", st), Any(nullptr), Any(nullptr),
            Any(nullptr));
  table.AddPlain("ty_event_stream_free", [] { ty_event_stream_free(nullptr); });
}

}  // namespace trainyard_test
