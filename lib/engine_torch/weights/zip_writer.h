// Writes a zip archive of stored entries as torch.save lays it out, front to back in one pass. Own code because
// LibTorch's writer calls std::terminate when the disk is full (its destructor writes the directory, and throws), and
// to keep this folder free of LibTorch. Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "engine_torch/weights/bytes.h"

namespace trainyard {

// Takes a file's bytes, in order; throws to end the writing.
using ByteSink = std::function<void(const void *data, size_t size)>;

class ZipWriter {
 public:
  // Every entry lies in `folder`.
  ZipWriter(std::string folder, ByteSink sink) : folder_(std::move(folder) + "/"), sink_(std::move(sink)) {}

  // Names must differ; the caller sees to it. Throws kInvalidArgument (a name of more than 65,535 bytes).
  void Add(const std::string &name, Bytes bytes);
  // The directory. Call once, last.
  void Finish();

 private:
  void Put(const void *data, size_t size);
  void Put(const std::string &bytes) { Put(bytes.data(), bytes.size()); }
  void Flush();

  std::string folder_;
  ByteSink sink_;
  std::string pending_;    // small writes, joined
  uint64_t position_ = 0;  // of the next byte in the archive
  std::string directory_;  // the entries' part of the central directory
  uint64_t entry_count_ = 0;
};

}  // namespace trainyard
