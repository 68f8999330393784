// Registered environments, and environments as files.
#include "store/environment_store.h"

#include "store/environment_files.h"
#include "store_fixture.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class EnvironmentStoreTest : public StoreTest {
 protected:
  static Environment Named(const std::string &name) {
    Environment environment;
    environment.name = name;
    environment.pip_packages = {"six"};
    return environment;
  }
};

TEST_F(EnvironmentStoreTest, VersionsCountUpAndAreNeverReused) {
  EnvironmentStore &environments = store().environments();
  EXPECT_EQ(environments.Register(Named("e")).version, "1");
  Environment second = Named("e");
  second.pip_packages = {"attrs"};
  EXPECT_EQ(environments.Register(second).version, "2");
  EXPECT_EQ(environments.Find("e")->version, "2");
  EXPECT_EQ(environments.Find("e")->pip_packages, second.pip_packages);
  EXPECT_EQ(environments.Find("e", 1)->pip_packages, Named("e").pip_packages);
  EXPECT_FALSE(environments.Find("e", 3));
  EXPECT_FALSE(environments.Find("f"));
  EXPECT_TRUE(environments.Delete("e", 2));
  EXPECT_FALSE(environments.Delete("e", 2));
  EXPECT_EQ(environments.Register(Named("e")).version, "3");
  environments.Register(Named("a"));
  EXPECT_THAT(environments.Versions("e"), ElementsAre(1, 3));
  EXPECT_THAT(environments.Names(), ElementsAre("a", "e"));
}

TEST_F(EnvironmentStoreTest, ReservedNamesAndPasswordsAreNotKept) {
  std::string message;
  EXPECT_EQ(StatusOf([&] { store().environments().Register(Named("AzureML-x")); }, &message), Status::kInvalidArgument);
  EXPECT_THAT(message, HasSubstr("reserved"));
  Environment environment = Named("e");
  environment.base_image = "registry.example.com/image";
  environment.registry = {"registry.example.com", "user", "secret-password"};
  store().environments().Register(environment);
  EXPECT_EQ(store().environments().Find("e")->registry.username, "user");
  EXPECT_EQ(store().environments().Find("e")->registry.password, "");
  Reopen();
  for (const std::string &name : ListTree(Root()))
    EXPECT_EQ(ReadFile(Root() + "/" + name).find("secret-password"), std::string::npos) << name;
}

TEST_F(EnvironmentStoreTest, ManyProcessesRegisterAtOnce) {
  store();
  Reopen();
  constexpr int kProcesses = 4, kEach = 5;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      int failed = 0;
      try {
        Store own(Root());
        for (int j = 0; j < kEach; ++j) own.environments().Register(Named("shared"));
      } catch (const std::exception &) {
        failed = 1;
      }
      _exit(failed);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  std::vector<int64_t> expected;
  for (int64_t i = 1; i <= kProcesses * kEach; ++i) expected.push_back(i);
  EXPECT_EQ(store().environments().Versions("shared"), expected);
}

TEST_F(EnvironmentStoreTest, FilesGiveTheSamePartsBack) {
  Environment environment = Named("e");
  environment.conda_file = "# mine\nname: e\ndependencies:\n- python=3.11\n";
  environment.conda_packages = {"numpy"};
  environment.dockerfile = "FROM image:1\nRUN true\n";
  environment.variables = {{"A", "it's"}};
  environment.container_arguments = {"--cap-drop", "ALL"};
  environment.registry = {"registry.example.com", "user", "secret-password"};
  SaveEnvironment(environment, Path("e"), false);
  EXPECT_THAT(ListTree(Path("e")), ElementsAre("BaseDockerfile", "azureml_environment.json", "conda_dependencies.yml"));
  EXPECT_EQ(ReadFile(Path("e/conda_dependencies.yml")), environment.conda_file);
  EXPECT_EQ(ReadFile(Path("e/azureml_environment.json")).find("secret-password"), std::string::npos);
  EXPECT_EQ(LoadEnvironment(Path("e")).ToJson(), environment.ToJson());
  EXPECT_EQ(StatusOf([&] { SaveEnvironment(environment, Path("e"), false); }), Status::kAlreadyExists);
  // What is not there any more leaves no file behind; a conda file made of packages is not taken for one of its own.
  environment.dockerfile.clear();
  environment.conda_file.clear();
  SaveEnvironment(environment, Path("e"), true);
  EXPECT_FALSE(PathExists(Path("e/BaseDockerfile")));
  EXPECT_EQ(ReadFile(Path("e/conda_dependencies.yml")), "name: 'e'\ndependencies:\n- 'numpy'\n- pip:\n  - 'six'\n");
  EXPECT_EQ(LoadEnvironment(Path("e")).ToJson(), environment.ToJson());
  EXPECT_EQ(StatusOf([&] { LoadEnvironment(Path("none")); }), Status::kNotFound);
}

TEST_F(EnvironmentStoreTest, WhatTheSdkWroteIsRead) {
  MakeDirs(Path("sdk"));
  WriteFileAtomic(Path("sdk/azureml_environment.json"), R"({"name": "sdk-env", "version": null, "assetId": null,
    "environmentVariables": {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"},
    "python": {"userManagedDependencies": false, "interpreterPath": "python", "condaDependenciesFile": null},
    "docker": {"enabled": false, "baseImage": "mcr.example.com/base:1", "shmSize": "4g", "arguments": [],
               "baseImageRegistry": {"address": null, "username": null, "password": null}},
    "spark": {"packages": []}})");
  WriteFileAtomic(Path("sdk/conda_dependencies.yml"), "dependencies:\n- python=3.11\n");
  const Environment environment = LoadEnvironment(Path("sdk"));
  EXPECT_EQ(environment.name, "sdk-env");
  EXPECT_EQ(environment.variables.at("EXAMPLE_ENV_VAR"), "EXAMPLE_VALUE");
  EXPECT_EQ(environment.conda_file, "dependencies:\n- python=3.11\n");
  EXPECT_EQ(environment.base_image, "");
  EXPECT_EQ(environment.shm_size, "4g");
}

}  // namespace
}  // namespace trainyard
