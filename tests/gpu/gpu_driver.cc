// Steps and jobs for tests/gpu/run.py. Every figure goes to standard output as one JSON line.
//   gpu_driver about
//   gpu_driver steps <options>   fixed weights and batches: losses, and the parameters at the end to --out (float32)
//   gpu_driver bench <options>   steps over one batch that lies on the device: images per second
//   gpu_driver sums              what ranks add up and share, in every way that they have; with RANK, WORLD_SIZE, ...
//   gpu_driver job <config.json> <output directory>   a whole training job, in this process
// Options: --device cpu|cuda --model NAME --precision fp32|tf32|bf16|fp16 --graphs auto|off --batch N --image SIDE
//          --classes N --steps N --deterministic 0|1 --threads N --out FILE
//          --ranks 0|1    steps and bench: as one of the ranks that RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and
//                         MASTER_PORT tell of, each on its GPU with its part of WORLD_SIZE times --batch images. By
//                         NCCL; on CPUs, which stand for GPUs in the small form, by the store that ranks meet at
//          --norms own|sync|still   batch norms: each rank's own, of all ranks, or in evaluation mode
#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "engine_torch/models/registry.h"
#include "engine_torch/parallel/ranks.h"
#include "engine_torch/parallel/store_group.h"
#include "engine_torch/train/allocator.h"
#include "engine_torch/train/device.h"
#include "engine_torch/train/learner.h"
#include "engine_torch/train/parameters.h"
#include "engine_torch/train/precision.h"
#ifdef TRAINYARD_GPU_WITH_GRAPHS
#include "engine_torch/cuda/cuda_graph.h"
#endif
#ifdef TRAINYARD_HAS_NCCL
#include "engine_torch/cuda/nccl_collective.h"
#endif
#ifdef TRAINYARD_GPU_WITH_JOBS
#include "engine/engine.h"
#include "engine_torch/train/trainer.h"
#include "util/build_id.h"
#include "util/fs.h"
#endif

namespace trainyard {

#ifdef TRAINYARD_GPU_WITH_JOBS
const char *BuildId() {
  return "gpu_driver";
}
#endif

namespace {

using Clock = std::chrono::steady_clock;

class Options {
 public:
  Options(int count, char **words) {
    for (int i = 0; i + 1 < count; i += 2) values_[words[i]] = words[i + 1];
  }
  std::string Text(const std::string &name, const std::string &otherwise) const {
    const auto found = values_.find("--" + name);
    return found == values_.end() ? otherwise : found->second;
  }
  int64_t Number(const std::string &name, int64_t otherwise) const {
    return std::atol(Text(name, std::to_string(otherwise)).c_str());
  }

 private:
  std::map<std::string, std::string> values_;
};

double Seconds(Clock::time_point since) {
  return std::chrono::duration<double>(Clock::now() - since).count();
}

void Wait(c10::Device device) {
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

int NumberVariable(const char *name, int otherwise) {
  const char *text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

c10::Device DeviceOf(const Options &options) {
  const std::string name = options.Text("device", "cuda");
  if (options.Number("ranks", 0) == 0) return ChooseDevice(name);
  const c10::Device device =
      ChooseRankDevice(name, NumberVariable("LOCAL_RANK", 0), NumberVariable("WORLD_SIZE", 1), GpuCount(), true);
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
  return device;
}

Ranks RanksOf(const Options &options, c10::Device device) {
  if (options.Number("ranks", 0) == 0) return {};
  const int rank = NumberVariable("RANK", 0), count = NumberVariable("WORLD_SIZE", 1);
  if (!device.is_cpu()) return Ranks(OpenCollective(rank, count, device));
  return Ranks(OpenGroupCollective(rank, count, device, MeetOtherRanks(rank, count, PlaceOfMeeting()),
                                   MakeStoreGroup(rank, count), /*most_on_line=*/64));
}

// A network, what teaches it, and its settings.
class Setup {
 public:
  explicit Setup(const Options &options)
      : device_(DeviceOf(options)),
        ranks_(RanksOf(options, device_)),
        classes_(options.Number("classes", 1000)),
        batch_(options.Number("batch", 64)),
        side_(options.Number("image", 224)) {
    for (const Precision precision : {Precision::kTf32, Precision::kBf16, Precision::kFp16}) {
      if (NameOf(precision) == options.Text("precision", "fp32")) settings_.precision = precision;
    }
    settings_.cuda_graphs = options.Text("graphs", "auto") == "off" ? CudaGraphs::kOff : CudaGraphs::kAuto;
    settings_.deterministic = options.Number("deterministic", 0) != 0;
    settings_.fast_kernels = false;  // on a CPU: LibTorch's, as the peer has them
    settings_.optimizer.momentum = 0.9;
    const std::string norms = options.Text("norms", "own");
    settings_.sync_batch_norm = norms == "sync";
    SetNumerics(settings_, device_, /*own_libtorch=*/true);
    if (device_.is_cpu()) InstallCachingAllocator();
    if (options.Number("threads", 0) > 0) at::set_num_threads(static_cast<int>(options.Number("threads", 0)));
    at::manual_seed(1);
    model_ = MakeModel(options.Text("model", "resnet18"), classes_);
    ToChannelsLast(model_.get());
    model_->to(device_);
    model_->train(norms != "still");
    ranks_.Share(model_->parameters());
    ranks_.Share(model_->buffers());
    learner_ = std::make_unique<Learner>(
        model_, settings_, Learner::Input::kImages, std::vector<int64_t>(static_cast<size_t>(classes_), 1),
        [](int64_t) {}, &ranks_);
  }

  // Numbers that Python makes too.
  at::Tensor Images(int64_t step) const {
    const int64_t all = batch_ * ranks_.count();
    return at::arange(all * 3 * side_ * side_, at::kDouble)
        .mul(0.37)
        .add(static_cast<double>(step))
        .sin()
        .to(at::kFloat)
        .view({all, 3, side_, side_})
        .narrow(0, batch_ * ranks_.rank(), batch_)
        .contiguous(at::MemoryFormat::ChannelsLast)
        .to(device_);
  }
  at::Tensor Targets() const {
    return at::arange(batch_, at::kLong).add(batch_ * ranks_.rank()).remainder(classes_).to(device_);
  }
  Learner::Outcome Step(const at::Tensor &images, const at::Tensor &targets, int64_t step) {
    return learner_->Step(images, targets, {0.01, 0.9}, static_cast<uint64_t>(step));
  }
  c10::Device device() const { return device_; }
  int64_t batch() const { return batch_; }
  bool is_recorded() const { return learner_->is_recorded(); }
  const ImageClassifier &model() const { return *model_; }
  Ranks &ranks() { return ranks_; }

 private:
  c10::Device device_;
  Ranks ranks_;
  int64_t classes_, batch_, side_;
  TrainSettings settings_;
  std::shared_ptr<ImageClassifier> model_;
  std::unique_ptr<Learner> learner_;
};

int Steps(const Options &options) {
  Setup setup(options);
  const at::Tensor targets = setup.Targets();
  const std::string name = setup.ranks().name();
  std::printf("{\"losses\":[");
  for (int64_t step = 0; step < options.Number("steps", 10); ++step) {
    const double loss = setup.Step(setup.Images(step), targets, step).loss.item<double>();
    std::printf("%s%.9g", step == 0 ? "" : ",", loss);
    std::fflush(stdout);
  }
  const bool same = setup.ranks().Same(ChecksumOf(setup.model().parameters()));
  setup.ranks().Close();
  std::printf("],\"recorded\":%s,\"same\":%s,\"by\":\"%s\"}\n", setup.is_recorded() ? "true" : "false",
              same ? "true" : "false", name.c_str());
  std::ofstream file(options.Text("out", "/dev/null"), std::ios::binary);
  for (const at::Tensor &parameter : setup.model().parameters()) {
    const at::Tensor values = parameter.detach().to(c10::kCPU).contiguous();
    file.write(static_cast<const char *>(values.const_data_ptr()), static_cast<std::streamsize>(values.nbytes()));
  }
  return file.good() ? 0 : 1;
}

int Bench(const Options &options) {
  Setup setup(options);
  const int64_t steps = options.Number("steps", 50);
  const at::Tensor images = setup.Images(0), targets = setup.Targets();
  for (int64_t step = 0; step < std::max<int64_t>(steps / 5, 6); ++step) setup.Step(images, targets, step);
  // Five stretches of steps, each waited for as a whole.
  std::vector<double> rates;
  const int64_t stretch = std::max<int64_t>(steps / 5, 1);
  for (int part = 0; part < 5; ++part) {
    Wait(setup.device());
    const Clock::time_point start = Clock::now();
    for (int64_t step = 0; step < stretch; ++step) setup.Step(images, targets, step);
    Wait(setup.device());
    rates.push_back(static_cast<double>(setup.batch() * stretch) / Seconds(start));
  }
  std::sort(rates.begin(), rates.end());
  for (double &rate : rates) rate *= setup.ranks().count();
  setup.ranks().Close();
  std::printf("{\"images_per_second\":%.3f,\"recorded\":%s}\n", rates[2], setup.is_recorded() ? "true" : "false");
  return 0;
}

// Where a value is not what it must be, it is named.
int Sums(const Options &options) {
  const c10::Device device = DeviceOf(options);
  Ranks ranks = RanksOf(options, device);
  const double count = ranks.count();
  std::string wrong;
  const auto expect = [&](const std::string &what, const at::Tensor &values, double expected) {
    if (!values.eq(expected).all().item<bool>()) wrong += (wrong.empty() ? "" : ", ") + what;
  };
  for (const c10::Device place : {device, c10::Device(c10::kCPU)}) {
    for (const int64_t size : {1, 100, 3000001}) {
      for (const auto type : {at::kFloat, at::kDouble, at::kLong}) {
        const std::string what =
            std::to_string(size) + " of " + c10::toString(type) + " on " + place.str() + " (" + device.str() + ")";
        const auto options_of = at::TensorOptions(type).device(place);
        at::Tensor values = at::full({size}, ranks.rank() + 1, options_of);
        ranks.collective()->AllReduce(values, Collective::Reduction::kSum)->Wait();
        expect("the sum of " + what, values, count * (count + 1) / 2);
        values = at::full({size}, ranks.rank() + 1, options_of);
        ranks.collective()->AllReduce(values, Collective::Reduction::kMax)->Wait();
        expect("the largest of " + what, values, count);
        values = at::full({size}, ranks.rank() + 1, options_of);
        ranks.collective()->Broadcast(values, ranks.count() - 1)->Wait();
        expect("the last rank's " + what, values, count);
      }
    }
  }
  at::Tensor weights =
      at::full({8, 4, 3, 3}, ranks.rank() + 1, at::TensorOptions(device)).contiguous(at::MemoryFormat::ChannelsLast);
  ranks.Share({weights});
  expect("weights in channels-last order", weights, 1);
  // Many under way, behind work of this stream, which goes on with them.
  std::vector<at::Tensor> tensors;
  std::vector<std::unique_ptr<Collective::Work>> works;
  at::Tensor before = at::ones({1024, 1024}, at::TensorOptions(device));
  for (int i = 0; i < 20; ++i) {
    before = before.matmul(before).div(1024);
    tensors.push_back(before.flatten().mul(i));
    works.push_back(ranks.collective()->AllReduce(tensors.back(), Collective::Reduction::kSum));
  }
  for (const auto &work : works) work->Wait();
  for (size_t i = 0; i < tensors.size(); ++i) expect("the sum of " + std::to_string(i), tensors[i], count * i);
  if (!ranks.Same(7) || ranks.Same(ranks.rank()) != (ranks.count() == 1)) wrong += " (Same)";
  const std::string name = ranks.name();
  ranks.Close();
  std::printf("{\"wrong\":\"%s\",\"by\":\"%s\"}\n", wrong.c_str(), name.c_str());
  return 0;
}

#ifdef TRAINYARD_GPU_WITH_JOBS
struct Told {
  std::map<std::string, std::vector<double>> metrics;
};

int Job(const std::string &config, const std::string &output) {
  Told told;
  ty_engine_host host = {};
  host.user = &told;
  host.output_directory = output.c_str();
  host.checkpoint_directory = output.c_str();
  host.weights_path = "";
  host.world_size = 1;
  host.metric = [](void *user, const char *name, int64_t, double value) {
    static_cast<Told *>(user)->metrics[name].push_back(value);
  };
  host.log = [](void *, int32_t level, const char *message) {
    std::fprintf(stderr, "%s%s\n", level >= 2 ? "warning: " : "", message);
  };
  Trainer(ParseTrainSettings(ReadFile(config)), &host, /*own_libtorch=*/true).Run();
  std::printf("{");
  const char *comma = "";
  for (const char *name : {"epoch_seconds", "images_per_second", "train/loss", "val/accuracy", "best_val_accuracy"}) {
    std::printf("%s\"%s\":[", comma, name);
    for (size_t i = 0; i < told.metrics[name].size(); ++i)
      std::printf("%s%.9g", i == 0 ? "" : ",", told.metrics[name][i]);
    std::printf("]");
    comma = ",";
  }
  std::printf("}\n");
  return 0;
}
#endif

int About() {
#ifdef TRAINYARD_GPU_WITH_JOBS
  const char *jobs = "true";
#else
  const char *jobs = "false";
#endif
#ifdef TRAINYARD_GPU_WITH_GRAPHS
  const char *graphs = "true";
#else
  const char *graphs = "false";
#endif
  std::printf("{\"jobs\":%s,\"graphs\":%s,\"cuda\":%s,\"gpus\":%d,\"nccl\":%s}\n", jobs, graphs,
              at::globalContext().hasCUDA() ? "true" : "false", GpuCount(), HasGpuCollective() ? "true" : "false");
  return 0;
}

}  // namespace
}  // namespace trainyard

int main(int argc, char **argv) {
  using namespace trainyard;
  const std::string mode = argc > 1 ? argv[1] : "";
  try {
#ifdef TRAINYARD_GPU_WITH_GRAPHS
    SetGraphCapture(&NewCudaGraphCapture);
#endif
#ifdef TRAINYARD_HAS_NCCL
    SetGpuCollective(&OpenNcclCollective);
#endif
    if (mode == "about") return About();
    if (mode == "sums") return Sums(Options(argc - 2, argv + 2));
    if (mode == "steps") return Steps(Options(argc - 2, argv + 2));
    if (mode == "bench") return Bench(Options(argc - 2, argv + 2));
#ifdef TRAINYARD_GPU_WITH_JOBS
    if (mode == "job" && argc == 4) return Job(argv[2], argv[3]);
#endif
  } catch (const std::exception &error) {
    std::fprintf(stderr, "gpu_driver: %s\n", error.what());
    return 1;
  }
  std::fprintf(
      stderr, "usage: gpu_driver about | steps <options> | bench <options> | sums <options> | job <config> <output>\n");
  return 2;
}
