// Batch norm over the images of all ranks (train.sync_batch_norm): mean and variance are those of the whole batch, in
// the forward and in the backward pass, as if one rank had it all. One small sum over the ranks for each. Thread rule:
// functions.
#pragma once

#include <torch/nn/module.h>

#include "engine_torch/parallel/collective.h"

namespace trainyard {

// From now on the batch norms of `model` that are in training mode do it together: every rank must take the same ones
// in the same order, also with no images of its own. `collective` must outlive that. Returns their number.
int SynchroniseBatchNorms(torch::nn::Module *model, Collective *collective);

}  // namespace trainyard
