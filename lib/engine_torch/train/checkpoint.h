// Checkpoints: all that is needed to go on as if nothing had happened, after an epoch or in the middle of one. One file
// each, written atomically, so that the last good one survives a full disk or a kill at any moment. Thread rule: one
// thread at a time.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine_torch/report/report.h"
#include "engine_torch/train/grad_scaler.h"
#include "engine_torch/train/optimizer.h"
#include "engine_torch/train/schedule.h"

namespace trainyard {

// What must be the same in the run that resumes, and where it goes on.
struct CheckpointInfo {
  std::string architecture;
  std::vector<std::string> classes;
  std::string mode;
  std::string optimizer;  // DescribeOptimizer
  std::string precision;  // NameOf(Precision)
  uint64_t seed = 0;
  int64_t batch_size = 0;
  int64_t ranks = 1;
  std::string recipe;  // what else decides over the samples and their order; empty: classes, shuffled, all of them
  int64_t epoch = 0;   // done
  int64_t step = 0;    // of the next epoch, done
  int64_t global_step = 0;
  int64_t skipped_steps = 0;
  // Of the steps done in the next epoch: the sum of losses over images, the right answers, the images.
  double loss_sum = 0;
  int64_t correct = 0;
  int64_t images = 0;
  std::vector<int64_t> bad_images;  // indices in the training set
  double lr_factor = 1;             // halved by each rollback
  Schedule::Plateau plateau;
  GradScaler::State scaler;
  std::vector<report::EpochRow> history;  // epochs done
  int64_t best_epoch = 0;
  double best_val_accuracy = -1;
  double best_val_loss = std::numeric_limits<double>::infinity();  // of the best epoch
};

// The tensors by group. On reading, each tensor named here is copied into; `best` may be empty on writing: then the
// best epoch is this one.
struct CheckpointState {
  NamedState model;
  NamedState optimizer;
  NamedState average;
  NamedState best;
};

// The metadata of a checkpoint file that tells it from other weight files.
inline constexpr const char *kCheckpointMetadata = "trainyard_checkpoint";

struct TensorFile;

// What is said of a checkpoint, its checksum compared. Throws kCorrupt (no checkpoint, or damaged) or kVersion.
CheckpointInfo ReadCheckpointInfo(const TensorFile &file);

// One file. Reading copies its tensors into `state` (best into state->best unless best_is_current); throws kCorrupt or
// kUnsupported (no whole checkpoint), kVersion, or kInvalidState when it is of another model, mode, seed or batch size
// than `wanted`.
struct CheckpointRead {
  CheckpointInfo info;
  bool best_is_current = false;
};
void WriteCheckpointFile(const std::string &path, const CheckpointInfo &info, const CheckpointState &state);
CheckpointRead ReadCheckpointFile(const std::string &path, const CheckpointInfo &wanted, CheckpointState *state);

class CheckpointDirectory {
 public:
  CheckpointDirectory(std::string path, int64_t keep);

  // Writes the file and removes the oldest beyond `keep`. An error names the last good checkpoint.
  void Write(const CheckpointInfo &info, const CheckpointState &state) const;

  struct Found : CheckpointRead {
    std::string path;
    std::vector<std::string> damaged;  // newer ones that could not be used, "path: why"
  };
  // The newest whole checkpoint, as ReadCheckpointFile reads it.
  std::optional<Found> Resume(const CheckpointInfo &wanted, CheckpointState *state) const;

 private:
  struct Position {
    int64_t epoch = 0, step = 0;  // done
    auto operator<=>(const Position &) const = default;
  };
  std::vector<Position> Positions() const;  // newest first
  std::string PathOf(const Position &position) const;

  std::string path_;
  int64_t keep_;
};

}  // namespace trainyard
