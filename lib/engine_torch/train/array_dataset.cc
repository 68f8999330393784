#include "engine_torch/train/array_dataset.h"

#include <ATen/Functions.h>

#include <cmath>
#include <utility>

#include "engine_torch/train/array_values.h"
#include "util/hash.h"

namespace trainyard {
namespace {

uint32_t ChecksumOf(const NamedTensor &array, size_t first, size_t bytes, uint32_t crc) {
  crc = Crc32(array.shape.data(), array.shape.size() * sizeof(int64_t), crc);
  crc = Crc32(&array.dtype, sizeof array.dtype, crc);
  return Crc32(array.data.data() + first, bytes, crc);
}

}  // namespace

// One thread's way through the rows.
class ArrayDataset::RowReader final : public Dataset::Reader {
 public:
  explicit RowReader(ArrayDataset *dataset) : dataset_(dataset) {}

  bool Load(size_t index, uint32_t /*epoch*/, uint32_t /*repeat*/, float *out) override {
    return dataset_->Load(index, &scratch_, out);
  }

 private:
  ArrayDataset *dataset_;
  std::vector<float> scratch_;
};

ArrayDataset::ArrayDataset(std::shared_ptr<const ArrayFile> file, std::string prefix,
                           std::optional<std::vector<size_t>> rows, ArrayFormat format)
    : file_(std::move(file)),
      prefix_(std::move(prefix)),
      rows_(std::move(rows)),
      format_(std::move(format)),
      inputs_(file_->arrays.at(prefix_ + kInputsName)),
      targets_(file_->arrays.at(prefix_ + kTargetsName)) {}

std::unique_ptr<Dataset::Reader> ArrayDataset::NewReader() {
  return std::make_unique<RowReader>(this);
}

bool ArrayDataset::Load(size_t index, std::vector<float> *scratch, float *out) {
  const auto size = static_cast<size_t>(SampleSize());
  const size_t first = RowOf(index) * size;
  if (format_.sample_shape.size() != 3) {
    if (CopyFloats(inputs_, first, size, out)) return true;
  } else {
    // Channels innermost, as NewBatch() has it.
    const auto channels = static_cast<size_t>(format_.sample_shape[0]);
    const size_t pixels = channels == 0 ? 0 : size / channels;
    scratch->resize(size);
    const bool finite = CopyFloats(inputs_, first, size, scratch->data());
    for (size_t c = 0; c < channels; ++c) {
      const float *from = scratch->data() + c * pixels;
      for (size_t i = 0; i < pixels; ++i) {
        out[i * channels + c] = format_.bytes ? (*format_.bytes)[c][static_cast<size_t>(from[i])] : from[i];
      }
    }
    if (finite) return true;
  }
  NoteBad(index, file_->Where(prefix_ + kInputsName) + ": sample " + std::to_string(RowOf(index)) +
                     " has a value that is not finite, or too great for float32");
  return false;
}

std::vector<int64_t> ArrayDataset::ClassCounts() const {
  std::vector<int64_t> counts(format_.classes.size());
  if (format_.task == Task::kRegression) return counts;
  for (size_t i = 0; i < size(); ++i) {
    if (format_.task == Task::kClassification) {
      ++counts[static_cast<size_t>(ClassOf(i))];
      continue;
    }
    for (size_t label = 0; label < counts.size(); ++label) counts[label] += TruthOf(i, label) > 0.5 ? 1 : 0;
  }
  return counts;
}

at::Tensor ArrayDataset::Targets(const std::vector<size_t> &samples) const {
  const auto count = static_cast<int64_t>(samples.size());
  if (format_.task == Task::kClassification) {
    at::Tensor targets = at::empty({count}, at::kLong);
    auto *classes = targets.mutable_data_ptr<int64_t>();
    for (size_t i = 0; i < samples.size(); ++i) classes[i] = ClassOf(samples[i]);
    return targets;
  }
  const size_t columns = format_.classes.size();
  at::Tensor targets = at::empty({count, static_cast<int64_t>(columns)}, at::kFloat);
  auto *values = targets.mutable_data_ptr<float>();
  for (size_t i = 0; i < samples.size(); ++i) {
    CopyFloats(targets_, RowOf(samples[i]) * columns, columns, values + i * columns);
  }
  return targets;
}

int64_t ArrayDataset::ClassOf(size_t sample) const {
  return IntegerAt(targets_, RowOf(sample));
}

double ArrayDataset::TruthOf(size_t sample, size_t output) const {
  return NumberAt(targets_, RowOf(sample) * format_.classes.size() + output);
}

std::string ArrayDataset::NameOf(size_t sample) const {
  return prefix_ + kInputsName + "[" + std::to_string(RowOf(sample)) + "]";
}

// The targets, the weights, and of the inputs, which may be large, the first and the last sample.
uint32_t ArrayDataset::Checksum(uint32_t crc) const {
  for (const std::string &name : format_.classes) crc = Crc32(name.c_str(), name.size() + 1, crc);
  crc = ChecksumOf(targets_, 0, targets_.data.size(), crc);
  const NamedTensor *weights = file_->Find(kWeightsName);
  if (weights != nullptr) crc = ChecksumOf(*weights, 0, weights->data.size(), crc);
  const size_t row = inputs_.data.size() / static_cast<size_t>(inputs_.shape[0]);
  crc = ChecksumOf(inputs_, 0, row, crc);
  return ChecksumOf(inputs_, inputs_.data.size() - row, row, crc);
}

}  // namespace trainyard
