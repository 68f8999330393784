#include "engine_torch/image/jpeg_reader.h"

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <jpeglib.h>  // needs <cstdio> first

#include <jerror.h>

#include "util/error.h"

namespace trainyard::image {
namespace {

// A real file has about ten scans; each one costs a pass over the whole image, so a small file with thousands is an
// attack.
constexpr int kMaxScans = 500;

// What libjpeg's callbacks share. Plain data only: libjpeg reports errors by longjmp to `jump`, which skips no
// destructor because no function between setjmp and the callbacks owns anything (the methods below that call libjpeg
// keep it so).
struct JpegState {
  jpeg_error_mgr errors;
  jpeg_source_mgr source;
  jpeg_progress_mgr progress;
  jmp_buf jump;
  bool truncated;
  char message[JMSG_LENGTH_MAX];
  char warning[JMSG_LENGTH_MAX];
};

JpegState *StateOf(j_common_ptr common) {
  return static_cast<JpegState *>(common->client_data);
}
JpegState *StateOf(j_decompress_ptr jpeg) {
  return static_cast<JpegState *>(jpeg->client_data);
}

[[noreturn]] void OnError(j_common_ptr common) {
  JpegState *state = StateOf(common);
  common->err->format_message(common, state->message);
  longjmp(state->jump, 1);
}

// Keeps the first warning; nothing is ever printed.
void OnMessage(j_common_ptr common, int level) {
  JpegState *state = StateOf(common);
  if (level < 0 && state->warning[0] == '\0') {
    common->err->format_message(common, state->warning);
  }
}

void OnOutput(j_common_ptr) {}

void InitSource(j_decompress_ptr) {}
void EndSource(j_decompress_ptr) {}

// All data is given at the start: being asked for more means that the file ends early. Pillow raises here; libjpeg's
// own sources would make up an end and leave the rest of the picture grey.
boolean FillSource(j_decompress_ptr jpeg) {
  JpegState *state = StateOf(jpeg);
  state->truncated = true;
  snprintf(state->message, sizeof(state->message), "the file is truncated");
  longjmp(state->jump, 1);
}

void SkipSource(j_decompress_ptr jpeg, long count) {
  jpeg_source_mgr *source = jpeg->src;
  size_t skipped = std::min(source->bytes_in_buffer, static_cast<size_t>(std::max(count, 0L)));
  source->next_input_byte += skipped;
  source->bytes_in_buffer -= skipped;
  if (count > 0 && skipped < static_cast<size_t>(count)) {
    FillSource(jpeg);
  }
}

void OnProgress(j_common_ptr common) {
  auto *jpeg = reinterpret_cast<j_decompress_ptr>(common);
  if (jpeg->input_scan_number > kMaxScans) {
    JpegState *state = StateOf(common);
    snprintf(state->message, sizeof(state->message), "more than %d scans", kMaxScans);
    longjmp(state->jump, 1);
  }
}

class JpegReader : public FormatReader {
 public:
  JpegReader(std::span<const uint8_t> data, const std::string &name) : data_(data), name_(name) {
    memset(&jpeg_, 0, sizeof(jpeg_));
    memset(&state_, 0, sizeof(state_));
    if (!ReadHeader()) {
      std::string reason = state_.message;
      jpeg_destroy_decompress(&jpeg_);
      Fail(reason);
    }
    const char *reason = nullptr;
    if (jpeg_.num_components != 1 && jpeg_.num_components != 3 && jpeg_.num_components != 4) {
      reason = "it has neither 1, 3 nor 4 colour components";
    } else if (static_cast<int64_t>(jpeg_.image_width) * jpeg_.image_height > kMaxPixels) {
      reason = "it has more pixels than the limit of 178956970";
    }
    if (reason != nullptr) {
      jpeg_destroy_decompress(&jpeg_);
      Fail(reason);
    }
  }
  ~JpegReader() override { jpeg_destroy_decompress(&jpeg_); }
  JpegReader(const JpegReader &) = delete;
  JpegReader &operator=(const JpegReader &) = delete;

  ImageInfo info() const override {
    return {Format::kJpeg, static_cast<int>(jpeg_.image_width), static_cast<int>(jpeg_.image_height)};
  }

  std::string_view warning() const override { return state_.warning; }

  Rect Decode(const Rect &wanted, Image *out) override {
    if (!Start()) {
      Fail(state_.message);
    }
    Rect covered = PlanColumns(wanted);
    if (covered.width < 1) {
      Fail(state_.message);
    }
    bool four = jpeg_.out_color_space == JCS_CMYK;
    out->Reset(covered.width, covered.height);
    uint8_t *pixels = out->rgb.data();
    if (four) {
      cmyk_.resize(static_cast<size_t>(covered.width) * static_cast<size_t>(covered.height) * 4);
      pixels = cmyk_.data();
    }
    if (!ReadRows(covered, pixels, static_cast<size_t>(covered.width) * (four ? 4 : 3))) {
      Fail(state_.message);
    }
    if (four) {
      ConvertCmyk(out);
    }
    return covered;
  }

 private:
  [[noreturn]] void Fail(const std::string &reason) const {
    throw Error::Corrupt("cannot decode '" + name_ + "': " + reason + "; replace or remove it", {{"path", name_}});
  }

  // The functions that call libjpeg: no objects with destructors inside, no locals changed after setjmp and used after
  // it.

  bool ReadHeader() {
    jpeg_.err = jpeg_std_error(&state_.errors);
    state_.errors.error_exit = OnError;
    state_.errors.emit_message = OnMessage;
    state_.errors.output_message = OnOutput;
    jpeg_.client_data = &state_;
    if (setjmp(state_.jump) != 0) {
      return false;
    }
    jpeg_create_decompress(&jpeg_);  // clears all but err and client_data
    state_.source.next_input_byte = data_.data();
    state_.source.bytes_in_buffer = data_.size();
    state_.source.init_source = InitSource;
    state_.source.fill_input_buffer = FillSource;
    state_.source.skip_input_data = SkipSource;
    state_.source.resync_to_restart = jpeg_resync_to_restart;
    state_.source.term_source = EndSource;
    state_.progress.progress_monitor = OnProgress;
    jpeg_.src = &state_.source;
    jpeg_.progress = &state_.progress;
    jpeg_read_header(&jpeg_, TRUE);
    return true;
  }

  bool Start() {
    if (setjmp(state_.jump) != 0) {
      return false;
    }
    // Grey is widened to RGB by libjpeg; CMYK and YCCK come out as CMYK and are converted here.
    jpeg_.out_color_space = jpeg_.num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_.dct_method = JDCT_ISLOW;
    jpeg_.do_fancy_upsampling = TRUE;
    jpeg_start_decompress(&jpeg_);
    return true;
  }

  // Whether a part decodes to the same pixels as the whole: chroma upsampling looks at most one chroma sample aside,
  // which the margins of PlanColumns and ReadRows allow for; anything else that looks at neighbours must be absent.
  bool PartIsExact() const {
    if (jpeg_.num_components == 4) {
      return false;
    }
    if (jpeg_.num_components == 3) {
      const jpeg_component_info *component = jpeg_.comp_info;
      bool luma_ok = component[0].h_samp_factor <= 2 && component[0].v_samp_factor <= 2;
      bool chroma_ok = component[1].h_samp_factor == 1 && component[1].v_samp_factor == 1 &&
                       component[2].h_samp_factor == 1 && component[2].v_samp_factor == 1;
      if (!luma_ok || !chroma_ok) {
        return false;
      }
    }
    if (jpeg_.progressive_mode && jpeg_.coef_bits != nullptr) {
      // Coefficients that never came to full precision: libjpeg then smooths across blocks.
      for (int i = 0; i < jpeg_.num_components; ++i) {
        for (int k = 0; k < DCTSIZE2; ++k) {
          if (jpeg_.coef_bits[i][k] != 0) {
            return false;
          }
        }
      }
    }
    return true;
  }

  int McuWidth() const { return jpeg_.max_h_samp_factor * DCTSIZE; }
  int McuHeight() const { return jpeg_.max_v_samp_factor * DCTSIZE; }

  // Restricts decoding to the columns of `wanted` and one block on each side. Returns the rectangle that will be
  // produced, of width 0 on failure.
  Rect PlanColumns(const Rect &wanted) {
    int width = static_cast<int>(jpeg_.image_width);
    Rect all = {0, 0, width, static_cast<int>(jpeg_.image_height)};
    partial_ = wanted != all && EndsWell() && PartIsExact();
    if (!partial_) {
      return all;
    }
    int left = std::max(0, (wanted.x / McuWidth() - 1) * McuWidth());
    int right = std::min(width, ((wanted.x + wanted.width - 1) / McuWidth() + 2) * McuWidth());
    if (right - left == width) {
      return {0, wanted.y, width, wanted.height};
    }
    JDIMENSION offset = static_cast<JDIMENSION>(left);
    JDIMENSION columns = static_cast<JDIMENSION>(right - left);
    return CropColumns(offset, columns) ? Rect{crop_offset_, wanted.y, crop_width_, wanted.height} : Rect{};
  }

  bool CropColumns(JDIMENSION offset, JDIMENSION columns) {
    if (setjmp(state_.jump) != 0) {
      return false;
    }
    jpeg_crop_scanline(&jpeg_, &offset, &columns);
    crop_offset_ = static_cast<int>(offset);
    crop_width_ = static_cast<int>(columns);
    return true;
  }

  // True when the data ends as a whole file does. Only then may decoding stop after the last wanted row: a truncated
  // file must fail whichever part is wanted.
  bool EndsWell() const {
    size_t size = data_.size();
    return size >= 2 && data_[size - 2] == 0xff && data_[size - 1] == JPEG_EOI;
  }

  bool ReadRows(const Rect &covered, uint8_t *pixels, size_t stride) {
    rows_done_ = false;
    if (setjmp(state_.jump) != 0) {
      // Pillow, too, accepts a file whose end marker is missing when all rows came out.
      return rows_done_ && state_.truncated;
    }
    int y = 0;
    if (partial_) {
      // Two blocks of margin above: one for the neighbours of upsampling, one because libjpeg skips whole blocks.
      int start = std::max(0, (covered.y / McuHeight() - 2) * McuHeight());
      if (start > 0) {
        y = static_cast<int>(jpeg_skip_scanlines(&jpeg_, static_cast<JDIMENSION>(start)));
      }
      for (; y < covered.y; ++y) {
        JSAMPROW row = pixels;
        jpeg_read_scanlines(&jpeg_, &row, 1);
      }
    }
    int end = covered.y + covered.height;
    while (y < end) {
      std::array<JSAMPROW, 16> rows;
      int count = std::min<int>(rows.size(), end - y);
      for (int i = 0; i < count; ++i) {
        rows[static_cast<size_t>(i)] = pixels + static_cast<size_t>(y + i - covered.y) * stride;
      }
      y += static_cast<int>(jpeg_read_scanlines(&jpeg_, rows.data(), static_cast<JDIMENSION>(count)));
    }
    rows_done_ = true;
    if (y == static_cast<int>(jpeg_.output_height)) {
      jpeg_finish_decompress(&jpeg_);
    } else {
      jpeg_abort_decompress(&jpeg_);
    }
    return true;
  }

  // As Pillow: four-colour JPEGs are taken to be inverted, as Adobe's programs write them, whether or not they say so.
  void ConvertCmyk(Image *out) const {
    const uint8_t *in = cmyk_.data();
    uint8_t *rgb = out->rgb.data();
    for (size_t left = cmyk_.size() / 4; left > 0; --left, in += 4, rgb += 3) {
      int black = in[3];
      for (int c = 0; c < 3; ++c) {
        int product = (255 - in[c]) * black + 128;
        rgb[c] = static_cast<uint8_t>(std::max(0, black - ((product + (product >> 8)) >> 8)));
      }
    }
  }

  std::span<const uint8_t> data_;
  std::string name_;
  jpeg_decompress_struct jpeg_;
  JpegState state_;
  ByteBuffer cmyk_;
  bool partial_ = false;
  bool rows_done_ = false;  // a member, so that longjmp leaves it alone
  int crop_offset_ = 0;
  int crop_width_ = 0;
};

}  // namespace

std::unique_ptr<FormatReader> OpenJpeg(std::span<const uint8_t> data, const std::string &name) {
  return std::make_unique<JpegReader>(data, name);
}

}  // namespace trainyard::image
