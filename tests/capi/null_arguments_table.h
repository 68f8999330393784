// The table of every function of the library, with valid arguments.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>

#include "capi/null_arguments.h"

namespace trainyard_test {

// Valid arguments for every function. Its Add...() are in null_arguments_<group of headers>.cc.
class NullArguments : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    // A supervisor that does nothing: no test here needs a run to go on.
    runtime = directory / "runtime";
    WriteAll(runtime + "/trainyard-runner", "#!/bin/sh\necho \"ok $$ 1\" >&3\n");
    ASSERT_EQ(chmod((runtime + "/trainyard-runner").c_str(), 0755), 0);
    ASSERT_OK(ty_runtime_set_directory(runtime.c_str(), err));
    job = Shell("true");
    run = Submit(job);
    ASSERT_NE(run.get(), nullptr);
    ASSERT_OK(ty_run_events(run, nullptr, TY_EVENT_ALL, stream.out(), err));
    WriteAll(directory / "weights", "weights");
    ASSERT_OK(ty_model_register(workspace, "m", (directory / "weights").c_str(), nullptr, model.out(), err));
    ASSERT_OK(ty_compute_create(workspace, "c", nullptr, compute.out(), err));
    ASSERT_OK(ty_train_config_new(config.out(), err));
    ASSERT_OK(ty_environment_new("e", environment.out(), err));
    predictor = std::make_unique<ty_predictor>();  // has no engine: no call in this file may get so far
    trainer = std::make_unique<ty_trainer>();      // likewise
    AddCommon();
    AddWorkspace();
    AddDistribution();
    AddJob();
    AddData();
    AddRun();
    AddMetric();
    AddHostAndChildRun();
    AddRunContent();
    AddEvents();
    AddModel();
    AddCompute();
    AddEnvironment();
    AddTrain();
    AddTrainer();
    AddPredict();
    AddExport();
  }
  void TearDown() override { ASSERT_OK(ty_runtime_set_directory(nullptr, err)); }

  // The rows of the table, by header.
  void AddCommon();
  void AddWorkspace();
  void AddDistribution();
  void AddJob();
  void AddData();
  void AddRun();
  void AddMetric();
  void AddHostAndChildRun();
  void AddRunContent();
  void AddEvents();
  void AddCompute();
  void AddModel();
  void AddEnvironment();
  void AddTrain();
  void AddTrainer();
  void AddPredict();
  void AddExport();

  Table table;
  std::string runtime;
  std::string location = directory / "nothing";
  TyDistribution distribution;
  TyJob job;
  TyRun run;
  Stream stream;
  Model model;
  Handle<ty_compute, &ty_compute_free> compute;
  Config config;
  TyEnvironment environment;
  std::unique_ptr<ty_predictor> predictor;
  std::unique_ptr<ty_trainer> trainer;
  const char *argv[1] = {"true"};
  int32_t exit_code = 1;
  double doubles[3] = {1, 2, 3};
  char buffer[16] = {};
  DLTensor tensor = {};
  float probability = 0;

  // Outputs.
  char *text = nullptr, *second_text = nullptr;
  ty_string_list *list = nullptr;
  ty_workspace *workspace_place = nullptr, **workspace_out = &workspace_place;
  ty_distribution *distribution_out = nullptr;
  ty_job *job_out = nullptr;
  ty_run *run_out = nullptr;
  ty_error *failure_out = nullptr;
  ty_metric_series *series_out = nullptr;
  ty_event_stream *stream_out = nullptr;
  const ty_event *event = nullptr;
  ty_model *model_out = nullptr;
  ty_compute *compute_out = nullptr;
  ty_train_config *config_out = nullptr;
  ty_environment *environment_out = nullptr;
  ty_predictor *predictor_out = nullptr;
  ty_trainer *trainer_out = nullptr;
  const ty_fit_summary *fit_summary = nullptr;
  ty_prediction *prediction_out = nullptr;
  int32_t number = 0;
  int64_t version = 0;
  size_t size = 0;
  double value = 0;
};

}  // namespace trainyard_test
