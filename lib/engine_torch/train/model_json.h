// Parts of model.json that others write too. Thread rule: functions.
#pragma once

#include "engine_torch/train/model_files.h"
#include "util/json.h"

namespace trainyard {

// The "input" object, of models for arrays.
Json InputJson(const ModelDescription &description);
// The "preprocessing" object.
Json PreprocessingJson(const ModelDescription &description);

}  // namespace trainyard
