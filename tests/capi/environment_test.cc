// Environments through the C API: building, reading back, registering, files. What runs do with them is tested with the
// runner (tests/runner/environment_e2e_test.cc).
#include "capi/api.h"

namespace trainyard_test {
namespace {

class EnvironmentApi : public WorkspaceTest {
 protected:
  TyEnvironment New(const char *name) {
    TyEnvironment environment;
    EXPECT_OK(ty_environment_new(name, environment.out(), err));
    return environment;
  }
  std::string Json(const ty_environment *environment) {
    Text text;
    EXPECT_OK(ty_environment_to_json(environment, text.out(), err));
    return text.str();
  }
  std::string Hash(const ty_environment *environment) {
    Text text;
    EXPECT_OK(ty_environment_hash(environment, text.out(), err));
    return text.str();
  }
  static bool Has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }
};

TEST_F(EnvironmentApi, PartsComposeAndComeBack) {
  const TyEnvironment environment = New("mine");
  WriteAll(directory / "conda.yml", "dependencies:\n- python=3.11\n");
  WriteAll(directory / "requirements.txt", "six\n");
  const char *arguments[] = {"--cap-drop", "ALL"};
  EXPECT_OK(ty_environment_set_base_image(environment, "registry.example.com/image:1", err));
  EXPECT_OK(ty_environment_set_registry_credentials(environment, "registry.example.com", "user", "a-password", err));
  EXPECT_OK(ty_environment_set_dockerfile(environment, "RUN true\n", err));
  EXPECT_OK(ty_environment_set_container_options(environment, "4g", arguments, 2, err));
  EXPECT_OK(ty_environment_set_conda_file(environment, (directory / "conda.yml").c_str(), err));
  EXPECT_OK(ty_environment_add_conda_package(environment, "numpy", err));
  EXPECT_OK(ty_environment_add_conda_channel(environment, "conda-forge", err));
  EXPECT_OK(ty_environment_set_pip_requirements(environment, (directory / "requirements.txt").c_str(), err));
  EXPECT_OK(ty_environment_add_pip_package(environment, "attrs", err));
  EXPECT_OK(ty_environment_set_framework(environment, "pytorch", "2.11", err));
  EXPECT_OK(ty_environment_set_variable(environment, "A", "1", err));
  EXPECT_OK(ty_environment_set_variable(environment, "B", "2", err));
  EXPECT_OK(ty_environment_set_variable(environment, "B", nullptr, err));
  const std::string json = Json(environment);
  for (const char *part : {"registry.example.com/image:1", "\"user\"", "RUN true", "4g", "--cap-drop", "python=3.11",
                           "numpy", "conda-forge", "six", "attrs", "\"PyTorch\"", "2.11", "\"A\""})
    EXPECT_TRUE(Has(json, part)) << part;
  EXPECT_FALSE(Has(json, "a-password"));
  EXPECT_FALSE(Has(json, "\"B\""));
  TyEnvironment back;
  ASSERT_OK(ty_environment_from_json(json.c_str(), back.out(), err));
  EXPECT_EQ(Json(back), json);
  EXPECT_EQ(Hash(back), Hash(environment));
  EXPECT_EQ(Hash(back).size(), 64u);

  const std::string saved = directory / "saved";
  ASSERT_OK(ty_environment_save_to_directory(environment, saved.c_str(), 0, err));
  EXPECT_EQ(ty_environment_save_to_directory(environment, saved.c_str(), 0, err), TY_ERR_ALREADY_EXISTS);
  EXPECT_OK(ty_environment_save_to_directory(environment, saved.c_str(), 1, err));
  ASSERT_OK(ty_environment_load_from_directory(saved.c_str(), back.out(), err));
  EXPECT_EQ(Json(back), json);

  EXPECT_OK(ty_environment_set_conda_file(environment, nullptr, err));
  EXPECT_FALSE(Has(Json(environment), "python=3.11"));
}

TEST_F(EnvironmentApi, WrongValuesLeaveItAsItWas) {
  const TyEnvironment environment = New("mine");
  const std::string json = Json(environment);
  EXPECT_EQ(ty_environment_add_pip_package(environment, "-e .", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_environment_set_framework(environment, "Caffe", nullptr, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_TRUE(Has(err.message(), "TensorFlow")) << err.message();
  EXPECT_EQ(ty_environment_set_variable(environment, "A=B", "1", err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_environment_set_conda_file(environment, (directory / "none.yml").c_str(), err), TY_ERR_NOT_FOUND);
  WriteAll(directory / "requirements.txt", "six\n-r other.txt\n");
  EXPECT_EQ(ty_environment_set_pip_requirements(environment, (directory / "requirements.txt").c_str(), err),
            TY_ERR_INVALID_ARGUMENT);
  for (const auto &set :
       {ty_environment_set_base_image, ty_environment_add_conda_channel, ty_environment_add_pip_package}) {
    EXPECT_EQ(set(environment, "http://user:a-password@host/x", err), TY_ERR_INVALID_ARGUMENT);
    EXPECT_FALSE(Has(err.message(), "a-password")) << err.message();
  }
  WriteAll(directory / "requirements.txt", "--index-url http://user:a-password@host/simple\nsix\n");
  EXPECT_EQ(ty_environment_set_pip_requirements(environment, (directory / "requirements.txt").c_str(), err),
            TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(Json(environment), json);
  TyEnvironment other;
  EXPECT_EQ(ty_environment_new("no good", other.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_environment_from_json(R"({"name":"e","pips":{}})", other.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_TRUE(Has(err.message(), "did you mean 'pip'")) << err.message();
}

TEST_F(EnvironmentApi, RegisteredVersions) {
  const TyEnvironment environment = New("mine");
  EXPECT_STREQ(ty_environment_version(environment), "");
  TyEnvironment made;
  for (const char *version : {"1", "2", "3"}) {
    ASSERT_OK(ty_environment_register(workspace, environment, made.out(), err));
    EXPECT_STREQ(ty_environment_version(made), version);
    EXPECT_STREQ(ty_environment_name(made), "mine");
  }
  ASSERT_OK(ty_environment_delete(workspace, "mine", "3", err));
  EXPECT_EQ(ty_environment_delete(workspace, "mine", "3", err), TY_ERR_NOT_FOUND);
  ASSERT_OK(ty_environment_get(workspace, "mine", nullptr, made.out(), err));
  EXPECT_STREQ(ty_environment_version(made), "2");
  ASSERT_OK(ty_environment_get(workspace, "mine", "1", made.out(), err));
  EXPECT_EQ(ty_environment_get(workspace, "mine", "9", made.out(), err), TY_ERR_NOT_FOUND);
  List list;
  ASSERT_OK(ty_environment_list_versions(workspace, "mine", list.out(), err));
  EXPECT_EQ(list.strings(), (std::vector<std::string>{"1", "2"}));
  ASSERT_OK(ty_environment_list(workspace, list.out(), err));
  EXPECT_EQ(list.strings()[0], "mine");
  EXPECT_EQ(ty_environment_get(workspace, "min", nullptr, made.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_TRUE(Has(err.message(), "did you mean 'mine'")) << err.message();
  for (const char *name : {"AzureML-mine", "Microsoft-mine", "trainyard-minimal"}) {
    EXPECT_EQ(ty_environment_register(workspace, New(name), nullptr, err), TY_ERR_INVALID_ARGUMENT) << name;
  }
}

TEST_F(EnvironmentApi, ThoseOfTheLibraryAreClonedToBeChanged) {
  TyEnvironment minimal, mine;
  ASSERT_OK(ty_environment_get(workspace, "AzureML-Minimal", nullptr, minimal.out(), err));
  EXPECT_STREQ(ty_environment_name(minimal), "trainyard-minimal");
  EXPECT_EQ(ty_environment_add_pip_package(minimal, "six", err), TY_ERR_INVALID_STATE);
  EXPECT_TRUE(Has(err.message(), "clone it under a name of your own")) << err.message();
  ASSERT_OK(ty_environment_clone(minimal, "mine", mine.out(), err));
  EXPECT_OK(ty_environment_add_pip_package(mine, "six", err));
  EXPECT_OK(ty_environment_register(workspace, mine, nullptr, err));
}

TEST_F(EnvironmentApi, AJobTakesACopyOrAName) {
  TyEnvironment environment = New("mine");
  EXPECT_OK(ty_environment_add_pip_package(environment, "six", err));
  const TyJob job = Shell("true");
  ASSERT_OK(ty_job_set_environment(job, environment, err));
  environment.reset();
  Text text;
  ASSERT_OK(ty_job_to_json(job, text.out(), err));
  EXPECT_TRUE(Has(text.str(), "\"six\"")) << text.str();
  ASSERT_OK(ty_job_set_environment_name(job, "mine:2", err));
  ASSERT_OK(ty_job_to_json(job, text.out(), err));
  EXPECT_TRUE(Has(text.str(), "\"mine:2\"") && !Has(text.str(), "six")) << text.str();
  TyRun run;
  EXPECT_EQ(ty_run_submit(workspace, "tests", job, run.out(), err), TY_ERR_NOT_FOUND);
  ASSERT_OK(ty_job_set_environment(job, nullptr, err));
  ASSERT_OK(ty_job_to_json(job, text.out(), err));
  EXPECT_TRUE(Has(text.str(), "\"system\"")) << text.str();
  EXPECT_EQ(ty_job_set_environment_name(job, "no good", err), TY_ERR_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace trainyard_test
