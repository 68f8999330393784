// What a manifest's rows mean for a task. Thread rule: a function.
#pragma once

#include "engine_torch/train/image_sets.h"

namespace trainyard {

// The images of settings.manifest with their targets, by the rows' split: as classes one name a row; as several labels
// names with ';' between them, or a list; as numbers one a row. Classes are all names of training and validation rows,
// sorted as bytes; a number's one class is called "value". Validation stays empty when no row is for it. Throws
// kInvalidArgument naming the row.
ImageSets SetsOfManifest(const TrainSettings &settings, bool *has_weights);

}  // namespace trainyard
