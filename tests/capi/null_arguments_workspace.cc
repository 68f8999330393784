// Of a workspace: itself, data, models, computes, environments; and what stands by itself.
#include "capi/null_arguments_table.h"

namespace trainyard_test {

void NullArguments::AddCommon() {
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

void NullArguments::AddWorkspace() {
  ty_workspace *ws = workspace.get();
  table.Add("ty_workspace_open", &ty_workspace_open, In("location", location.c_str()),
            Out("out_workspace", workspace_out));
  table.AddPlain("ty_workspace_free", [] { ty_workspace_free(nullptr); });
  table.AddPlain("ty_workspace_location", [] { EXPECT_EQ(ty_workspace_location(nullptr), nullptr); });
  table.Add("ty_workspace_list_runs", &ty_workspace_list_runs, In("workspace", ws), Any(nullptr), Any(10), Any(nullptr),
            Out("out_ids", &list), OptionalOut(&text));
  table.Add("ty_workspace_list_runs_json", &ty_workspace_list_runs_json, In("workspace", ws), Any(nullptr), Any(10),
            Any(nullptr), Out("out_json", &text), OptionalOut(&second_text));
  table.Add("ty_workspace_list_experiments", &ty_workspace_list_experiments, In("workspace", ws),
            Out("out_names", &list));
  table.Add("ty_workspace_list_models", &ty_workspace_list_models, In("workspace", ws), Out("out_names", &list));
  table.Add("ty_workspace_list_models_json", &ty_workspace_list_models_json, In("workspace", ws), Any(nullptr), Any(10),
            Any(nullptr), Out("out_json", &text), OptionalOut(&second_text));
  table.Add("ty_workspace_prune", &ty_workspace_prune, In("workspace", ws), In("policy_json", "{}"), Any(1),
            OptionalOut(&text));
}

void NullArguments::AddData() {
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
  table.Add("ty_data_get", &ty_data_get, In("workspace", ws), In("name", "a"), Any(int64_t{0}), Out("out_json", &text));
  table.Add("ty_data_delete", &ty_data_delete, In("workspace", ws), In("name", "a"), Any(int64_t{1}));
  table.Add("ty_data_list", &ty_data_list, In("workspace", ws), Out("out_names", &list));
  table.Add("ty_data_list_versions", &ty_data_list_versions, In("workspace", ws), In("name", "a"),
            Out("out_versions", &list));
}

void NullArguments::AddModel() {
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

void NullArguments::AddCompute() {
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

void NullArguments::AddEnvironment() {
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
  table.Add("ty_environment_delete", &ty_environment_delete, In("workspace", ws), In("name", "e"), In("version", "1"));
  table.AddPlain("ty_environment_name", [] { EXPECT_EQ(ty_environment_name(nullptr), nullptr); });
  table.AddPlain("ty_environment_version", [] { EXPECT_EQ(ty_environment_version(nullptr), nullptr); });
  table.Add("ty_environment_hash", &ty_environment_hash, In("environment", ev), Out("out_hash", &text));
  table.Add("ty_environment_set_base_image", &ty_environment_set_base_image, In("environment", ev), Any(nullptr));
  table.Add("ty_environment_set_registry_credentials", &ty_environment_set_registry_credentials, In("environment", ev),
            Any(nullptr), Any(nullptr), Any(nullptr));
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

}  // namespace trainyard_test
