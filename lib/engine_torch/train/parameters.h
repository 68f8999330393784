// Which parameters of a model are trained, and with which rates: model.freeze, model.mode and optimizer.lr_factors.
// Thread rule: functions without state.
#pragma once

#include <string>
#include <vector>

#include "engine_torch/models/classifier.h"
#include "engine_torch/train/optimizer.h"

namespace trainyard {

// Channels-last convolution weights, for channels-last images: no conversion in each step.
void ToChannelsLast(ImageClassifier *model);

// The parameters that fit one of `patterns` lose requires_grad. Throws Error::InvalidArgument when a pattern fits none,
// or nothing is left to train.
void FreezeMatching(ImageClassifier *model, const std::string &patterns);

// Training mode for the head alone; the backbone is in evaluation mode.
void TrainHead(ImageClassifier *model);

// The parameters that are trained, by the rate that optimizer.lr_factors gives them, in the model's order. A factor of
// 0 is a rate of 0, not frozen. Throws Error::InvalidArgument when a pattern fits none.
std::vector<ParameterGroup> GroupParameters(const ImageClassifier &model, const std::string &lr_factors);

}  // namespace trainyard
