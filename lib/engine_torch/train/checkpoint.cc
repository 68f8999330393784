#include "engine_torch/train/checkpoint.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>

#include "engine_torch/weights/safetensors.h"
#include "engine_torch/weights/tensor_file.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hash.h"
#include "util/json.h"
#include "util/text.h"

// checkpoint-<epoch, at least 6 digits>.safetensors
//   1. tensors "model.<name>": every parameter and buffer, torchvision's names, float32 or int64
//   2. tensors "momentum.<name>": the optimizer's momentum of each trained parameter; none without momentum
//   3. tensors "best.<name>": parameters and buffers that training changes, as they were after the best epoch; none
//   when that
//      is this epoch
//   4. metadata "trainyard_checkpoint": JSON {schema_version 1, epoch, global_step, skipped_steps, best_epoch,
//   best_val_accuracy,
//      architecture, classes, mode, seed, batch_size, best_is_current}
//   5. metadata "crc32": of all tensors' bytes in the order of their names, decimal
// Random numbers have no state to keep: all are derived from (seed, epoch).

namespace trainyard {
namespace {

constexpr int64_t kSchemaVersion = 1;
constexpr const char *kPrefix = "checkpoint-";
constexpr const char *kSuffix = ".safetensors";

uint32_t ChecksumOf(const std::vector<NamedTensor> &tensors) {
  std::map<std::string, const NamedTensor *> sorted;
  for (const NamedTensor &tensor : tensors) sorted[tensor.name] = &tensor;
  uint32_t crc = 0;
  for (const auto &[name, tensor] : sorted) crc = Crc32(tensor->data.data(), tensor->data.size(), crc);
  return crc;
}

Json InfoToJson(const CheckpointInfo &info, bool best_is_current) {
  Json json = Json::Object();
  json.Set("schema_version", kSchemaVersion).Set("epoch", info.epoch).Set("global_step", info.global_step);
  json.Set("skipped_steps", info.skipped_steps)
      .Set("best_epoch", info.best_epoch)
      .Set("best_val_accuracy", info.best_val_accuracy);
  json.Set("architecture", info.architecture).Set("classes", Json(info.classes)).Set("mode", info.mode);
  json.Set("seed", info.seed).Set("batch_size", info.batch_size).Set("best_is_current", best_is_current);
  return json;
}

// The metadata's JSON, once the checksum is right.
Json MetadataOf(const TensorFile &file) {
  const auto text = file.metadata.find(kCheckpointMetadata);
  const auto crc = file.metadata.find("crc32");
  if (text == file.metadata.end() || crc == file.metadata.end())
    throw Error::Corrupt("not a checkpoint of a training job");
  if (crc->second != std::to_string(ChecksumOf(file.tensors))) throw Error::Corrupt("its checksum does not match");
  return Json::Parse(text->second, "checkpoint");
}

CheckpointInfo InfoFromJson(const Json &json) {
  if (json.GetInt64("schema_version") > kSchemaVersion) throw Error(Status::kVersion, "written by a newer trainyard");
  CheckpointInfo info;
  info.epoch = json.GetInt64("epoch");
  info.global_step = json.GetInt64("global_step");
  info.skipped_steps = json.GetInt64("skipped_steps");
  info.best_epoch = json.GetInt64("best_epoch");
  info.best_val_accuracy = json.GetDouble("best_val_accuracy");
  info.architecture = json.GetString("architecture");
  info.classes = json.GetStringList("classes");
  info.mode = json.GetString("mode");
  info.seed = json.Get("seed").AsUint64();
  info.batch_size = json.GetInt64("batch_size");
  return info;
}

// Throws when the run that wants to go on is not the one that stopped.
void CheckSame(const std::string &path, const CheckpointInfo &found, const CheckpointInfo &wanted) {
  const auto differs = [&](const char *what, const std::string &there, const std::string &here) {
    if (there == here) return;
    throw Error::InvalidState("cannot resume from '" + path + "': it was written with " + what + " " + there +
                              ", and this job has " + here + "; remove the checkpoint or set it back");
  };
  differs("model.architecture", found.architecture, wanted.architecture);
  differs("model.mode", found.mode, wanted.mode);
  differs("the classes", Join(found.classes, ", "), Join(wanted.classes, ", "));
  differs("train.seed", std::to_string(found.seed), std::to_string(wanted.seed));
  differs("train.batch_size", std::to_string(found.batch_size), std::to_string(wanted.batch_size));
}

void CopyGroup(const std::map<std::string, const NamedTensor *> &index, const std::string &group,
               const NamedState &state) {
  for (const auto &[name, tensor] : state) {
    const auto found = index.find(group + name);
    if (found == index.end()) throw Error::Corrupt("tensor " + group + name + " is missing");
    const NamedTensor &stored = *found->second;
    at::Tensor copy = at::empty(stored.shape, tensor.options().device(c10::kCPU).memory_format(std::nullopt));
    if (copy.sizes() != tensor.sizes() || copy.nbytes() != stored.data.size()) {
      throw Error::Corrupt("tensor " + group + name + " has another shape");
    }
    std::memcpy(copy.mutable_data_ptr(), stored.data.data(), stored.data.size());
    tensor.copy_(copy);
  }
}

}  // namespace

CheckpointInfo ReadCheckpointInfo(const TensorFile &file) {
  try {
    return InfoFromJson(MetadataOf(file));
  } catch (const Error &error) {
    throw Error(error.status(), "'" + file.path.string() + "': " + error.what(), {{"path", file.path.string()}});
  }
}

CheckpointDirectory::CheckpointDirectory(std::string path, int64_t keep)
    : path_(std::move(path)), keep_(std::max<int64_t>(keep, 1)) {}

std::string CheckpointDirectory::PathOf(int64_t epoch) const {
  std::string number = std::to_string(epoch);
  if (number.size() < 6) number.insert(0, 6 - number.size(), '0');
  return JoinPath(path_, kPrefix + number + kSuffix);
}

std::vector<int64_t> CheckpointDirectory::Epochs() const {
  std::vector<int64_t> epochs;
  for (const DirEntry &entry : ListDir(path_)) {
    std::string_view name = entry.name;
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    name.remove_prefix(std::strlen(kPrefix));
    name.remove_suffix(std::strlen(kSuffix));
    while (name.size() > 1 && name.front() == '0') name.remove_prefix(1);
    const std::optional<int64_t> epoch = ParseInt64(name);
    if (epoch && *epoch > 0) epochs.push_back(*epoch);
  }
  std::sort(epochs.begin(), epochs.end(), std::greater<>());
  return epochs;
}

void CheckpointDirectory::Write(const CheckpointInfo &info, const CheckpointState &state) const {
  std::vector<at::Tensor> kept;  // what the entries point into
  std::vector<NamedTensor> tensors;
  const auto add = [&](const char *group, const NamedState &named) {
    for (const auto &[name, tensor] : named) {
      kept.push_back(tensor.detach().to(c10::kCPU).contiguous());
      NamedTensor entry;
      entry.name = group + name;
      entry.dtype = tensor.is_floating_point() ? DType::kFloat32 : DType::kInt64;
      entry.shape = kept.back().sizes().vec();
      entry.data = {static_cast<const std::byte *>(kept.back().const_data_ptr()), kept.back().nbytes()};
      tensors.push_back(std::move(entry));
    }
  };
  add("model.", state.model);
  add("momentum.", state.momentum);
  add("best.", state.best);
  try {
    WriteSafetensors(PathOf(info.epoch), tensors,
                     {{kCheckpointMetadata, InfoToJson(info, state.best.empty()).Dump()},
                      {"crc32", std::to_string(ChecksumOf(tensors))}});
  } catch (const Error &error) {
    std::string message =
        "the checkpoint of epoch " + std::to_string(info.epoch) + " could not be written: " + error.what();
    const std::vector<int64_t> epochs = Epochs();
    const auto good = std::find_if(epochs.begin(), epochs.end(), [&](int64_t epoch) { return epoch != info.epoch; });
    message += good == epochs.end() ? "; there is no earlier one" : "; the last good one is '" + PathOf(*good) + "'";
    Error::Details details = error.details();
    if (good != epochs.end()) details["last_checkpoint"] = PathOf(*good);
    throw Error(error.status(), message, std::move(details));
  }
  const std::vector<int64_t> epochs = Epochs();
  for (size_t i = static_cast<size_t>(keep_); i < epochs.size(); ++i) RemoveFile(PathOf(epochs[i]));
}

std::optional<CheckpointDirectory::Found> CheckpointDirectory::Resume(const CheckpointInfo &wanted,
                                                                      CheckpointState *state) const {
  const c10::NoGradGuard no_grad;
  std::vector<std::string> damaged;
  for (const int64_t epoch : Epochs()) {
    Found found;
    found.path = PathOf(epoch);
    try {
      const TensorFile file = OpenWeights(found.path);
      const Json json = MetadataOf(file);
      found.info = InfoFromJson(json);
      found.best_is_current = json.GetBool("best_is_current");
      CheckSame(found.path, found.info, wanted);
      std::map<std::string, const NamedTensor *> index;
      for (const NamedTensor &tensor : file.tensors) index[tensor.name] = &tensor;
      CopyGroup(index, "model.", state->model);
      CopyGroup(index, "momentum.", state->momentum);
      if (!found.best_is_current) CopyGroup(index, "best.", state->best);
      found.damaged = std::move(damaged);
      return found;
    } catch (const Error &error) {
      if (error.status() != Status::kCorrupt && error.status() != Status::kUnsupported) throw;
      damaged.push_back(found.path + ": " + error.what());
    }
  }
  if (!damaged.empty())
    throw Error::Corrupt("no checkpoint can be used: " + Join(damaged, "; ") + "; remove them to start anew");
  return std::nullopt;
}

}  // namespace trainyard
