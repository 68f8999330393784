// job.h: jobs that run a script of their source directory.
#include <sys/stat.h>

#include "capi/api.h"

namespace trainyard_test {
namespace {

class ScriptJobTest : public WorkspaceTest {
 protected:
  std::string Source(const std::string &script, const std::string &text) {
    WriteAll(directory / ("source/" + script), text);
    return directory / "source";
  }
  TyJob Script(const std::string &source, const std::string &script) {
    TyJob job;
    EXPECT_OK(ty_job_new_script(source.c_str(), script.c_str(), job.out(), err));
    return job;
  }
  ty_status SubmitStatus(const TyJob &job) {
    TyRun run;
    return ty_run_submit(workspace, "tests", job, run.out(), err);
  }
};

TEST_F(ScriptJobTest, PythonGetsTheParametersAndStartsInTheCopy) {
  const std::string source = Source("sub/train.py",
                                    "import os, sys\n"
                                    "print(sys.argv[1:])\n"
                                    "print(sorted(os.listdir('.')), os.environ['RANK'])\n"
                                    "open('outputs/done', 'w').write('yes')\n");
  TyJob job = Script(source, "sub/train.py");
  ASSERT_OK(ty_job_set_script_parameter(job, "--lr", "0.1", err));
  ASSERT_OK(ty_job_set_script_parameter(job, "--fast", "", err));
  ASSERT_OK(ty_job_add_argument(job, "a b", err));
  const TyRun run = Complete(job);
  EXPECT_EQ(Log(run), "['--lr', '0.1', '--fast', 'a b']\n['logs', 'outputs', 'sub'] 0\n");
}

TEST_F(ScriptJobTest, ShellScriptsAndProgramsRunWithoutPython) {
  const std::string source = Source("run.sh", "echo shell $1\n");
  TyJob job = Script(source, "run.sh");
  ASSERT_OK(ty_job_add_argument(job, "x", err));
  EXPECT_EQ(Log(Complete(job)), "shell x\n");

  WriteAll(directory / "source/tool", "#!/bin/sh\necho tool $1\n");
  ASSERT_EQ(chmod((directory / "source/tool").c_str(), 0755), 0);
  job = Script(source, "tool");
  ASSERT_OK(ty_job_add_argument(job, "y", err));
  EXPECT_EQ(Log(Complete(job)), "tool y\n");
}

TEST_F(ScriptJobTest, WhatLooksLikeAnOptionOfTheShellIsRunAllTheSame) {
  EXPECT_EQ(Log(Complete(Script(Source("-x.sh", "echo ran\n"), "-x.sh"))), "ran\n");
  EXPECT_EQ(Wait(Submit("-x")), TY_RUN_FAILED) << "there is no such program";
  EXPECT_EQ(Wait(Submit("+x")), TY_RUN_FAILED);
}

TEST_F(ScriptJobTest, WhatCannotRunIsRefusedBeforeAnythingIsRecorded) {
  const std::string source = Source("train.py", "print(1)\n");
  EXPECT_EQ(SubmitStatus(Script(source, "trian.py")), TY_ERR_NOT_FOUND);
  EXPECT_NE(err.message().find("'trian.py' is not in the source directory"), std::string::npos) << err.message();

  Source("tool", "#!/bin/sh\n");
  EXPECT_EQ(SubmitStatus(Script(source, "tool")), TY_ERR_PERMISSION);
  EXPECT_NE(err.message().find("chmod +x"), std::string::npos) << err.message();

  TyJob job = Script(source, "train.py");
  ASSERT_OK(ty_job_set_variable(job, "PATH", "/nonexistent", err));
  EXPECT_EQ(SubmitStatus(job), TY_ERR_NOT_FOUND);
  EXPECT_NE(err.message().find("needs Python"), std::string::npos) << err.message();

  // What the rules for snapshots leave out is not there when the run starts.
  Source("__pycache__/train.py", "print(1)\n");
  EXPECT_EQ(SubmitStatus(Script(source, "__pycache__/train.py")), TY_ERR_NOT_FOUND);
  EXPECT_NE(err.message().find("stays out"), std::string::npos) << err.message();

  List ids;
  EXPECT_OK(ty_workspace_list_runs(workspace, nullptr, 10, nullptr, ids.out(), nullptr, err));
  EXPECT_TRUE(ids.strings().empty());
}

}  // namespace
}  // namespace trainyard_test
