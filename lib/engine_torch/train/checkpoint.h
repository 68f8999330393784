// Checkpoints: all that is needed to go on after an epoch as if nothing had happened, one file per epoch kept. Written
// beside each other and atomically, so that the last good one survives a full disk or a kill at any moment. Thread
// rule: one thread at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trainyard {

using NamedState = std::vector<std::pair<std::string, at::Tensor>>;

// What must be the same in the run that resumes, and where it goes on.
struct CheckpointInfo {
  std::string architecture;
  std::vector<std::string> classes;
  std::string mode;
  uint64_t seed = 0;
  int64_t batch_size = 0;
  int64_t epoch = 0;  // done
  int64_t global_step = 0;
  int64_t skipped_steps = 0;
  int64_t best_epoch = 0;
  double best_val_accuracy = -1;
};

// The tensors by group. On reading, each tensor named here is copied into; `best` may be empty on writing: then the
// best epoch is this one.
struct CheckpointState {
  NamedState model;
  NamedState momentum;
  NamedState best;
};

// The metadata of a checkpoint file that tells it from other weight files.
inline constexpr const char *kCheckpointMetadata = "trainyard_checkpoint";

struct TensorFile;

// What is said of a checkpoint, its checksum compared. Throws kCorrupt (no checkpoint, or damaged) or kVersion.
CheckpointInfo ReadCheckpointInfo(const TensorFile &file);

class CheckpointDirectory {
 public:
  CheckpointDirectory(std::string path, int64_t keep);

  // Writes `checkpoint-<epoch>.safetensors` and removes the oldest beyond `keep`. An error names the last good
  // checkpoint.
  void Write(const CheckpointInfo &info, const CheckpointState &state) const;

  struct Found {
    std::string path;
    CheckpointInfo info;
    bool best_is_current = false;
    std::vector<std::string> damaged;  // newer ones that could not be used, "path: why"
  };
  // The newest whole checkpoint, its tensors copied into `state` (best into state->best unless best_is_current). Throws
  // kInvalidState when it is of another model, mode, seed or batch size than `wanted`.
  std::optional<Found> Resume(const CheckpointInfo &wanted, CheckpointState *state) const;

 private:
  std::vector<int64_t> Epochs() const;  // newest first
  std::string PathOf(int64_t epoch) const;

  std::string path_;
  int64_t keep_;
};

}  // namespace trainyard
