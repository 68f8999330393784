#include "engine_torch/report/thumbnail.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include <jpeglib.h>  // needs <cstdio> first

#include "engine_torch/image/resample.h"
#include "util/error.h"

namespace trainyard::report {
namespace {

constexpr int kQuality = 80;

// What libjpeg's callbacks share. Plain data only: errors are reported by longjmp, which skips no destructor because
// Compress() owns nothing.
struct JpegState {
  jpeg_error_mgr errors;
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  unsigned char *data;  // malloc'ed by libjpeg
  unsigned long size;
};

[[noreturn]] void OnError(j_common_ptr common) {
  auto *state = static_cast<JpegState *>(common->client_data);
  common->err->format_message(common, state->message);
  longjmp(state->jump, 1);
}

void OnOutput(j_common_ptr) {}

bool Compress(const image::Image &image, int quality, jpeg_compress_struct *jpeg, JpegState *state) {
  jpeg->err = jpeg_std_error(&state->errors);
  state->errors.error_exit = OnError;
  state->errors.output_message = OnOutput;
  jpeg->client_data = state;
  if (setjmp(state->jump) != 0) return false;
  jpeg_create_compress(jpeg);
  jpeg_mem_dest(jpeg, &state->data, &state->size);
  jpeg->image_width = static_cast<JDIMENSION>(image.width);
  jpeg->image_height = static_cast<JDIMENSION>(image.height);
  jpeg->input_components = 3;
  jpeg->in_color_space = JCS_RGB;
  jpeg_set_defaults(jpeg);
  jpeg_set_quality(jpeg, quality, TRUE);
  jpeg->optimize_coding = TRUE;
  jpeg_start_compress(jpeg, TRUE);
  while (jpeg->next_scanline < jpeg->image_height) {
    // libjpeg does not write to it.
    auto *row = const_cast<JSAMPLE *>(image.rgb.data()) + static_cast<size_t>(jpeg->next_scanline) * 3 * image.width;
    jpeg_write_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_compress(jpeg);
  return true;
}

std::string Base64(const std::string &bytes) {
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max()) / 2) {
    throw Error::Internal("too much for one piece of base64");
  }
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL writes a NUL at the end
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char *>(text.data()),
                      reinterpret_cast<const unsigned char *>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(length));
  return text;
}

}  // namespace

std::string EncodeJpeg(const image::Image &image, int quality) {
  jpeg_compress_struct jpeg = {};
  JpegState state = {};
  const bool encoded = Compress(image, quality, &jpeg, &state);
  std::string bytes;
  if (encoded) bytes.assign(reinterpret_cast<char *>(state.data), state.size);
  jpeg_destroy_compress(&jpeg);
  std::free(state.data);
  if (!encoded) throw Error::Internal(std::string("cannot encode a thumbnail: ") + state.message);
  return bytes;
}

Thumbnail MakeThumbnail(const std::string &path) {
  image::ByteBuffer file;
  image::ReadImageFile(path, &file);
  image::ImageReader reader(file, path);
  const image::ImageInfo info = reader.info();
  if (static_cast<int64_t>(info.width) * info.height > kMostThumbnailPixels) {
    throw Error(Status::kUnsupported,
                "'" + path + "' is too large for a thumbnail: " + std::to_string(info.width) + " x " +
                    std::to_string(info.height) + " pixels",
                {{"path", path}});
  }
  image::Image image;
  reader.Decode(&image);
  const double scale =
      std::min(1.0, static_cast<double>(kThumbnailSide) / static_cast<double>(std::max(image.width, image.height)));
  image::Image small;
  small.Reset(std::max(1, static_cast<int>(std::lround(image.width * scale))),
              std::max(1, static_cast<int>(std::lround(image.height * scale))));
  image::Resampler().Resize(image::ViewOf(image), small.width, small.height, {0, 0, small.width, small.height},
                            small.rgb.data());
  return {"data:image/jpeg;base64," + Base64(EncodeJpeg(small, kQuality)), small.width, small.height};
}

}  // namespace trainyard::report
