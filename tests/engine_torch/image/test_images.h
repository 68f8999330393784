// Small encoded images for tests and fuzz seeds, made with libjpeg and libpng. Single-threaded.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <jpeglib.h>  // needs <cstdio> first
#include <png.h>

namespace trainyard::image {

struct JpegKind {
  int components = 3;  // 1 grey, 3 YCbCr, 4 CMYK
  int luma_h = 2;      // sampling factors of the first component; the others have 1
  int luma_v = 2;
  bool progressive = false;
  int restart_rows = 0;
  int quality = 80;
};

// The same numbers everywhere, rough enough to show any wrong pixel.
inline uint8_t TestValue(int x, int y, int channel) {
  uint32_t noise = (static_cast<uint32_t>(x) * 73856093u) ^ (static_cast<uint32_t>(y) * 19349663u) ^
                   (static_cast<uint32_t>(channel) * 83492791u);
  noise = (noise ^ (noise >> 13)) * 0x5bd1e995u;
  return static_cast<uint8_t>((x * (5 + channel) + y * (3 + 2 * channel)) / 2 + static_cast<int>(noise >> 27));
}

inline std::string MakeJpeg(int width, int height, const JpegKind &kind) {
  jpeg_compress_struct jpeg;
  jpeg_error_mgr errors;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char *data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &data, &size);
  jpeg.image_width = static_cast<JDIMENSION>(width);
  jpeg.image_height = static_cast<JDIMENSION>(height);
  jpeg.input_components = kind.components;
  jpeg.in_color_space = kind.components == 1 ? JCS_GRAYSCALE : kind.components == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, kind.quality, TRUE);
  if (kind.components == 4) {
    jpeg_set_colorspace(&jpeg, JCS_YCCK);
  }
  if (kind.components != 1) {
    jpeg.comp_info[0].h_samp_factor = kind.luma_h;
    jpeg.comp_info[0].v_samp_factor = kind.luma_v;
  }
  if (kind.progressive) {
    jpeg_simple_progression(&jpeg);
  }
  jpeg.restart_in_rows = kind.restart_rows;
  jpeg_start_compress(&jpeg, TRUE);
  std::vector<uint8_t> row(static_cast<size_t>(width) * static_cast<size_t>(kind.components));
  for (int y = 0; y < height; ++y) {
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = TestValue(static_cast<int>(i) / kind.components, y, static_cast<int>(i) % kind.components);
    }
    JSAMPROW pointer = row.data();
    jpeg_write_scanlines(&jpeg, &pointer, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::string out(reinterpret_cast<char *>(data), size);
  free(data);
  return out;
}

inline std::string MakePng(int width, int height, int color_type, int depth, bool interlaced) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  auto append = [](png_structp writer, png_bytep data, size_t size) {
    static_cast<std::string *>(png_get_io_ptr(writer))->append(reinterpret_cast<char *>(data), size);
  };
  png_set_write_fn(png, &out, append, nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), depth, color_type,
               interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  std::vector<png_color> palette;
  if (color_type == PNG_COLOR_TYPE_PALETTE) {
    for (int i = 0; i < 1 << depth; ++i) {
      palette.push_back({TestValue(i, 1, 0), TestValue(i, 2, 1), TestValue(i, 3, 2)});
    }
    png_set_PLTE(png, info, palette.data(), static_cast<int>(palette.size()));
  }
  png_write_info(png, info);
  std::vector<std::vector<uint8_t>> rows;
  std::vector<png_bytep> pointers;
  for (int y = 0; y < height; ++y) {
    std::vector<uint8_t> row(png_get_rowbytes(png, info));
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = TestValue(static_cast<int>(i), y, 0);
    }
    rows.push_back(std::move(row));
  }
  for (auto &row : rows) {
    pointers.push_back(row.data());
  }
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return out;
}

}  // namespace trainyard::image
