// Decodes anything: never a crash, a hang or a huge allocation, and a part has the pixels of the whole.
// Single-threaded.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "engine_torch/image/image.h"
#include "engine_torch/image/resample.h"
#include "engine_torch/image/test_images.h"
#include "fuzz/fuzz.h"
#include "util/error.h"

using namespace trainyard::image;

extern "C" void TrainyardFuzzSetUp(trainyard::fuzz::Corpus *corpus) {
  for (bool progressive : {false, true}) {
    corpus->seeds.push_back(MakeJpeg(40, 50, {.progressive = progressive}));
    corpus->seeds.push_back(MakeJpeg(33, 17, {.luma_h = 1, .luma_v = 1, .progressive = progressive}));
    corpus->seeds.push_back(MakeJpeg(33, 40, {.luma_v = 1, .progressive = progressive, .restart_rows = 1}));
    corpus->seeds.push_back(MakeJpeg(20, 20, {.components = 1, .progressive = progressive}));
    corpus->seeds.push_back(MakeJpeg(20, 20, {.components = 4, .progressive = progressive}));
    corpus->seeds.push_back(MakePng(20, 11, PNG_COLOR_TYPE_RGB, 8, progressive));
    corpus->seeds.push_back(MakePng(20, 11, PNG_COLOR_TYPE_RGB_ALPHA, 16, progressive));
    corpus->seeds.push_back(MakePng(20, 11, PNG_COLOR_TYPE_PALETTE, 4, progressive));
    corpus->seeds.push_back(MakePng(20, 11, PNG_COLOR_TYPE_GRAY, 1, progressive));
    corpus->seeds.push_back(MakePng(20, 11, PNG_COLOR_TYPE_GRAY, 16, progressive));
    corpus->seeds.push_back(MakePng(20, 11, PNG_COLOR_TYPE_GRAY_ALPHA, 8, progressive));
  }
  corpus->dictionary = {"\xff\xd8", "\xff\xd9", "\xff\xda", "\xff\xdb",      "\xff\xc0", "\xff\xc2",
                        "\xff\xc4", "\xff\xdd", "\xff\xd0", "\xff\xee",      "Adobe",    "IHDR",
                        "IDAT",     "PLTE",     "tRNS",     "IEND",          "\x11",     "\x22",
                        "\x41",     "\x14",     "acTL",     "\xff\xda\0\x0c"};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  try {
    ImageReader reader({data, size}, "fuzz");
    ImageInfo info = reader.info();
    if (int64_t{info.width} * info.height > 1 << 18) {
      return 0;  // only slow
    }
    Image image;
    reader.Decode(&image);
    // A part of it, chosen by the input.
    unsigned pick = size > 20 ? data[size / 2] + 256u * data[size / 3] : 0;
    Rect part;
    part.x = static_cast<int>(pick % static_cast<unsigned>(info.width));
    part.y = static_cast<int>(pick / 7 % static_cast<unsigned>(info.height));
    part.width = 1 + static_cast<int>(pick / 3 % static_cast<unsigned>(info.width - part.x));
    part.height = 1 + static_cast<int>(pick / 11 % static_cast<unsigned>(info.height - part.y));
    Image piece;
    ImageReader part_reader({data, size}, "fuzz");
    Rect covered = part_reader.DecodeRegion(part, &piece);
    ImageView whole_view = ViewOf(image, {}, part);
    ImageView part_view = ViewOf(piece, covered, part);
    bool sound = reader.warning().empty() && part_reader.warning().empty();
    for (int y = 0; y < part.height && sound; ++y) {
      const uint8_t *a = whole_view.pixels + static_cast<size_t>(y) * whole_view.stride;
      const uint8_t *b = part_view.pixels + static_cast<size_t>(y) * part_view.stride;
      if (memcmp(a, b, static_cast<size_t>(part.width) * 3) != 0) {
        abort();
      }
    }
    Resampler best;
    Resampler portable(Simd::kNone);
    ByteBuffer out1(31 * 17 * 3);
    ByteBuffer out2(31 * 17 * 3);
    best.Resize(part_view, 31, 17, {0, 0, 31, 17}, out1.data());
    portable.Resize(part_view, 31, 17, {0, 0, 31, 17}, out2.data());
    if (out1 != out2) {
      abort();
    }
  } catch (const trainyard::Error &) {
  }
  return 0;
}
