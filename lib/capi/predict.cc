#include "trainyard/predict.h"

#include <limits>

#include "capi/handles.h"
#include "engine/loader.h"
#include "util/fs.h"

using namespace trainyard;
using trainyard::capi::guard;
using trainyard::capi::require;
using trainyard::capi::require_handle;
using trainyard::capi::require_out;

struct ty_prediction {
  const ty_engine *engine = nullptr;
  ty_engine_prediction *prediction = nullptr;
  std::vector<std::string> class_names;  // its own: it may outlive the predictor
  ~ty_prediction() {
    if (prediction != nullptr) engine->prediction_free(prediction);
  }
};

namespace {

std::unique_ptr<ty_predictor> OpenPredictor(const std::string &path, const char *device) {
  auto predictor = std::make_unique<ty_predictor>();
  predictor->engine = &LoadEngine();
  ty_engine_error error{};
  CheckEngine(*predictor->engine,
              predictor->engine->predictor_open(path.c_str(), device == nullptr ? "auto" : device,
                                                &predictor->predictor, &error),
              &error);
  return predictor;
}

void CheckTopK(int32_t top_k) {
  if (top_k < 1) throw Error::InvalidArgument("top_k must be at least 1, got " + std::to_string(top_k));
}

std::unique_ptr<ty_prediction> NewPrediction(const ty_predictor *predictor) {
  auto prediction = std::make_unique<ty_prediction>();
  prediction->engine = predictor->engine;
  const int32_t count = predictor->engine->predictor_class_count(predictor->predictor);
  for (int32_t i = 0; i < count; ++i) {
    prediction->class_names.emplace_back(predictor->engine->predictor_class_name(predictor->predictor, i));
  }
  return prediction;
}

// Item `index`, or an empty one.
ty_engine_prediction_item ItemOf(const ty_prediction *prediction, size_t index) {
  ty_engine_prediction_item item{};
  if (prediction != nullptr && index < prediction->engine->prediction_size(prediction->prediction)) {
    prediction->engine->prediction_item(prediction->prediction, index, &item);
  }
  return item;
}

bool HasPlace(const ty_engine_prediction_item &item, int32_t place) {
  return place >= 0 && place < item.count;
}

}  // namespace

extern "C" {

ty_status ty_predictor_open(const char *path, const char *device, ty_predictor **out_predictor,
                            ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_predictor, "out_predictor");
    require(path, "path");
    *out_predictor = OpenPredictor(path, device).release();
  });
}

ty_status ty_predictor_open_model(const ty_model *model, const char *device, ty_predictor **out_predictor,
                                  ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_predictor, "out_predictor");
    require_handle(model, "model");
    // The engine reads all it needs while it opens; the directory of links may go afterwards.
    const TempDir directory("trainyard-model");
    model->driver->LinkModel(model->record, directory.path());
    *out_predictor = OpenPredictor(directory.path(), device).release();
  });
}

int32_t ty_predictor_class_count(const ty_predictor *predictor) noexcept {
  return predictor == nullptr ? 0 : predictor->engine->predictor_class_count(predictor->predictor);
}

const char *ty_predictor_class_name(const ty_predictor *predictor, int32_t index) noexcept {
  if (predictor == nullptr || index < 0 || index >= ty_predictor_class_count(predictor)) return nullptr;
  return predictor->engine->predictor_class_name(predictor->predictor, index);
}

ty_status ty_predictor_predict_image_file(const ty_predictor *predictor, const char *path, int32_t top_k,
                                          ty_prediction **out_prediction, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_prediction, "out_prediction");
    require_handle(predictor, "predictor");
    require(path, "path");
    CheckTopK(top_k);
    auto prediction = NewPrediction(predictor);
    ty_engine_error error{};
    CheckEngine(*predictor->engine,
                predictor->engine->predictor_image_files(predictor->predictor, &path, 1, top_k, &prediction->prediction,
                                                         &error),
                &error);
    const ty_engine_prediction_item item = ItemOf(prediction.get(), 0);
    if (item.error != nullptr) throw Error(static_cast<Status>(item.status), item.error, {{"path", path}});
    *out_prediction = prediction.release();
  });
}

ty_status ty_predictor_predict_folder(const ty_predictor *predictor, const char *directory, int32_t top_k,
                                      ty_prediction **out_prediction, ty_error **err) noexcept {
  return guard(err, [&] {
    require_out(out_prediction, "out_prediction");
    require_handle(predictor, "predictor");
    require(directory, "directory");
    CheckTopK(top_k);
    auto prediction = NewPrediction(predictor);
    ty_engine_error error{};
    CheckEngine(
        *predictor->engine,
        predictor->engine->predictor_folder(predictor->predictor, directory, top_k, &prediction->prediction, &error),
        &error);
    *out_prediction = prediction.release();
  });
}

ty_status ty_predictor_predict(const ty_predictor *predictor, const DLTensor *input, float *output, size_t count,
                               ty_error **err) noexcept {
  return guard(err, [&] {
    require_handle(predictor, "predictor");
    require(input, "input");
    require(output, "output");
    ty_engine_error error{};
    CheckEngine(*predictor->engine,
                predictor->engine->predictor_tensor(predictor->predictor, input, output, count, &error), &error);
  });
}

void ty_predictor_free(ty_predictor *predictor) noexcept {
  std::unique_ptr<ty_predictor>{predictor};
}

size_t ty_prediction_size(const ty_prediction *prediction) noexcept {
  return prediction == nullptr ? 0 : prediction->engine->prediction_size(prediction->prediction);
}

const char *ty_prediction_path(const ty_prediction *prediction, size_t item) noexcept {
  return ItemOf(prediction, item).path;
}

const char *ty_prediction_error(const ty_prediction *prediction, size_t item) noexcept {
  return ItemOf(prediction, item).error;
}

int32_t ty_prediction_class_count(const ty_prediction *prediction, size_t item) noexcept {
  return ItemOf(prediction, item).count;
}

int32_t ty_prediction_class_index(const ty_prediction *prediction, size_t item, int32_t place) noexcept {
  const ty_engine_prediction_item found = ItemOf(prediction, item);
  return HasPlace(found, place) ? found.classes[place] : -1;
}

const char *ty_prediction_class_name(const ty_prediction *prediction, size_t item, int32_t place) noexcept {
  const int32_t index = ty_prediction_class_index(prediction, item, place);
  const bool known = index >= 0 && static_cast<size_t>(index) < prediction->class_names.size();
  return known ? prediction->class_names[static_cast<size_t>(index)].c_str() : nullptr;
}

double ty_prediction_probability(const ty_prediction *prediction, size_t item, int32_t place) noexcept {
  const ty_engine_prediction_item found = ItemOf(prediction, item);
  return HasPlace(found, place) ? found.probabilities[place] : 0.0;
}

void ty_prediction_free(ty_prediction *prediction) noexcept {
  std::unique_ptr<ty_prediction>{prediction};
}

}  // extern "C"
