#include "engine_torch/image/rotate.h"

#include <gtest/gtest.h>

#include <vector>

#include "engine_torch/image/golden_augmentation.h"
#include "engine_torch/image/test_image.h"

namespace trainyard::image {
namespace {

ByteBuffer Rotated(const Image &image, double degrees) {
  ByteBuffer out(image.rgb.size());
  Rotate(image.rgb.data(), image.width, image.height, degrees, {7, 8, 9}, out.data());
  return out;
}

TEST(RotateTest, PixelsAreThoseOfTorchvisionOnPillow) {
  for (const GoldenRotation &golden : kGoldenRotations) {
    const ByteBuffer out = Rotated(TestImage(golden.width, 33), golden.degrees);
    EXPECT_EQ(Fnv(out.data(), out.size()), golden.pixels) << golden.width << " wide, " << golden.degrees;
  }
}

TEST(RotateTest, AQuarterTurnIsCounterClockwise) {
  Image image;
  image.Reset(2, 2);
  image.rgb = {1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4};
  EXPECT_EQ(Rotated(image, 90), (ByteBuffer{2, 2, 2, 4, 4, 4, 1, 1, 1, 3, 3, 3}));
  EXPECT_EQ(Rotated(image, 270), (ByteBuffer{3, 3, 3, 1, 1, 1, 4, 4, 4, 2, 2, 2}));
  EXPECT_EQ(Rotated(image, 180), (ByteBuffer{4, 4, 4, 3, 3, 3, 2, 2, 2, 1, 1, 1}));
  EXPECT_EQ(Rotated(image, 0), image.rgb);
}

// The inner loop looks at no limits: the range that it goes over has to be right for every angle.
TEST(RotateTest, StaysInsideAtEveryAngleAndSize) {
  for (const int width : {1, 2, 3, 17, 64}) {
    for (const int height : {1, 2, 5, 40}) {
      Image image;
      image.Reset(width, height);
      for (uint8_t &value : image.rgb) value = 100;
      for (double degrees = -360; degrees <= 360; degrees += 0.83) {
        const ByteBuffer out = Rotated(image, degrees);
        for (size_t i = 0; i < out.size(); ++i) {
          ASSERT_TRUE(out[i] == 100 || out[i] == 7 + i % 3) << width << "x" << height << " " << degrees << " " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace trainyard::image
