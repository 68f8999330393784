#include "engine_torch/interop/dlpack.h"

#include <ATen/Functions.h>
#include <ATen/ops/from_blob.h>
#include <torch/cuda.h>

#include <cstring>
#include <string>
#include <vector>

#include "util/error.h"

namespace trainyard {
namespace {

constexpr int kMostDimensions = 16;

struct KnownType {
  uint8_t code, bits;
  at::ScalarType type;
};
constexpr KnownType kTypes[] = {
    {kDLFloat, 32, at::kFloat}, {kDLFloat, 64, at::kDouble}, {kDLFloat, 16, at::kHalf}, {kDLBfloat, 16, at::kBFloat16},
    {kDLInt, 64, at::kLong},    {kDLInt, 32, at::kInt},      {kDLUInt, 8, at::kByte},
};

at::ScalarType TypeOf(const DLDataType &type, const std::string &what) {
  for (const KnownType &known : kTypes) {
    if (type.lanes == 1 && type.code == known.code && type.bits == known.bits) return known.type;
  }
  throw Error(Status::kUnsupported, "the " + what +
                                        "'s type must be float32, float64, float16, bfloat16, int64, int32 or uint8; "
                                        "got DLPack code " +
                                        std::to_string(type.code) + " with " + std::to_string(type.bits) +
                                        " bits and " + std::to_string(type.lanes) + " lane(s)");
}

c10::Device DeviceOf(const DLDevice &device, const std::string &what) {
  if (device.device_type == kDLCPU || device.device_type == kDLCUDAHost) return c10::kCPU;
  if (device.device_type == kDLCUDA) {
    if (!torch::cuda::is_available())
      throw Error(Status::kUnsupported, "the " + what + " is in CUDA memory, and LibTorch sees no GPU in this process");
    return {c10::kCUDA, static_cast<c10::DeviceIndex>(device.device_id)};
  }
  throw Error(Status::kUnsupported, "the " + what + " must be in CPU or CUDA memory; got DLPack device type " +
                                        std::to_string(device.device_type));
}

}  // namespace

at::Tensor ViewOfDlpack(const DLTensor &tensor, const std::string &what) {
  const at::ScalarType type = TypeOf(tensor.dtype, what);
  const c10::Device device = DeviceOf(tensor.device, what);
  if (tensor.ndim < 0 || tensor.ndim > kMostDimensions || (tensor.ndim > 0 && tensor.shape == nullptr)) {
    throw Error::InvalidArgument("the " + what + " must have 0 to " + std::to_string(kMostDimensions) +
                                 " dimensions and a shape; got " + std::to_string(tensor.ndim));
  }
  const std::vector<int64_t> shape(tensor.shape, tensor.shape + tensor.ndim);
  std::vector<int64_t> strides(shape.size(), 1);
  int64_t count = 1;
  bool empty = false;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] < 0) {
      throw Error::InvalidArgument("dimension " + std::to_string(i) + " of the " + what + " is negative");
    }
    empty = empty || shape[i] == 0;
    strides[i] = tensor.strides == nullptr ? count : tensor.strides[i];
    if (strides[i] < 0) throw Error(Status::kUnsupported, "the " + what + " has a negative stride: copy it first");
    if (__builtin_mul_overflow(count, std::max<int64_t>(shape[i], 1), &count) || count > (int64_t{1} << 48)) {
      throw Error::InvalidArgument("the " + what + "'s shape is too large");
    }
  }
  const auto options = at::TensorOptions(type).device(device);
  if (empty) return at::empty(shape, options);
  if (tensor.data == nullptr) throw Error::InvalidArgument("the " + what + "'s data is NULL");
  char *data = static_cast<char *>(tensor.data) + tensor.byte_offset;
  if (reinterpret_cast<uintptr_t>(data) % at::elementSize(type) != 0)
    throw Error(Status::kUnsupported, "the " + what + "'s data is not aligned for its type");
  return at::from_blob(data, shape, strides, options);
}

}  // namespace trainyard
