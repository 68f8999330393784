#include "engine_torch/image/transforms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine_torch/image/golden_augmentation.h"
#include "engine_torch/image/test_image.h"
#include "engine_torch/image/test_images.h"
#include "util/error.h"

namespace trainyard::image {
namespace {

TEST(PlanEvalTest, IsTorchvisionsGeometry) {
  TransformConfig config;
  EvalGeometry plan = PlanEval(config, 500, 375);
  EXPECT_EQ(plan.width, 341);
  EXPECT_EQ(plan.height, 256);
  EXPECT_EQ(plan.window, (Rect{58, 16, 224, 224}));  // round(58.5) is 58: halves go to even
  config.crop = 300;
  EXPECT_EQ(PlanEval(config, 100, 100).window, (Rect{-22, -22, 300, 300}));
}

TEST(TransformerTest, LayoutsHoldTheSameValues) {
  Image image = TestImage(50, 40);
  TransformConfig config = {.resize = 32, .crop = 24};
  std::vector<float> planes(config.floats());
  Transformer(config).Eval(image, planes.data());
  config.layout = Layout::kNhwc;
  std::vector<float> pixels(config.floats());
  Transformer(config).Eval(image, pixels.data());
  for (size_t i = 0; i < 24 * 24; ++i) {
    for (size_t c = 0; c < 3; ++c) {
      ASSERT_EQ(planes[c * 24 * 24 + i], pixels[i * 3 + c]);
    }
  }
}

TEST(TransformerTest, NormalisesInFloat32) {
  TransformConfig config = {.crop = 1};
  const uint8_t pixel[3] = {201, 0, 255};
  float out[3];
  Transformer(config).Normalize(pixel, out);
  EXPECT_EQ(out[0], (201.0f / 255.0f - 0.485f) / 0.229f);
  EXPECT_EQ(out[1], (0.0f - 0.456f) / 0.224f);
  EXPECT_EQ(out[2], (1.0f - 0.406f) / 0.225f);
}

TEST(TransformerTest, PadsWithBlackWhenTheCropIsLarger) {
  Image image = TestImage(8, 8);
  TransformConfig config = {.resize = 8, .crop = 11};
  Transformer transformer(config);
  const uint8_t *pixels = transformer.EvalPixels(image);
  for (int y = 0; y < 11; ++y) {
    for (int x = 0; x < 11; ++x) {
      bool inside = x >= 1 && x < 9 && y >= 1 && y < 9;
      int want = inside ? image.rgb[static_cast<size_t>(((y - 1) * 8 + x - 1) * 3)] : 0;
      ASSERT_EQ(pixels[(y * 11 + x) * 3], want) << x << "," << y;
    }
  }
}

TEST(ResamplerTest, PathsAgree) {
  Resampler best;
  Resampler portable(Simd::kNone);
  SampleRandom random(3, 0, 0);
  for (int i = 0; i < 200; ++i) {
    Image image = TestImage(1 + random.Below(70), 1 + random.Below(70));
    int width = 1 + random.Below(90);
    int height = 1 + random.Below(90);
    Rect window = {random.Below(width), random.Below(height), 0, 0};
    window.width = 1 + random.Below(width - window.x);
    window.height = 1 + random.Below(height - window.y);
    size_t size = static_cast<size_t>(window.width) * static_cast<size_t>(window.height) * 3;
    ByteBuffer a(size);
    ByteBuffer b(size);
    best.Resize(ViewOf(image), width, height, window, a.data());
    portable.Resize(ViewOf(image), width, height, window, b.data());
    ASSERT_EQ(a, b);
    // A window of the resized image is a part of the whole.
    ByteBuffer all(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
    best.Resize(ViewOf(image), width, height, {0, 0, width, height}, all.data());
    for (int y = 0; y < window.height; ++y) {
      size_t from =
          (static_cast<size_t>(y + window.y) * static_cast<size_t>(width) + static_cast<size_t>(window.x)) * 3;
      size_t row = static_cast<size_t>(window.width) * 3;
      ASSERT_TRUE(std::equal(&all[from], &all[from] + row, &a[static_cast<size_t>(y) * row]));
    }
  }
}

// With every part of the training transform.
TransformConfig GoldenConfig(Layout layout) {
  TransformConfig config = {.resize = 24, .crop = 24};
  config.augmentation.rotation.fill = {10, 200, 30};
  config.layout = layout;
  return config;
}

Augmentation GoldenDraw() {
  Augmentation drawn;
  drawn.box = {5, 3, 31, 27};
  drawn.flip = drawn.vertical_flip = true;
  drawn.color = {{{ColorStep::Kind::kContrast, 1.3},
                  {ColorStep::Kind::kHue, -0.2},
                  {ColorStep::Kind::kSaturation, 0.4},
                  {ColorStep::Kind::kBrightness, 0.9}}};
  drawn.color_steps = 4;
  drawn.degrees = 31.5;
  drawn.erased = {2, 4, 13, 9};
  return drawn;
}

TEST(TransformerTest, TrainingIsTorchvisionsInItsOrder) {
  const Image image = TestImage(45, 33);
  TransformConfig config = GoldenConfig(Layout::kNchw);
  std::vector<float> planes(config.floats());
  Transformer(config).Train(image, GoldenDraw(), planes.data());
  EXPECT_EQ(Fnv(planes.data(), planes.size() * sizeof(float)), kGoldenTrain);
  std::vector<float> pixels(config.floats());
  Transformer(GoldenConfig(Layout::kNhwc), Simd::kNone).Train(image, GoldenDraw(), pixels.data());
  for (size_t i = 0; i < 24 * 24; ++i) {
    for (size_t c = 0; c < 3; ++c) ASSERT_EQ(pixels[i * 3 + c], planes[c * 24 * 24 + i]) << i;
  }
}

TEST(TransformerTest, ACropThatIsDecodedAloneGivesTheSame) {
  const std::string file = MakeJpeg(150, 110, {});
  const std::span<const uint8_t> bytes = {reinterpret_cast<const uint8_t *>(file.data()), file.size()};
  const Image image = DecodeImage(bytes, "test.jpg");
  const TransformConfig config = GoldenConfig(Layout::kNhwc);
  Transformer transformer(config);
  std::vector<float> whole(config.floats()), part(config.floats()), gray(config.floats());
  Augmentation drawn = GoldenDraw();
  drawn.box = {50, 30, 61, 43};
  transformer.Train(image, drawn, whole.data());
  ImageReader reader(bytes, "test.jpg");
  transformer.Train(&reader, drawn, part.data());
  EXPECT_EQ(whole, part);
  // Buffers are reused: what is drawn for one image leaves nothing behind for the next.
  drawn.grayscale = true;
  transformer.Train(image, drawn, gray.data());
  EXPECT_NE(gray, whole);
  drawn.grayscale = false;
  transformer.Train(image, drawn, part.data());
  EXPECT_EQ(whole, part);
}

TEST(TransformConfigTest, NamesTheWrongField) {
  TransformConfig config;
  config.std[1] = 0;
  try {
    config.Check();
    FAIL();
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::kInvalidArgument);
    EXPECT_THAT(error.what(), testing::HasSubstr("std"));
  }
}

}  // namespace
}  // namespace trainyard::image
