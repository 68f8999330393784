// Environments as runs use them: made once, shared, ended with their run, and failing with the installer's own reason.
// pip installs from a directory of packages made here; one test goes to the package index.
#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "environment_fixture.h"
#include "runner/environment/definition.h"
#include "runner/environment/kinds.h"

namespace trainyard {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kMakeWheel[] = R"py(
import sys, zipfile
directory, name, version = sys.argv[1:]
info = f"{name}-{version}.dist-info/"
with zipfile.ZipFile(f"{directory}/{name}-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr(name + ".py", f"version = '{version}'\n")
    wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "")
)py";

// A source package whose build says that it has begun, and then does not end.
constexpr char kMakeSlow[] = R"py(
import io, sys, tarfile
directory, began = sys.argv[1:]
files = {
    "PKG-INFO": "Metadata-Version: 2.1\nName: slowpkg\nVersion: 1.0\n",
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "backend.py": f"import time\ndef build_wheel(*a, **k):\n  open({began!r}, 'w').close()\n  time.sleep(1000)\n"
                  f"prepare_metadata_for_build_wheel = build_wheel\n",
}
with tarfile.open(f"{directory}/slowpkg-1.0.tar.gz", "w:gz") as archive:
    for name, text in files.items():
        entry = tarfile.TarInfo("slowpkg-1.0/" + name)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
)py";

class EnvironmentE2eTest : public EnvironmentTest {
 protected:
  void MakeWheel(const std::string &name, const std::string &version) {
    Python(kMakeWheel, {Path("packages"), name, version});
  }
};

TEST_F(EnvironmentE2eTest, PipPackagesAreInstalledOnceAndReused) {
  MakeWheel("tinypkg", "1.5");
  Environment environment = Pip({"tinypkg==1.5", "azureml-defaults"});
  environment.variables = {{"OF_THE_ENVIRONMENT", "e"}, {"OF_BOTH", "e"}};
  Job job =
      Shell("python -c 'import tinypkg; print(tinypkg.version)'; echo $OF_THE_ENVIRONMENT $OF_BOTH; command -v python",
            environment);
  job.variables = {{"OF_BOTH", "j"}};
  const RunRecord first = Run(job);
  ASSERT_EQ(first.state, RunState::kCompleted) << first.error.message << "\n" << BuildLog(first.id);
  EXPECT_EQ(Log(first.id), "1.5\ne j\n" + Made(environment).Root() + "/venv/bin/python\n");
  EXPECT_EQ(first.properties.at("trainyard.environment_hash"), environment.ContentHash());
  EXPECT_THAT(BuildLog(first.id), HasSubstr("-m pip install"));
  EXPECT_THAT(BuildLog(first.id), HasSubstr("left out: azureml-defaults"));
  const Json resolved = Json::Parse(ReadFile(Made(environment).Resolved()), "resolved");
  EXPECT_THAT(resolved.Get("packages").Dump(), HasSubstr(R"({"name":"tinypkg","version":"1.5"})"));
  EXPECT_EQ(resolved.GetString("hash"), environment.ContentHash());
  EXPECT_THAT(driver_->ListFiles(first.id, "system_logs/"), testing::Contains("system_logs/environment_build.log"));

  // Another name, the same content.
  job.environment = job.environment_definition->name = "other";
  const RunRecord second = Run(job);
  EXPECT_EQ(second.state, RunState::kCompleted) << second.error.message;
  EXPECT_EQ(Log(second.id), Log(first.id));
  EXPECT_THAT(BuildLog(second.id), HasSubstr("reused from"));
  EXPECT_THAT(BuildLog(second.id), Not(HasSubstr("pip")));
  driver_->DownloadFile(second.id, "azureml-logs/20_image_build_log.txt", Path("log"));
  EXPECT_EQ(ReadFile(Path("log")), BuildLog(second.id));
}

TEST_F(EnvironmentE2eTest, AScriptRunsWithTheEnvironmentsPython) {
  MakeDirs(Path("source"));
  WriteFileAtomic(Path("source/show.py"), "import sys; print(sys.prefix, sys.argv[1:])\n");
  const Environment environment = Pip({});
  Environment python = environment;
  python.framework = "Python";
  python.framework_version = ">=3.5";
  Job job;
  job.kind = RunKind::kScript;
  job.source_directory = Path("source");
  job.script = "show.py";
  job.arguments = {"a"};
  job.environment = python.name;
  job.environment_definition = python;
  const RunRecord run = Run(job);
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message;
  EXPECT_EQ(Log(run.id), Made(python).Root() + "/venv ['a']\n");
}

TEST_F(EnvironmentE2eTest, RunsThatComeAtOnceMakeItOnce) {
  MakeWheel("tinypkg", "1.5");
  const Job job = Shell("python -c 'import tinypkg'", Pip({"tinypkg"}));
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(Submit(job));
  int made = 0;
  for (const std::string &id : ids) {
    EXPECT_EQ(Finish(id).state, RunState::kCompleted) << BuildLog(id);
    made += BuildLog(id).find("-m venv") == std::string::npos ? 0 : 1;
  }
  EXPECT_EQ(made, 1);
}

TEST_F(EnvironmentE2eTest, CancelEndsWhatIsBeingMade) {
  Python(kMakeSlow, {Path("packages"), Path("began")});
  const Environment environment = Pip({"slowpkg"});
  const std::string id = Submit(Shell("true", environment));
  while (!PathExists(Path("began")) && !IsFinal(driver_->GetState(id))) usleep(5000);
  ASSERT_TRUE(PathExists(Path("began"))) << BuildLog(id);
  EXPECT_EQ(driver_->GetState(id), RunState::kPreparing);
  driver_->Cancel(id);
  EXPECT_EQ(Finish(id).state, RunState::kCanceled);
  EXPECT_TRUE(FindProcessTree(RunTreeQuery(id, 0)).empty());
  EXPECT_FALSE(PathExists(Made(environment).Ready()));
}

TEST_F(EnvironmentE2eTest, ATornOneIsMadeAgain) {
  MakeWheel("tinypkg", "1.5");
  const Environment environment = Pip({"tinypkg"});
  MakeDirs(Made(environment).Root() + "/venv/bin");
  WriteFileAtomic(Made(environment).Root() + "/venv/bin/python", "torn", 0755, false);
  const RunRecord run = Run(Shell("python -c 'import tinypkg'", environment));
  EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message;
  // So is one whose Python has gone.
  RemoveFile(Made(environment).Root() + "/venv/bin/python");
  const RunRecord again = Run(Shell("python -c 'import tinypkg'", environment));
  EXPECT_EQ(again.state, RunState::kCompleted) << again.error.message;
  EXPECT_THAT(BuildLog(again.id), HasSubstr("not usable any more"));
}

TEST_F(EnvironmentE2eTest, PipsOwnReasonIsTheError) {
  MakeWheel("tinypkg", "1.5");
  const RunRecord run = Run(Shell("true", Pip({"tinypkg==3.0"})));
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.code, "environment");
  EXPECT_THAT(run.error.message,
              HasSubstr("pip: Could not find a version that satisfies the requirement tinypkg==3.0"));
  EXPECT_THAT(run.error.message, HasSubstr("nearest version that exists is 1.5"));
  EXPECT_THAT(BuildLog(run.id), HasSubstr("No matching distribution"));
}

TEST_F(EnvironmentE2eTest, WhatCannotBeIsSaidBeforeAnythingStarts) {
  setenv("PATH", "/usr/bin:/bin", 1);
  Environment environment = Pip({});
  environment.conda_file = "name: old\ndependencies:\n- python=3.6\n- pip:\n  - six\n";
  EXPECT_THAT(Refusal(Shell("true", environment)),
              testing::AllOf(HasSubstr("line 3 of the conda file"), HasSubstr("python=3.6"),
                             HasSubstr("nearest there is Python 3.")));
  environment.conda_file = "dependencies:\n- pip:\n  - torch==1.6.0\n";
  EXPECT_THAT(Refusal(Shell("true", environment)),
              testing::AllOf(HasSubstr("line 3 of the conda file"), HasSubstr("torch==1.6.0"), HasSubstr("nearest")));
  environment.conda_file = "dependencies:\n- pytorch=1.6\n- cudatoolkit\n";
  EXPECT_THAT(Refusal(Shell("true", environment)), HasSubstr("line 2 of the conda file"));
  environment.conda_file = "dependencies:\n- gcc_linux-64\n";
  EXPECT_THAT(Refusal(Shell("true", environment)),
              testing::AllOf(HasSubstr("line 2"), HasSubstr("gcc_linux-64"), HasSubstr("install micromamba")));
  environment = Pip({});
  environment.interpreter = "/nowhere/python";
  EXPECT_THAT(Refusal(Shell("true", environment)), HasSubstr("'/nowhere/python' is not there"));
  environment.interpreter = "/bin/sh";
  EXPECT_THAT(Refusal(Shell("true", environment)), HasSubstr("no Python that works"));
  environment.interpreter = "/usr/bin/python3";
  environment.framework = "Horovod";
  EXPECT_THAT(Refusal(Shell("true", environment)), HasSubstr("asks for Horovod"));
  EXPECT_TRUE(driver_->ListRuns({}).runs.empty());
}

TEST_F(EnvironmentE2eTest, AnUnknownNameNamesTheNearest) {
  driver_->RegisterEnvironment(Pip({"six"}));
  Environment longer = Pip({"six"});
  longer.name = "my-training";
  driver_->RegisterEnvironment(longer);
  Job job = Shell("true", longer);
  job.environment_definition.reset();
  job.environment = "my-trainin";
  EXPECT_THAT(Refusal(job, Status::kNotFound), HasSubstr("did you mean 'my-training'"));
  job.environment = "my-training:7";
  EXPECT_THAT(Refusal(job, Status::kNotFound), HasSubstr("the latest is 1"));
  job.environment = "AzureML-Sklearn-0.24";
  EXPECT_THAT(Refusal(job, Status::kNotFound), HasSubstr("AzureML-Sklearn-0.24"));
}

TEST_F(EnvironmentE2eTest, ARegisteredOneIsResolvedAtSubmit) {
  MakeWheel("tinypkg", "1.5");
  MakeWheel("tinypkg", "1.6");
  for (const char *version : {"1.5", "1.6"}) driver_->RegisterEnvironment(Pip({std::string("tinypkg==") + version}));
  for (const auto &[name, version] :
       std::vector<std::pair<std::string, std::string>>{{"e:1", "1.5\n"}, {"e", "1.6\n"}}) {
    Job job = Shell("python -c 'import tinypkg; print(tinypkg.version)'", Pip({}));
    job.environment_definition.reset();
    job.environment = name;
    const RunRecord run = Run(job);
    EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message;
    EXPECT_EQ(Log(run.id), version);
  }
}

TEST_F(EnvironmentE2eTest, AnInterpreterIsUsedAsItIs) {
  const std::string interpreter = Path("own/bin/python");
  Program(interpreter, "#!/bin/sh\nexec python3 \"$@\"\n");
  Environment environment = Pip({});
  environment.interpreter = interpreter;
  MakeDirs(Path("source"));
  WriteFileAtomic(Path("source/s.py"), "print('ran')\n");
  Job job;
  job.kind = RunKind::kScript;
  job.source_directory = Path("source");
  job.script = "s.py";
  job.environment = environment.name;
  job.environment_definition = environment;
  const RunRecord run = Run(job);
  EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message;
  EXPECT_EQ(Log(run.id), "ran\n");
  EXPECT_FALSE(PathExists(Made(environment).Root()));
}

TEST_F(EnvironmentE2eTest, CondaPackagesAreLeftToACondaTool) {
  // Stands for micromamba: makes the prefix, and keeps what it was given.
  Program(Path("tools/micromamba"),
          "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in -p) p=$2 ;; -f) f=$2 ;; esac; shift; done\n"
          "mkdir -p $p/bin $p/conda-meta\ncp $f $p/file.yml\nln -s $(command -v python3) $p/bin/python\n"
          "echo '{}' > $p/conda-meta/scikit-learn-1.5.0-py311h1.json\n");
  setenv("PATH", (Path("tools") + ":" + path_).c_str(), 1);
  Environment environment = Pip({"tinypkg"});
  environment.conda_file = "channels:\n- conda-forge\ndependencies:\n- python=3.11\n- scikit-learn=1.5\n";
  const RunRecord run = Run(Shell("echo $CONDA_PREFIX; cat $CONDA_PREFIX/file.yml", environment));
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message;
  EXPECT_EQ(Log(run.id),
            Made(environment).Root() +
                "/conda\nchannels:\n  - conda-forge\ndependencies:\n  - python=3.11\n  - scikit-learn=1.5\n"
                "  - pip\n  - pip:\n      - tinypkg\n");
  EXPECT_THAT(ReadFile(Made(environment).Resolved()), HasSubstr("\"scikit-learn\""));

  // It brings a Python that is not here, too.
  setenv("PATH", (Path("tools") + ":/usr/bin:/bin").c_str(), 1);
  Environment old = Pip({});
  old.conda_file = "dependencies:\n- python=3.6\n- pip:\n  - torch==1.6.0\n";
  const RunRecord brought = Run(Shell("cat $CONDA_PREFIX/file.yml", old));
  EXPECT_EQ(brought.state, RunState::kCompleted) << brought.error.message;
  EXPECT_EQ(Log(brought.id), "dependencies:\n  - python=3.6\n  - pip\n  - pip:\n      - torch==1.6.0\n");

  Program(Path("tools/micromamba"),
          "#!/bin/sh\necho 'error    libmamba Could not solve for environment specs' >&2; exit 1\n");
  environment.conda_packages = {"nosuch"};
  EXPECT_THAT(Run(Shell("true", environment)).error.message,
              HasSubstr("micromamba: error    libmamba Could not solve"));
}

TEST_F(EnvironmentE2eTest, CuratedOnesAndTheOldNames) {
  EXPECT_THAT(driver_->ListEnvironments(), testing::Contains("trainyard-pytorch-2.11-cpu"));
  const std::vector<std::pair<std::string, std::string>> names = {
      {"AzureML-PyTorch-1.6-GPU", "trainyard-pytorch-2.11-cuda"},
      {"AzureML-pytorch-1.10-ubuntu18.04-py38-cuda11-gpu", "trainyard-pytorch-2.11-cuda"},
      {"AzureML-acpt-pytorch-1.13-cuda11.7", "trainyard-pytorch-2.11-cuda"},
      {"azureml-acpt-pytorch-2.2-cuda12.1", "trainyard-pytorch-2.11-cuda"},
      {"AzureML-PyTorch-1.6-CPU", "trainyard-pytorch-2.11-cpu"},
      {"AzureML-Minimal", "trainyard-minimal"}};
  for (const auto &[old, ours] : names) EXPECT_EQ(driver_->GetEnvironment(old, "").name, ours) << old;
  Job job = Shell("true", Pip({}));
  job.environment_definition.reset();
  job.environment = "AzureML-PyTorch-1.6-GPU";
  EXPECT_THAT(driver_->Validate(job), HasSubstr("the nearest current one, is used instead"));

  Environment changed = driver_->GetEnvironment("trainyard-minimal", "");
  changed.pip_packages.push_back("six");
  EXPECT_THAT(Refusal(Shell("true", changed)), HasSubstr("give it a name of its own"));
  EXPECT_THROW(driver_->RegisterEnvironment(changed), Error);
  changed.name = "mine";
  EXPECT_EQ(driver_->RegisterEnvironment(changed).version, "1");
}

TEST_F(EnvironmentE2eTest, ItCanBeMadeBeforehandWithItsLog) {
  MakeWheel("tinypkg", "1.5");
  const UniqueFd log = OpenFile(Path("log"), O_RDWR | O_CREAT);
  const Json first = Json::Parse(driver_->BuildEnvironment(Pip({"tinypkg"}), log.get()), "report");
  EXPECT_FALSE(first.GetBool("reused"));
  EXPECT_EQ(first.GetString("hash"), Pip({"tinypkg"}).ContentHash());
  EXPECT_THAT(first.Get("packages").Dump(), HasSubstr("tinypkg"));
  EXPECT_THAT(ReadFile(Path("log")), HasSubstr("Successfully installed tinypkg-1.5"));
  EXPECT_TRUE(Json::Parse(driver_->BuildEnvironment(Pip({"tinypkg"}), -1), "report").GetBool("reused"));
  try {
    driver_->BuildEnvironment(Pip({"nosuchpkg"}), -1);
    FAIL();
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::kRuntime);
    EXPECT_THAT(error.what(), HasSubstr("nosuchpkg"));
  }
}

TEST_F(EnvironmentE2eTest, WhatIsUsedIsNotPruned) {
  const Environment environment = Pip({});
  Environment python = environment;
  python.framework = "Python";
  python.framework_version = ">=3.5";
  const std::string id = Submit(Shell("while [ ! -e " + Path("go") + " ]; do sleep 0.01; done", python));
  while (driver_->GetState(id) != RunState::kRunning && !IsFinal(driver_->GetState(id))) usleep(5000);
  ASSERT_EQ(driver_->GetState(id), RunState::kRunning) << BuildLog(id);
  PrunePolicy policy;
  policy.dry_run = false;
  policy.environments_unused_ms = 1;
  usleep(5000);
  EXPECT_THAT(driver_->Prune(policy), HasSubstr("\"environments\":[]"));
  EXPECT_TRUE(PathExists(Made(python).Ready()));
  WriteFileAtomic(Path("go"), "");
  EXPECT_EQ(Finish(id).state, RunState::kCompleted);
  // The supervisor gives the lock back when it ends, a moment after the record says that the run has.
  while (PathExists(Made(python).Ready())) driver_->Prune(policy);
  EXPECT_EQ(Run(Shell("true", python)).state, RunState::kCompleted);
  EXPECT_TRUE(PathExists(Made(python).Ready()));
}

// What the environments that come with the library ask for exists together, as pip finds from the index's metadata.
TEST_F(EnvironmentE2eTest, CuratedDefinitionsResolve) {
  unsetenv("PIP_NO_INDEX");
  unsetenv("PIP_FIND_LINKS");
  setenv("PIP_BREAK_SYSTEM_PACKAGES", "1", 1);  // nothing is installed: only that it may be asked (PEP 668)
  std::string not_reached;
  for (const char *name : {"trainyard-pytorch-2.11-cpu", "trainyard-pytorch-2.11-cuda"}) {
    std::string lines;
    for (const Requirement &requirement : ReadDefinition(driver_->GetEnvironment(name, "")).pip)
      lines += requirement.text + "\n";
    WriteFileAtomic(Path("requirements.txt"), lines);
    BuildTools tools("", "environment-test", [] { return true; });
    const BuildTools::Result pip = tools.Run({FindInPath("python3"), "-m", "pip", "install", "--dry-run", "--quiet",
                                              "--ignore-installed", "-r", Path("requirements.txt")});
    if (!pip.ok() && pip.output.find("Retrying") != std::string::npos) {
      not_reached += std::string(name) + ": " + PipReason(pip.output) + "\n";
      continue;
    }
    EXPECT_TRUE(pip.ok()) << name << ": " << PipReason(pip.output);
  }
  if (!not_reached.empty()) GTEST_SKIP() << "no package index for " << not_reached;
}

TEST_F(EnvironmentE2eTest, ARealPackageFromThePackageIndex) {
  unsetenv("PIP_NO_INDEX");
  unsetenv("PIP_FIND_LINKS");
  const RunRecord run =
      Run(Shell("python -c 'import iniconfig; print(iniconfig.__name__)'", Pip({"iniconfig==2.0.0"})));
  if (run.state == RunState::kFailed && BuildLog(run.id).find("Retrying") != std::string::npos)
    GTEST_SKIP() << "no package index can be reached: " << run.error.message;
  EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message;
  EXPECT_EQ(Log(run.id), "iniconfig\n");
}

}  // namespace
}  // namespace trainyard
