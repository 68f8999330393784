// What users of the C API are told of an environment that cannot be had as it was asked for.
#include "capi/api.h"

namespace trainyard_test {
namespace {

class EnvironmentRefusalTest : public WorkspaceTest {
 protected:
  EnvironmentRefusalTest() : path_(std::getenv("PATH")) {
    setenv("PATH", "/usr/bin:/bin", 1);  // no conda
  }
  ~EnvironmentRefusalTest() override {
    setenv("PATH", path_.c_str(), 1);
    unsetenv("TRAINYARD_CONTAINER_ENGINE");
    unsetenv("PIP_NO_INDEX");
  }

  TyEnvironment New(const char *name = "mine") {
    TyEnvironment environment;
    EXPECT_OK(ty_environment_new(name, environment.out(), err));
    return environment;
  }
  TyEnvironment OfCondaFile(const std::string &text) {
    WriteAll(directory / "conda.yml", text);
    TyEnvironment environment = New();
    EXPECT_OK(ty_environment_set_conda_file(environment, (directory / "conda.yml").c_str(), err));
    return environment;
  }
  // How a submit is refused; no run is left.
  std::string Refusal(const TyEnvironment &environment) {
    const TyJob job = Shell("true");
    EXPECT_OK(ty_job_set_environment(job, environment, err));
    TyRun run;
    EXPECT_EQ(ty_run_submit(workspace, "tests", job, run.out(), err), TY_ERR_INVALID_ARGUMENT);
    EXPECT_EQ(run.get(), nullptr);
    return err.message();
  }
  static bool Has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

  const std::string path_;
};

TEST_F(EnvironmentRefusalTest, OldNamesGiveTheNearestOfTodayAndAWarning) {
  for (const auto &[old, ours] : std::vector<std::pair<const char *, const char *>>{
           {"AzureML-PyTorch-1.6-GPU", "trainyard-pytorch-2.11-cuda"},
           {"AzureML-PyTorch-1.6-CPU", "trainyard-pytorch-2.11-cpu"},
           {"AzureML-acpt-pytorch-1.13-cuda11.7", "trainyard-pytorch-2.11-cuda"}}) {
    std::vector<std::string> warnings;
    const auto note = [](int32_t /*level*/, const char *message, void *list) {
      static_cast<std::vector<std::string> *>(list)->emplace_back(message);
    };
    ASSERT_OK(ty_log_set_callback(note, &warnings, nullptr, TY_LOG_WARNING, err));
    TyEnvironment environment;
    EXPECT_OK(ty_environment_get(workspace, old, nullptr, environment.out(), err));
    EXPECT_OK(ty_log_set_callback(nullptr, nullptr, nullptr, TY_LOG_WARNING, err));
    EXPECT_STREQ(ty_environment_name(environment), ours);
    const std::string warning = std::string("environment '") + old + "' is not made any more: '" + ours +
                                "', the nearest current one, is used instead";
    ASSERT_EQ(warnings.size(), 1u);
    EXPECT_TRUE(Has(warnings[0], warning)) << warnings[0];

    const TyJob job = Shell("true");
    ASSERT_OK(ty_job_set_environment_name(job, old, err));
    Text report;
    ASSERT_OK(ty_job_validate(workspace, job, report.out(), err));
    EXPECT_TRUE(Has(report.str(), warning)) << report.str();
  }
}

TEST_F(EnvironmentRefusalTest, APythonThatIsNotHereNamesItsLineAndTheNearest) {
  const std::string message = Refusal(OfCondaFile("name: old\ndependencies:\n- python=3.6\n- pip:\n  - six\n"));
  EXPECT_TRUE(Has(message, "line 3 of the conda file asks for Python ('python=3.6')")) << message;
  EXPECT_TRUE(Has(message, "the nearest there is Python 3.")) << message;
}

TEST_F(EnvironmentRefusalTest, APyTorchThatDoesNotExistNamesItsLineAndTheNearest) {
  const std::string message = Refusal(OfCondaFile("dependencies:\n- pip:\n  - torch==1.6.0\n"));
  EXPECT_TRUE(Has(message, "line 3 of the conda file ('torch==1.6.0') asks for a PyTorch that does not exist"))
      << message;
  EXPECT_TRUE(Has(message, "the nearest that does is ")) << message;
}

TEST_F(EnvironmentRefusalTest, WithoutAContainerEngineTheProbesReasonIsTold) {
  setenv("TRAINYARD_CONTAINER_ENGINE", "no-such-engine", 1);
  const TyEnvironment environment = New();
  ASSERT_OK(ty_environment_set_base_image(environment, "an-image:1", err));
  const std::string message = Refusal(environment);
  EXPECT_TRUE(Has(message, "no container engine works here: 'no-such-engine': not in PATH")) << message;
}

TEST_F(EnvironmentRefusalTest, PipsOwnReasonIsTheErrorOfABuild) {
  setenv("PIP_NO_INDEX", "1", 1);
  const TyEnvironment environment = New();
  ASSERT_OK(ty_environment_add_pip_package(environment, "no-such-package==1.0", err));
  Text report;
  EXPECT_EQ(ty_environment_build(workspace, environment, -1, report.out(), err), TY_ERR_RUNTIME);
  EXPECT_TRUE(Has(err.message(), "pip: Could not find a version that satisfies the requirement no-such-package==1.0"))
      << err.message();
}

TEST_F(EnvironmentRefusalTest, TheSdksOwnPackagesAreNotInstalledAndStillImported) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "python3 cannot load a library with a sanitizer";
#endif
  setenv("PIP_NO_INDEX", "1", 1);  // nothing can be fetched, and nothing has to be
  const TyEnvironment environment = New();
  ASSERT_OK(ty_environment_add_pip_package(environment, "azureml-defaults>=1.40", err));
  const TyJob job = Shell("python -c 'from azureml.core import Run; print(Run.get_context().id)'");
  ASSERT_OK(ty_job_set_environment(job, environment, err));
  const TyRun run = Complete(job);
  EXPECT_EQ(Log(run), std::string(ty_run_id(run)) + "\n");
  EXPECT_TRUE(Has(Log(run, TY_RANK_ENVIRONMENT),
                  "left out: azureml-defaults>=1.40 (runs have a package that stands in for it)"));
}

TEST_F(EnvironmentRefusalTest, ReservedNamesAreNotForOwnEnvironments) {
  for (const char *name : {"AzureML-mine", "azureml-mine", "Microsoft-mine"}) {
    EXPECT_EQ(ty_environment_register(workspace, New(name), nullptr, err), TY_ERR_INVALID_ARGUMENT) << name;
    EXPECT_TRUE(Has(err.message(), std::string("'") + name + "'") && Has(err.message(), "reserved")) << err.message();
    const std::string message = Refusal(New(name));
    EXPECT_TRUE(Has(message, "names that start with AzureML or Microsoft")) << message;
  }
}

}  // namespace
}  // namespace trainyard_test
