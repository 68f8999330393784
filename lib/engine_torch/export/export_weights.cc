#include "engine_torch/export/export_weights.h"

#include <deque>
#include <vector>

#include "engine_torch/models/script_model.h"
#include "engine_torch/train/checkpoint.h"
#include "engine_torch/train/model_files.h"
#include "engine_torch/weights/safetensors.h"
#include "engine_torch/weights/torch_file.h"
#include "engine_torch/weights/torch_writer.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

using Exporter = void (*)(const std::string &model_path, const std::string &out_path);

struct Format {
  const char *name;
  Exporter write;
};
constexpr Format kFormats[] = {
    {"state_dict", ExportStateDict},
    {"safetensors", ExportSafetensors},
    {"torchscript", ExportTorchScript},
    {"checkpoint", ExportCheckpoint},
};

TensorFile OpenModelWeights(const std::string &model_path) {
  TensorFile file = OpenWeights(WeightsPathOf(model_path));
  if (file.metadata.contains(kCheckpointMetadata)) {
    throw Error(Status::kUnsupported,
                "'" + file.path.string() +
                    "' is a checkpoint, which holds more than a model: export it as a checkpoint, or give the model in "
                    "the job's outputs",
                {{"path", file.path.string()}});
  }
  return file;
}

// The tensors whose name starts with the group's, without that.
TorchDict GroupOf(const TensorFile &file, const std::string &group, std::deque<NamedTensor> *kept) {
  TorchDict dict;
  dict.ordered = true;
  for (const NamedTensor &tensor : file.tensors) {
    if (!tensor.name.starts_with(group)) continue;
    NamedTensor &renamed = kept->emplace_back(tensor);
    renamed.name.erase(0, group.size());
    dict.Set(renamed.name, &renamed);
  }
  return dict;
}

}  // namespace

void ExportStateDict(const std::string &model_path, const std::string &out_path) {
  const TensorFile file = OpenModelWeights(model_path);
  WriteTorchFile(out_path, StateDictOf(file.tensors));
}

void ExportSafetensors(const std::string &model_path, const std::string &out_path) {
  const TensorFile file = OpenModelWeights(model_path);
  std::deque<std::vector<std::byte>> kept;  // what rearranged tensors point into
  std::vector<NamedTensor> tensors = file.tensors;
  for (NamedTensor &tensor : tensors) {
    if (!tensor.IsContiguous()) tensor.data = kept.emplace_back(ContiguousBytes(tensor));
    tensor.strides.clear();
  }
  std::map<std::string, std::string> metadata = file.metadata;
  metadata["format"] = "pt";  // what other readers look for
  WriteSafetensors(out_path, tensors, metadata);
}

void ExportTorchScript(const std::string &model_path, const std::string &out_path) {
  const std::string weights = WeightsPathOf(model_path);
  if (!IsTorchScript(weights)) {
    throw Error(Status::kUnsupported,
                "'" + weights +
                    "' holds weights and no code: only a model that came as TorchScript can be written as such; export "
                    "a state dict and use torch.jit.script in Python, or export ONNX",
                {{"path", weights}});
  }
  SaveScript(LoadScript(weights), out_path);
}

void ExportCheckpoint(const std::string &checkpoint_path, const std::string &out_path) {
  const TensorFile file = OpenWeights(checkpoint_path);
  const CheckpointInfo info = ReadCheckpointInfo(file);
  std::deque<NamedTensor> kept;
  TorchDict dict;
  dict.Set("epoch", info.epoch);
  dict.Set("global_step", info.global_step);
  dict.Set("best_epoch", info.best_epoch);
  dict.Set("best_val_accuracy", info.best_val_accuracy);
  dict.Set("architecture", info.architecture);
  dict.Set("classes", TorchList(info.classes.begin(), info.classes.end()));
  dict.Set("mode", info.mode);
  dict.Set("seed", static_cast<int64_t>(info.seed));
  dict.Set("batch_size", info.batch_size);
  for (const char *group : {"model", "optimizer", "average", "best"}) {
    TorchDict tensors = GroupOf(file, std::string(group) + ".", &kept);
    dict.Set(group, tensors.items.empty() ? TorchValue() : TorchValue(std::move(tensors)));
  }
  WriteTorchFile(out_path, std::move(dict));
}

void ExportWeights(const std::string &model_path, const std::string &format, const std::string &out_path) {
  std::vector<std::string> names;
  for (const Format &known : kFormats) {
    if (format == known.name) return known.write(model_path, out_path);
    names.emplace_back(known.name);
  }
  throw Error::InvalidArgument(
      "there is no export format '" + format + "'" + DidYouMean(format, names) + " (known: " + Join(names, ", ") + ")",
      {{"key", format}});
}

}  // namespace trainyard
