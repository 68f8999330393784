// The training and validation samples of a job on arrays (data.arrays). Thread rule: a function.
#pragma once

#include "engine_torch/train/data_sets.h"
#include "engine_torch/train/settings.h"

namespace trainyard {

// Both sets have samples of the same shape and the same outputs; each class has a training sample; targets are what the
// task wants. Without validation arrays data.validation_fraction sets samples apart, as of images (train/strata.h); the
// name of a sample is its index. Errors carry the code "data", and name file, array and what to do.
//
// inputs: [n, ...], of any number type, as float32. For a network for images uint8 [n, 3, height, width] are images,
// which become (x / 255 - transform.mean) / transform.std; an mlp takes all of a sample's values as one row.
// targets: classification: [n] or [n, 1], integers from 0; multilabel: [n, labels], from 0 to 1; regression: [n] or
// [n, numbers]. weights: [n], 0 or more.
DataSets OpenArrays(const TrainSettings &settings);

}  // namespace trainyard
