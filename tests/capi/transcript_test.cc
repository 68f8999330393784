// What people see of a run: ty_run_wait_for_completion and ty_run_stream.
#include <fcntl.h>

#include "capi/api.h"

namespace trainyard_test {
namespace {

class TranscriptTest : public WorkspaceTest {
 protected:
  // The whole text; rank 0 by the older call.
  std::string Transcript(const TyRun &run, int32_t rank, ty_run_state expected) {
    const std::string path = directory / "transcript";
    const int output = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ty_run_state state = 0;
    if (rank == 0) {
      EXPECT_OK(ty_run_wait_for_completion(run, output, &state, err));
    } else {
      EXPECT_OK(ty_run_stream(run, output, rank, &state, err));
    }
    close(output);
    EXPECT_EQ(state, expected);
    return ReadAll(path);
  }
  static bool Has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }
};

TEST_F(TranscriptTest, TellsPeople) {
  const TyRun run = Submit("echo first line; echo second line");
  const std::string id = ty_run_id(run);
  EXPECT_EQ(
      Transcript(run, 0, TY_RUN_COMPLETED),
      "RunId: " + id +
          "\n\nRunning\n\nStreaming user_logs/std_log.txt\n===============================\n\nfirst line\nsecond line\n"
          "\nExecution Summary\n=================\nRunId: " +
          id + "\nStatus: Completed\n");
  ty_run_state state = 0;
  EXPECT_OK(ty_run_wait_for_completion(run, -1, &state, err));
  EXPECT_EQ(ty_run_wait_for_completion(run, -2, &state, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_wait_for_completion(run, 999, &state, err), TY_ERR_IO) << "no such descriptor";
}

TEST_F(TranscriptTest, ALongLineIsOneLine) {
  const TyRun run = Submit("head -c 200000 /dev/zero | tr '\\0' x; echo; echo after");
  EXPECT_TRUE(Has(Transcript(run, 0, TY_RUN_COMPLETED), "\n" + std::string(200000, 'x') + "\nafter\n"));
}

// The signal of a closed pipe would end the host.
TEST_F(TranscriptTest, AReaderThatWentAwayIsAnError) {
  const TyRun run = Submit("echo line");
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  close(ends[0]);
  ty_run_state state = 0;
  EXPECT_EQ(ty_run_wait_for_completion(run, ends[1], &state, err), TY_ERR_IO);
  EXPECT_EQ(ty_run_stream(run, ends[1], 0, &state, err), TY_ERR_IO);
  close(ends[1]);
}

TEST_F(TranscriptTest, AnyRankOrAll) {
  TyJob job = Shell("echo line of rank $RANK");
  Handle<ty_distribution, &ty_distribution_free> distribution;
  ASSERT_OK(ty_distribution_new_pytorch(2, 1, distribution.out(), err));
  ASSERT_OK(ty_job_set_distribution(job, distribution, err));
  const TyRun run = Submit(job);
  const std::string second = Transcript(run, 1, TY_RUN_COMPLETED);
  EXPECT_TRUE(Has(second, "Streaming user_logs/std_log_1.txt\n=================================\n\nline of rank 1\n"))
      << second;
  EXPECT_FALSE(Has(second, "line of rank 0"));
  const std::string all = Transcript(run, TY_RANK_ALL, TY_RUN_COMPLETED);
  EXPECT_TRUE(Has(all, "[0] line of rank 0\n") && Has(all, "[1] line of rank 1\n")) << all;
  EXPECT_EQ(ty_run_stream(run, -1, 2, nullptr, err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_run_stream(run, -1, TY_RANK_RUNNER, nullptr, err), TY_ERR_INVALID_ARGUMENT);
}

TEST_F(TranscriptTest, AFailureIsToldInWordsFirst) {
  const TyRun run = Submit("echo 'it broke' >&2; exit 7");
  const std::string text = Transcript(run, 0, TY_RUN_FAILED);
  const size_t words = text.find("\nError:\nrank 0 on "), json = text.find("\n{");
  EXPECT_NE(words, std::string::npos) << text;
  EXPECT_LT(words, json);
  EXPECT_TRUE(Has(text, "exit code 7: it broke\n")) << text;
  EXPECT_TRUE(Has(text.substr(json), "\"exit_code\": 7")) << text;
}

// Text with what differs from run to run left out, so that the rest can be compared as a whole.
std::string Without(std::string text, const std::string &part, const std::string &instead) {
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += instead.size())
    text.replace(at, part.size(), instead);
  return text;
}

TEST_F(TranscriptTest, AnEnvironmentThatIsMadeHasASectionOfItsOwn) {
  TyEnvironment environment;
  ASSERT_OK(ty_environment_new("mine", environment.out(), err));
  ASSERT_OK(ty_environment_set_framework(environment, "Python", ">=3.5", err));
  const TyJob job = Shell("echo a line");
  ASSERT_OK(ty_job_set_environment(job, environment, err));
  Text hash;
  ASSERT_OK(ty_environment_hash(environment, hash.out(), err));
  const std::string made = std::string(ty_workspace_location(workspace)) + "/environments/" + hash.str();

  const TyRun first = Submit(job);
  const std::string whole = Transcript(first, 0, TY_RUN_COMPLETED);
  std::string text = whole;
  const size_t version = text.find("Python 3"), command = text.find("\n$ ");
  ASSERT_TRUE(version != std::string::npos && command != std::string::npos) << text;
  text.replace(version, command - version, "PYTHON");
  const size_t program = text.find("$ ") + 2;
  text.replace(program, text.find(" -m venv") - program, "PROGRAM");
  text = Without(Without(Without(text, ty_run_id(first), "ID"), made, "MADE"), hash.str(), "HASH");
  EXPECT_EQ(text,
            "RunId: ID\n\nPreparing\n\nStreaming system_logs/environment_build.log\n"
            "===========================================\n\nenvironment 'mine', content HASH, kind venv\n"
            "making a virtual environment with PYTHON\n$ PROGRAM -m venv MADE/venv\nmade in MADE\n"
            "\nRunning\n\nStreaming user_logs/std_log.txt\n===============================\n\na line\n"
            "\nExecution Summary\n=================\nRunId: ID\nStatus: Completed\n");
  EXPECT_TRUE(Has(Log(first, TY_RANK_ENVIRONMENT), "\nmade in " + made)) << "the same log, at any time";

  EXPECT_EQ(Transcript(first, 0, TY_RUN_COMPLETED), whole) << "told afterwards, it is the same";
  const TyRun second = Submit(job);
  text = Transcript(second, 0, TY_RUN_COMPLETED);
  EXPECT_FALSE(Has(text, "environment_build.log")) << "reused: " << text;
}

TEST_F(TranscriptTest, PipsReasonIsSeenInTheSectionAndInTheSummary) {
  setenv("PIP_NO_INDEX", "1", 1);
  TyEnvironment environment;
  ASSERT_OK(ty_environment_new("mine", environment.out(), err));
  ASSERT_OK(ty_environment_add_pip_package(environment, "no-such-package==1.0", err));
  const TyJob job = Shell("true");
  ASSERT_OK(ty_job_set_environment(job, environment, err));
  const std::string text = Transcript(Submit(job), 0, TY_RUN_FAILED);
  unsetenv("PIP_NO_INDEX");
  const std::string reason = "Could not find a version that satisfies the requirement no-such-package==1.0";
  const size_t section = text.find("\nStreaming system_logs/environment_build.log\n");
  const size_t own_words = text.find("\nERROR: " + reason), summary = text.find("\nExecution Summary\n");
  const size_t error = text.find("\nError:\nenvironment 'mine' cannot be made: pip: " + reason);
  EXPECT_TRUE(section < own_words && own_words < summary && summary < error && error != std::string::npos) << text;
  EXPECT_EQ(text.find("-m venv"), text.rfind("-m venv")) << "read twice: " << text;
  EXPECT_FALSE(Has(text, "\nRunning\n") || Has(text, "user_logs/")) << text;
}

TEST_F(TranscriptTest, ARunThatWaitsInTheQueueSaysSo) {
  ASSERT_OK(ty_compute_create(workspace, "narrow", R"({"slots":1})", nullptr, err));
  const std::string go = directory / "go";
  const TyJob blocker = Shell("while [ ! -e " + go + " ]; do sleep 0.01; done"), waiting = Shell("echo after");
  ASSERT_OK(ty_job_set_compute(blocker, "narrow", err));
  ASSERT_OK(ty_job_set_compute(waiting, "narrow", err));
  const TyRun first = Submit(blocker), second = Submit(waiting);
  const std::string path = directory / "transcript";
  std::thread release([&] {
    EXPECT_TRUE(Until([&] { return Has(ReadAll(path), "\nQueued: "); }));
    WriteAll(go, "");
  });
  const std::string text = Transcript(second, 0, TY_RUN_COMPLETED);
  release.join();
  const std::string id = ty_run_id(second);
  EXPECT_EQ(text, "RunId: " + id +
                      "\n\nQueued: waits for its place on compute 'narrow'\n\nRunning\n"
                      "\nStreaming user_logs/std_log.txt\n===============================\n\nafter\n"
                      "\nExecution Summary\n=================\nRunId: " +
                      id + "\nStatus: Completed\n");
  EXPECT_EQ(Transcript(second, 0, TY_RUN_COMPLETED), text) << "told afterwards, it is the same";
  EXPECT_EQ(Wait(first), TY_RUN_COMPLETED);
}

TEST_F(TranscriptTest, WarningsAreInTheSummary) {
  WriteAll(directory / "source/.env", "A=1\n");
  const std::string source = directory / "source";
  const std::string text = Transcript(Submit("true", source.c_str()), 0, TY_RUN_COMPLETED);
  EXPECT_TRUE(Has(text, "\nStatus: Completed\n\nWarnings:\n") && Has(text, "'.env' looks like a secret")) << text;
}

}  // namespace
}  // namespace trainyard_test
