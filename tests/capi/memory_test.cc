// Shortage of memory: operator new fails at the first, second, third... allocation of a call, until the call succeeds.
// Each time the answer must be TY_ERR_OUT_OF_MEMORY with empty outputs, and the handles must stay usable.
#include "capi/allocations.h"
#include "capi/api.h"

namespace trainyard_test {
namespace {

class MemoryTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    WriteAll(directory / "weights", "weights");
    ASSERT_OK(ty_model_register(workspace, "net", (directory / "weights").c_str(), nullptr, model.out(), err));
    job = Shell("true");
  }

  // `call` gets an `err` and answers its status; `empty` says whether its outputs are as they were.
  void Torture(
      const char *name, const std::function<ty_status(ty_error **)> &call,
      const std::function<bool()> &empty = [] { return true; }) {
    SCOPED_TRACE(name);
    int64_t failures = 0;
    for (int64_t n = 0; n < 20000; ++n) {
      ty_error *error = nullptr;
      allocations_left = n;
      const ty_status status = call(&error);
      const bool used_up = allocations_left == 0;
      allocations_left = -1;
      if (status == TY_OK) {
        EXPECT_TRUE(used_up || failures > 0 || n == 0);
        return;
      }
      ++failures;
      const std::string message = ty_error_message(error);
      EXPECT_EQ(ty_error_status(error), status);
      ty_error_free(error);
      ASSERT_EQ(status, TY_ERR_OUT_OF_MEMORY) << ty_status_name(status) << ": " << message << ", allocation " << n;
      ASSERT_TRUE(empty()) << "an output was set, allocation " << n;
    }
    ADD_FAILURE() << "never succeeded";
  }

  TyJob job;
  Model model;
};

TEST_F(MemoryTest, JobsAndSettings) {
  ty_job *made = nullptr;
  const auto no_job = [&] { return made == nullptr; };
  Torture(
      "ty_job_new_shell",
      [&](ty_error **e) { return ty_job_new_shell("/tmp", "true # and a line longer than short strings", &made, e); },
      no_job);
  Torture("ty_job_set_variable", [&](ty_error **e) {
    return ty_job_set_variable(made, "A_RATHER_LONG_NAME_OF_IT", "and a rather long value", e);
  });
  Torture("ty_job_set_secret", [&](ty_error **e) {
    return ty_job_set_secret(made, "A_RATHER_LONG_SECRET_NAME", "and a rather long value", e);
  });
  Torture("ty_job_add_argument",
          [&](ty_error **e) { return ty_job_add_argument(made, "and a rather long argument too", e); });
  char *json = nullptr;
  Torture(
      "ty_job_to_json", [&](ty_error **e) { return ty_job_to_json(made, &json, e); }, [&] { return json == nullptr; });
  ty_job *copy = nullptr;
  Torture(
      "ty_job_from_json", [&](ty_error **e) { return ty_job_from_json(json, &copy, e); },
      [&] { return copy == nullptr; });
  ty_string_free(json);
  ty_job_free(copy);
  ty_job_free(made);
  ty_train_config *config = nullptr;
  Torture(
      "ty_train_config_new", [&](ty_error **e) { return ty_train_config_new(&config, e); },
      [&] { return config == nullptr; });
  Torture("ty_train_config_set_string", [&](ty_error **e) {
    return ty_train_config_set_string(config, "data.directory", "/a/rather/long/path/of/images", e);
  });
  json = nullptr;
  Torture(
      "ty_train_config_describe", [&](ty_error **e) { return ty_train_config_describe(&json, e); },
      [&] { return json == nullptr; });
  ty_string_free(json);
  ty_train_config_free(config);
}

TEST_F(MemoryTest, Workspaces) {
  ty_workspace *opened = nullptr;
  const std::string path = directory / "workspace";
  Torture(
      "ty_workspace_open", [&](ty_error **e) { return ty_workspace_open(path.c_str(), &opened, e); },
      [&] { return opened == nullptr; });
  ty_workspace_free(opened);
  ty_string_list *list = nullptr;
  char *next = nullptr, *json = nullptr;
  Torture(
      "ty_workspace_list_runs",
      [&](ty_error **e) {
        return ty_workspace_list_runs(workspace, "{\"experiment\":\"none of this name is there\"}", 10, nullptr, &list,
                                      &next, e);
      },
      [&] { return list == nullptr && next == nullptr; });
  ty_string_list_free(list);
  list = nullptr;
  Torture(
      "ty_workspace_list_models", [&](ty_error **e) { return ty_workspace_list_models(workspace, &list, e); },
      [&] { return list == nullptr; });
  EXPECT_STREQ(ty_string_list_get(list, 0), "net");
  ty_string_list_free(list);
  Torture(
      "ty_model_to_json", [&](ty_error **e) { return ty_model_to_json(model, &json, e); },
      [&] { return json == nullptr; });
  ty_string_free(json);
  Torture("ty_model_set_tag", [&](ty_error **e) {
    return ty_model_set_tag(model, "a rather long key of a tag", "and a rather long value", e);
  });
}

// An error that cannot be built for want of memory is that error.
TEST_F(MemoryTest, ErrorsThemselves) {
  for (int64_t n = 0;; ++n) {
    ty_error *error = nullptr;
    ty_run *run = nullptr;
    allocations_left = n;
    const ty_status status = ty_run_get(workspace, "no-such-run-that-has-a-long-name", &run, &error);
    allocations_left = -1;
    EXPECT_EQ(run, nullptr);
    ASSERT_NE(error, nullptr);
    const ty_status told = ty_error_status(error);
    const std::string message = ty_error_message(error);
    ty_error_free(error);
    ASSERT_TRUE(status == TY_ERR_OUT_OF_MEMORY || status == TY_ERR_NOT_FOUND) << message;
    if (status == TY_ERR_NOT_FOUND && told == TY_ERR_NOT_FOUND) break;
    EXPECT_EQ(told, TY_ERR_OUT_OF_MEMORY);
    ASSERT_LT(n, 20000);
  }
}

}  // namespace
}  // namespace trainyard_test
