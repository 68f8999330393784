// The engine's one exported symbol and the functions behind it (engine/engine.h). Nothing leaves them but a status and
// a message: every C++ exception, LibTorch's among them, is caught here. Thread rule: as engine.h says.
#include <c10/util/Exception.h>
#include <dlfcn.h>
#include <torch/version.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine_torch/cuda/cuda_half.h"
#include "engine_torch/export/export_onnx.h"
#include "engine_torch/export/export_weights.h"
#include "engine_torch/predict/predictor.h"
#include "engine_torch/train/array_trainer.h"
#include "engine_torch/train/settings.h"
#include "engine_torch/train/trainer.h"
#include "engine_torch/train/validate.h"
#include "util/build_id.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"

struct ty_engine_predictor {
  trainyard::Predictor predictor;
};

struct ty_engine_trainer {
  trainyard::ArrayTrainer trainer;
};

struct ty_engine_prediction {
  std::vector<trainyard::PredictionItem> items;
};

namespace trainyard {
namespace {

// Set once by initialise(): whether LibTorch-wide settings may be changed is a property of the process.
std::atomic<bool> own_libtorch{false};

char *CopyString(const std::string &text) {
  char *copy = static_cast<char *>(std::malloc(text.size() + 1));
  if (copy != nullptr) std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

int32_t Fail(ty_engine_error *error, Status status, const std::string &message, const std::string &code) {
  if (error != nullptr) {
    error->status = static_cast<int32_t>(status);
    error->message = CopyString(message);
    error->code = CopyString(code);
  }
  return static_cast<int32_t>(status);
}

// LibTorch's messages go over several lines, the later ones with C++ details: the first says what it is.
std::string FirstLine(const std::string &text) {
  return text.substr(0, text.find('\n'));
}

std::string CodeOf(const Error &error) {
  const auto found = error.details().find("code");
  if (found != error.details().end()) return found->second;
  if (error.status() == Status::kOutOfMemory) return "out_of_memory";
  if (error.status() == Status::kNoSpace) return "no_space";
  if (error.status() == Status::kInvalidArgument) return "settings";
  return "engine";
}

int32_t FailTorch(ty_engine_error *error, const std::string &text) {
  const std::string line = FirstLine(text);
  if (text.find("out of memory") != std::string::npos || text.find("not enough memory") != std::string::npos) {
    return Fail(error, Status::kOutOfMemory,
                line + "; try a smaller train.batch_size or transform.crop, or data.cache none", "out_of_memory");
  }
  return Fail(error, Status::kEngine, "LibTorch: " + line, "engine");
}

template <typename Body>
int32_t Guard(ty_engine_error *error, Body body) noexcept {
  if (error != nullptr) *error = {};
  try {
    try {
      body();
      return 0;
    } catch (const Error &failure) {
      return Fail(error, failure.status(), failure.what(), CodeOf(failure));
    } catch (const c10::Error &failure) {
      return FailTorch(error, failure.what_without_backtrace());
    } catch (const std::bad_alloc &) {
      return Fail(error, Status::kOutOfMemory, "out of memory", "out_of_memory");
    } catch (const std::exception &failure) {
      return FailTorch(error, failure.what());
    } catch (...) {
      return Fail(error, Status::kInternal, "an unknown C++ exception", "engine");
    }
  } catch (...) {
    // No memory even for the message.
    if (error != nullptr) *error = {static_cast<int32_t>(Status::kOutOfMemory), nullptr, nullptr};
    return static_cast<int32_t>(Status::kOutOfMemory);
  }
}

void Require(bool ok, const char *what) {
  if (!ok) throw Error::InvalidArgument(std::string(what) + " must not be NULL");
}

void FreeString(char *string) {
  std::free(string);
}

// The directory that this library lies in.
std::string OwnDirectory() {
  Dl_info info = {};
  if (dladdr(reinterpret_cast<const void *>(&CopyString), &info) == 0 || info.dli_fname == nullptr) return "";
  return ParentPath(info.dli_fname);
}

int32_t Initialise(int32_t own, int32_t has_cuda, ty_engine_error *error) {
  return Guard(error, [&] {
    own_libtorch = own != 0;
    if (has_cuda == 0) return;
    // Training works without it, step by step.
    const std::string why = LoadCudaHalf(OwnDirectory());
    if (!why.empty()) {
      Log(LogLevel::kInfo,
          "training steps will not be recorded (train.cuda_graphs), nor several GPUs used together: " + why);
    }
  });
}

int32_t Validate(const char *config_json, const char *weights_path, int32_t check_images, char **out,
                 ty_engine_error *error) {
  return Guard(error, [&] {
    Require(config_json != nullptr && out != nullptr, "config_json and out_report_json");
    *out = nullptr;
    const Json report = ValidateTraining(ParseTrainSettings(config_json), weights_path == nullptr ? "" : weights_path,
                                         check_images != 0);
    *out = CopyString(report.Dump());
    if (*out == nullptr) throw std::bad_alloc();
  });
}

int32_t Train(const char *config_json, const ty_engine_host *host, ty_engine_error *error) {
  return Guard(error, [&] {
    Require(config_json != nullptr && host != nullptr, "config_json and host");
    Require(host->output_directory != nullptr && host->checkpoint_directory != nullptr,
            "the output and checkpoint directories");
    Trainer(ParseTrainSettings(config_json), host, own_libtorch).Run();
  });
}

int32_t PredictorOpen(const char *path, const char *device, ty_engine_predictor **out, ty_engine_error *error) {
  return Guard(error, [&] {
    Require(path != nullptr && out != nullptr, "path and out");
    *out = nullptr;
    *out =
        std::make_unique<ty_engine_predictor>(ty_engine_predictor{Predictor(path, device == nullptr ? "auto" : device)})
            .release();
  });
}

int32_t PredictorClassCount(const ty_engine_predictor *predictor) {
  return predictor == nullptr ? 0 : static_cast<int32_t>(predictor->predictor.classes().size());
}

const char *PredictorClassName(const ty_engine_predictor *predictor, int32_t index) {
  if (index < 0 || index >= PredictorClassCount(predictor)) return nullptr;
  return predictor->predictor.classes()[static_cast<size_t>(index)].c_str();
}

int32_t PredictorImageFiles(const ty_engine_predictor *predictor, const char *const *paths, size_t count, int32_t top_k,
                            ty_engine_prediction **out, ty_engine_error *error) {
  return Guard(error, [&] {
    Require(predictor != nullptr && out != nullptr && (paths != nullptr || count == 0), "predictor, paths and out");
    *out = nullptr;
    std::vector<std::string> names;
    for (size_t i = 0; i < count; ++i) {
      Require(paths[i] != nullptr, "each path");
      names.emplace_back(paths[i]);
    }
    *out = std::make_unique<ty_engine_prediction>(ty_engine_prediction{predictor->predictor.Files(names, top_k)})
               .release();
  });
}

int32_t PredictorFolder(const ty_engine_predictor *predictor, const char *directory, int32_t top_k,
                        ty_engine_prediction **out, ty_engine_error *error) {
  return Guard(error, [&] {
    Require(predictor != nullptr && directory != nullptr && out != nullptr, "predictor, directory and out");
    *out = nullptr;
    *out = std::make_unique<ty_engine_prediction>(ty_engine_prediction{predictor->predictor.Folder(directory, top_k)})
               .release();
  });
}

int32_t PredictorTensor(const ty_engine_predictor *predictor, const DLTensor *input, float *output, size_t count,
                        ty_engine_error *error) {
  return Guard(error, [&] {
    Require(predictor != nullptr && input != nullptr && output != nullptr, "predictor, input and output");
    predictor->predictor.Tensor(*input, output, count);
  });
}

int32_t ExportModelWeights(const char *model_path, const char *format, const char *out_path, ty_engine_error *error) {
  return Guard(error, [&] {
    Require(model_path != nullptr && format != nullptr && out_path != nullptr, "model_path, format and out_path");
    ExportWeights(model_path, format, out_path);
  });
}

void PredictorFree(ty_engine_predictor *predictor) {
  const std::unique_ptr<ty_engine_predictor> owned(predictor);
}

size_t PredictionSize(const ty_engine_prediction *prediction) {
  return prediction == nullptr ? 0 : prediction->items.size();
}

void PredictionItemAt(const ty_engine_prediction *prediction, size_t index, ty_engine_prediction_item *out) {
  *out = {};
  if (index >= PredictionSize(prediction)) return;
  const PredictionItem &item = prediction->items[index];
  out->path = item.path.c_str();
  out->error = item.error.empty() ? nullptr : item.error.c_str();
  out->status = item.status;
  out->count = static_cast<int32_t>(item.classes.size());
  out->classes = item.classes.data();
  out->probabilities = item.probabilities.data();
}

void PredictionFree(ty_engine_prediction *prediction) {
  const std::unique_ptr<ty_engine_prediction> owned(prediction);
}

int32_t TrainerNew(const char *config_json, const char *weights_path, ty_engine_trainer **out, ty_engine_error *error) {
  return Guard(error, [&] {
    Require(config_json != nullptr && out != nullptr, "config_json and out");
    *out = new ty_engine_trainer{{config_json, weights_path == nullptr ? "" : weights_path, own_libtorch}};
  });
}

int32_t TrainerStep(ty_engine_trainer *trainer, const DLTensor *inputs, const DLTensor *targets, double *out_loss,
                    ty_engine_error *error) {
  return Guard(error, [&] {
    Require(trainer != nullptr && inputs != nullptr && targets != nullptr, "trainer, inputs and targets");
    trainer->trainer.Step(*inputs, *targets, out_loss);
  });
}

int32_t TrainerEvaluate(ty_engine_trainer *trainer, const DLTensor *inputs, const DLTensor *targets, double *out_loss,
                        double *out_accuracy, ty_engine_error *error) {
  return Guard(error, [&] {
    Require(trainer != nullptr && inputs != nullptr && targets != nullptr, "trainer, inputs and targets");
    trainer->trainer.Evaluate(*inputs, *targets, out_loss, out_accuracy);
  });
}

int32_t TrainerPredict(ty_engine_trainer *trainer, const DLTensor *inputs, float *outputs, size_t count,
                       ty_engine_error *error) {
  return Guard(error, [&] {
    Require(trainer != nullptr && inputs != nullptr && outputs != nullptr, "trainer, inputs and outputs");
    trainer->trainer.Predict(*inputs, outputs, count);
  });
}

int32_t TrainerEndEpoch(ty_engine_trainer *trainer, double validation_loss, ty_engine_error *error) {
  return Guard(error, [&] {
    Require(trainer != nullptr, "trainer");
    trainer->trainer.EndEpoch(validation_loss);
  });
}

template <void (ArrayTrainer::*kWork)(const std::string &)>
int32_t TrainerFile(ty_engine_trainer *trainer, const char *path, ty_engine_error *error) {
  return Guard(error, [&] {
    Require(trainer != nullptr && path != nullptr, "trainer and path");
    (trainer->trainer.*kWork)(path);
  });
}

int32_t TrainerFit(ty_engine_trainer *trainer, const ty_engine_fit_host *host, ty_engine_fit_summary *out_summary,
                   ty_engine_error *error) {
  return Guard(error, [&] {
    Require(trainer != nullptr && host != nullptr && out_summary != nullptr, "trainer, host and out_summary");
    *out_summary = trainer->trainer.Fit(*host);
  });
}

void TrainerRequestStop(ty_engine_trainer *trainer) {
  trainer->trainer.RequestStop();
}

void TrainerFree(ty_engine_trainer *trainer) {
  const std::unique_ptr<ty_engine_trainer> owned(trainer);
}

int32_t WriteOnnx(const char *model_path, const char *options_json, const char *out_path, ty_engine_error *error) {
  return Guard(error, [&] {
    Require(model_path != nullptr && out_path != nullptr, "model_path and out_path");
    // The options before the model: reading that takes time.
    const OnnxOptions options = OnnxOptions::Parse(options_json == nullptr ? "{}" : options_json);
    ExportOnnx(OpenExportSource(model_path), options, out_path);
  });
}

const ty_engine *Table() {
  static const ty_engine table = {
      .abi_version = TY_ENGINE_ABI_VERSION,
      .struct_size = sizeof(ty_engine),
      .build_id = BuildId(),
      .name = "torch",
      .built_with = "LibTorch " TORCH_VERSION,
      .free_string = FreeString,
      .initialise = Initialise,
      .validate = Validate,
      .train = Train,
      .predictor_open = PredictorOpen,
      .predictor_class_count = PredictorClassCount,
      .predictor_class_name = PredictorClassName,
      .predictor_image_files = PredictorImageFiles,
      .predictor_folder = PredictorFolder,
      .predictor_tensor = PredictorTensor,
      .predictor_free = PredictorFree,
      .trainer_new = TrainerNew,
      .trainer_step = TrainerStep,
      .trainer_evaluate = TrainerEvaluate,
      .trainer_predict = TrainerPredict,
      .trainer_end_epoch = TrainerEndEpoch,
      .trainer_save = TrainerFile<&ArrayTrainer::Save>,
      .trainer_load = TrainerFile<&ArrayTrainer::Load>,
      .trainer_save_weights = TrainerFile<&ArrayTrainer::SaveWeights>,
      .trainer_free = TrainerFree,
      .trainer_fit = TrainerFit,
      .trainer_request_stop = TrainerRequestStop,
      .prediction_size = PredictionSize,
      .prediction_item = PredictionItemAt,
      .prediction_free = PredictionFree,
      .export_weights = ExportModelWeights,
      .export_onnx = WriteOnnx,
  };
  return &table;
}

}  // namespace
}  // namespace trainyard

extern "C" __attribute__((visibility("default"))) const ty_engine *trainyard_engine_entry(void) {
  return trainyard::Table();
}
