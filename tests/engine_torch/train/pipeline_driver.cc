// The data pipeline alone, for benchmarks: read, decode, random resized crop, flip, normalise, in batches; nothing is
// kept between epochs.
//   pipeline_driver <folder of classes> <epochs> <threads> <batch>
// Prints images per second, of each epoch.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "engine_torch/train/image_dataset.h"
#include "engine_torch/train/loader.h"
#include "engine_torch/train/sampler.h"

int main(int argc, char **argv) {
  using namespace trainyard;
  if (argc != 5) return 2;
  try {
    image::TransformConfig transform;
    transform.mean = {0.485f, 0.456f, 0.406f};
    transform.std = {0.229f, 0.224f, 0.225f};
    ImageDataset dataset(image::ReadImageFolder(argv[1]), transform, /*augment=*/true, 0,
                         std::make_shared<MemoryBudget>(0));
    const int threads = std::atoi(argv[3]);
    Loader loader(threads, threads + 2, /*own_libtorch=*/true);
    for (uint32_t epoch = 1; epoch <= static_cast<uint32_t>(std::atoi(argv[2])); ++epoch) {
      const auto start = std::chrono::steady_clock::now();
      Pass pass;
      pass.dataset = &dataset;
      pass.epoch = epoch;
      pass.order = ShuffledOrder(0, epoch, dataset.size());
      pass.batch_size = std::atol(argv[4]);
      loader.Enqueue(std::move(pass));
      int64_t images = 0;
      while (const std::unique_ptr<Chunk> chunk = loader.Next()) images += chunk->targets.size(0);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      std::printf("%.1f\n", static_cast<double>(images) / taken.count());
    }
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "pipeline_driver: %s\n", error.what());
    return 1;
  }
}
