#include "engine_torch/parallel/mpi_collective.h"

#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine_torch/parallel/lost_peer.h"
#include "engine_torch/parallel/mpi_plugin.h"
#include "util/build_id.h"
#include "util/error.h"
#include "util/fs.h"

namespace trainyard {
namespace {

using std::chrono::microseconds;
using Clock = std::chrono::steady_clock;

// MPI counts in int; larger tensors go in several operations.
constexpr int64_t kMostElements = int64_t{1} << 28;
constexpr microseconds kLongestSleep{500};
// Waiting is looked at this many times before it begins to sleep.
constexpr int kLooksBeforeSleep = 20;

std::string PluginBesideThisLibrary() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void *>(&PluginBesideThisLibrary), &info) == 0 || info.dli_fname == nullptr)
    return TY_ENGINE_MPI_LIBRARY;
  return JoinPath(ParentPath(AbsolutePath(info.dli_fname)), TY_ENGINE_MPI_LIBRARY);
}

const ty_mpi &LoadPlugin(const std::string &path) {
  if (!PathExists(path)) {
    throw Error(Status::kUnsupported, "training on several ranks needs MPI, and this trainyard was built without: '" +
                                          path + "' is not there (install an MPI with its headers and build again)");
  }
  // Open MPI loads parts of itself later, which look for its symbols among the global ones.
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char *reason = dlerror();  // NOLINT(concurrency-mt-unsafe): of this thread in glibc
    throw Error(Status::kUnsupported, "MPI cannot be loaded: " + std::string(reason == nullptr ? "" : reason));
  }
  const auto entry = reinterpret_cast<ty_mpi_entry>(dlsym(library, TY_MPI_PLUGIN_ENTRY));
  const ty_mpi *table = entry == nullptr ? nullptr : entry();
  if (table == nullptr || table->version != TY_MPI_PLUGIN_VERSION || std::strcmp(table->build_id, BuildId()) != 0)
    throw Error(Status::kVersion, "'" + path + "' is of another build of trainyard: install both together");
  return *table;
}

ty_mpi_type TypeOf(const at::Tensor &tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return TY_MPI_FLOAT;
    case at::kDouble:
      return TY_MPI_DOUBLE;
    case at::kLong:
      return TY_MPI_INT64;
    default:
      throw Error::Internal(std::string("ranks cannot add tensors of type ") + c10::toString(tensor.scalar_type()));
  }
}

// One MPI operation, from the request to its end. Shared by who waits and the thread that calls MPI.
struct Operation {
  std::function<int32_t(ty_mpi_operation **out, ty_mpi_error *error)> start;
  at::Tensor tensor;  // stays until MPI is done with it
  ty_mpi_operation *running = nullptr;
  bool done = false;
};

class MpiCollective final : public Collective {
 public:
  explicit MpiCollective(const ty_mpi &mpi) : mpi_(mpi) {
    thread_ = std::thread([this] { Run(); });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return started_ || !failure_.empty(); });
    if (failure_.empty()) return;
    lock.unlock();
    thread_.join();
    ThrowRanksFailed("MPI did not start: " + failure_);
  }
  MpiCollective(const MpiCollective &) = delete;
  MpiCollective &operator=(const MpiCollective &) = delete;
  ~MpiCollective() override {
    MpiCollective::Abort();
    if (thread_.joinable()) thread_.join();
  }

  int rank() const override { return rank_; }
  int world_size() const override { return size_; }
  std::string name() const override { return library_; }
  std::string failure() const override {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

  std::unique_ptr<Work> AllReduce(const at::Tensor &tensor, Reduction reduction) override {
    const ty_mpi_type type = TypeOf(tensor);
    const ty_mpi_reduction how = reduction == Reduction::kSum ? TY_MPI_SUM : TY_MPI_MAX;
    return Pieces(tensor, tensor.numel(), [&](int64_t first, int32_t count) {
      char *data = static_cast<char *>(tensor.mutable_data_ptr()) + first * static_cast<int64_t>(tensor.element_size());
      return [this, data, count, type, how](ty_mpi_operation **out, ty_mpi_error *error) {
        return mpi_.all_reduce(data, count, type, how, out, error);
      };
    });
  }

  std::unique_ptr<Work> Broadcast(const at::Tensor &tensor, int root) override {
    return Pieces(tensor, static_cast<int64_t>(tensor.nbytes()), [&](int64_t first, int32_t count) {
      char *data = static_cast<char *>(tensor.mutable_data_ptr()) + first;
      return [this, data, count, root](ty_mpi_operation **out, ty_mpi_error *error) {
        return mpi_.broadcast(data, count, root, out, error);
      };
    });
  }

  void Barrier() override {
    auto work = std::make_unique<MpiWork>(this);
    work->Add(Ask([this](ty_mpi_operation **out, ty_mpi_error *error) { return mpi_.barrier(out, error); }, {}));
    work->Wait();
  }

  void Close() override {
    {
      std::unique_lock lock(mutex_);
      if (failure_.empty()) closing_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
    if (!failure_.empty()) ThrowRanksFailed(failure_);
  }

  void Abort() override {
    {
      const std::lock_guard lock(mutex_);
      if (!closing_ && failure_.empty()) failure_ = "this rank has given up";
    }
    changed_.notify_all();
  }

 private:
  class MpiWork final : public Work {
   public:
    explicit MpiWork(MpiCollective *owner) : owner_(owner) {}
    void Add(std::shared_ptr<Operation> operation) { operations_.push_back(std::move(operation)); }
    void Wait() override {
      for (const auto &operation : operations_) owner_->Await(*operation);
    }

   private:
    MpiCollective *owner_;
    std::vector<std::shared_ptr<Operation>> operations_;
  };

  template <typename Make>
  std::unique_ptr<Work> Pieces(const at::Tensor &tensor, int64_t elements, Make make) {
    if (!tensor.is_contiguous() && !tensor.is_non_overlapping_and_dense())
      throw Error::Internal("ranks cannot share a tensor with holes");
    auto work = std::make_unique<MpiWork>(this);
    for (int64_t first = 0; first < elements; first += kMostElements) {
      const auto count = static_cast<int32_t>(std::min(kMostElements, elements - first));
      work->Add(Ask(make(first, count), tensor));
    }
    return work;
  }

  std::shared_ptr<Operation> Ask(std::function<int32_t(ty_mpi_operation **, ty_mpi_error *)> start,
                                 const at::Tensor &tensor) {
    auto operation = std::make_shared<Operation>();
    operation->start = std::move(start);
    operation->tensor = tensor;
    {
      const std::lock_guard lock(mutex_);
      if (!failure_.empty()) ThrowRanksFailed(failure_);
      asked_.push_back(operation);
    }
    changed_.notify_all();
    return operation;
  }

  void Await(const Operation &operation) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return operation.done || !failure_.empty(); });
    if (!operation.done) ThrowRanksFailed(failure_);
  }

  void Fail(const std::string &what) {
    {
      const std::lock_guard lock(mutex_);
      if (failure_.empty()) failure_ = what;
    }
    changed_.notify_all();
  }

  bool Start() {
    ty_mpi_error error{};
    char library[128] = "";
    if (mpi_.start(&rank_, &size_, library, sizeof library, &error) != 0) {
      Fail(error.text);
      return false;
    }
    {
      const std::lock_guard lock(mutex_);
      library_ = library;
      started_ = true;
    }
    changed_.notify_all();
    return true;
  }

  // The thread that calls MPI.
  void Run() {
    pthread_setname_np(pthread_self(), "ty_mpi");
    if (!Start()) return;
    std::vector<std::shared_ptr<Operation>> running;
    Clock::time_point idle_since = Clock::now();
    int looks = 0;
    bool failed = false;
    for (;;) {
      std::deque<std::shared_ptr<Operation>> asked;
      {
        std::unique_lock lock(mutex_);
        if (running.empty()) changed_.wait(lock, [&] { return !asked_.empty() || closing_ || !failure_.empty(); });
        failed = !failure_.empty();
        if (failed) break;
        asked.swap(asked_);
        if (asked.empty() && running.empty()) break;  // closing
      }
      const bool progress = StartAll(&asked, &running) | TestAll(&running);
      if (running.empty()) continue;
      if (progress) {
        idle_since = Clock::now();
        looks = 0;
      } else {
        Rest(&looks, idle_since);
      }
    }
    if (!failed) {
      ty_mpi_error error{};
      if (mpi_.finish(&error) != 0) Fail(error.text);
    } else if (!running.empty()) {
      // Peers may still write into these until this process is gone.
      static std::vector<std::shared_ptr<Operation>> *const kept = new std::vector<std::shared_ptr<Operation>>();
      kept->insert(kept->end(), running.begin(), running.end());
    }
  }

  bool StartAll(std::deque<std::shared_ptr<Operation>> *asked, std::vector<std::shared_ptr<Operation>> *running) {
    for (std::shared_ptr<Operation> &operation : *asked) {
      ty_mpi_error error{};
      if (operation->start(&operation->running, &error) != 0) {
        Fail(kLostPeer + std::string(error.text));
        return true;
      }
      running->push_back(std::move(operation));
    }
    return !asked->empty();
  }

  bool TestAll(std::vector<std::shared_ptr<Operation>> *running) {
    bool any = false;
    for (const std::shared_ptr<Operation> &operation : *running) {
      int32_t done = 0;
      ty_mpi_error error{};
      if (mpi_.test(operation->running, &done, &error) != 0) {
        Fail(kLostPeer + std::string(error.text));
        return true;
      }
      if (done == 0) continue;
      any = true;
      const std::lock_guard lock(mutex_);
      operation->done = true;
      operation->tensor.reset();
    }
    if (!any) return false;
    std::erase_if(*running, [](const auto &operation) { return operation->done; });
    changed_.notify_all();
    return true;
  }

  // An eighth of what was waited so far: what is added to a wait is little of it.
  void Rest(int *looks, Clock::time_point since) {
    if ((*looks)++ < kLooksBeforeSleep) {
      std::this_thread::yield();
      return;
    }
    const auto waited = std::chrono::duration_cast<microseconds>(Clock::now() - since);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::clamp(waited / 8, microseconds(10), kLongestSleep),
                      [&] { return !asked_.empty() || !failure_.empty(); });
  }

  const ty_mpi &mpi_;
  int32_t rank_ = 0, size_ = 0;
  std::string library_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Operation>> asked_;
  bool started_ = false, closing_ = false;
  std::string failure_;  // set once; then nothing works any more
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Collective> OpenMpiCollective(const std::string &plugin) {
  return std::make_unique<MpiCollective>(LoadPlugin(plugin.empty() ? PluginBesideThisLibrary() : plugin));
}

}  // namespace trainyard
