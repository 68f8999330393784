#include "engine_torch/image/adjust.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

#include "engine_torch/image/golden_augmentation.h"
#include "engine_torch/image/random.h"
#include "engine_torch/image/test_image.h"

namespace trainyard::image {
namespace {

using Operation = std::function<void(uint8_t *, size_t, double, Simd)>;

const std::map<std::string, Operation> &Operations() {
  static const std::map<std::string, Operation> operations = {
      {"brightness", AdjustBrightness},
      {"contrast", AdjustContrast},
      {"saturation", AdjustSaturation},
      {"hue", AdjustHue},
      {"grayscale", [](uint8_t *rgb, size_t pixels, double, Simd simd) { ToGrayscale(rgb, pixels, simd); }},
  };
  return operations;
}

TEST(AdjustTest, PixelsAreThoseOfTorchvisionOnPillow) {
  for (const GoldenColor &golden : kGoldenColors) {
    for (const Simd simd : {Simd::kBest, Simd::kNone}) {
      Image image = TestImage(45, 33);
      Operations().at(golden.kind)(image.rgb.data(), image.rgb.size() / 3, golden.factor, simd);
      EXPECT_EQ(Fnv(image.rgb.data(), image.rgb.size()), golden.pixels) << golden.kind << " " << golden.factor;
    }
  }
}

TEST(AdjustTest, PathsAgreeOnImagesOfAnySize) {
  SampleRandom random(3, 0, 0);
  for (int i = 0; i < 100; ++i) {
    const Image image = TestImage(1 + random.Below(70), 1 + random.Below(70));
    for (const auto &[name, operation] : Operations()) {
      const double factor = name == "hue" ? random.Uniform(-0.5, 0.5) : random.Uniform(0, 3);
      Image best = image, portable = image;
      operation(best.rgb.data(), best.rgb.size() / 3, factor, Simd::kBest);
      operation(portable.rgb.data(), portable.rgb.size() / 3, factor, Simd::kNone);
      ASSERT_EQ(best.rgb, portable.rgb) << name << " " << factor;
    }
  }
}

TEST(AdjustTest, FactorsBeyondAllMeasureReachTheLimits) {
  Image image = TestImage(16, 16);
  const Image before = image;
  AdjustBrightness(image.rgb.data(), image.rgb.size() / 3, 1e300);
  for (size_t i = 0; i < image.rgb.size(); ++i) ASSERT_EQ(image.rgb[i], before.rgb[i] == 0 ? 0 : 255) << i;
}

TEST(AdjustTest, NoPixelsAreNoProblem) {
  for (const auto &[name, operation] : Operations()) EXPECT_NO_THROW(operation(nullptr, 0, 0.5, Simd::kBest)) << name;
}

}  // namespace
}  // namespace trainyard::image
