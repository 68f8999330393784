// Writes a TensorBoard event file. One thread at a time.
//
// The file is a sequence of records {u64 length, u32 masked CRC-32C of the length's 8 bytes, data, u32 masked CRC-32C
// of the data}, integers little-endian; masked(c) = rotate-right(c, 15) + 0xa282ead8. Each datum is a protocol buffer
// of TensorFlow's type Event: {1: wall time in seconds (double), 2: step (int64), one of 3: version (string, first
// record only) or 5: Summary}; Summary: {1: Value...}; Value: {1: tag, one of 2: number (float) or 4: Image}; Image:
// {1: height, 2: width, 3: color channels, 4: encoded bytes}.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "util/fs.h"

namespace trainyard {

class TensorBoardFile {
 public:
  // `directory` is made; `name` must contain "tfevents", which is how TensorBoard finds the file. It appears whole, at
  // Finish, and replaces one of the same name.
  TensorBoardFile(const std::string &directory, const std::string &name, int64_t time_ms);
  TensorBoardFile(const TensorBoardFile &) = delete;
  TensorBoardFile &operator=(const TensorBoardFile &) = delete;
  ~TensorBoardFile();  // without Finish nothing is left

  // As everywhere in TensorBoard, numbers are single precision.
  void AddScalar(std::string_view tag, int64_t step, int64_t time_ms, double value);
  // PNG, JPEG or GIF; anything else, which TensorBoard could not show, is left out: false.
  bool AddImage(std::string_view tag, int64_t step, int64_t time_ms, std::string_view encoded);
  void Finish();

 private:
  void AddSummary(int64_t step, int64_t time_ms, std::string_view value);
  void AddRecord(std::string_view data);
  void Flush();

  const std::string path_, temporary_;
  UniqueFd file_;
  std::string buffer_;
};

// Of an encoded image; {0, 0} when it is no PNG, JPEG or GIF.
struct ImageSize {
  uint32_t width = 0, height = 0;
};
ImageSize ReadImageSize(std::string_view encoded);

}  // namespace trainyard
