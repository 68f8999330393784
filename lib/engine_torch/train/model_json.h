// Parts of model.json that others write too. Thread rule: a function.
#pragma once

#include "engine_torch/train/model_files.h"
#include "util/json.h"

namespace trainyard {

// The "preprocessing" object.
Json PreprocessingJson(const ModelDescription &description);

}  // namespace trainyard
