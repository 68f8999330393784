// The model that a job's settings and data ask for, before it has learnt anything. Thread rule: functions; they draw
// from LibTorch's default generator: seed that before for the same weights each time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine_torch/models/classifier.h"
#include "engine_torch/train/dataset.h"
#include "engine_torch/train/settings.h"

namespace trainyard {

// "[3, 32, 32]"
std::string ShapeText(const std::vector<int64_t> &shape);

// What the model has to tell of a sample of the set.
int64_t OutputsOf(const Dataset &dataset);

// Whether the network is one for rows of values: mlp or sequential; else it is for images.
bool IsOfLayers(const TrainSettings &settings);

// The layers of model.architecture mlp and sequential, as model.layers has them; "" of other architectures.
std::string LayersOf(const TrainSettings &settings, int64_t outputs);

// The network alone: for `inputs` values (mlp, sequential) and `outputs`, with torchvision's and torch.nn's initial
// weights, on the CPU, in training mode.
std::shared_ptr<ImageClassifier> MakeNetwork(const TrainSettings &settings, int64_t inputs, int64_t outputs);

// The same for the samples of a job. Throws kInvalidArgument, naming the setting or the shape, when they do not go
// through it, or another number of outputs comes out.
std::shared_ptr<ImageClassifier> NewModel(const TrainSettings &settings, const std::vector<int64_t> &sample_shape,
                                          int64_t outputs);

// Batch norms over rows of values need two samples at once, which the last step of an epoch may not have. `samples`: of
// one rank. Throws kInvalidArgument.
void CheckSteps(const ImageClassifier &model, const TrainSettings &settings, int64_t samples);

// One sample goes through the model, which is in evaluation mode then, so that users learn in our words, before
// anything is learnt, what does not fit. Answers what comes out. Throws kInvalidArgument.
at::Tensor CheckSample(ImageClassifier *model, const TrainSettings &settings, const at::Tensor &sample);

}  // namespace trainyard
