// Ranks in containers, with the engine of this machine; skipped with the engine's own words where none works. The image
// is busybox alone: no registry is needed.
#include <sys/stat.h>

#include "environment_fixture.h"
#include "runner/environment/container.h"
#include "util/random.h"

namespace trainyard {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kBusybox[] = "/bin/busybox";

class ContainerTest : public EnvironmentTest {
 protected:
  // Looks for the engine once; every test's workspace is told.
  static void SetUpTestSuite() {
    const TempDir directory("trainyard-test");
    BuildTools tools("", "container-test", [] { return true; });
    try {
      engine_ = new ContainerEngine(FindContainerEngine(Layout(directory.path()), &tools));
      if (!PathExists(kBusybox)) {
        reason_ = std::string("no ") + kBusybox + " (package busybox-static)";
        return;
      }
      CopyFile(kBusybox, directory.path() + "/busybox");
      WriteFileAtomic(directory.path() + "/Dockerfile",
                      "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\nCOPY busybox /bin/cat\n"
                      "COPY busybox /bin/id\nCOPY busybox /bin/sleep\nENTRYPOINT [\"/bin/false\"]\n");
      image_ = "localhost/trainyard-test:" + RandomBase32(10);
      const auto built = tools.Run(Engine({"build", "-t", image_, directory.path()}));
      if (!built.ok()) reason_ = "the engine cannot build an image: " + built.output;
    } catch (const Error &error) {
      reason_ = error.what();
    }
  }
  static void TearDownTestSuite() {
    if (engine_ == nullptr || image_.empty()) return;
    BuildTools tools("", "container-test", [] { return true; });
    tools.Run(Engine({"rmi", "-f", image_}));
  }
  void SetUp() override {
    if (!reason_.empty()) GTEST_SKIP() << reason_;
    setenv("TRAINYARD_CONTAINER_ENGINE", Join(engine_->command, " ").c_str(), 1);
    setenv("TRAINYARD_CONTAINER_RUN_OPTIONS", Join(engine_->run_options, " ").c_str(), 1);
  }

  static std::vector<std::string> Engine(const std::vector<std::string> &words) {
    std::vector<std::string> command = engine_->command;
    command.insert(command.end(), words.begin(), words.end());
    return command;
  }
  static std::string Join(const std::vector<std::string> &words, const std::string &between) {
    std::string text;
    for (const std::string &word : words) text += (text.empty() ? "" : between) + word;
    return text;
  }
  static Environment Image() {
    Environment environment;
    environment.name = "boxed";
    environment.base_image = image_;
    return environment;
  }
  // What the engine still has of a run.
  static std::string Containers(const std::string &run_id) {
    BuildTools tools("", "container-test", [] { return true; });
    return tools.Run(Engine({"ps", "-aq", "--filter", "label=trainyard.run=" + run_id})).output;
  }
  static void RemoveImage(const std::string &image) {
    BuildTools tools("", "container-test", [] { return true; });
    tools.Run(Engine({"rmi", "-f", image}));
  }

  static ContainerEngine *engine_;
  static std::string image_, reason_;
};
ContainerEngine *ContainerTest::engine_ = nullptr;
std::string ContainerTest::image_, ContainerTest::reason_;

TEST_F(ContainerTest, RanksFindTheirRunInTheContainer) {
  Environment environment = Image();
  environment.variables = {{"OF_THE_ENVIRONMENT", "e"}};
  Job job = Shell(
      "echo $OF_THE_ENVIRONMENT $MINE $SECRET $RANK; id -u; echo kept > outputs/x; cat source.txt; "
      "echo ${HOME_OF_THE_HOST-none}; pwd",
      environment);
  setenv("HOME_OF_THE_HOST", "inherited", 1);
  MakeDirs(Path("source"));
  WriteFileAtomic(Path("source/source.txt"), "from the source\n");
  job.source_directory = Path("source");
  job.variables = {{"MINE", "with blanks"}};
  job.secrets = {{"SECRET", "hidden-value"}};
  const RunRecord run = Run(job);
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message << "\n" << BuildLog(run.id);
  EXPECT_EQ(Log(run.id), "e with blanks hidden-value 0\n" + std::to_string(getuid()) + "\nfrom the source\nnone\n" +
                             Paths(run.id).Code() + "\n");
  EXPECT_EQ(ReadFile(Paths(run.id).Outputs() + "/x"), "kept\n");
  EXPECT_EQ(Containers(run.id), "");
  EXPECT_THAT(BuildLog(run.id), Not(HasSubstr("hidden-value")));
}

TEST_F(ContainerTest, InputsAreMountedReadOnly) {
  MakeDirs(Path("data"));
  WriteFileAtomic(Path("data/1.txt"), "one\n");
  Job job = Shell(
      "cat ${{inputs.in}}/1.txt $own/1.txt; echo x > $own/1.txt && cat $own/1.txt; "
      "echo x > $in/1.txt || echo refused",
      Image());
  job.inputs["in"].source = Path("data");
  job.inputs["own"].source = Path("data");
  job.inputs["own"].mode = JobInput::Mode::kDownload;
  const RunRecord run = Run(job);
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message << "\n" << Log(run.id);
  EXPECT_THAT(Log(run.id), testing::AllOf(HasSubstr("one\none\nx\n"), HasSubstr("refused\n")));
  EXPECT_EQ(ReadFile(Path("data/1.txt")), "one\n");
}

TEST_F(ContainerTest, ADockerfileIsBuiltOnceAndTheImageReused) {
  Environment environment = Image();
  environment.dockerfile = "RUN echo made > /made\n";
  const RunRecord first = Run(Shell("cat /made", environment));
  ASSERT_EQ(first.state, RunState::kCompleted) << first.error.message << "\n" << BuildLog(first.id);
  EXPECT_EQ(Log(first.id), "made\n");
  EXPECT_THAT(BuildLog(first.id), HasSubstr(" build "));
  const RunRecord second = Run(Shell("cat /made", environment));
  EXPECT_EQ(second.state, RunState::kCompleted) << second.error.message;
  EXPECT_THAT(BuildLog(second.id), Not(HasSubstr(" build ")));
  const Json ready = Json::Parse(ReadFile(Made(environment).Ready()), "ready");
  RemoveImage(ready.GetString("image"));
  const RunRecord third = Run(Shell("cat /made", environment));
  EXPECT_EQ(third.state, RunState::kCompleted) << third.error.message;
  EXPECT_THAT(BuildLog(third.id), HasSubstr(" build "));
  RemoveImage(ready.GetString("image"));
}

TEST_F(ContainerTest, ExitCodesAndFailedBuildsAreTheError) {
  const RunRecord run = Run(Shell("echo 'it broke' >&2; exit 7", Image()));
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_EQ(run.error.exit_code, 7);
  EXPECT_THAT(run.error.message, HasSubstr("it broke"));
  Environment environment = Image();
  environment.dockerfile = "RUN exit 3\n";
  const RunRecord unbuilt = Run(Shell("true", environment));
  EXPECT_EQ(unbuilt.error.code, "environment");
  EXPECT_THAT(unbuilt.error.message, HasSubstr("exit"));
  environment = Image();
  environment.base_image = "localhost/trainyard-nosuch:1";
  environment.registry = {"localhost", "user", "secret-password"};
  const RunRecord absent = Run(Shell("true", environment));
  EXPECT_THAT(absent.error.message, HasSubstr("cannot get the base image 'localhost/trainyard-nosuch:1'"));
  for (const std::string &name : ListTree(workspace_)) {
    const auto info = Stat(workspace_ + "/" + name, false);
    if (!info || info->kind != FileInfo::Kind::kFile) continue;
    EXPECT_EQ(ReadFile(workspace_ + "/" + name).find("secret-password"), std::string::npos) << name;
  }
}

TEST_F(ContainerTest, CancelRemovesTheContainer) {
  const std::string id = Submit(Shell("trap '' TERM; sleep 1000 & echo up; while :; do sleep 1; done", Image()));
  while (Log(id).find("up") == std::string::npos && !IsFinal(driver_->GetState(id))) usleep(5000);
  ASSERT_FALSE(IsFinal(driver_->GetState(id))) << driver_->GetRun(id).error.message;
  EXPECT_NE(Containers(id), "");
  driver_->Cancel(id);
  const RunRecord run = Finish(id);
  EXPECT_EQ(run.state, RunState::kCanceled) << run.error.message;
  EXPECT_EQ(run.properties.at("trainyard.processes_left"), "0");
  EXPECT_EQ(Containers(id), "");
  EXPECT_TRUE(FindProcessTree(RunTreeQuery(id, 0)).empty());
}

TEST_F(ContainerTest, SeveralNodesReachEachOther) {
  // nc ends with its own input: of one that ends at once the caller may hear before it has sent its line.
  Job job = Shell(
      "if [ $RANK = 0 ]; then mkfifo /tmp/open; busybox nc -l -p $MASTER_PORT <>/tmp/open; else "
      "until echo \"rank $RANK of node $NODE_RANK\" | busybox nc $MASTER_ADDR $MASTER_PORT; do sleep 0.1; done; fi",
      Image());
  job.distribution = Distribution::PyTorch(2, 2);
  const RunRecord run = Run(job);
  EXPECT_EQ(run.state, RunState::kCompleted) << run.error.message << "\n" << run.error.stderr_tail;
  EXPECT_EQ(ReadFile(Paths(run.id).StdLog(0, 2)), "rank 1 of node 1\n");
  EXPECT_EQ(Containers(run.id), "");
}

TEST_F(ContainerTest, MemoryIsLimitedByTheKernelAndTheSupervisor) {
  Job job = Shell("busybox dd if=/dev/zero of=/dev/null bs=512M count=1000", Image());
  job.resources.memory_bytes = 64 << 20;
  const RunRecord run = Run(job);
  EXPECT_EQ(run.state, RunState::kFailed);
  EXPECT_THAT(run.error.code, testing::AnyOf("memory_limit", "out_of_memory")) << run.error.message;
  EXPECT_THAT(run.error.message, HasSubstr("memory"));
}

// Stands for an engine where none is, or no GPU: keeps the options of "run", and runs what is to run inside.
constexpr char kStandIn[] = R"sh(#!/bin/sh
[ "$1" = run ] || exit 0
log=$(mktemp "${0%/*}/run.XXXXXX")
while [ $# -gt 0 ]; do
  echo "$1" >> "$log"
  if [ "$1" = --entrypoint ]; then
    [ -z "$2" ] || exit 9
    shift 3
    exec "$@"
  fi
  last=$1
  shift
done
[ "$last" = /probe ]
)sh";

class StandInTest : public EnvironmentTest {
 protected:
  void Use(const std::string &engine) {
    Program(Path(engine + "/" + engine), kStandIn);
    setenv("TRAINYARD_CONTAINER_ENGINE", Path(engine + "/" + engine).c_str(), 1);
    setenv("TRAINYARD_TEST_GPUS", "GPU-a,GPU-b,GPU-c", 1);
    unsetenv("CUDA_VISIBLE_DEVICES");
    engine_ = engine;
  }
  // The options of each rank's "run", a line each.
  std::vector<std::string> RanksOptions() const {
    std::vector<std::string> all;
    for (const std::string &name : ListTree(Path(engine_))) {
      const std::string text = ReadFile(Path(engine_) + "/" + name);
      if (name.starts_with("run.") && text.find("\ntrainyard.run=") != std::string::npos) all.push_back(text);
    }
    return all;
  }
  Job Boxed(const std::string &line, int32_t gpus) const {
    Environment environment;
    environment.name = "boxed";
    environment.base_image = "an-image:1";
    Job job = Shell(line, environment);
    job.resources.gpus = gpus;
    return job;
  }

  std::string engine_;
};

TEST_F(StandInTest, DockerGivesTheGpusOfTheRunAndNoOthers) {
  Use("docker");
  Job job = Boxed("echo $CUDA_VISIBLE_DEVICES $SECRET", 2);
  job.resources.memory_bytes = 1 << 30;
  job.secrets = {{"SECRET", "hidden-value"}};
  const RunRecord run = Run(job);
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message << "\n" << BuildLog(run.id);
  EXPECT_EQ(Log(run.id), "GPU-a,GPU-b hidden-value\n") << "numbers count from 0 again inside: ids are meant";
  ASSERT_EQ(RanksOptions().size(), 1u);
  EXPECT_THAT(RanksOptions()[0],
              testing::AllOf(HasSubstr("\n--gpus\n\"device=0,1\"\n"), HasSubstr("\n--memory\n1073741824b\n"),
                             HasSubstr("\n--env\nNVIDIA_VISIBLE_DEVICES\n"), Not(HasSubstr("hidden-value"))));
}

TEST_F(StandInTest, ARunThatAsksForNoGpuGetsNone) {
  Use("docker");
  const RunRecord run = Run(Boxed("echo $NVIDIA_VISIBLE_DEVICES", 0));
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message << "\n" << BuildLog(run.id);
  EXPECT_EQ(Log(run.id), "void\n");
  ASSERT_EQ(RanksOptions().size(), 1u);
  EXPECT_THAT(RanksOptions()[0],
              testing::AllOf(Not(HasSubstr("--gpus")), Not(HasSubstr("--memory")), Not(HasSubstr("CUDA_VISIBLE"))));
}

TEST_F(StandInTest, PodmanGivesEachNodeItsOwnGpus) {
  Use("podman");
  Job job = Boxed("echo $CUDA_VISIBLE_DEVICES", 1);
  job.distribution = Distribution::PyTorch(2, 2);
  const RunRecord run = Run(job);
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message << "\n" << BuildLog(run.id);
  EXPECT_EQ(ReadFile(Paths(run.id).StdLog(0, 2)), "GPU-a\n");
  EXPECT_EQ(ReadFile(Paths(run.id).StdLog(1, 2)), "GPU-b\n");
  const auto with = [](const char *gpu, const char *other) {
    return testing::AllOf(HasSubstr("\n--device\nnvidia.com/gpu=" + std::string(gpu) + "\n"),
                          Not(HasSubstr("nvidia.com/gpu=" + std::string(other))));
  };
  EXPECT_THAT(RanksOptions(), testing::UnorderedElementsAre(with("0", "1"), with("1", "0")));
}

TEST_F(EnvironmentTest, WithoutAnEngineTheProbesOwnWordsAreShown) {
  Environment environment;
  environment.name = "boxed";
  environment.dockerfile = "FROM image\n";
  setenv("TRAINYARD_CONTAINER_ENGINE", "no-such-engine", 1);
  EXPECT_THAT(Refusal(Shell("true", environment)),
              testing::AllOf(HasSubstr("'no-such-engine': not in PATH"), HasSubstr("Install podman")));
  Program(Path("tools/broken"), "#!/bin/sh\necho 'Error: cgroups in hybrid mode not supported' >&2; exit 126\n");
  setenv("TRAINYARD_CONTAINER_ENGINE", (Path("tools/broken") + " --option").c_str(), 1);
  EXPECT_THAT(Refusal(Shell("true", environment)),
              HasSubstr(Path("tools/broken") + " --option': Error: cgroups in hybrid mode not supported"));
  unsetenv("TRAINYARD_CONTAINER_ENGINE");
  MakeDirs(workspace_);
  WriteFileAtomic(workspace_ + "/container.json", R"({"engine": ["of-the-workspace"]})");
  EXPECT_THAT(Refusal(Shell("true", environment)), HasSubstr("'of-the-workspace': not in PATH"));
  EXPECT_TRUE(driver_->ListRuns({}).runs.empty());
}

}  // namespace
}  // namespace trainyard
