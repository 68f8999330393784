// Samples that are rows of arrays, read where the file is mapped. Thread rule: as a Dataset's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine_torch/train/array_file.h"
#include "engine_torch/train/dataset.h"
#include "engine_torch/train/task.h"

namespace trainyard {

// What training and validation have in common.
struct ArrayFormat {
  Task task = Task::kClassification;
  std::vector<std::string> classes;   // by index of the model's outputs
  std::vector<int64_t> sample_shape;  // as the model takes it
  // Of bytes that are images, [3, height, width]: what each byte becomes, by channel; as ToTensor and Normalize compute
  // it. Others are taken as they are.
  std::optional<std::array<std::array<float, 256>, 3>> bytes;
};

class ArrayDataset final : public Dataset {
 public:
  // The arrays `prefix`inputs and `prefix`targets of the file, which were checked (array_sets.h); `rows` of them, or
  // all.
  ArrayDataset(std::shared_ptr<const ArrayFile> file, std::string prefix, std::optional<std::vector<size_t>> rows,
               ArrayFormat format);

  size_t size() const override { return rows_ ? rows_->size() : static_cast<size_t>(inputs_.shape[0]); }
  std::vector<int64_t> SampleShape() const override { return format_.sample_shape; }
  // A sample with a value that is not finite is bad.
  std::unique_ptr<Reader> NewReader() override;
  const std::vector<std::string> &classes() const override { return format_.classes; }
  std::vector<int64_t> ClassCounts() const override;
  at::Tensor Targets(const std::vector<size_t> &samples) const override;
  int64_t ClassOf(size_t sample) const override;
  double TruthOf(size_t sample, size_t output) const override;
  bool normalises_bytes() const override { return format_.bytes.has_value(); }
  // "inputs[17]", "validation_inputs[3]"
  std::string NameOf(size_t sample) const override;
  std::string source() const override { return file_->path; }
  uint32_t Checksum(uint32_t crc) const override;

 private:
  class RowReader;

  size_t RowOf(size_t sample) const { return rows_ ? (*rows_)[sample] : sample; }
  bool Load(size_t index, std::vector<float> *scratch, float *out);

  std::shared_ptr<const ArrayFile> file_;
  const std::string prefix_;
  const std::optional<std::vector<size_t>> rows_;
  const ArrayFormat format_;
  const NamedTensor &inputs_, &targets_;
};

}  // namespace trainyard
