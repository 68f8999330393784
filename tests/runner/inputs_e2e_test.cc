// Inputs of whole runs that come from a server of this machine, or are needed on several nodes and by several attempts.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "core/records_json.h"
#include "run_fixture.h"
#include "tar_entry.h"
#include "util/error.h"
#include "util/hash.h"
#include "util/text.h"

extern char **environ;

namespace trainyard {
namespace {

using testing::HasSubstr;
using testing::Not;

// Serves a directory and notes what was asked for; sends the beginning of /stall... and then nothing.
constexpr char kServer[] = R"(
import functools, http.server, os, sys, time
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[2] + '.requests', 'a') as file:
            file.write(self.path + '\n')
        if self.path.startswith('/stall'):
            self.send_response(200)
            self.send_header('Content-Length', '1000000')
            self.end_headers()
            self.wfile.write(b'beginning')
            self.wfile.flush()
            time.sleep(600)
        super().do_GET()
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Handler, directory=sys.argv[1]))
with open(sys.argv[2] + '.new', 'w') as file:
    file.write(str(server.server_port))
os.rename(sys.argv[2] + '.new', sys.argv[2])
server.serve_forever()
)";

class InputsTest : public RunTest {
 protected:
  void SetUp() override {
    MakeDirs(Path("www"));
    Serve("data.tar", TarOf(TarEntry("1.txt", '0', "one\n") + TarEntry("sub/2.txt", '0', "two\n")));
    WriteFileAtomic(Path("server.py"), kServer);
    const std::string script = Path("server.py"), www = Path("www"), port = Path("port");
    const char *const argv[] = {"python3", script.c_str(), www.c_str(), port.c_str(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    ASSERT_EQ(posix_spawnp(&server_, "python3", &actions, nullptr, const_cast<char *const *>(argv), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    while (!PathExists(port)) usleep(2000);
    address_ = "127.0.0.1:" + ReadFile(port);
  }
  void TearDown() override { StopServer(); }
  void StopServer() {
    if (server_ > 0) {
      kill(server_, SIGKILL);
      waitpid(server_, nullptr, 0);
    }
    server_ = 0;
  }

  std::string Path(const std::string &name) const { return directory_.path() + "/" + name; }
  void Serve(const std::string &name, const std::string &data) { WriteFileAtomic(Path("www/" + name), data); }
  std::string Url(const std::string &name) const { return "http://" + address_ + "/" + name; }
  std::string Hashed(const std::string &name) const { return Url(name) + "#" + Sha256File(Path("www/" + name)); }
  size_t Requests() const { return Split(ReadFileIfExists(Path("port.requests")).value_or(""), '\n').size(); }
  std::string RunnerLog(const std::string &id) const { return ReadFile(Paths(id).RunnerLog()); }
  static JobInput Input(const std::string &source, JobInput::Mode mode) {
    JobInput input;
    input.source = source;
    input.mode = mode;
    return input;
  }
  RunRecord RunWith(const std::string &line, const std::string &source, JobInput::Mode mode = JobInput::Mode::kLink) {
    Job job = Shell(line);
    job.inputs["in"] = Input(source, mode);
    return Run(job);
  }

  pid_t server_ = 0;
  std::string address_;
};

TEST_F(InputsTest, AnArchiveIsFetchedOnceForAllRuns) {
  Job job = Shell("cat $in/1.txt $own/sub/2.txt; echo mine > $own/1.txt; echo more > $own/new; cat $own/1.txt");
  job.inputs["in"] = Input(Hashed("data.tar"), JobInput::Mode::kLink);
  job.inputs["own"] = Input(Hashed("data.tar"), JobInput::Mode::kDownload);
  const std::string first = Submit(job), second = Submit(job);
  for (const std::string &id : {first, second}) {
    const RunRecord run = Finish(id);
    ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message;
    EXPECT_EQ(Log(id), "one\ntwo\nmine\n");
  }
  EXPECT_EQ(Requests(), 2U);  // "/data.tar\n", and what is behind it
  StopServer();
  EXPECT_EQ(Run(job).state, RunState::kCompleted);
  const std::string shared = Layout(workspace_).Unpacked() + "/" + Sha256File(Path("www/data.tar"));
  EXPECT_EQ(ReadFile(shared + "/1.txt"), "one\n");
  for (const char *name : {"", "/1.txt", "/sub", "/sub/2.txt"})
    EXPECT_EQ(Stat(shared + name)->mode & 0222U, 0U) << name;
  EXPECT_FALSE(PathExists(shared + ".archive"));
}

TEST_F(InputsTest, FilesKeepTheirNames) {
  Serve("a b.csv", "x,y\n");
  const RunRecord run =
      RunWith("basename ${{inputs.in}}; cat ${{inputs.in}}", Url("a%20b.csv") + "#" + Sha256File(Path("www/a b.csv")));
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message;
  EXPECT_EQ(Log(run.id), "a_b.csv\nx,y\n");
}

TEST_F(InputsTest, APasswordIsNoFileName) {
  Serve("index.html", "page\n");
  for (const char *path : {"", "/"}) {
    const RunRecord run = RunWith("basename ${{inputs.in}}", "http://user:in-the-url@" + address_ + path);
    ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message;
    EXPECT_EQ(Log(run.id), "data\n");
  }
}

TEST_F(InputsTest, ACopyOfWhatHoldsTheWorkspaceIsWithoutIt) {
  const RunRecord run = RunWith("ls $in", directory_.path(), JobInput::Mode::kDownload);
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message;
  EXPECT_THAT(Log(run.id), testing::AllOf(HasSubstr("www\n"), Not(HasSubstr("workspace"))));
  EXPECT_EQ(ReadFile(Paths(run.id).Inputs() + "/in/www/data.tar"), ReadFile(Path("www/data.tar")));
}

TEST_F(InputsTest, AFileUrlWithAHashIsOfAFile) {
  Job job = Shell("true");
  job.inputs["in"] = Input("file://" + Path("www") + "#" + Sha256Hex(""), JobInput::Mode::kLink);
  EXPECT_THROW(Submit(job), Error);
}

TEST_F(InputsTest, WithoutAHashItIsFetchedForEachRunAndTheHashIsNoted) {
  for (int i = 0; i < 2; ++i) {
    const RunRecord run = RunWith("cat $AZUREML_DATAREFERENCE_in/1.txt $AZURE_ML_INPUT_in/sub/2.txt", Url("data.tar"));
    ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message;
    EXPECT_EQ(Log(run.id), "one\ntwo\n");
    EXPECT_EQ(LineageOf(run).Get("inputs").Get("in").GetString("sha256"), Sha256File(Path("www/data.tar")));
    EXPECT_THAT(RunnerLog(run.id), HasSubstr("without a SHA-256"));
  }
  EXPECT_EQ(Requests(), 3U);
}

TEST_F(InputsTest, WrongChecksumsAndMissingFilesFailTheRun) {
  RunRecord run = RunWith("true", Url("data.tar") + "#" + std::string(64, '0'));
  EXPECT_EQ(run.error.code, "corrupt");
  EXPECT_THAT(run.error.message, testing::AllOf(HasSubstr("input 'in'"), HasSubstr(Sha256File(Path("www/data.tar")))));
  run = RunWith("true", Url("none.zip"));
  EXPECT_EQ(run.error.code, "not_found");
  EXPECT_THAT(run.error.message, testing::AllOf(HasSubstr("input 'in'"), HasSubstr("404")));
}

TEST_F(InputsTest, AnArchiveThatReachesOutFailsTheRun) {
  Serve("evil.tar", TarOf(TarEntry("good", '0', "x") + TarEntry("../../../evil", '0', "x")));
  for (const std::string &source : {Hashed("evil.tar"), Url("evil.tar")}) {
    const RunRecord run = RunWith("true", source);
    EXPECT_EQ(run.state, RunState::kFailed);
    EXPECT_EQ(run.error.code, "corrupt");
    EXPECT_THAT(run.error.message, testing::AllOf(HasSubstr("'../../../evil'"), HasSubstr(Url("evil.tar"))));
  }
  for (const std::string &name : ListTree(directory_.path())) EXPECT_NE(BaseName(name), "evil") << name;
}

TEST_F(InputsTest, ARunWhoseServerStallsCanBeCanceledAndStopped) {
  Job job = Shell("true");
  job.inputs["in"] = Input(Url("stall.zip"), JobInput::Mode::kLink);
  for (size_t run = 0; run < 2; ++run) {
    const std::string id = Submit(job);
    while (Requests() == run) usleep(2000);
    run == 0 ? driver_->Cancel(id) : driver_->RequestStop(id);
    EXPECT_EQ(Finish(id).state, RunState::kCanceled);
  }
}

TEST_F(InputsTest, CredentialsOfUrlsAreNotKept) {
  const std::string secret = "http://user:in-the-url@" + address_ + "/";
  const RunRecord run = RunWith("cat $in/1.txt; env", secret + "data.tar?sig=in-the-query");
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message;
  EXPECT_THAT(Log(run.id), testing::AllOf(HasSubstr("one\n"), Not(HasSubstr("in-the-"))));
  EXPECT_THAT(ReadFile(Path("port.requests")), HasSubstr("/data.tar?sig=in-the-query"));  // it was used
  const RunRecord failed = RunWith("true", secret + "none.zip?sig=in-the-query");
  EXPECT_THAT(failed.error.message, HasSubstr("http://***@" + address_ + "/none.zip?sig=***"));
  Job training;
  training.kind = RunKind::kTrain;
  training.train = TrainConfig();
  training.train->SetString("data.directory", Path("www"));
  training.train->SetString("model.weights", secret + "w.pth?sig=in-the-query#" + std::string(64, '0'));
  const RunRecord trained = Run(training);  // there are no such weights
  EXPECT_THAT(trained.error.message, HasSubstr("http://***@" + address_ + "/w.pth?sig=***"));
  EXPECT_THAT(ReadFile(Path("port.requests")), HasSubstr("/w.pth?sig=in-the-query"));
  const std::string kept = Job::Parse(trained.job_json, "job").train->GetString("model.weights");
  training.train->SetString("model.weights", kept);
  EXPECT_THROW(Submit(training), Error) << kept;
  for (const std::string &name : ListTree(workspace_)) {
    const auto info = Stat(workspace_ + "/" + name, false);
    if (!info || info->kind != FileInfo::Kind::kFile) continue;
    EXPECT_EQ(ReadFile(workspace_ + "/" + name).find("in-the-"), std::string::npos) << name;
  }
}

TEST_F(InputsTest, NodesAndAttemptsShareWhatWasFetchedOnce) {
  Job job = Shell("cat $in/1.txt > outputs/seen_${RANK}_$TRAINYARD_ATTEMPT; test $TRAINYARD_ATTEMPT = 1");
  job.inputs["in"] = Input(Url("data.tar"), JobInput::Mode::kLink);
  job.distribution = Distribution();
  job.distribution->process_count = 2;
  job.distribution->node_count = 2;
  job.retries.maximum = 1;
  const RunRecord run = Run(job);
  ASSERT_EQ(run.state, RunState::kCompleted) << run.error.message;
  for (const char *name : {"/seen_0_1", "/seen_1_1"}) EXPECT_EQ(ReadFile(Paths(run.id).Outputs() + name), "one\n");
  EXPECT_EQ(Requests(), 2U);
}

}  // namespace
}  // namespace trainyard
