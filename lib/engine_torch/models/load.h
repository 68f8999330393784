// Between weight files and models, by parameter name. Thread rule: as the model's.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "engine_torch/models/classifier.h"
#include "engine_torch/models/registry.h"
#include "engine_torch/weights/tensor_file.h"

namespace trainyard {

struct LoadOptions {
  // Weights for another number of classes (or without a head) are fine: the backbone is loaded and the head is made
  // anew, with PyTorch's default initialisation, for the model's own number of classes.
  bool allow_head_mismatch = false;
};

struct LoadResult {
  bool head_replaced = false;
};

// Copies the file's tensors into the model's parameters and buffers, whatever device they are on; all or nothing. Float
// types are converted, strides followed; a missing num_batches_tracked (files from before PyTorch 0.4.1) stays 0; names
// that torchvision had before are understood.
// Throws kInvalidArgument listing missing and unexpected names and, when the names fit another model, which one.
LoadResult LoadWeights(ImageClassifier *model, const TensorFile &file, const LoadOptions &options = {});

// The number of classes that the file's head has, if it has the head of this architecture.
std::optional<int64_t> ClassesOf(const TensorFile &file, const Architecture &architecture);

// The known model whose names and shapes, apart from the head's, the file has; null when there is none. Builds none:
// the table has their fingerprints.
const Architecture *ArchitectureOf(const TensorFile &file);

// A hash of the names and shapes of a model's weights, apart from the head's (and from num_batches_tracked, which old
// files lack).
std::string FingerprintOf(const ImageClassifier &model);

// The known model that the file holds whole, with its weights. Throws kUnsupported when it is none: other names or
// shapes, no head, or a whole module of a class that is not torchvision's, which may compute something else.
std::shared_ptr<ImageClassifier> ModelOf(const TensorFile &file);

// Writes parameters and buffers as contiguous CPU float32 safetensors under torchvision's names, synced and atomic.
void SaveWeights(const ImageClassifier &model, const std::filesystem::path &path,
                 const std::map<std::string, std::string> &metadata = {});

}  // namespace trainyard
