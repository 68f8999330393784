// Threads that work ahead of the trainer: they load samples into chunks (one or several batches each), and
// may run a part of the model that does not change over them. Chunks come out in order, whatever the number of threads;
// at most `depth` exist at once. All waiting is by condition variables.
//
// Thread rule: one thread enqueues and takes; the workers are the loader's own.
#pragma once

#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine_torch/train/dataset.h"

namespace trainyard {

// One walk over a data set.
struct Pass {
  Dataset *dataset = nullptr;
  uint32_t epoch = 0;
  std::vector<size_t> order;
  std::vector<uint32_t> repeats;  // of each place: how often its sample came before; empty: none comes twice
  int64_t batch_size = 1;         // samples; the last batch may be smaller
  int64_t batches_per_chunk = 1;
  bool pin = false;  // chunks lie in memory that a GPU copies from by itself
  // Runs in a worker, on one CPU thread and without gradients, over a chunk's samples; what it returns takes their
  // place. Must give each sample the same result whatever else is in the chunk. Empty: the samples themselves.
  std::function<at::Tensor(const at::Tensor &inputs)> stage;
};

struct Chunk {
  at::Tensor inputs;             // a row for each sample (Dataset::NewBatch), or what the stage made of it
  at::Tensor targets;            // Dataset::Targets
  std::vector<size_t> samples;   // of the data set, those that could be read
  std::vector<int64_t> batches;  // samples per batch, in order; a batch loses its bad ones and may be empty
};

class Loader {
 public:
  // `own_libtorch`: the workers may set LibTorch's thread count, which passes with a stage need.
  Loader(int workers, int depth, bool own_libtorch);
  ~Loader();
  Loader(const Loader &) = delete;
  Loader &operator=(const Loader &) = delete;

  // Work on it starts at once, behind the passes that were enqueued before.
  void Enqueue(Pass pass);
  // The next chunk of the oldest pass; nullptr once at its end, after which the next pass is the oldest. Rethrows what
  // a worker met at that place.
  std::unique_ptr<Chunk> Next();
  // Drops everything that was enqueued; returns when no worker touches it any more.
  void Clear();

 private:
  struct Work {
    Pass pass;
    size_t chunks = 0;
    size_t claimed = 0;
    size_t taken = 0;
    std::map<size_t, std::unique_ptr<Chunk>> ready;
    std::map<size_t, std::exception_ptr> failed;
  };

  void Run();
  std::shared_ptr<Work> Claim(size_t *chunk);
  std::unique_ptr<Chunk> Make(const Pass &pass, size_t chunk, Dataset::Reader *reader) const;

  const int depth_;
  const bool own_libtorch_;
  std::mutex mutex_;
  std::condition_variable work_;   // there is something to claim, or the end
  std::condition_variable ready_;  // a chunk is ready, or a worker became idle
  std::deque<std::shared_ptr<Work>> passes_;
  int outstanding_ = 0;  // claimed and not yet taken
  int busy_ = 0;
  bool end_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace trainyard
