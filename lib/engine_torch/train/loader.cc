#include "engine_torch/train/loader.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "engine_torch/train/threads.h"

namespace trainyard {

Loader::Loader(int workers, int depth, bool own_libtorch) : depth_(std::max(depth, 1)), own_libtorch_(own_libtorch) {
  for (int i = 0; i < std::max(workers, 1); ++i) threads_.emplace_back([this] { Run(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  work_.notify_all();
  for (std::thread &thread : threads_) thread.join();
}

void Loader::Enqueue(Pass pass) {
  auto work = std::make_shared<Work>();
  const auto per_chunk = static_cast<size_t>(pass.batch_size * pass.batches_per_chunk);
  work->chunks = (pass.order.size() + per_chunk - 1) / per_chunk;
  work->pass = std::move(pass);
  {
    const std::lock_guard lock(mutex_);
    passes_.push_back(std::move(work));
  }
  work_.notify_all();
}

std::unique_ptr<Chunk> Loader::Next() {
  std::unique_lock lock(mutex_);
  if (passes_.empty()) return nullptr;
  const std::shared_ptr<Work> work = passes_.front();
  if (work->taken == work->chunks) {
    passes_.pop_front();
    return nullptr;
  }
  const size_t wanted = work->taken;
  ready_.wait(lock, [&] { return work->ready.contains(wanted) || work->failed.contains(wanted); });
  if (const auto failed = work->failed.find(wanted); failed != work->failed.end())
    std::rethrow_exception(failed->second);
  auto node = work->ready.extract(wanted);
  ++work->taken;
  --outstanding_;
  lock.unlock();
  work_.notify_one();
  return std::move(node.mapped());
}

void Loader::Clear() {
  std::unique_lock lock(mutex_);
  passes_.clear();
  ready_.wait(lock, [&] { return busy_ == 0; });
  outstanding_ = 0;
}

std::shared_ptr<Loader::Work> Loader::Claim(size_t *chunk) {
  if (outstanding_ >= depth_) return nullptr;
  for (const std::shared_ptr<Work> &work : passes_) {
    if (work->claimed == work->chunks) continue;
    *chunk = work->claimed++;
    ++outstanding_;
    return work;
  }
  return nullptr;
}

void Loader::Run() {
  // A worker computes on its own CPU alone: workers do not wait for each other.
  if (own_libtorch_) SetComputeThreads(1);
  const c10::NoGradGuard no_grad;
  std::unique_ptr<Dataset::Reader> reader;
  const Dataset *reader_of = nullptr;
  std::unique_lock lock(mutex_);
  for (;;) {
    std::shared_ptr<Work> work;
    size_t chunk = 0;
    work_.wait(lock, [&] { return end_ || (work = Claim(&chunk)) != nullptr; });
    if (end_) return;
    ++busy_;
    lock.unlock();
    std::unique_ptr<Chunk> made;
    std::exception_ptr failure;
    try {
      if (reader_of != work->pass.dataset) {
        reader = work->pass.dataset->NewReader();
        reader_of = work->pass.dataset;
      }
      made = Make(work->pass, chunk, reader.get());
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    --busy_;
    if (failure != nullptr) {
      work->failed.emplace(chunk, failure);
    } else {
      work->ready.emplace(chunk, std::move(made));
    }
    ready_.notify_all();
  }
}

std::unique_ptr<Chunk> Loader::Make(const Pass &pass, size_t chunk, Dataset::Reader *reader) const {
  const auto per_chunk = static_cast<size_t>(pass.batch_size * pass.batches_per_chunk);
  const size_t first = chunk * per_chunk;
  const size_t end = std::min(first + per_chunk, pass.order.size());
  const int64_t size = pass.dataset->SampleSize();
  const auto capacity = static_cast<int64_t>(end - first);
  at::Tensor inputs = pass.dataset->NewBatch(capacity, pass.pin);
  auto *floats = inputs.mutable_data_ptr<float>();
  auto made = std::make_unique<Chunk>();
  int64_t count = 0;
  for (size_t i = first; i < end; ++i) {
    if ((i - first) % static_cast<size_t>(pass.batch_size) == 0) made->batches.push_back(0);
    const size_t index = pass.order[i];
    const uint32_t repeat = pass.repeats.empty() ? 0 : pass.repeats[i];
    if (!reader->Load(index, pass.epoch, repeat, floats + count * size)) continue;
    ++count;
    made->samples.push_back(index);
    ++made->batches.back();
  }
  if (count < capacity) inputs = inputs.narrow(0, 0, count);
  made->inputs = pass.stage && count > 0 ? pass.stage(inputs) : inputs;
  made->targets = pass.dataset->Targets(made->samples);
  if (pass.pin) made->targets = made->targets.pin_memory();
  return made;
}

}  // namespace trainyard
