#include "engine_torch/predict/dlpack.h"

#include <ATen/Functions.h>
#include <ATen/ops/from_blob.h>
#include <torch/cuda.h>

#include <cstring>
#include <string>
#include <vector>

#include "util/error.h"

namespace trainyard {
namespace {

at::ScalarType TypeOf(const DLDataType &type) {
  if (type.lanes == 1 && type.code == kDLFloat && type.bits == 32) return at::kFloat;
  if (type.lanes == 1 && type.code == kDLUInt && type.bits == 8) return at::kByte;
  throw Error(Status::kUnsupported, "the input's type must be float32 or uint8; got DLPack code " +
                                        std::to_string(type.code) + " with " + std::to_string(type.bits) +
                                        " bits and " + std::to_string(type.lanes) + " lane(s)");
}

c10::Device DeviceOf(const DLDevice &device) {
  if (device.device_type == kDLCPU || device.device_type == kDLCUDAHost) return c10::kCPU;
  if (device.device_type == kDLCUDA) {
    if (!torch::cuda::is_available())
      throw Error(Status::kUnsupported, "the input is in CUDA memory, and LibTorch sees no GPU in this process");
    return {c10::kCUDA, static_cast<c10::DeviceIndex>(device.device_id)};
  }
  throw Error(Status::kUnsupported,
              "the input must be in CPU or CUDA memory; got DLPack device type " + std::to_string(device.device_type));
}

}  // namespace

at::Tensor ViewOfDlpack(const DLTensor &input) {
  const at::ScalarType type = TypeOf(input.dtype);
  const c10::Device device = DeviceOf(input.device);
  if (input.ndim != 4 || input.shape == nullptr) {
    throw Error(Status::kUnsupported,
                "the input must have 4 dimensions, [n, 3, height, width] or [n, height, width, 3]; got " +
                    std::to_string(input.ndim));
  }
  const std::vector<int64_t> shape(input.shape, input.shape + input.ndim);
  std::vector<int64_t> strides(4, 1);
  int64_t count = 1;
  for (int i = 3; i >= 0; --i) {
    const auto place = static_cast<size_t>(i);
    if (shape[place] < 0) throw Error::InvalidArgument("dimension " + std::to_string(i) + " of the input is negative");
    strides[place] = input.strides == nullptr ? count : input.strides[i];
    if (strides[place] < 0) throw Error(Status::kUnsupported, "the input has a negative stride: copy it first");
    if (__builtin_mul_overflow(count, std::max<int64_t>(shape[place], 1), &count) || count > (int64_t{1} << 48)) {
      throw Error::InvalidArgument("the input's shape is too large");
    }
  }
  const bool empty = shape[0] == 0 || shape[1] == 0 || shape[2] == 0 || shape[3] == 0;
  const auto options = at::TensorOptions(type).device(device);
  if (empty) return at::empty(shape, options);
  if (input.data == nullptr) throw Error::InvalidArgument("the input's data is NULL");
  char *data = static_cast<char *>(input.data) + input.byte_offset;
  if (reinterpret_cast<uintptr_t>(data) % at::elementSize(type) != 0)
    throw Error(Status::kUnsupported, "the input's data is not aligned for its type");
  return at::from_blob(data, shape, strides, options.device(device));
}

}  // namespace trainyard
