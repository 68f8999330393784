// common.h, error.h, version.h, log.h: what needs no workspace.
#include <cstring>
#include <set>

#include "capi/api.h"

namespace trainyard_test {
namespace {

TEST(Common, StringListsEndWhereTheyEnd) {
  TempDirectory directory;
  Workspace workspace;
  Err err;
  ASSERT_OK(ty_workspace_open(directory.path().c_str(), workspace.out(), err));
  List list;
  ASSERT_OK(ty_workspace_list_models(workspace, list.out(), err));
  EXPECT_EQ(ty_string_list_size(list), 0U);
  EXPECT_EQ(ty_string_list_get(list, 0), nullptr);
  EXPECT_EQ(ty_string_list_get(list, SIZE_MAX), nullptr);
}

TEST(Error, EveryStatusHasItsOwnName) {
  std::set<std::string> names = {ty_status_name(TY_END)};
  for (ty_status status = TY_OK; status <= TY_ERR_RUN_FAILED; ++status) names.insert(ty_status_name(status));
  EXPECT_EQ(names.size(), 22U);
  EXPECT_STREQ(ty_status_name(TY_OK), "TY_OK");
  EXPECT_STREQ(ty_status_name(TY_END), "TY_END");
  EXPECT_STREQ(ty_status_name(TY_ERR_NOT_FOUND), "TY_ERR_NOT_FOUND");
  EXPECT_STREQ(ty_status_name(TY_ERR_RUN_FAILED), "TY_ERR_RUN_FAILED");
  EXPECT_STREQ(ty_status_name(21), "unknown status");
  EXPECT_STREQ(ty_status_name(INT32_MIN), "unknown status");
}

TEST(Error, TellsWhatAndWhere) {
  Err err;
  Workspace workspace;
  EXPECT_EQ(ty_workspace_open("nowhere://x", workspace.out(), err), TY_ERR_UNSUPPORTED);
  EXPECT_EQ(err.status(), TY_ERR_UNSUPPORTED);
  EXPECT_NE(err.message().find("nowhere://x"), std::string::npos);
  EXPECT_EQ(err.message().find('\n'), std::string::npos);
  EXPECT_EQ(ty_error_detail(err.get(), "no such detail"), nullptr);
  // Success clears.
  TempDirectory directory;
  ty_error *error = reinterpret_cast<ty_error *>(1);
  EXPECT_EQ(ty_workspace_open(directory.path().c_str(), workspace.out(), &error), TY_OK);
  EXPECT_EQ(error, nullptr);
}

TEST(Error, AMessageIsOneLineOfBoundedLengthWhateverItNames) {
  Err err;
  Workspace workspace;
  EXPECT_EQ(ty_workspace_open("nowhere://a\nb\x1b", workspace.out(), err), TY_ERR_UNSUPPORTED);
  EXPECT_NE(err.message().find("'nowhere://a\\nb\\x1b'"), std::string::npos) << err.message();
  EXPECT_EQ(ty_workspace_open(("nowhere://" + std::string(1 << 20, 'x')).c_str(), workspace.out(), err),
            TY_ERR_UNSUPPORTED);
  EXPECT_LE(err.message().size(), 4096U);
  EXPECT_NE(err.message().find("opens directories only"), std::string::npos) << err.message();
  EXPECT_EQ(ty_workspace_open("\xff", workspace.out(), err), TY_ERR_INVALID_ARGUMENT);
}

TEST(Version, IsThatOfTheHeaders) {
  EXPECT_STREQ(ty_version(), TY_VERSION);
  EXPECT_EQ(ty_abi_version(), TY_ABI_VERSION);
  const std::string parts = std::to_string(TY_VERSION_MAJOR) + "." + std::to_string(TY_VERSION_MINOR) + "." +
                            std::to_string(TY_VERSION_PATCH);
  EXPECT_EQ(parts, TY_VERSION);
}

TEST(Version, ARuntimeDirectoryWithoutARunnerIsRefused) {
  TempDirectory directory;
  Err err;
  EXPECT_EQ(ty_runtime_set_directory(directory.path().c_str(), err), TY_ERR_RUNTIME);
  EXPECT_NE(err.message().find("trainyard-runner"), std::string::npos);
  EXPECT_EQ(err.detail("path"), directory.path());
}

TEST(Version, AMissingRunnerListsWhatWasTried) {
  TempDirectory directory;
  Err err;
  Text found;
  ASSERT_EQ(setenv("TRAINYARD_RUNTIME_DIR", directory.path().c_str(), 1), 0);
  EXPECT_EQ(ty_runtime_directory(found.out(), err), TY_ERR_RUNTIME);
  EXPECT_NE(err.message().find(directory.path()), std::string::npos) << err.message();
  EXPECT_EQ(found.get(), nullptr);

  Workspace workspace;
  ASSERT_OK(ty_workspace_open((directory / "w").c_str(), workspace.out(), err));
  TyJob job;
  ASSERT_OK(ty_job_new_shell(nullptr, "true", job.out(), err));
  TyRun run;
  EXPECT_EQ(ty_run_submit(workspace, "e", job, run.out(), err), TY_ERR_RUNTIME);
  EXPECT_NE(err.message().find(directory.path()), std::string::npos) << err.message();
  List runs;
  EXPECT_OK(ty_workspace_list_runs(workspace, nullptr, 10, nullptr, runs.out(), nullptr, err));
  EXPECT_TRUE(runs.strings().empty()) << "a run that could not be started was recorded";
  ASSERT_EQ(unsetenv("TRAINYARD_RUNTIME_DIR"), 0);
}

TEST(Version, ASetRuntimeDirectoryCounts) {
  TempDirectory directory;
  WriteAll(directory / "trainyard-runner", "#!/bin/sh\n");
  ASSERT_EQ(chmod((directory / "trainyard-runner").c_str(), 0755), 0);
  Err err;
  Text found;
  ASSERT_OK(ty_runtime_set_directory(directory.path().c_str(), err));
  EXPECT_OK(ty_runtime_directory(found.out(), err));
  EXPECT_EQ(found.str(), directory.path());
  EXPECT_OK(ty_runtime_set_directory(nullptr, err));
}

void Count(void *counter) {
  ++*static_cast<int *>(counter);
}

TEST(Log, ReleasesTheUserDataOnce) {
  Err err;
  int first = 0, second = 0, refused = 0;
  const auto ignore = [](int32_t, const char *, void *) {};
  EXPECT_OK(ty_log_set_callback(ignore, &first, &Count, TY_LOG_DEBUG, err));
  EXPECT_EQ(first, 0);
  EXPECT_OK(ty_log_set_callback(ignore, &second, &Count, TY_LOG_ERROR, err));
  EXPECT_EQ(first, 1);
  EXPECT_EQ(ty_log_set_callback(ignore, &refused, &Count, 4, err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(second, 0) << "a refused call must not change anything";
  EXPECT_OK(ty_log_set_callback(nullptr, nullptr, nullptr, TY_LOG_INFO, err));
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
  int none = 0;
  EXPECT_OK(ty_log_set_callback(nullptr, &none, &Count, TY_LOG_INFO, err));
  EXPECT_EQ(none, 1) << "user data without a callback is released at once";
}

}  // namespace
}  // namespace trainyard_test
