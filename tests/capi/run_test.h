// What the tests of run.h share. Thread rule: the test's thread.
#pragma once

#include <signal.h>

#include <cerrno>
#include <string>
#include <vector>

#include "capi/api.h"
#include "util/json.h"

namespace trainyard_test {

using trainyard::Json;

class RunTest : public WorkspaceTest {
 protected:
  Json Record(const TyRun &run) {
    Text text;
    EXPECT_OK(ty_run_to_json(run, text.out(), err));
    return Json::Parse(text.str(), "run");
  }
  std::vector<std::string> Files(const TyRun &run, const char *prefix = nullptr) {
    List names;
    EXPECT_OK(ty_run_list_files(run, prefix, names.out(), err));
    return names.strings();
  }
  std::vector<std::string> Runs(const char *filter = nullptr) {
    List ids;
    EXPECT_OK(ty_workspace_list_runs(workspace, filter, 100, nullptr, ids.out(), nullptr, err));
    return ids.strings();
  }
  bool Gone(const std::string &pid_file) {
    return kill(static_cast<pid_t>(std::stol(ReadAll(pid_file))), 0) != 0 && errno == ESRCH;
  }
};

}  // namespace trainyard_test
