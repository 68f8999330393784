// A trained model, ready to be asked: of classes it tells probabilities that add up to 1, of labels a probability each,
// of numbers the numbers. Thread rule: const functions may run concurrently on one predictor. Nothing LibTorch-wide is
// changed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine_torch/image/transforms.h"
#include "engine_torch/predict/loaded_model.h"
#include "trainyard/dlpack.h"

namespace trainyard {

// One image's answer, the highest first.
struct PredictionItem {
  std::string path;
  std::string error;   // empty when the image could be read
  int32_t status = 0;  // of the error, a ty_status number
  std::vector<int32_t> classes;
  std::vector<double> probabilities;  // or the numbers
};

class Predictor {
 public:
  // `path`: see LoadedModel. `device`: see ChooseDevice.
  Predictor(const std::string &path, const std::string &device);

  const std::vector<std::string> &classes() const { return model_.description().classes; }

  // One item each, in order; an image that cannot be read is an item with an error.
  std::vector<PredictionItem> Files(const std::vector<std::string> &paths, int32_t top_k) const;
  // Every image file below `directory`, sorted by path.
  std::vector<PredictionItem> Folder(const std::string &directory, int32_t top_k) const;
  // float32 [n, 3, h, w], ready for the model, or uint8 [n, h, w, 3], RGB, which is resized, cropped and normalised
  // here; of a model for arrays, samples as the arrays had them. `output` receives n x classes probabilities or
  // numbers; `count` is its room.
  void Tensor(const DLTensor &input, float *output, size_t count) const;

 private:
  at::Tensor Probabilities(const at::Tensor &images) const;  // or numbers; [n, classes] float32 on the CPU
  at::Tensor ProbabilitiesOfAnySize(const at::Tensor &images) const;
  at::Tensor TransformBytes(const at::Tensor &bytes) const;
  void CheckImages(const at::Tensor &images) const;
  void CheckSamples(const at::Tensor &samples) const;
  at::Tensor TransformSamples(const at::Tensor &samples) const;
  // Throws kUnsupported when the model is one for arrays.
  void CheckTakesFiles() const;

  LoadedModel model_;
  image::TransformConfig transform_;
};

}  // namespace trainyard
