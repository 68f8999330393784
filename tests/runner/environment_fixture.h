// A workspace whose runs use environments; pip installs from a directory of packages made here.
#pragma once

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <string>
#include <vector>

#include "run_fixture.h"
#include "util/error_message.h"

namespace trainyard {

class EnvironmentTest : public RunTest {
 protected:
  EnvironmentTest() : path_(std::getenv("PATH")) {
    MakeDirs(Path("packages"));
    setenv("PIP_NO_INDEX", "1", 1);
    setenv("PIP_FIND_LINKS", Path("packages").c_str(), 1);
  }
  ~EnvironmentTest() override {
    setenv("PATH", path_.c_str(), 1);
    for (const char *name : {"PIP_NO_INDEX", "PIP_FIND_LINKS", "TRAINYARD_CONTAINER_ENGINE",
                             "TRAINYARD_CONTAINER_RUN_OPTIONS", "TRAINYARD_TEST_GPUS"})
      unsetenv(name);
  }

  std::string Path(const std::string &name) const { return directory_.path() + "/" + name; }
  void Python(const char *program, const std::vector<std::string> &arguments) {
    std::vector<const char *> argv = {"python3", "-c", program};
    for (const std::string &argument : arguments) argv.push_back(argument.c_str());
    argv.push_back(nullptr);
    const pid_t pid = fork();
    if (pid == 0) {
      execvp(argv[0], const_cast<char *const *>(argv.data()));
      _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    ASSERT_EQ(status, 0);
  }
  void Program(const std::string &path, const std::string &text) {
    MakeDirs(ParentPath(path));
    WriteFileAtomic(path, text, 0755, false);
  }

  static Environment Pip(const std::vector<std::string> &packages) {
    Environment environment;
    environment.name = "e";
    environment.pip_packages = packages;
    return environment;
  }
  static Job Shell(const std::string &line, const Environment &environment) {
    Job job = RunTest::Shell(line);
    job.environment = environment.name;
    job.environment_definition = environment;
    return job;
  }
  // How a submit is refused.
  std::string Refusal(const Job &job, Status status = Status::kInvalidArgument) {
    return MessageOf([&] { Submit(job); }, status);
  }
  EnvironmentLayout Made(const Environment &environment) const {
    return Layout(workspace_).Environment(environment.ContentHash());
  }
  std::string BuildLog(const std::string &id) const {
    return ReadFileIfExists(Paths(id).EnvironmentBuildLog()).value_or("");
  }

  const std::string path_;
};

}  // namespace trainyard
