// A workspace whose runs use environments; pip installs from a directory of packages made here.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "drivers/driver.h"
#include "launch/launcher.h"
#include "store/layout.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/process.h"

namespace trainyard {

class EnvironmentTest : public testing::Test {
 protected:
  EnvironmentTest() : workspace_(directory_.path() + "/workspace"), path_(std::getenv("PATH")) {
    setenv("TRAINYARD_RUNTIME_DIR", TRAINYARD_TEST_RUNTIME_DIR, 1);
    setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1);
    setenv("TRAINYARD_LOCAL_SLOTS", "8", 1);
    MakeDirs(Path("packages"));
    setenv("PIP_NO_INDEX", "1", 1);
    setenv("PIP_FIND_LINKS", Path("packages").c_str(), 1);
    driver_ = OpenWorkspace(workspace_);
  }
  ~EnvironmentTest() override {
    for (const std::string &id : runs_) {
      if (IsFinal(driver_->GetState(id))) continue;
      driver_->Cancel(id);
      driver_->Wait(id, -1);
    }
    setenv("PATH", path_.c_str(), 1);
    for (const char *name :
         {"PIP_NO_INDEX", "PIP_FIND_LINKS", "TRAINYARD_CONTAINER_ENGINE", "TRAINYARD_CONTAINER_RUN_OPTIONS"})
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
    Job job;
    job.shell_command = line;
    job.environment = environment.name;
    job.environment_definition = environment;
    return job;
  }
  std::string Submit(const Job &job) {
    runs_.push_back(driver_->Submit("test", job).id);
    return runs_.back();
  }
  RunRecord Finish(const std::string &id) {
    driver_->Wait(id, -1);
    return driver_->GetRun(id);
  }
  RunRecord Run(const Job &job) { return Finish(Submit(job)); }
  // How a submit is refused.
  std::string Refusal(const Job &job, Status status = Status::kInvalidArgument) {
    try {
      Submit(job);
    } catch (const Error &error) {
      EXPECT_EQ(error.status(), status) << error.what();
      return error.what();
    }
    return "";
  }
  RunLayout Paths(const std::string &id) const { return Layout(workspace_).Run(id); }
  EnvironmentLayout Made(const Environment &environment) const {
    return Layout(workspace_).Environment(environment.ContentHash());
  }
  std::string Log(const std::string &id) const { return ReadFileIfExists(Paths(id).StdLog(0, 1)).value_or(""); }
  std::string BuildLog(const std::string &id) const {
    return ReadFileIfExists(Paths(id).EnvironmentBuildLog()).value_or("");
  }

  TempDir directory_;
  const std::string workspace_, path_;
  std::shared_ptr<Driver> driver_;
  std::vector<std::string> runs_;
};

}  // namespace trainyard
