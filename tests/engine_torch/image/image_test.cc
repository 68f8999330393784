#include "engine_torch/image/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "engine_torch/image/golden.h"
#include "engine_torch/image/resample.h"
#include "engine_torch/image/test_directory.h"
#include "engine_torch/image/test_image.h"
#include "engine_torch/image/test_images.h"
#include "engine_torch/image/transforms.h"
#include "util/error.h"

namespace trainyard::image {
namespace {

std::string FromHex(const char *hex) {
  std::string out;
  for (; *hex != '\0'; hex += 2) {
    out += static_cast<char>(std::stoi(std::string(hex, 2), nullptr, 16));
  }
  return out;
}

std::span<const uint8_t> Bytes(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

// The message of the Error that the call throws.
std::string MessageOf(Status status, const std::function<void()> &call) {
  try {
    call();
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), status);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

std::string DecodeMessage(Status status, const std::string &data) {
  return MessageOf(status, [&] { DecodeImage(Bytes(data), "dir/a.jpg"); });
}

TEST(ImageTest, PixelsAndTransformsArePillows) {
  for (const Golden &golden : kGolden) {
    SCOPED_TRACE(golden.kind);
    std::string file = FromHex(golden.file);
    Image image = DecodeImage(Bytes(file), golden.kind);
    EXPECT_EQ(image.width, golden.width);
    EXPECT_EQ(image.height, golden.height);
    EXPECT_EQ(Fnv(image.rgb.data(), image.rgb.size()), golden.pixels);
    for (Simd simd : {Simd::kBest, Simd::kNone}) {
      TransformConfig config = {.resize = 20, .crop = 16};
      std::vector<float> out(config.floats());
      Rect box = {golden.box[0], golden.box[1], golden.box[2], golden.box[3]};
      Transformer train(config, simd);
      train.Train(image, {box, true}, out.data());
      EXPECT_EQ(Fnv(out.data(), out.size() * sizeof(float)), golden.train);
      ImageReader reader(Bytes(file), golden.kind);
      train.Train(&reader, {box, true}, out.data());
      EXPECT_EQ(Fnv(out.data(), out.size() * sizeof(float)), golden.train) << "decoded as a part";
      config.layout = Layout::kNhwc;
      Transformer eval(config, simd);
      eval.Eval(image, out.data());
      EXPECT_EQ(Fnv(out.data(), out.size() * sizeof(float)), golden.eval);
    }
  }
}

TEST(ImageTest, APartHasThePixelsOfTheWhole) {
  const std::pair<int, int> kSamplings[] = {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 1}, {4, 2}};
  for (auto [h, v] : kSamplings) {
    for (bool progressive : {false, true}) {
      for (int components : {1, 3, 4}) {
        if (h * v + components - 1 > 10) {
          continue;  // more blocks than an MCU may have
        }
        JpegKind kind = {.components = components, .luma_h = h, .luma_v = v, .progressive = progressive};
        std::string file = MakeJpeg(203, 151, kind);
        Image whole = DecodeImage(Bytes(file), "whole");
        SampleRandom random(1, static_cast<uint32_t>(h * 10 + v), static_cast<uint64_t>(components));
        for (int i = 0; i < 30; ++i) {
          Rect part;
          part.x = random.Below(203);
          part.y = random.Below(151);
          part.width = 1 + random.Below(203 - part.x);
          part.height = 1 + random.Below(151 - part.y);
          Image piece;
          Rect covered = ImageReader(Bytes(file), "part").DecodeRegion(part, &piece);
          ImageView got = ViewOf(piece, covered, part);
          ImageView want = ViewOf(whole, {}, part);
          for (int y = 0; y < part.height; ++y) {
            ASSERT_EQ(memcmp(got.pixels + static_cast<size_t>(y) * got.stride,
                             want.pixels + static_cast<size_t>(y) * want.stride, static_cast<size_t>(part.width) * 3),
                      0)
                << h << "x" << v << " components " << components << " progressive " << progressive << " at " << part.x
                << "," << part.y + y << " of " << part.width << "x" << part.height;
          }
        }
      }
    }
  }
}

TEST(ImageTest, ErrorsNameTheFileAndTheReason) {
  EXPECT_THAT(DecodeMessage(Status::kCorrupt, ""),
              testing::AllOf(testing::HasSubstr("dir/a.jpg"), testing::HasSubstr("empty")));
  EXPECT_THAT(DecodeMessage(Status::kUnsupported, "GIF89a....."), testing::HasSubstr("GIF files are not supported"));
  EXPECT_THAT(DecodeMessage(Status::kUnsupported, "RIFF1234WEBPVP8 "), testing::HasSubstr("WebP"));
  EXPECT_THAT(DecodeMessage(Status::kCorrupt, "hello"), testing::HasSubstr("neither a JPEG nor a PNG"));
  std::string jpeg = MakeJpeg(100, 80, {});
  std::string png = MakePng(100, 80, PNG_COLOR_TYPE_RGB, 8, false);
  for (size_t size : {size_t{20}, jpeg.size() / 2, jpeg.size() - 30}) {
    EXPECT_THAT(DecodeMessage(Status::kCorrupt, jpeg.substr(0, size)), testing::HasSubstr("truncated"));
  }
  EXPECT_THAT(DecodeMessage(Status::kCorrupt, png.substr(0, png.size() / 2)), testing::HasSubstr("truncated"));
  png[png.size() / 2] = static_cast<char>(png[png.size() / 2] ^ 1);
  EXPECT_THAT(DecodeMessage(Status::kCorrupt, png), testing::HasSubstr("CRC"));
  // 30000 x 30000 in the header.
  std::string huge = jpeg;
  size_t frame = huge.find("\xff\xc0");
  huge.replace(frame + 5, 4, "\x75\x30\x75\x30");
  EXPECT_THAT(DecodeMessage(Status::kCorrupt, huge), testing::HasSubstr("pixels"));
  EXPECT_THAT(MessageOf(Status::kNotFound, [] { DecodeImageFile("/nonexistent/a.jpg"); }),
              testing::HasSubstr("/nonexistent/a.jpg"));
}

TEST(ImageTest, APipeIsRefusedAtOnce) {
  const std::string path = ::testing::TempDir() + "trainyard-pipe-" + std::to_string(getpid()) + ".jpg";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  try {
    DecodeImageFile(path);
    ADD_FAILURE() << "a pipe was decoded";
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what()).find("not a regular file"), std::string::npos) << error.what();
  }
  unlink(path.c_str());
}

TEST(ImageTest, ATruncatedFileFailsWhateverPartIsWanted) {
  std::string jpeg = MakeJpeg(160, 160, {});
  jpeg.resize(jpeg.size() - 200);
  Image image;
  EXPECT_THAT(MessageOf(Status::kCorrupt,
                        [&] {
                          ImageReader(Bytes(jpeg), "a").DecodeRegion({0, 0, 10, 10}, &image);
                        }),
              testing::HasSubstr("truncated"));
}

TEST(ImageTest, DamageThatDecodesIsAWarning) {
  std::string jpeg = MakeJpeg(160, 160, {});
  jpeg.replace(jpeg.size() / 2, 2, "\xff\xd9");
  ImageReader reader(Bytes(jpeg), "a");
  Image image;
  reader.Decode(&image);
  EXPECT_THAT(std::string(reader.warning()), testing::HasSubstr("premature end"));
}

TEST(ImageTest, ProbeReadsDimensions) {
  TestDirectory directory;
  // Metadata longer than what is read at first.
  std::string jpeg = MakeJpeg(37, 21, {});
  for (int i = 0; i < 3; ++i) {
    jpeg.insert(2, "\xff\xe1\xff\xff" + std::string(0xfffd, 'x'));
  }
  std::string path = directory.Write("b.png", jpeg);
  ImageInfo info = ProbeImageFile(path);
  EXPECT_EQ(info.format, Format::kJpeg);
  EXPECT_EQ(info.width, 37);
  EXPECT_EQ(info.height, 21);
  EXPECT_EQ(ProbeImageFile(directory.Write("c.jpg", MakePng(5, 6, PNG_COLOR_TYPE_GRAY, 16, true))).format,
            Format::kPng);
}

TEST(ImageTest, BuffersAreReused) {
  std::string large = MakeJpeg(64, 64, {});
  std::string small = MakeJpeg(16, 16, {});
  Image image;
  DecodeImage(Bytes(large), "large", &image);
  const uint8_t *before = image.rgb.data();
  DecodeImage(Bytes(small), "small", &image);
  EXPECT_EQ(image.rgb.data(), before);
  EXPECT_EQ(image.rgb, DecodeImage(Bytes(small), "small").rgb);
}

}  // namespace
}  // namespace trainyard::image
