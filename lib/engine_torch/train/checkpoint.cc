#include "engine_torch/train/checkpoint.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "engine_torch/weights/safetensors.h"
#include "engine_torch/weights/tensor_file.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hash.h"
#include "util/json.h"
#include "util/text.h"

// checkpoint-<epochs done>.safetensors, checkpoint-<epochs done>-<steps of the next>.safetensors; numbers of at least 6
// digits
//   1. tensors "model.<name>": every parameter and buffer, torchvision's names, float32 or int64
//   2. tensors "optimizer.<name>": train/optimizer.h's state, "momentum.<parameter>" and the like
//   3. tensors "average.<name>": the moving average of each trained parameter; none without train.ema_decay
//   4. tensors "best.<name>": parameters and buffers that training changes, as they were after the best epoch; none
//   when
//      that is the last epoch done, and the model's own tensors are it
//   5. metadata "trainyard_checkpoint": JSON {schema_version 4, epoch, step, global_step, skipped_steps, loss_sum,
//      correct, images, bad_images, lr_factor, plateau {factor, best, epochs_without_gain}, scaler {scale, good_steps,
//      skipped}, history [[epoch,
//      train_loss, train_accuracy, val_loss, val_accuracy, learning_rate] of each epoch done], best_epoch,
//      best_val_accuracy, architecture, classes, mode, optimizer, precision, seed, batch_size, best_is_current}; ranks,
//      of several; where a job is more than the classification of images that are shuffled: recipe; after an epoch that
//      was validated: best_val_loss. A number that is not finite is a string: "NaN"
//   6. metadata "crc32": of all tensors' bytes in the order of their names, decimal
// Random numbers have no state to keep: all are derived from (seed, epoch, step or image).

namespace trainyard {
namespace {

constexpr int64_t kSchemaVersion = 4;
constexpr const char *kPrefix = "checkpoint-";
constexpr const char *kSuffix = ".safetensors";
constexpr size_t kDigits = 6;

std::optional<int64_t> Number(std::string_view text) {
  while (text.size() > 1 && text.front() == '0') text.remove_prefix(1);
  return ParseInt64(text);
}

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
  json.Set("step", info.step).Set("loss_sum", info.loss_sum).Set("correct", info.correct).Set("images", info.images);
  Json bad = Json::Array();
  for (const int64_t index : info.bad_images) bad.Append(index);
  json.Set("bad_images", bad).Set("lr_factor", info.lr_factor);
  json.Set("plateau", Json::Object()
                          .Set("factor", info.plateau.factor)
                          .Set("best", info.plateau.best)
                          .Set("epochs_without_gain", info.plateau.epochs_without_gain));
  Json history = Json::Array();
  for (const report::EpochRow &row : info.history) {
    Json values = Json::Array();
    values.Append(row.epoch).Append(row.train_loss).Append(row.train_accuracy).Append(row.val_loss);
    values.Append(row.val_accuracy).Append(row.learning_rate);  // not the seconds: a checkpoint depends on no clock
    history.Append(values);
  }
  json.Set("history", history);
  json.Set("architecture", info.architecture).Set("classes", Json(info.classes)).Set("mode", info.mode);
  json.Set("optimizer", info.optimizer).Set("precision", info.precision);
  json.Set("scaler", Json::Object()
                         .Set("scale", info.scaler.scale)
                         .Set("good_steps", info.scaler.good_steps)
                         .Set("skipped", info.scaler.skipped));
  json.Set("seed", info.seed).Set("batch_size", info.batch_size).Set("best_is_current", best_is_current);
  if (info.ranks > 1) json.Set("ranks", info.ranks);
  if (!info.recipe.empty()) json.Set("recipe", info.recipe);
  if (std::isfinite(info.best_val_loss)) json.Set("best_val_loss", info.best_val_loss);
  return json;
}

// The metadata's JSON, once the checksum is right.
Json MetadataOf(const TensorFile &file) {
  const auto text = file.metadata.find(kCheckpointMetadata);
  const auto crc = file.metadata.find("crc32");
  if (text == file.metadata.end() || crc == file.metadata.end())
    throw Error::Corrupt("'" + file.path.string() + "' is not a checkpoint of a training job");
  if (crc->second != std::to_string(ChecksumOf(file.tensors))) {
    throw Error::Corrupt("the checksum of '" + file.path.string() + "' does not match: it is damaged");
  }
  return Json::Parse(text->second, "checkpoint");
}

CheckpointInfo InfoFromJson(const Json &json) {
  const int64_t version = json.GetInt64("schema_version");
  if (version != kSchemaVersion) {
    throw Error(Status::kVersion, std::string("the checkpoint was written by ") +
                                      (version > kSchemaVersion ? "a newer" : "an older") +
                                      " trainyard: go on with that one, or remove it to start anew");
  }
  CheckpointInfo info;
  info.epoch = json.GetInt64("epoch");
  info.global_step = json.GetInt64("global_step");
  info.skipped_steps = json.GetInt64("skipped_steps");
  info.step = json.GetInt64("step");
  info.loss_sum = json.GetDouble("loss_sum");
  info.correct = json.GetInt64("correct");
  info.images = json.GetInt64("images");
  for (const Json &index : json.Get("bad_images").Items()) info.bad_images.push_back(index.AsInt64());
  info.lr_factor = json.GetDouble("lr_factor");
  const Json plateau = json.Get("plateau");
  info.plateau.factor = plateau.GetDouble("factor");
  info.plateau.best = plateau.GetDouble("best");
  info.plateau.epochs_without_gain = plateau.GetInt64("epochs_without_gain");
  for (const Json &values : json.Get("history").Items()) {
    const std::vector<double> row = values.AsDoubleList();
    if (row.size() != 6) {
      throw Error::Corrupt("an epoch of the checkpoint's history has " + std::to_string(row.size()) +
                           " numbers, not 6");
    }
    info.history.push_back({static_cast<int64_t>(row[0]), row[1], row[2], row[3], row[4], row[5]});
  }
  info.best_epoch = json.GetInt64("best_epoch");
  info.best_val_accuracy = json.GetDouble("best_val_accuracy");
  info.architecture = json.GetString("architecture");
  info.classes = json.GetStringList("classes");
  info.mode = json.GetString("mode");
  info.optimizer = json.GetString("optimizer");
  info.precision = json.GetString("precision");
  const Json scaler = json.Get("scaler");
  info.scaler.scale = scaler.GetDouble("scale");
  info.scaler.good_steps = scaler.GetInt64("good_steps");
  info.scaler.skipped = scaler.GetInt64("skipped");
  info.seed = json.Get("seed").AsUint64();
  info.batch_size = json.GetInt64("batch_size");
  info.ranks = json.GetInt64("ranks", 1);
  info.recipe = json.GetString("recipe", "");
  info.best_val_loss = json.GetDouble("best_val_loss", info.best_val_loss);
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
  differs("the optimizer", found.optimizer, wanted.optimizer);
  differs("train.precision", found.precision, wanted.precision);
  differs("the classes", Join(found.classes, ", "), Join(wanted.classes, ", "));
  differs("train.seed", std::to_string(found.seed), std::to_string(wanted.seed));
  const auto recipe = [](const CheckpointInfo &info) { return info.recipe.empty() ? "classification" : info.recipe; };
  differs("the task and the data settings", recipe(found), recipe(wanted));
  differs("train.batch_size", std::to_string(found.batch_size), std::to_string(wanted.batch_size));
  // Batches and what each rank has of an epoch would be others.
  differs("a number of ranks of", std::to_string(found.ranks), std::to_string(wanted.ranks));
}

using TensorIndex = std::map<std::string, const NamedTensor *>;

// All of them before any is copied: a checkpoint that is not whole changes nothing.
void CheckGroup(const TensorIndex &index, const std::string &group, const NamedState &state) {
  for (const auto &[name, tensor] : state) {
    const auto found = index.find(group + name);
    if (found == index.end()) throw Error::Corrupt("tensor " + group + name + " is missing");
    const NamedTensor &stored = *found->second;
    if (tensor.sizes() != at::IntArrayRef(stored.shape) || tensor.nbytes() != stored.data.size()) {
      throw Error::Corrupt("tensor " + group + name + " has another shape");
    }
  }
}

void CopyGroup(const TensorIndex &index, const std::string &group, const NamedState &state) {
  for (const auto &[name, tensor] : state) {
    const NamedTensor &stored = *index.at(group + name);
    at::Tensor copy = at::empty(stored.shape, tensor.options().device(c10::kCPU).memory_format(std::nullopt));
    std::memcpy(copy.mutable_data_ptr(), stored.data.data(), stored.data.size());
    tensor.copy_(copy);
  }
}

}  // namespace

CheckpointInfo ReadCheckpointInfo(const TensorFile &file) {
  return InfoFromJson(MetadataOf(file));
}

void WriteCheckpointFile(const std::string &path, const CheckpointInfo &info, const CheckpointState &state) {
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
  add("optimizer.", state.optimizer);
  add("average.", state.average);
  add("best.", state.best);
  WriteSafetensors(path, tensors,
                   {{kCheckpointMetadata, InfoToJson(info, state.best.empty()).Dump()},
                    {"crc32", std::to_string(ChecksumOf(tensors))}});
}

CheckpointRead ReadCheckpointFile(const std::string &path, const CheckpointInfo &wanted, CheckpointState *state) {
  const c10::NoGradGuard no_grad;
  const TensorFile file = OpenWeights(path);
  const Json json = MetadataOf(file);
  CheckpointRead read{InfoFromJson(json), json.GetBool("best_is_current")};
  CheckSame(path, read.info, wanted);
  TensorIndex index;
  for (const NamedTensor &tensor : file.tensors) index[tensor.name] = &tensor;
  const std::pair<const char *, const NamedState *> groups[] = {
      {"model.", &state->model},
      {"optimizer.", &state->optimizer},
      {"average.", &state->average},
      {"best.", read.best_is_current ? nullptr : &state->best}};
  for (const auto &[group, tensors] : groups) {
    if (tensors != nullptr) CheckGroup(index, group, *tensors);
  }
  for (const auto &[group, tensors] : groups) {
    if (tensors != nullptr) CopyGroup(index, group, *tensors);
  }
  return read;
}

CheckpointDirectory::CheckpointDirectory(std::string path, int64_t keep)
    : path_(std::move(path)), keep_(std::max<int64_t>(keep, 1)) {}

std::string CheckpointDirectory::PathOf(const Position &position) const {
  const auto number = [](int64_t value) {
    std::string text = std::to_string(value);
    if (text.size() < kDigits) text.insert(0, kDigits - text.size(), '0');
    return text;
  };
  const std::string step = position.step > 0 ? "-" + number(position.step) : "";
  return JoinPath(path_, kPrefix + number(position.epoch) + step + kSuffix);
}

std::vector<CheckpointDirectory::Position> CheckpointDirectory::Positions() const {
  std::vector<Position> positions;
  for (const DirEntry &entry : ListDir(path_)) {
    std::string_view name = entry.name;
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    name.remove_prefix(std::strlen(kPrefix));
    name.remove_suffix(std::strlen(kSuffix));
    const size_t dash = name.find('-');
    const std::optional<int64_t> epoch = Number(name.substr(0, dash));
    const std::optional<int64_t> step = dash == std::string_view::npos ? 0 : Number(name.substr(dash + 1));
    if (epoch && step && *epoch >= 0 && *step >= 0) positions.push_back({*epoch, *step});
  }
  std::sort(positions.begin(), positions.end(), std::greater<>());
  return positions;
}

void CheckpointDirectory::Write(const CheckpointInfo &info, const CheckpointState &state) const {
  const Position here{info.epoch, info.step};
  try {
    WriteCheckpointFile(PathOf(here), info, state);
  } catch (const Error &error) {
    std::string message = "the checkpoint after epoch " + std::to_string(info.epoch) +
                          (info.step > 0 ? " and " + std::to_string(info.step) + " steps" : "") +
                          " could not be written: " + error.what();
    const std::vector<Position> positions = Positions();
    const auto good =
        std::find_if(positions.begin(), positions.end(), [&](const Position &other) { return other != here; });
    message += good == positions.end() ? "; there is no earlier one" : "; the last good one is '" + PathOf(*good) + "'";
    Error::Details details = error.details();
    if (good != positions.end()) details["last_checkpoint"] = PathOf(*good);
    throw Error(error.status(), message, std::move(details));
  }
  const std::vector<Position> positions = Positions();
  for (size_t i = static_cast<size_t>(keep_); i < positions.size(); ++i) RemoveFile(PathOf(positions[i]));
}

std::optional<CheckpointDirectory::Found> CheckpointDirectory::Resume(const CheckpointInfo &wanted,
                                                                      CheckpointState *state) const {
  std::vector<std::string> damaged;
  for (const Position &position : Positions()) {
    Found found;
    found.path = PathOf(position);
    try {
      static_cast<CheckpointRead &>(found) = ReadCheckpointFile(found.path, wanted, state);
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
