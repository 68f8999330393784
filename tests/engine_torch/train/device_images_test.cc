// Cropping and resizing as tensor operations against the CPU pipeline (Pillow's very bits), and epochs of a data set on
// a device, which is the CPU here.
#include "engine_torch/train/device_images.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cstring>

#include "engine_torch/image/test_images.h"
#include "engine_torch/train/sampler.h"
#include "util/fs.h"

namespace trainyard {
namespace {

using image::Augmentation;
using image::Image;

// Smooth, with edges and noise: what pictures have.
Image Picture(int width, int height, uint32_t seed) {
  Image picture;
  picture.Reset(width, height);
  uint32_t state = seed;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        state = state * 1664525u + 1013904223u;
        const int edge = (x / 17 + y / 23) % 2 == 0 ? 120 : 10;
        picture.rgb[static_cast<size_t>((y * width + x) * 3 + c)] = static_cast<uint8_t>(
            edge + x * 60 / width + (c == 1 ? y * 40 / height : 0) + static_cast<int>(state >> 27));
      }
    }
  }
  return picture;
}

image::TransformConfig Transform(int crop) {
  image::TransformConfig transform;
  transform.augmentation.vertical_flip = 0.5;
  transform.crop = crop;
  transform.resize = crop;
  transform.layout = image::Layout::kNhwc;
  return transform;
}

// As levels of 255.
at::Tensor Levels(const at::Tensor &images, const image::TransformConfig &transform) {
  const auto channel = [](const std::array<float, 3> &values) {
    return at::tensor(at::ArrayRef<float>(values.data(), 3)).view({1, 3, 1, 1});
  };
  return (images * channel(transform.std) + channel(transform.mean)) * 255;
}

TEST(CropOnDevice, IsTheCpuPipelineWithinALevel) {
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf}) {
    const image::TransformConfig transform = Transform(64);
    std::vector<Image> pictures;
    for (const auto &[width, height] : std::vector<std::pair<int, int>>{{200, 150}, {70, 90}, {64, 64}, {300, 41}}) {
      pictures.push_back(Picture(width, height, static_cast<uint32_t>(width)));
    }
    std::vector<uint8_t> all;
    std::vector<DeviceCrop> crops;
    std::vector<float> expected;
    image::Transformer transformer(transform);
    for (size_t i = 0; i < 80; ++i) {  // more than go at once
      const Image &picture = pictures[i % pictures.size()];
      Augmentation params =
          image::DrawAugmentation(transform.augmentation, 5, 1, i, picture.width, picture.height, transform.crop);
      if (i < 4) params = {{0, 0, picture.width, picture.height}, i % 2 == 0};
      crops.push_back({static_cast<int64_t>(all.size() / 3), picture.width, params});
      all.insert(all.end(), picture.rgb.begin(), picture.rgb.end());
      expected.resize(expected.size() + transform.floats());
      transformer.Train(picture, params, expected.data() + i * transform.floats());
    }
    const at::Tensor pixels = at::tensor(all, at::kByte).view({-1, 3});
    const at::Tensor got = CropOnDevice(pixels, crops, transform, dtype);
    ASSERT_TRUE(got.is_contiguous(at::MemoryFormat::ChannelsLast));
    const at::Tensor wanted = at::tensor(expected).view({80, 64, 64, 3}).permute({0, 3, 1, 2});
    const at::Tensor difference = (Levels(got, transform) - Levels(wanted, transform)).abs();
    EXPECT_LT(difference.max().item<float>(), 1.01f) << dtype;
    EXPECT_LT(difference.mean().item<float>(), 0.25f) << dtype;
    // An image that is as large as the crop stays as it is.
    EXPECT_LT(difference[2].max().item<float>(), 0.01f) << dtype;
  }
}

TEST(DeviceImages, DoCropsAndFlipsAlone) {
  image::TransformConfig transform = Transform(64);
  EXPECT_TRUE(DeviceImages::CanDo(transform));
  transform.augmentation.erasing.probability = 0.1;
  EXPECT_FALSE(DeviceImages::CanDo(transform));
  transform = Transform(64);
  transform.augmentation.jitter.hue = 0.1;
  EXPECT_FALSE(DeviceImages::CanDo(transform));
}

class DeviceImagesTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char *name : {"blue", "green", "red"}) {
      const std::string folder = JoinPath(JoinPath(directory_.path(), "train"), name);
      MakeDirs(folder);
      for (int i = 0; i < 4; ++i)
        WriteFileAtomic(JoinPath(folder, std::to_string(i) + ".jpg"), image::MakeJpeg(60 + 13 * i, 75 - 5 * i, {}));
    }
    WriteFileAtomic(JoinPath(directory_.path(), "train/red/empty.jpg"), "");
  }
  std::unique_ptr<ImageDataset> Open(bool augment) const {
    return std::make_unique<ImageDataset>(image::ReadImageFolder(JoinPath(directory_.path(), "train")), Transform(48),
                                          augment, 7, std::make_shared<MemoryBudget>(0));
  }
  TempDir directory_;
};

TEST_F(DeviceImagesTest, EpochsAreTheLoaders) {
  const std::vector<double> kWeights = {1, 2, 1, 1, 5, 1, 0, 1, 1, 1, 3, 1, 1};
  for (const auto &[augment, weighted] :
       std::vector<std::pair<bool, bool>>{{true, false}, {false, false}, {true, true}}) {
    const std::unique_ptr<ImageDataset> ours = Open(augment), other = Open(augment);
    const Sampler sampler(7, ours->size(), weighted ? kWeights : std::vector<double>());
    DeviceImages images(ours.get(), &sampler, at::kCPU, 5);
    ASSERT_TRUE(images.Fill(2));
    ASSERT_EQ(ours->bad().size(), 1u);
    Loader loader(1, 3, false);
    for (const int64_t first_step : {0, 1}) {
      Pass pass;
      pass.dataset = other.get();
      pass.epoch = 2;
      pass.order = sampler.Order(2);
      pass.repeats = Sampler::RepeatsIn(pass.order, other->size());
      pass.order.erase(pass.order.begin(), pass.order.begin() + first_step * 5);
      pass.repeats.erase(pass.repeats.begin(), pass.repeats.begin() + first_step * 5);
      pass.batch_size = 5;
      loader.Enqueue(std::move(pass));
      images.Begin(2, first_step);
      int64_t batches = 0;
      while (const std::unique_ptr<Chunk> wanted = loader.Next()) {
        const std::unique_ptr<Chunk> got = images.Next();
        ASSERT_NE(got, nullptr);
        EXPECT_EQ(got->batches, wanted->batches);
        EXPECT_EQ(got->samples, wanted->samples);
        EXPECT_TRUE(at::equal(got->targets, wanted->targets));
        const at::Tensor difference =
            (Levels(got->inputs, Transform(48)) - Levels(wanted->inputs, Transform(48))).abs();
        EXPECT_LT(difference.max().item<float>(), augment ? 1.01f : 0.01f);
        ++batches;
      }
      EXPECT_EQ(images.Next(), nullptr);
      EXPECT_EQ(batches, 3 - first_step);
    }
  }
}

}  // namespace
}  // namespace trainyard
