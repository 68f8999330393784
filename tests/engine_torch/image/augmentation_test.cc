#include "engine_torch/image/augmentation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "util/error_message.h"

namespace trainyard::image {
namespace {

TEST(SampleRandomTest, IsPhilox) {
  // The known answers that come with the authors' library (Random123, kat_vectors, philox4x32 10).
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(SampleRandom::Mix({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(SampleRandom::Mix({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(SampleRandom::Mix({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(SampleRandomTest, DependsOnSeedEpochAndIndexOnly) {
  auto first = [](uint64_t seed, uint32_t epoch, uint64_t index) { return SampleRandom(seed, epoch, index).Next(); };
  EXPECT_EQ(first(1, 2, 3), first(1, 2, 3));
  std::set<uint32_t> values = {first(1, 2, 3),
                               first(2, 2, 3),
                               first(1, 3, 3),
                               first(1, 2, 4),
                               first(1ull << 32 | 1, 2, 3),
                               first(1, 2, 1ull << 32 | 3),
                               SampleRandom(1, 2, 3, 1).Next(),
                               SampleRandom(1, 2, 3, 2).Next()};
  EXPECT_EQ(values.size(), 8u);
}

TEST(DrawTrainCropTest, StaysInsideAndFollowsTheDistribution) {
  AugmentationConfig config;
  double area = 0;
  int flips = 0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    SampleRandom random(7, 0, static_cast<uint64_t>(i));
    const Augmentation params = DrawTrainCrop(&random, config, 500, 375);
    ASSERT_GE(params.box.x, 0);
    ASSERT_GE(params.box.y, 0);
    ASSERT_LE(params.box.x + params.box.width, 500);
    ASSERT_LE(params.box.y + params.box.height, 375);
    double ratio = static_cast<double>(params.box.width) / params.box.height;
    ASSERT_GT(ratio, 0.74);
    ASSERT_LT(ratio, 1.35);
    area += static_cast<double>(params.box.width) * params.box.height / (500.0 * 375.0);
    flips += params.flip ? 1 : 0;
  }
  // Uniform in 0.08 .. 1 would be 0.54, but boxes that do not fit are drawn again: the same draws in Python give
  // 0.4337.
  EXPECT_NEAR(area / kDraws, 0.4337, 0.01);
  EXPECT_NEAR(static_cast<double>(flips) / kDraws, 0.5, 0.02);
}

TEST(DrawTrainCropTest, FallsBackToTheCentre) {
  AugmentationConfig config;
  config.scale_min = config.scale_max = 1;
  SampleRandom random(1, 0, 0);
  EXPECT_EQ(DrawTrainCrop(&random, config, 1000, 10).box, (Rect{493, 0, 13, 10}));
  EXPECT_EQ(DrawTrainCrop(&random, config, 9, 100).box, (Rect{0, 44, 9, 12}));
}

AugmentationConfig Everything() {
  AugmentationConfig config;
  config.vertical_flip = 0.25;
  config.jitter = {0.4, 1.5, 0.3, 0.1};
  config.rotation.degrees = 30;
  config.grayscale = 0.1;
  config.erasing.probability = 0.7;
  return config;
}

Augmentation Draw(const AugmentationConfig &config, uint64_t index) {
  return DrawAugmentation(config, 7, 1, index, 500, 375, 224);
}

TEST(DrawAugmentationTest, CropAndFlipAreThoseOfTheFirstStream) {
  for (uint64_t index = 0; index < 100; ++index) {
    SampleRandom random(7, 1, index);
    const Augmentation first = DrawTrainCrop(&random, {}, 500, 375);
    EXPECT_EQ(Draw({}, index), first);
    const Augmentation all = Draw(Everything(), index);
    EXPECT_EQ(all.box, first.box);
    EXPECT_EQ(all.flip, first.flip);
  }
}

// What jobs draw that were begun before must stay what it is.
TEST(DrawAugmentationTest, DrawsStayWhatTheyAre) {
  const Augmentation drawn = Draw(Everything(), 5);
  EXPECT_EQ(drawn, Draw(Everything(), 5));
  EXPECT_EQ(drawn.box, (Rect{217, 0, 261, 203}));
  EXPECT_TRUE(drawn.flip);
  EXPECT_TRUE(drawn.vertical_flip);
  const std::array<ColorStep, 4> color = {{{ColorStep::Kind::kContrast, 1.0683745801141356},
                                           {ColorStep::Kind::kBrightness, 0.7587114368741521},
                                           {ColorStep::Kind::kHue, 0.09660015052828153},
                                           {ColorStep::Kind::kSaturation, 0.7988334736785775}}};
  ASSERT_EQ(drawn.color_steps, color.size());
  for (size_t i = 0; i < color.size(); ++i) {
    EXPECT_EQ(drawn.color[i].kind, color[i].kind);
    EXPECT_DOUBLE_EQ(drawn.color[i].factor, color[i].factor);
  }
  EXPECT_DOUBLE_EQ(drawn.degrees, -24.60592568950419);
  EXPECT_FALSE(drawn.grayscale);
  EXPECT_EQ(drawn.erased, (Rect{170, 71, 44, 46}));
}

TEST(DrawAugmentationTest, OneTransformLeavesTheDrawsOfTheOthers) {
  for (uint64_t index = 0; index < 50; ++index) {
    const Augmentation all = Draw(Everything(), index);
    AugmentationConfig config = Everything();
    config.jitter = {};
    Augmentation expected = all;
    expected.color = {};
    expected.color_steps = 0;
    EXPECT_EQ(Draw(config, index), expected);
    config = Everything();
    config.rotation.degrees = 0;
    expected = all;
    expected.degrees = 0;
    EXPECT_EQ(Draw(config, index), expected);
    config = Everything();
    config.erasing.probability = 0;
    expected = all;
    expected.erased = {};
    EXPECT_EQ(Draw(config, index), expected);
  }
}

TEST(DrawAugmentationTest, FollowsTheDistributions) {
  constexpr int kDraws = 24000;
  std::map<std::string, int> orders;
  int vertical = 0, gray = 0, erased = 0;
  double degrees = 0, erased_area = 0;
  for (uint64_t index = 0; index < kDraws; ++index) {
    const Augmentation drawn = Draw(Everything(), index);
    ASSERT_EQ(drawn.color_steps, 4u);
    std::string order;
    for (const ColorStep &step : drawn.color) {
      order += std::to_string(static_cast<int>(step.kind));
      const double low[] = {0.6, 0.0, 0.7, -0.1}, high[] = {1.4, 2.5, 1.3, 0.1};
      ASSERT_GE(step.factor, low[static_cast<size_t>(step.kind)]);
      ASSERT_LE(step.factor, high[static_cast<size_t>(step.kind)]);
    }
    ++orders[order];
    vertical += drawn.vertical_flip ? 1 : 0;
    gray += drawn.grayscale ? 1 : 0;
    ASSERT_LE(std::abs(drawn.degrees), 30);
    degrees += std::abs(drawn.degrees);
    if (drawn.erased == Rect{}) continue;
    ++erased;
    ASSERT_LE(drawn.erased.x + drawn.erased.width, 224);
    ASSERT_LE(drawn.erased.y + drawn.erased.height, 224);
    ASSERT_GT(drawn.erased.height, 0.29 * drawn.erased.width);
    erased_area += drawn.erased.width * drawn.erased.height / (224.0 * 224.0);
  }
  EXPECT_EQ(orders.size(), 24u);
  for (const auto &[order, count] : orders) EXPECT_NEAR(count, kDraws / 24, 150) << order;
  EXPECT_NEAR(static_cast<double>(vertical) / kDraws, 0.25, 0.01);
  EXPECT_NEAR(static_cast<double>(gray) / kDraws, 0.1, 0.01);
  EXPECT_NEAR(static_cast<double>(erased) / kDraws, 0.7, 0.01);
  EXPECT_NEAR(degrees / kDraws, 15, 0.3);
  EXPECT_NEAR(erased_area / erased, 0.1743, 0.004);  // the same draws in Python
}

TEST(DrawAugmentationTest, ErasesNothingWhereNoBoxFits) {
  AugmentationConfig config;
  config.erasing = {.probability = 1, .scale_min = 1, .scale_max = 1};
  int erased = 0;
  for (uint64_t index = 0; index < 200; ++index) erased += Draw(config, index).erased == Rect{} ? 0 : 1;
  EXPECT_EQ(erased, 0);
}

TEST(AugmentationConfigTest, NamesTheWrongField) {
  struct Case {
    void (*change)(AugmentationConfig *);
    const char *word;
  };
  for (const Case &one : {
           Case{[](AugmentationConfig *c) { c->scale_min = 2; }, "scale"},
           Case{[](AugmentationConfig *c) { c->ratio_max = 0.1; }, "ratio"},
           Case{[](AugmentationConfig *c) { c->horizontal_flip = 1.5; }, "horizontal_flip"},
           Case{[](AugmentationConfig *c) { c->vertical_flip = -1; }, "vertical_flip"},
           Case{[](AugmentationConfig *c) { c->jitter.contrast = -1; }, "contrast"},
           Case{[](AugmentationConfig *c) { c->jitter.hue = 0.6; }, "hue"},
           Case{[](AugmentationConfig *c) { c->rotation.degrees = -1; }, "rotation"},
           Case{[](AugmentationConfig *c) { c->grayscale = 2; }, "grayscale"},
           Case{[](AugmentationConfig *c) { c->erasing.probability = 2; }, "erasing must"},
           Case{[](AugmentationConfig *c) { c->erasing.scale_max = 2; }, "erasing's scale"},
           Case{[](AugmentationConfig *c) { c->erasing.ratio_min = 0; }, "erasing's ratio"},
       }) {
    AugmentationConfig config;
    EXPECT_NO_THROW(config.Check());
    one.change(&config);
    EXPECT_THAT(MessageOf([&] { config.Check(); }), testing::HasSubstr(one.word));
  }
}

}  // namespace
}  // namespace trainyard::image
