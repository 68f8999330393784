#include "engine_torch/image/png_reader.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <png.h>

#include "util/error.h"

namespace trainyard::image {
namespace {

// What libpng's callbacks share; plain data only, see JpegState.
struct PngState {
  const uint8_t *next;
  size_t left;
  jmp_buf jump;
  char message[256];
  char warning[256];
};

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  auto *state = static_cast<PngState *>(png_get_error_ptr(png));
  if (state->message[0] == '\0') {
    snprintf(state->message, sizeof(state->message), "%s", message);
  }
  longjmp(state->jump, 1);
}

void OnWarning(png_structp png, png_const_charp message) {
  auto *state = static_cast<PngState *>(png_get_error_ptr(png));
  if (state->warning[0] == '\0') {
    snprintf(state->warning, sizeof(state->warning), "%s", message);
  }
}

void ReadData(png_structp png, png_bytep out, size_t size) {
  auto *state = static_cast<PngState *>(png_get_io_ptr(png));
  if (size > state->left) {
    snprintf(state->message, sizeof(state->message), "the file is truncated");
    png_error(png, "truncated");
  }
  memcpy(out, state->next, size);
  state->next += size;
  state->left -= size;
}

class PngReader : public FormatReader {
 public:
  PngReader(std::span<const uint8_t> data, const std::string &name) : name_(name) {
    memset(&state_, 0, sizeof(state_));
    state_.next = data.data();
    state_.left = data.size();
    bool ok = ReadHeader();
    if (ok && static_cast<int64_t>(width_) * height_ > kMaxPixels) {
      snprintf(state_.message, sizeof(state_.message), "it has more pixels than the limit of 178956970");
      ok = false;
    }
    if (!ok) {
      std::string reason = state_.message;
      png_destroy_read_struct(&png_, &info_, nullptr);
      Fail(reason);
    }
  }
  ~PngReader() override { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader &) = delete;
  PngReader &operator=(const PngReader &) = delete;

  ImageInfo info() const override { return {Format::kPng, static_cast<int>(width_), static_cast<int>(height_)}; }

  std::string_view warning() const override { return state_.warning; }

  // A PNG is one compressed stream, so all of it is decoded, whatever is wanted.
  Rect Decode(const Rect &, Image *out) override {
    if (!Start()) {
      Fail(state_.message);
    }
    out->Reset(static_cast<int>(width_), static_cast<int>(height_));
    bool wide_grey = color_type_ == PNG_COLOR_TYPE_GRAY && bit_depth_ == 16;
    bool direct = color_type_ != PNG_COLOR_TYPE_PALETTE && !wide_grey;
    uint8_t *pixels = out->rgb.data();
    size_t stride = row_bytes_;
    if (!direct) {
      raw_.resize(stride * height_);
      pixels = raw_.data();
    } else if (stride != static_cast<size_t>(width_) * 3) {
      throw Error::Internal("the PNG reader expected rows of RGB in '" + name_ + "'", {{"path", name_}});
    }
    rows_.resize(height_);
    for (size_t y = 0; y < height_; ++y) {
      rows_[y] = pixels + y * stride;
    }
    if (!ReadRows()) {
      Fail(state_.message);
    }
    if (wide_grey) {
      ConvertWideGrey(out);
    } else if (!direct) {
      ConvertPalette(out);
    }
    return {0, 0, out->width, out->height};
  }

 private:
  [[noreturn]] void Fail(const std::string &reason) const {
    throw Error::Corrupt("cannot decode '" + name_ + "': " + reason + "; replace or remove it", {{"path", name_}});
  }

  // The functions that call libpng: no objects with destructors inside, no locals changed after setjmp and used after
  // it.

  bool ReadHeader() {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state_, OnError, OnWarning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ == nullptr) {
      snprintf(state_.message, sizeof(state_.message), "libpng could not be initialised");
      return false;
    }
    if (setjmp(state_.jump) != 0) {
      return false;
    }
    png_set_read_fn(png_, &state_, ReadData);
    png_set_user_limits(png_, 0x7fffffff, 0x7fffffff);
    // Pixels depend on IHDR, PLTE and IDAT alone (Pillow applies no gamma or colour profile); the rest is not even
    // parsed.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_read_info(png_, info_);
    int depth = 0;
    int type = 0;
    png_get_IHDR(png_, info_, &width_, &height_, &depth, &type, nullptr, nullptr, nullptr);
    bit_depth_ = depth;
    color_type_ = type;
    return true;
  }

  bool Start() {
    if (setjmp(state_.jump) != 0) {
      return false;
    }
    if (color_type_ == PNG_COLOR_TYPE_PALETTE) {
      png_set_packing(png_);
      png_set_check_for_invalid_index(png_, 0);
    } else if (color_type_ == PNG_COLOR_TYPE_GRAY) {
      if (bit_depth_ < 8) {
        png_set_expand_gray_1_2_4_to_8(png_);
      }
      if (bit_depth_ < 16) {
        png_set_gray_to_rgb(png_);
      }
    } else {
      if (bit_depth_ == 16) {
        png_set_strip_16(png_);  // the high byte, as Pillow
      }
      if ((color_type_ & PNG_COLOR_MASK_ALPHA) != 0) {
        png_set_strip_alpha(png_);
      }
      if (color_type_ == PNG_COLOR_TYPE_GRAY_ALPHA) {
        png_set_gray_to_rgb(png_);
      }
    }
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    row_bytes_ = png_get_rowbytes(png_, info_);
    return true;
  }

  bool ReadRows() {
    if (setjmp(state_.jump) != 0) {
      return false;
    }
    png_read_image(png_, rows_.data());
    return true;
  }

  // Pillow's "I;16" to RGB: values above 255 become 255.
  void ConvertWideGrey(Image *out) const {
    uint8_t *rgb = out->rgb.data();
    for (size_t i = 0; i < raw_.size(); i += 2, rgb += 3) {
      uint8_t value = raw_[i] != 0 ? 255 : raw_[i + 1];
      rgb[0] = rgb[1] = rgb[2] = value;
    }
  }

  void ConvertPalette(Image *out) {
    uint8_t table[256][3] = {};  // an index past the palette's end is black, as in Pillow
    png_colorp colors = nullptr;
    int count = 0;
    png_get_PLTE(png_, info_, &colors, &count);
    for (int i = 0; i < count && i < 256; ++i) {
      table[i][0] = colors[i].red;
      table[i][1] = colors[i].green;
      table[i][2] = colors[i].blue;
    }
    uint8_t *rgb = out->rgb.data();
    for (size_t i = 0; i < raw_.size(); ++i, rgb += 3) {
      memcpy(rgb, table[raw_[i]], 3);
    }
  }

  std::string name_;
  PngState state_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  png_uint_32 width_ = 0;
  png_uint_32 height_ = 0;
  int bit_depth_ = 0;
  int color_type_ = 0;
  size_t row_bytes_ = 0;
  ByteBuffer raw_;
  std::vector<png_bytep> rows_;
};

}  // namespace

std::unique_ptr<FormatReader> OpenPng(std::span<const uint8_t> data, const std::string &name) {
  return std::make_unique<PngReader>(data, name);
}

}  // namespace trainyard::image
