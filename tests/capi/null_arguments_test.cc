// Every function of the library with NULL in each pointer argument, and every handle in a forked child. The table
// (null_arguments_table.h) is compared with the exported symbols: a function that is not in it fails the test.
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "capi/null_arguments_table.h"

namespace trainyard_test {
namespace {

TEST_F(NullArguments, EveryFunctionIsInTheTable) {
  std::set<std::string> exported, known;
  std::ifstream symbols(TRAINYARD_SYMBOLS);
  for (std::string line; std::getline(symbols, line);) {
    if (!line.empty()) exported.insert(line);
  }
  for (const Function &function : table.functions) known.insert(function.name);
  EXPECT_EQ(known.size(), table.functions.size()) << "a function is in the table twice";
  EXPECT_EQ(known, exported) << "add a function with its arguments to null_arguments_<group of headers>.cc";
}

TEST_F(NullArguments, AreRefusedByName) {
  for (const Function &function : table.functions) function.check_null();
}

TEST_F(NullArguments, ElementsOfArgvAreChecked) {
  const char *const words[] = {"echo", nullptr};
  EXPECT_EQ(ty_job_new_command(nullptr, words, 2, &job_out, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("argv"), std::string::npos);
  EXPECT_EQ(ty_job_new_command(nullptr, words, 0, &job_out, err), TY_ERR_INVALID_ARGUMENT);
}

// Every call on a handle from before the fork answers TY_ERR_FORKED, and freeing there does not disturb the parent.
TEST_F(NullArguments, HandlesAreRefusedInAForkedChild) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    for (const Function &function : table.functions) {
      if (!function.bound) continue;
      const ty_status status = function.call();
      if (status == TY_ERR_FORKED) continue;
      const std::string line = function.name + " answers " + ty_status_name(status) + "\n";
      if (write(pipe_ends[1], line.data(), line.size()) < 0) _exit(1);
    }
    stream.reset();
    run.reset();
    model.reset();
    compute.reset();
    workspace.reset();
    _exit(0);
  }
  close(pipe_ends[1]);
  std::string told;
  char part[512];
  for (ssize_t n = 0; (n = read(pipe_ends[0], part, sizeof part)) > 0;) told.append(part, static_cast<size_t>(n));
  close(pipe_ends[0]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(told, "");
  EXPECT_OK(ty_run_set_tag(run, "still", "here", err));
  Text tag;
  EXPECT_OK(ty_run_get_tag(run, "still", tag.out(), err));
  EXPECT_EQ(tag.str(), "here");
  EXPECT_OK(ty_event_stream_next(stream, 0, &event, err));
}

}  // namespace
}  // namespace trainyard_test
