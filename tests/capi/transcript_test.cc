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
  EXPECT_EQ(Transcript(run, 0, TY_RUN_COMPLETED),
            "RunId: " + id +
                "\n\nStreaming user_logs/std_log.txt\n===============================\n\nfirst line\nsecond line\n"
                "\nExecution Summary\n=================\nRunId: " +
                id + "\nStatus: Completed\n");
  ty_run_state state = 0;
  EXPECT_OK(ty_run_wait_for_completion(run, -1, &state, err));
  EXPECT_EQ(ty_run_wait_for_completion(run, -2, &state, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(ty_run_wait_for_completion(run, 999, &state, err), TY_ERR_IO) << "no such descriptor";
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

}  // namespace
}  // namespace trainyard_test
