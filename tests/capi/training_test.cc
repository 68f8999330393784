// The main job through the C API: train.h, job.h's validation of training jobs, run.h, model.h and predict.h together,
// with the real runner and engine, on a small image set.
#include <cmath>

#include "capi/api.h"
#include "engine_torch/weights/file_builders.h"
#include "util/hash.h"
#include "util/json.h"

namespace trainyard_test {
namespace {

using trainyard::Json;
using Predictor = Handle<ty_predictor, &ty_predictor_free>;
using Prediction = Handle<ty_prediction, &ty_prediction_free>;

class TrainingTest : public WorkspaceTest {
 protected:
  static void SetUpTestSuite() {
    images_ = std::make_unique<TempDirectory>("images of the test");
    const Output made = RunProgram({MAKE_IMAGES, "--train", "6", "--val", "3", images_->path() + "/set"});
    ASSERT_EQ(made.status, 0) << made.text;
  }
  static void TearDownTestSuite() { images_.reset(); }

  static std::string Images() { return images_->path() + "/set"; }
  // Small enough for a second or two.
  Config NewConfig(int64_t epochs = 1) {
    Config config;
    EXPECT_OK(ty_train_config_new(config.out(), err));
    EXPECT_OK(ty_train_config_set_string(config, "data.directory", Images().c_str(), err));
    EXPECT_OK(ty_train_config_set_string(config, "model.architecture", "squeezenet1_1", err));
    EXPECT_OK(ty_train_config_set_string(config, "device", "cpu", err));
    EXPECT_OK(ty_train_config_set_int(config, "transform.resize", 72, err));
    EXPECT_OK(ty_train_config_set_int(config, "transform.crop", 64, err));
    EXPECT_OK(ty_train_config_set_int(config, "train.epochs", epochs, err));
    return config;
  }
  TyRun Train(const Config &config) {
    TyJob job;
    EXPECT_OK(ty_job_new_train(config, job.out(), err));
    return Submit(job, "training");
  }
  Json Validate(const Config &config) {
    TyJob job;
    Text report;
    EXPECT_OK(ty_job_new_train(config, job.out(), err));
    EXPECT_OK(ty_job_validate(workspace, job, report.out(), err));
    return Json::Parse(report.str(), "report");
  }
  // The failure of a run that must fail: "<code>: <message>".
  std::string Failure(const TyRun &run) {
    EXPECT_EQ(Wait(run), TY_RUN_FAILED) << Log(run);
    FailureHandle failure;
    EXPECT_OK(ty_run_failure(run, failure.out(), err));
    const char *code = ty_error_detail(failure, "code");
    return std::string(code == nullptr ? "" : code) + ": " + ty_error_message(failure);
  }
  static std::string AnImage() {
    for (const auto &entry : std::filesystem::recursive_directory_iterator(Images() + "/val")) {
      if (entry.path().extension() == ".jpg") return entry.path().string();
    }
    return "";
  }

 private:
  static inline std::unique_ptr<TempDirectory> images_;
};

TEST_F(TrainingTest, TrainRegisterPredict) {
  const Config config = NewConfig(2);
  const TyRun run = Train(config);
  Stream stream;
  ASSERT_OK(ty_run_events(run, nullptr, TY_EVENT_PROGRESS, stream.out(), err));
  int reports = 0;
  const ty_event *event = nullptr;
  while (ty_event_stream_next(stream, TY_WAIT_FOREVER, &event, err) == TY_OK) {
    if (event == nullptr) continue;
    ++reports;
    EXPECT_EQ(Json::Parse(event->text, "progress").GetInt64("epochs"), 2);
  }
  EXPECT_GE(reports, 2);
  ASSERT_EQ(Wait(run), TY_RUN_COMPLETED) << FailureOf(run) << Log(run);

  Series history;
  ASSERT_OK(ty_run_get_metric(run, "val/accuracy", nullptr, history.out(), err));
  ASSERT_EQ(ty_metric_series_size(history), 2U);
  double best = 0;
  ASSERT_OK(ty_run_get_metric_value(run, "best_val_accuracy", &best, err));
  EXPECT_EQ(best, std::max(ty_metric_series_values(history)[0], ty_metric_series_values(history)[1]));
  const std::string model_json = directory / "model.json";
  ASSERT_OK(ty_run_download_file(run, "outputs/model.json", model_json.c_str(), err));
  EXPECT_EQ(Json::Parse(ReadAll(model_json), "model").GetString("architecture"), "squeezenet1_1");

  const std::string weights = directory / "model.safetensors", onnx = directory / "model.onnx";
  ASSERT_OK(ty_run_download_file(run, "outputs/model.safetensors", weights.c_str(), err));
  EXPECT_EQ(ty_export_onnx(model_json.c_str(), "{\"opset\": 12}", onnx.c_str(), err), TY_ERR_UNSUPPORTED);
  EXPECT_EQ(ty_export_onnx(model_json.c_str(), "{\"sofmax\": true}", onnx.c_str(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("did you mean 'softmax'"), std::string::npos) << err.message();
  EXPECT_FALSE(std::filesystem::exists(onnx));
  ASSERT_OK(ty_export_onnx(model_json.c_str(), "{\"preprocessing\": true}", onnx.c_str(), err));
  EXPECT_NE(ReadAll(onnx).find("[\"bricks\",\"clouds\",\"gravel\"]"), std::string::npos);

  Model model;
  ASSERT_OK(ty_run_register_model(run, "textures", nullptr, nullptr, model.out(), err));
  EXPECT_EQ(ty_model_version(model), 1);
  // The model is the workspace's: it stays when its run goes.
  ASSERT_OK(ty_run_delete(run, err));
  Predictor predictor;
  ASSERT_OK(ty_predictor_open_model(model, "cpu", predictor.out(), err));
  ASSERT_EQ(ty_predictor_class_count(predictor), 3);
  EXPECT_STREQ(ty_predictor_class_name(predictor, 0), "bricks");
  EXPECT_EQ(ty_predictor_class_name(predictor, 3), nullptr);
  Prediction prediction;
  ASSERT_OK(ty_predictor_predict_image_file(predictor, AnImage().c_str(), 3, prediction.out(), err));
  ASSERT_EQ(ty_prediction_class_count(prediction, 0), 3);
  double sum = 0;
  for (int32_t i = 0; i < 3; ++i) sum += ty_prediction_probability(prediction, 0, i);
  EXPECT_NEAR(sum, 1, 1e-6);
  EXPECT_GE(ty_prediction_probability(prediction, 0, 0), ty_prediction_probability(prediction, 0, 1));
  Prediction folder;
  ASSERT_OK(ty_predictor_predict_folder(predictor, (Images() + "/val").c_str(), 1, folder.out(), err));
  EXPECT_EQ(ty_prediction_size(folder), 9U);
  EXPECT_EQ(ty_predictor_predict_image_file(predictor, "/nowhere.jpg", 1, prediction.out(), err), TY_ERR_NOT_FOUND);
  EXPECT_EQ(ty_predictor_predict_image_file(predictor, model_json.c_str(), 1, prediction.out(), err), TY_ERR_CORRUPT);
  const std::string gif = directory / "image.jpg";
  WriteAll(gif, "GIF89a and so on");
  EXPECT_EQ(ty_predictor_predict_image_file(predictor, gif.c_str(), 1, prediction.out(), err), TY_ERR_UNSUPPORTED);
  const std::string pipe = directory / "pipe.jpg";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_NE(ty_predictor_predict_image_file(predictor, pipe.c_str(), 1, prediction.out(), err), TY_OK);

  // Training goes on from the registered model.
  const Config next = NewConfig();
  ASSERT_OK(ty_train_config_set_string(next, "model.weights", "model:textures:1", err));
  const TyRun second = Train(next);
  EXPECT_EQ(Wait(second), TY_RUN_COMPLETED) << FailureOf(second);
}

#ifdef TRAINYARD_TEST_RANKS
TEST_F(TrainingTest, RanksShareTheImages) {
  if (std::system("command -v mpirun >/dev/null 2>&1") != 0) GTEST_SKIP() << "SKIP: no mpirun: sh scripts/setup.sh mpi";
  TyJob job;
  ASSERT_OK(ty_job_new_train(NewConfig(2), job.out(), err));
  TyDistribution two;
  ASSERT_OK(ty_distribution_new_mpi(1, 2, two.out(), err));
  ASSERT_OK(ty_job_set_distribution(job, two, err));
  Text text;
  ASSERT_OK(ty_job_validate(workspace, job, text.out(), err));
  const Json report = Json::Parse(text.str(), "report");
  ASSERT_TRUE(report.GetBool("ok")) << report.DumpPretty();
  EXPECT_EQ(report.GetInt64("rank_count"), 2);
  EXPECT_EQ(report.Get("train").GetInt64("steps_per_epoch"), 3);  // of 18 images, 4 on each rank
  EXPECT_EQ(report.Get("train").GetInt64("total_steps"), 6);
  const TyRun run = Submit(job, "training");
  ASSERT_EQ(Wait(run), TY_RUN_COMPLETED) << FailureOf(run);
  EXPECT_NE(Log(run, 0).find("all 2 ranks have the same weights"), std::string::npos) << Log(run, 0);
  Series history;
  ASSERT_OK(ty_run_get_metric(run, "val/accuracy", nullptr, history.out(), err));
  EXPECT_EQ(ty_metric_series_size(history), 2U);
}
#endif

TEST_F(TrainingTest, ValidationCounts) {
  const Config config = NewConfig(3);
  const Json report = Validate(config);
  EXPECT_TRUE(report.GetBool("ok")) << report.DumpPretty();
  const Json train = report.Get("train");
  EXPECT_EQ(train.GetStringList("classes"), (std::vector<std::string>{"bricks", "clouds", "gravel"}));
  EXPECT_EQ(train.GetInt64("train_images"), 18);
  EXPECT_EQ(train.GetInt64("validation_images"), 9);
  EXPECT_EQ(train.GetInt64("steps_per_epoch"), 5);
  EXPECT_EQ(train.GetInt64("total_steps"), 15);

  const std::string broken = directory / "broken";
  std::filesystem::copy(Images(), broken, std::filesystem::copy_options::recursive);
  WriteAll(broken + "/train/bricks/half.jpg", ReadAll(AnImage()).substr(0, 500));
  ASSERT_OK(ty_train_config_set_string(config, "data.directory", broken.c_str(), err));
  ASSERT_EQ(Validate(config).Get("train").Get("bad_images").size(), 1U);
  ASSERT_OK(ty_train_config_set_string(config, "data.bad_images", "fail", err));
  const std::string failure = Failure(Train(config));
  EXPECT_EQ(failure.rfind("data: ", 0), 0U) << failure;
  EXPECT_NE(failure.find("half.jpg"), std::string::npos) << failure;
  EXPECT_FALSE(Validate(config).GetBool("ok"));

  ASSERT_OK(ty_train_config_set_string(config, "data.directory", (directory / "absent").c_str(), err));
  EXPECT_FALSE(Validate(config).GetBool("ok"));
  TyJob job;
  TyRun run;
  ASSERT_OK(ty_job_new_train(config, job.out(), err));
  EXPECT_EQ(ty_run_submit(workspace, "training", job, run.out(), err), TY_ERR_NOT_FOUND);
}

TEST_F(TrainingTest, LabelsAndNumbersComeFromAManifest) {
  // Each texture has labels of its own, or a number.
  std::string labels = "path,labels\n", numbers = "path,label\n";
  for (const auto &entry : std::filesystem::recursive_directory_iterator(Images())) {
    if (entry.path().extension() != ".jpg") continue;
    const std::string name = entry.path().parent_path().filename(), path = entry.path();
    labels += path + (name == "bricks" ? ",hard;made" : name == "gravel" ? ",hard" : ",") + "\n";
    numbers += path + (name == "bricks" ? ",1" : name == "gravel" ? ",0.5" : ",-1") + "\n";
  }
  const std::string manifest = directory / "list.csv";
  const Config config = NewConfig(2);
  ASSERT_OK(ty_train_config_set_string(config, "data.directory", "", err));
  ASSERT_OK(ty_train_config_set_string(config, "data.manifest", manifest.c_str(), err));
  ASSERT_OK(ty_train_config_set_double(config, "data.validation_fraction", 0.25, err));
  for (const std::string task : {"multilabel", "regression"}) {
    WriteAll(manifest, task == "regression" ? numbers : labels);
    ASSERT_OK(ty_train_config_set_string(config, "task", task.c_str(), err));
    const Json report = Validate(config);
    EXPECT_TRUE(report.GetBool("ok")) << report.DumpPretty();
    EXPECT_EQ(report.Get("train").GetInt64("train_images") + report.Get("train").GetInt64("validation_images"), 27);
    const TyRun run = Train(config);
    ASSERT_EQ(Wait(run), TY_RUN_COMPLETED) << FailureOf(run) << Log(run);
    double value = NAN;
    EXPECT_OK(ty_run_get_metric_value(run, "best_val_loss", &value, err));
    EXPECT_OK(ty_run_get_metric_value(run, task == "regression" ? "val/rmse" : "val/f1_macro", &value, err));
    Model model;
    ASSERT_OK(ty_run_register_model(run, task.c_str(), nullptr, nullptr, model.out(), err));
    Predictor predictor;
    ASSERT_OK(ty_predictor_open_model(model, "cpu", predictor.out(), err));
    EXPECT_EQ(ty_predictor_class_count(predictor), task == "regression" ? 1 : 2);
    EXPECT_STREQ(ty_predictor_class_name(predictor, 0), task == "regression" ? "value" : "hard");
    Prediction prediction;
    ASSERT_OK(ty_predictor_predict_image_file(predictor, AnImage().c_str(), 2, prediction.out(), err));
    EXPECT_EQ(ty_prediction_class_count(prediction, 0), task == "regression" ? 1 : 2);
  }

  // Refused before anything starts, with the key and what to do.
  ASSERT_OK(ty_train_config_set_string(config, "loss.name", "bce", err));
  TyJob job;
  TyRun run;
  ASSERT_OK(ty_job_new_train(config, job.out(), err));
  EXPECT_EQ(ty_run_submit(workspace, "training", job, run.out(), err), TY_ERR_INVALID_ARGUMENT);
  EXPECT_NE(err.message().find("'loss.name' is bce, and 'task' regression"), std::string::npos) << err.message();
}

TEST_F(TrainingTest, ArraysAreAnInputOfTheJob) {
  // Twice the first value less the second, of four samples.
  const std::filesystem::path arrays = directory / "arrays";
  std::filesystem::create_directories(arrays);
  for (const std::string prefix : {"", "validation_"}) {
    std::string inputs, targets;
    for (const auto &[x, y] : {std::pair(1.0f, 0.0f), {0.0f, 1.0f}, {-1.0f, 0.5f}, {0.5f, -1.0f}}) {
      inputs += trainyard::testing::Raw(x) + trainyard::testing::Raw(y);
      targets += trainyard::testing::Raw(2 * x - y);
    }
    WriteAll(arrays / (prefix + "inputs.npy"), trainyard::testing::Npy("<f4", "(4, 2)", inputs));
    WriteAll(arrays / (prefix + "targets.npy"), trainyard::testing::Npy("<f4", "(4,)", targets));
  }
  Config config;
  ASSERT_OK(ty_train_config_from_json(
      R"({"task":"regression","model":{"architecture":"mlp","hidden":[]},"train":{"epochs":200},"schedule":{"name":"constant"},
          "optimizer":{"lr":0.1},"checkpoint":{"every_epochs":100},"device":"cpu","data":{"arrays":"${{inputs.states}}"}})",
      config.out(), err));
  TyJob job;
  ASSERT_OK(ty_job_new_train(config, job.out(), err));
  ASSERT_OK(ty_job_add_input(job, "states", arrays.c_str(), TY_INPUT_LINK, err));
  Text text;
  ASSERT_OK(ty_job_validate(workspace, job, text.out(), err));
  const Json report = Json::Parse(text.str(), "report");
  EXPECT_TRUE(report.GetBool("ok")) << report.DumpPretty();
  EXPECT_EQ(report.Get("train").GetInt64("train_images"), 4);
  TyRun run;
  ASSERT_OK(ty_run_submit(workspace, "training", job, run.out(), err));
  ASSERT_EQ(Wait(run), TY_RUN_COMPLETED) << FailureOf(run) << Log(run);
  Model model;
  ASSERT_OK(ty_run_register_model(run, "surrogate", nullptr, nullptr, model.out(), err));
  Predictor predictor;
  ASSERT_OK(ty_predictor_open_model(model, "cpu", predictor.out(), err));
  float values[] = {1, 1, 0, -2}, told[2] = {};
  int64_t shape[] = {2, 2};
  DLTensor input = {};
  input.data = values;
  input.device.device_type = kDLCPU;
  input.ndim = 2;
  input.dtype = {kDLFloat, 32, 1};
  input.shape = shape;
  ASSERT_OK(ty_predictor_predict(predictor, &input, told, 2, err));
  EXPECT_NEAR(told[0], 1, 1e-3);
  EXPECT_NEAR(told[1], 2, 1e-3);
  Prediction prediction;
  EXPECT_EQ(ty_predictor_predict_image_file(predictor, "x.jpg", 1, prediction.out(), err), TY_ERR_UNSUPPORTED);
  const std::string copy = directory / "model";
  ASSERT_OK(ty_model_download(model, copy.c_str(), err));
  EXPECT_OK(ty_export_onnx(copy.c_str(), nullptr, (directory / "a.onnx").c_str(), err));
}

TEST_F(TrainingTest, FailuresHaveCodes) {
  const Config wild = NewConfig(2);
  ASSERT_OK(ty_train_config_set_double(wild, "optimizer.lr", 1e30, err));
  EXPECT_EQ(Failure(Train(wild)).rfind("nan_loss: ", 0), 0U);

  const std::string garbage = directory / "garbage.pth";
  WriteAll(garbage, "no weights at all");
  const Config weights = NewConfig();
  ASSERT_OK(ty_train_config_set_string(weights, "model.weights", garbage.c_str(), err));
  EXPECT_EQ(Failure(Train(weights)).rfind("weights: ", 0), 0U);

  const std::string hash = trainyard::Sha256Hex("something else");
  ASSERT_OK(ty_train_config_set_string(weights, "model.weights", ("file://" + garbage + "#" + hash).c_str(), err));
  EXPECT_EQ(Failure(Train(weights)).rfind("corrupt: ", 0), 0U);
  EXPECT_NE(ty_train_config_set_string(weights, "model.architecture", "squeezenet", err), TY_OK);
  EXPECT_NE(err.message().find("squeezenet1_1"), std::string::npos);
}

TEST_F(TrainingTest, AStoppedRunCompletesWithItsBestModel) {
  const Config config = NewConfig(100000);
  const TyRun run = Train(config);
  ASSERT_TRUE(Until([&] { return Log(run).find("epoch 1/") != std::string::npos; }));
  EXPECT_OK(ty_run_request_stop(run, err));
  EXPECT_EQ(Wait(run), TY_RUN_COMPLETED) << FailureOf(run);
  List files;
  ASSERT_OK(ty_run_list_files(run, "outputs/model", files.out(), err));
  EXPECT_EQ(files.strings(), (std::vector<std::string>{"outputs/model.json", "outputs/model.safetensors"}));
}

TEST_F(TrainingTest, CancelEndsTraining) {
  const Config config = NewConfig(100000);
  const TyRun run = Train(config);
  ASSERT_TRUE(Until([&] { return Log(run).find("epoch 1/") != std::string::npos; }));
  EXPECT_OK(ty_run_cancel(run, err));
  EXPECT_EQ(Wait(run), TY_RUN_CANCELED);
}

}  // namespace
}  // namespace trainyard_test
