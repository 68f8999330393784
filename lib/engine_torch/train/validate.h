// What a training job would do, found out without training. Thread rule: a function; may run concurrently.
#pragma once

#include <string>

#include "engine_torch/train/settings.h"
#include "util/json.h"

namespace trainyard {

// {"classes":[names],"train_images":n,"validation_images":n,"test_images":n (of a
// manifest),"bad_images":[{"path","reason"}],"steps_per_epoch":n,"total_steps":n,
//  "parameters":n,"trained_parameters":n,"memory_bytes":n,"problems":[lines],"warnings":[lines]}; of arrays samples are
// counted, and bad_images are those with values that are not finite. What cannot be found out because of a problem is
// left out. memory_bytes is an estimate: the model's tensors, what one step keeps for its backward pass
// (measured on the model), and what the image caches may take.
Json ValidateTraining(const TrainSettings &settings, const std::string &weights_path, bool check_images);

}  // namespace trainyard
