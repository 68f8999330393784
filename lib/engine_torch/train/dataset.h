// What a job learns from, or validates with, whatever it is made of: samples, as floats for the model, and what is to
// be learnt of each. Thread rule: const functions and NewReader() may be called concurrently; a Reader is one thread's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace trainyard {

class Dataset {
 public:
  // Loads samples of one set, which outlives it.
  class Reader {
   public:
    virtual ~Reader() = default;
    // Writes the sample's floats to `out`, in the memory order of NewBatch(). False when it cannot be read: it is
    // counted as bad from then on. `repeat`: how often this epoch had it before; what is random is drawn anew.
    virtual bool Load(size_t index, uint32_t epoch, uint32_t repeat, float *out) = 0;
  };

  Dataset() = default;
  virtual ~Dataset() = default;
  Dataset(const Dataset &) = delete;
  Dataset &operator=(const Dataset &) = delete;

  virtual size_t size() const = 0;
  // Of one sample, as the model takes it: [3, side, side], [values].
  virtual std::vector<int64_t> SampleShape() const = 0;
  virtual std::unique_ptr<Reader> NewReader() = 0;

  // The names of what the model tells, by index of its outputs: classes, labels or numbers.
  virtual const std::vector<std::string> &classes() const = 0;
  // Samples of each class, or with each label.
  virtual std::vector<int64_t> ClassCounts() const = 0;
  // What the loss compares the model's outputs with, a row for each of `samples`: [n] int64 classes; [n, labels]
  // floats, 1 for those that a sample has; or [n, numbers] floats.
  virtual at::Tensor Targets(const std::vector<size_t> &samples) const = 0;
  // The same of one sample: its class; whether it has a label (above a half), or a number.
  virtual int64_t ClassOf(size_t sample) const = 0;
  virtual double TruthOf(size_t sample, size_t output) const = 0;

  // Whether bytes become floats as of image files: by transform.mean and transform.std.
  virtual bool normalises_bytes() const { return true; }

  // For people: what a sample is called, a picture of it (a file; "": there is none), and where the set comes from.
  virtual std::string NameOf(size_t sample) const = 0;
  virtual std::string PictureOf(size_t /*sample*/) const { return ""; }
  virtual std::string source() const = 0;

  // Goes on from `crc` over what must be the same on all ranks.
  virtual uint32_t Checksum(uint32_t crc) const = 0;

  // Room for `count` samples. `pin`: in memory that a GPU copies from by itself. Samples of three dimensions lie with
  // the first one, the channels, innermost: what convolutions are fastest with.
  at::Tensor NewBatch(int64_t count, bool pin) const;
  // Floats of one sample.
  int64_t SampleSize() const;

  // The bad samples met so far: index -> reason.
  std::map<size_t, std::string> bad() const;

 protected:
  void NoteBad(size_t index, const std::string &reason);

 private:
  mutable std::mutex bad_mutex_;
  std::map<size_t, std::string> bad_;
};

}  // namespace trainyard
